#pragma once
// A column of 64-bit integers in zones, bit-packed; value columns (after their decimal step) and
// sequence numbers are stored so. Layout (docs/formats/block.md):
//
//   u8 sizes: low nibble base_bytes, high nibble step_bytes
//   per zone: u8 width, base (base_bytes, sign-extended), step (step_bytes, sign-extended)
//   per zone: packed bits
//
// kFrame: value[i] = base + packed[i]; step_bytes is 0.
// kDelta: value[0] = base, value[i] = value[i-1] + step + packed[i-1].
// All arithmetic is modulo 2^64, so signed and unsigned columns are the same thing.

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "storage/bit_packing.h"
#include "storage/chunk.h"
#include "storage/decimal.h"

namespace tsdbd::storage {

enum class IntegerCoding : uint8_t { kFrame = 0, kDelta = 1 };

// Room that decoding one zone needs. It should be aligned to kZoneBufferAlignment: vectors as wide
// as a cache line take twice the time where they lie across two.
inline constexpr size_t kZoneBufferSize = kZoneRows + kUnpackSlack;
inline constexpr size_t kZoneBufferAlignment = 64;

// Chooses the smaller coding; EncodedSize() tells what Append will take.
class PackedIntegersEncoder {
 public:
  // `values` must outlive the call to Append. 1 <= count <= kMaxChunkRows.
  PackedIntegersEncoder(const uint64_t* values, size_t count);

  IntegerCoding coding() const { return coding_; }
  size_t EncodedSize() const {
    return coding_ == IntegerCoding::kFrame ? frame_.size : delta_.size;
  }
  void Append(std::string* out) const;

 private:
  struct Zone {
    uint64_t base = 0;
    uint64_t step = 0;
    unsigned width = 0;
  };
  struct Plan {
    Zone zones[kMaxChunkRows / kZoneRows];
    unsigned base_bytes = 0;
    unsigned step_bytes = 0;
    size_t size = 0;
  };
  void PlanFrame();
  void PlanDelta();

  const uint64_t* const values_;
  const size_t count_;
  Plan frame_;
  Plan delta_;
  IntegerCoding coding_;
};

// Reads such a column in place.
class PackedIntegersView {
 public:
  // Nothing if `bytes` are not exactly a column of `count` values.
  static std::optional<PackedIntegersView> Open(std::string_view bytes, IntegerCoding coding,
                                                size_t count);
  // Of bytes that passed Open before. Behind them lie `slack_bytes` that may be read too, which
  // saves copying the last zone to where it may be read beyond.
  PackedIntegersView(std::string_view bytes, IntegerCoding coding, size_t count,
                     size_t slack_bytes = 0);

  // All values of a zone; `out` has room for kZoneBufferSize.
  void DecodeZone(size_t zone, uint64_t* out) const;
  // The same less the number returned, which the caller adds in passing.
  uint64_t DecodeZoneOffsets(size_t zone, uint64_t* out) const;
  // The first `count` values of a zone divided by 10^exponent; see decimal.h.
  void DecodeZoneAsDecimals(size_t zone, size_t count, unsigned exponent, double* out) const;
  uint64_t At(size_t index) const;

 private:
  size_t ZoneCount() const { return (count_ + kZoneRows - 1) / kZoneRows; }
  size_t ValuesInZone(size_t zone) const;
  size_t ZoneBytes(size_t zone) const;
  const char* ZoneHeader(size_t zone) const { return bytes_.data() + 1 + zone * header_size_; }
  PackedZone Zone(size_t zone) const;

  std::string_view bytes_;
  size_t count_;
  size_t slack_bytes_;
  IntegerCoding coding_;
  unsigned base_bytes_ = 0;
  unsigned step_bytes_ = 0;
  size_t header_size_ = 0;
};

}  // namespace tsdbd::storage
