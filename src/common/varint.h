#pragma once
// Variable-length integers: seven bits a byte, low bits first, as Protocol Buffers have them.
// Writers append to a std::string or write where the caller has made room; readers never go past
// `end`.

#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

namespace tsdbd {

inline constexpr size_t kMaxVarintBytes = 10;

// Writes at `out`, which has room for kMaxVarintBytes; returns the end.
inline char* PutVarint(char* out, uint64_t value) {
  while (value >= 0x80) {
    *out++ = static_cast<char>(value | 0x80);
    value >>= 7;
  }
  *out++ = static_cast<char>(value);
  return out;
}

inline void AppendVarint(std::string* out, uint64_t value) {
  char buffer[kMaxVarintBytes];
  out->append(buffer, PutVarint(buffer, value) - buffer);
}

inline void AppendLengthPrefixed(std::string* out, std::string_view bytes) {
  AppendVarint(out, bytes.size());
  out->append(bytes);
}

// Small numbers of either sign become small unsigned ones.
inline uint64_t ZigZag(int64_t value) {
  return (static_cast<uint64_t>(value) << 1) ^ static_cast<uint64_t>(value >> 63);
}
inline int64_t UnZigZag(uint64_t value) {
  return static_cast<int64_t>((value >> 1) ^ (0 - (value & 1)));
}

// Reads bytes that may be wrong: every getter returns false, and stays where it is, if they are.
class ByteReader {
 public:
  explicit ByteReader(std::string_view bytes)
      : position_(bytes.data()), end_(bytes.data() + bytes.size()) {}

  bool Varint(uint64_t* value) {
    uint64_t result = 0;
    const char* p = position_;
    for (int shift = 0; shift < 64 && p < end_; shift += 7) {
      const auto byte = static_cast<unsigned char>(*p++);
      if (shift == 63 && byte > 1) {
        return false;
      }
      result |= static_cast<uint64_t>(byte & 0x7F) << shift;
      if (byte < 0x80) {
        *value = result;
        position_ = p;
        return true;
      }
    }
    return false;
  }

  bool Bytes(size_t size, std::string_view* bytes) {
    if (size > left()) {
      return false;
    }
    *bytes = {position_, size};
    position_ += size;
    return true;
  }

  bool LengthPrefixed(std::string_view* bytes) {
    const char* const start = position_;
    uint64_t size = 0;
    if (Varint(&size) && Bytes(size, bytes)) {
      return true;
    }
    position_ = start;
    return false;
  }

  size_t left() const { return end_ - position_; }
  const char* position() const { return position_; }
  const char* end() const { return end_; }
  // To go on after having read [position, position) by other means.
  void SetPosition(const char* position) { position_ = position; }

 private:
  const char* position_;
  const char* end_;
};

}  // namespace tsdbd
