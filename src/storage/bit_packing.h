#pragma once
// Bit packing: values of `width` bits each, one after another, least significant bit first. Plain
// order (not interleaved lanes) makes short runs small and any value reachable by arithmetic; with
// the width known at compile time it unpacks at several values per nanosecond all the same.

#include <bit>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace tsdbd::storage {

// A value of up to this many bits lies within 8 bytes wherever it begins. Wider ones take 64 bits.
inline constexpr unsigned kMaxPackedWidth = 57;

inline bool IsPackedWidth(unsigned width) {
  return width <= kMaxPackedWidth || width == 64;
}

// The width for values 0 .. max_value.
inline unsigned PackedWidth(uint64_t max_value) {
  const auto width = static_cast<unsigned>(std::bit_width(max_value));
  return width <= kMaxPackedWidth ? width : 64;
}

inline size_t PackedSize(size_t count, unsigned width) {
  return (count * width + 7) / 8;
}

// Appends PackedSize(count, width) bytes. All values are below 2^width.
void PackBits(const uint64_t* values, size_t count, unsigned width, std::string* out);

// UnpackBits writes up to this many values more than asked for.
inline constexpr size_t kUnpackSlack = 7;

// The first `count` (at most kMaxUnpackCount) values of `packed`, which has PackedSize(count,
// width) bytes or more; only those are read. `out` has room for count + kUnpackSlack values.
inline constexpr size_t kMaxUnpackCount = 128;
void UnpackBits(std::string_view packed, size_t count, unsigned width, uint64_t* out);

// Value `index`, which lies within `packed`.
uint64_t UnpackOne(std::string_view packed, size_t index, unsigned width);

}  // namespace tsdbd::storage
