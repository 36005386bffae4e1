#include "ingest/xor_chunk_testing.h"

#include <bit>

#include "common/varint.h"

namespace tsdbd::ingest {
namespace {

class BitReader {
 public:
  explicit BitReader(std::string_view bytes) : bytes_(bytes) {}

  uint64_t Read(int count) {
    uint64_t bits = 0;
    for (int i = 0; i < count; ++i, ++position_) {
      const size_t byte = position_ / 8;
      const int bit = byte < bytes_.size() ? bytes_[byte] >> (7 - position_ % 8) & 1 : 0;
      bits = bits << 1 | static_cast<uint64_t>(bit);
    }
    return bits;
  }
  // Two's complement, but what would be the lowest number is the one after the highest.
  int64_t ReadDelta(int count) {
    const auto bits = static_cast<int64_t>(Read(count));
    return count < 64 && bits > int64_t{1} << (count - 1) ? bits - (int64_t{1} << count) : bits;
  }
  uint64_t ReadVarint() {
    uint64_t value = 0;
    for (int shift = 0; shift < 64; shift += 7) {
      const uint64_t byte = Read(8);
      value |= (byte & 0x7F) << shift;
      if (byte < 0x80) {
        break;
      }
    }
    return value;
  }
  bool is_at_end() const { return (position_ + 7) / 8 == bytes_.size(); }

 private:
  const std::string_view bytes_;
  size_t position_ = 0;
};

int64_t ReadDeltaOfDelta(BitReader* reader) {
  for (const int bits : {0, 14, 17, 20}) {
    if (reader->Read(1) == 0) {
      return bits == 0 ? 0 : reader->ReadDelta(bits);
    }
  }
  return reader->ReadDelta(64);
}

}  // namespace

StatusOr<model::SampleColumns> DecodeXorChunk(std::string_view chunk) {
  BitReader reader(chunk);
  model::SampleColumns samples;
  const uint64_t count = reader.Read(16);
  int64_t delta = 0;
  uint64_t value = 0;
  int leading = 0;
  int length = 0;
  for (uint64_t i = 0; i < count; ++i) {
    if (i == 0) {
      samples.timestamps.push_back(UnZigZag(reader.ReadVarint()));
      value = reader.Read(64);
    } else {
      delta =
          i == 1 ? static_cast<int64_t>(reader.ReadVarint()) : delta + ReadDeltaOfDelta(&reader);
      samples.timestamps.push_back(samples.timestamps.back() + delta);
      if (reader.Read(1) == 1) {
        if (reader.Read(1) == 1) {
          leading = static_cast<int>(reader.Read(5));
          length = static_cast<int>(reader.Read(6));
          length = length == 0 ? 64 : length;
        }
        value ^= reader.Read(length) << (64 - leading - length);
      }
    }
    samples.values.push_back(std::bit_cast<double>(value));
  }
  if (!reader.is_at_end()) {
    return InvalidArgument("a chunk of {} bytes does not end with its {} samples", chunk.size(),
                           count);
  }
  return samples;
}

}  // namespace tsdbd::ingest
