#pragma once
// Integers in as few whole bytes as they need, little-endian; the byte count stands elsewhere.

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>

namespace tsdbd::storage {

// Bytes for an unsigned value: 0 .. 8, none for zero.
inline unsigned UnsignedBytes(uint64_t value) {
  return static_cast<unsigned>(std::bit_width(value) + 7) / 8;
}

// Bytes for a value in two's complement: 0 .. 8, none for zero.
inline unsigned SignedBytes(uint64_t value) {
  const uint64_t magnitude = static_cast<int64_t>(value) < 0 ? ~value : value;
  return value == 0 ? 0 : static_cast<unsigned>(std::bit_width(magnitude)) / 8 + 1;
}

inline void AppendBytes(uint64_t value, unsigned bytes, std::string* out) {
  char buffer[sizeof(value)];
  std::memcpy(buffer, &value, sizeof(value));
  out->append(buffer, bytes);
}

// Two loads that may overlap in place of a memcpy of some bytes, which would be a call.
inline uint64_t ReadUnsigned(const char* in, size_t bytes) {
  if (bytes >= sizeof(uint32_t)) {
    uint32_t low;
    uint32_t high;
    std::memcpy(&low, in, sizeof(low));
    std::memcpy(&high, in + bytes - sizeof(high), sizeof(high));
    return low | uint64_t{high} << (8 * (bytes - sizeof(high)));
  }
  if (bytes >= sizeof(uint16_t)) {
    uint16_t low;
    uint16_t high;
    std::memcpy(&low, in, sizeof(low));
    std::memcpy(&high, in + bytes - sizeof(high), sizeof(high));
    return low | uint64_t{high} << (8 * (bytes - sizeof(high)));
  }
  return bytes == 0 ? 0 : static_cast<uint8_t>(*in);
}

inline uint64_t ReadSigned(const char* in, size_t bytes) {
  if (bytes == 0) {
    return 0;
  }
  const size_t shift = 64 - 8 * bytes;
  return static_cast<uint64_t>(static_cast<int64_t>(ReadUnsigned(in, bytes) << shift) >> shift);
}

}  // namespace tsdbd::storage
