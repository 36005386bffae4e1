#pragma once
// Snappy's block format, in which remote write and remote read compress their messages. What a
// block declares about itself is checked before any memory is taken for it.
//
// Threads: the functions from any thread; a SnappyDecoder belongs to one thread at a time.

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

#include "common/status.h"

namespace tsdbd::ingest {

// The size that `block` declares for its contents. kInvalidArgument if it is no snappy block or
// declares more than any block of its size can hold; kResourceExhausted, naming both sizes, if it
// is more than `max_bytes`.
StatusOr<size_t> SnappySize(std::string_view block, size_t max_bytes);

// Keeps its memory from block to block.
class SnappyDecoder {
 public:
  // The contents of `block`, which live until the next call. Errors as SnappySize, and
  // kInvalidArgument if the block is damaged.
  StatusOr<std::string_view> Decode(std::string_view block, size_t max_bytes);

  // Gives memory back if it is more than `bytes`.
  void Trim(size_t bytes);

 private:
  std::unique_ptr<char[]> memory_;  // never zeroed
  size_t capacity_ = 0;
};

// `bytes` as a snappy block.
std::string SnappyBlock(std::string_view bytes);

}  // namespace tsdbd::ingest
