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

inline uint64_t ReadUnsigned(const char* in, unsigned bytes) {
  uint64_t value = 0;
  std::memcpy(&value, in, bytes);
  return value;
}

inline uint64_t ReadSigned(const char* in, unsigned bytes) {
  if (bytes == 0) {
    return 0;
  }
  const unsigned shift = 64 - 8 * bytes;
  return static_cast<uint64_t>(static_cast<int64_t>(ReadUnsigned(in, bytes) << shift) >> shift);
}

}  // namespace tsdbd::storage
