#include "ingest/snappy_block.h"

#include <snappy.h>

namespace tsdbd::ingest {
namespace {

// The most that a byte of a block can stand for: an element of 3 bytes copies up to 64.
constexpr size_t kMaxExpansion = 22;

}  // namespace

StatusOr<size_t> SnappySize(std::string_view block, size_t max_bytes) {
  size_t size = 0;
  if (!snappy::GetUncompressedLength(block.data(), block.size(), &size)) {
    return InvalidArgument("the body is not a snappy block: it does not begin with a size");
  }
  if (size > max_bytes) {
    return ResourceExhausted("the body declares {} bytes when uncompressed, the limit is {}", size,
                             max_bytes);
  }
  if (size > block.size() * kMaxExpansion) {
    return InvalidArgument(
        "the body is not a snappy block: its {} bytes cannot hold the {} declared", block.size(),
        size);
  }
  return size;
}

StatusOr<std::string_view> SnappyDecoder::Decode(std::string_view block, size_t max_bytes) {
  ASSIGN_OR_RETURN(const size_t size, SnappySize(block, max_bytes));
  if (size > capacity_) {
    memory_ = std::make_unique_for_overwrite<char[]>(size);
    capacity_ = size;
  }
  if (!snappy::RawUncompress(block.data(), block.size(), memory_.get())) {
    return InvalidArgument("the body is not a snappy block: it is damaged");
  }
  return std::string_view(memory_.get(), size);
}

void SnappyDecoder::Trim(size_t bytes) {
  if (capacity_ > bytes) {
    memory_.reset();
    capacity_ = 0;
  }
}

std::string SnappyBlock(std::string_view bytes) {
  std::string block;
  snappy::Compress(bytes.data(), bytes.size(), &block);
  return block;
}

}  // namespace tsdbd::ingest
