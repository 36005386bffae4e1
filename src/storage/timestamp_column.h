#pragma once
// The timestamp column of a chunk: a line and what is left over. Layout (docs/formats/block.md):
//
//   kRegular: interval (0..8 bytes); timestamp[i] = first + i * interval
//   kLinear:  u8 unit_bytes, unit, u8 sizes (low nibble base_bytes, high nibble slope_bytes),
//             per zone: u8 width, base (sign-extended), slope
//             per zone: packed bits
//             timestamp[z * 128 + j] = first + unit * (base + (slope * j >> kSlopeShift) +
//             packed[j])
//
// `first` stands in the chunk's header. The unit is the largest common divisor of all differences:
// 10^6 for nanoseconds that were milliseconds. Arithmetic is modulo 2^64.

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "model/sample.h"
#include "storage/chunk.h"

namespace tsdbd::storage {

enum class TimestampCodec : uint8_t { kRegular = 0, kLinear = 1 };

// Slopes are fixed-point with as many bits as a row number within a zone has.
inline constexpr unsigned kSlopeShift = 7;

// Appends the column. `timestamps` are strictly rising, not empty.
TimestampCodec EncodeTimestamps(std::span<const model::Timestamp> timestamps, std::string* out);

// Reads such a column in place.
class TimestampColumnView {
 public:
  // Nothing if `bytes` are not exactly a column of `count` timestamps.
  static std::optional<TimestampColumnView> Open(std::string_view bytes, uint8_t codec,
                                                 model::Timestamp first, size_t count);
  // Of bytes that passed Open before.
  TimestampColumnView(std::string_view bytes, TimestampCodec codec, model::Timestamp first,
                      size_t count);

  model::Timestamp At(size_t row) const;
  size_t LowerBound(model::Timestamp timestamp) const;
  void Decode(size_t first, size_t count, model::Timestamp* out) const;

 private:
  struct Zone {
    uint64_t base;
    uint64_t slope;
    unsigned width;
    size_t count;           // rows of the zone
    std::string_view bits;  // from the zone's first bit to the end of the column
  };
  bool IsWellFormed() const;
  size_t ZoneCount() const { return (count_ + kZoneRows - 1) / kZoneRows; }
  size_t RowsInZone(size_t zone) const;
  unsigned ZoneWidth(size_t zone) const;
  Zone GetZone(size_t zone) const;
  model::Timestamp At(const Zone& zone, size_t row_in_zone) const;
  size_t LowerBoundRegular(model::Timestamp timestamp) const;
  size_t LowerBoundInZone(size_t zone, model::Timestamp timestamp) const;

  std::string_view bytes_;
  TimestampCodec codec_;
  uint64_t first_;
  size_t count_;
  uint64_t unit_ = 0;  // kRegular: the interval
  unsigned base_bytes_ = 0;
  unsigned slope_bytes_ = 0;
  size_t headers_offset_ = 0;
};

}  // namespace tsdbd::storage
