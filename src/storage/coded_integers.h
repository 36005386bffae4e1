#pragma once
// A column of 64-bit integers in zones with an entropy stage: what packed_integers.h bit-packs is
// split into symbols, which a prefix code (symbol_code.h) makes as short as they are frequent, and
// low bits that look random. Rare large differences are kept apart as jumps. Without symbols all
// bits are low ones: that is bit packing with jumps, as fast as bit packing. Layout
// (docs/formats/block.md):
//
//   u8 code, u8 low_bits, u8 sizes (low nibble first_bytes, high nibble slope_bytes),
//   u8 offset_width, u8 sizes (low nibble step_bytes, high nibble jump_bytes),
//   u8 min_code_size, u8 code_size_width
//   first, slope, step (sign-extended)
//   if jump_bytes > 0: u16 count, u16 row of each (rising), jump of each (sign-extended)
//   packed offsets, one per zone
//   packed code sizes, one per zone: by how many bytes its code words exceed min_code_size
//   per zone: packed low bits, code words of the bytes of symbols
//
// residual = symbol << low_bits | low, and base = first + zone * slope + offset.
// kFrame: value[i] = base + step + residual[i]; a jump is added to its row's residual.
// kDelta: value[0] = base, value[i] = value[i-1] + step + residual[i-1]; a jump is added to the
// residual that leads to its row.
// All arithmetic is modulo 2^64.

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "storage/column_kernels.h"
#include "storage/packed_integers.h"
#include "storage/symbol_code.h"

namespace tsdbd::storage {

// Chooses how from a sample of the values, so its cost hardly grows with the number of choices.
// Keeps scratch memory between calls; one thread at a time.
class CodedIntegersEncoder {
 public:
  // Appends the column if it is smaller than `packed_size`, with symbols only if they save a tenth;
  // else returns false. 1 .. kMaxChunkRows values.
  bool Append(const uint64_t* values, size_t count, size_t packed_size, IntegerCoding* coding,
              std::string* out);

 private:
  struct Choice {
    IntegerCoding coding = IntegerCoding::kFrame;
    size_t model = 0;
    unsigned low_bits = 0;
    uint64_t step = 0;
    double bits_per_value = 0;
  };
  struct Jump {
    uint16_t row;
    uint64_t difference;
  };

  void Sample(const uint64_t* values, size_t count, IntegerCoding coding);
  void ConsiderSymbols(IntegerCoding coding, Choice* best) const;
  void ConsiderPacking(IntegerCoding coding, Choice* best) const;
  void Consider(Choice choice, unsigned symbol_bits, unsigned center, Choice* best) const;
  // The value at that place in the sorted sample.
  uint64_t SampleAt(size_t percent) const {
    return static_cast<uint64_t>(sample_[(sample_.size() - 1) * percent / 100]);
  }
  bool AppendAs(const Choice& choice, const uint64_t* values, size_t count, size_t max_size,
                std::string* out);
  void AppendZones(const uint64_t* values, size_t count, const Choice& choice);
  void AppendZone(const uint64_t* values, size_t first_row, size_t count, const Choice& choice);
  void AppendHeader(const uint64_t* values, size_t count, const Choice& choice, std::string* out);

  std::vector<int64_t> sample_;  // of residuals with a step of 0, sorted
  std::vector<Jump> jumps_;
  std::vector<uint64_t> code_sizes_;  // of the zones
  std::string zones_;
};

// Reads such a column in place.
class CodedIntegersView {
 public:
  // Nothing if `bytes` are not a column of `count` values.
  static std::optional<CodedIntegersView> Open(std::string_view bytes, IntegerCoding coding,
                                               size_t count);
  // Of bytes that passed Open before. Behind them lie `slack_bytes` that may be read too.
  CodedIntegersView(std::string_view bytes, IntegerCoding coding, size_t count,
                    size_t slack_bytes = 0);

  // As PackedIntegersView's.
  uint64_t DecodeZoneOffsets(size_t zone, uint64_t* out) const;
  void DecodeZoneAsDecimals(size_t zone, size_t count, unsigned exponent, double* out) const;
  // Decodes the symbols of the zone up to the value.
  uint64_t At(size_t index) const;

 private:
  // Symbols of a zone as packed bits, with room to be read and written beyond.
  struct SymbolBuffer {
    alignas(8) uint8_t bytes[kZoneRows * kMaxSymbolBits / 8 + kUnpackReadSlack];
    std::string_view view() const { return {reinterpret_cast<const char*>(bytes), sizeof(bytes)}; }
  };

  bool IsWellFormed() const;
  size_t ZoneCount() const { return (count_ + kZoneRows - 1) / kZoneRows; }
  size_t ValuesInZone(size_t zone) const;
  // Residuals that a run of values from a zone's beginning has.
  size_t ResidualCount(size_t value_count) const {
    return coding_ == IntegerCoding::kFrame ? value_count : value_count - 1;
  }
  bool HasSymbols() const { return symbol_bits_ > 0; }
  size_t LowSize(size_t zone) const;
  // Of the code words of the first zones.
  size_t CodeSizes(size_t zone_count) const;
  uint64_t Base(size_t zone) const;
  // From the zone's low bits to the end of what may be read.
  std::string_view ZoneBits(size_t zone) const;
  uint16_t JumpRow(size_t index) const;
  uint64_t JumpDifference(size_t index) const;
  // The first jump at `row` or behind.
  size_t FindJump(size_t row) const;
  bool HasJumps(size_t first_row, size_t count) const;
  // The symbols of the zone's first residuals.
  void DecodeSymbols(size_t zone, std::string_view bits, size_t residual_count,
                     SymbolBuffer* symbols) const;
  // The zone's first residuals, jumps added. `out` has room for kZoneBufferSize.
  void DecodeResiduals(size_t zone, size_t residual_count, uint64_t* out) const;

  std::string_view bytes_;
  size_t count_;
  size_t slack_bytes_;
  IntegerCoding coding_;
  uint8_t model_ = 0;
  uint8_t symbol_bits_ = 0;
  uint8_t low_bits_ = 0;
  uint8_t offset_width_ = 0;
  uint8_t min_code_size_ = 0;
  uint8_t code_size_width_ = 0;
  uint8_t first_bytes_ = 0;
  uint8_t slope_bytes_ = 0;
  uint8_t step_bytes_ = 0;
  uint8_t jump_bytes_ = 0;
  uint64_t first_ = 0;
  uint64_t slope_ = 0;
  uint64_t step_ = 0;
  size_t jump_count_ = 0;
  size_t jumps_offset_ = 0;
  size_t offsets_offset_ = 0;
  size_t sizes_offset_ = 0;
  size_t zones_offset_ = 0;
};

}  // namespace tsdbd::storage
