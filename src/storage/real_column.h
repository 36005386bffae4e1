#pragma once
// Doubles that are no short decimals, cut into a left and a right part: the left ones (sign,
// exponent and what of the mantissa is the same in most values) are few and stand in a dictionary,
// the right ones are kept as they are (ALP-RD: Afroozeh et al., ALP: Adaptive Lossless
// Floating-Point Compression, SIGMOD 2024). Layout (docs/formats/block.md):
//
//   u8 right_bits, u8 index_bits, u16 left part per index (2^index_bits of them)
//   u16 count, u16 row per exception (rising), u16 left part of each
//   per zone: packed indexes, packed right parts
//
// value = left << right_bits | right, as bits.

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace tsdbd::storage {

// Appends the column if that saves a twentieth of the doubles' size at least. 1 .. kMaxChunkRows
// values.
bool AppendReals(std::span<const double> values, std::string* out);

// Reads such a column in place.
class RealsView {
 public:
  // Nothing if `bytes` are not exactly a column of `count` values.
  static std::optional<RealsView> Open(std::string_view bytes, size_t count);
  // Of bytes that passed Open before. Behind them lie `slack_bytes` that may be read too.
  RealsView(std::string_view bytes, size_t count, size_t slack_bytes = 0);

  void Decode(size_t first, size_t count, double* out) const;
  double At(size_t row) const;

 private:
  bool IsWellFormed() const;
  uint64_t Left(size_t index) const;
  uint16_t ExceptionRow(size_t exception) const;
  uint64_t ExceptionLeft(size_t exception) const;
  // The first exception at `row` or behind.
  size_t FindException(size_t row) const;
  // From the zone's first index to the end of what may be read, and where its right parts begin.
  std::string_view Zone(size_t zone) const;
  size_t RightOffset(size_t zone) const;

  std::string_view bytes_;
  size_t count_;
  size_t slack_bytes_;
  unsigned right_bits_;
  unsigned index_bits_;
  size_t exception_count_ = 0;
  size_t exceptions_offset_ = 0;
  size_t zones_offset_ = 0;
};

}  // namespace tsdbd::storage
