#include "storage/timestamp_column.h"

#include <algorithm>
#include <bit>
#include <numeric>

#include "common/check.h"
#include "storage/bit_packing.h"
#include "storage/column_kernels.h"
#include "storage/short_integers.h"

namespace tsdbd::storage {
namespace {

using model::Timestamp;

// Tests for and divides by one number, without a division each time: a multiplication by the
// inverse of the odd part modulo 2^64 turns exactly the multiples into small numbers.
class ExactDivisor {
 public:
  explicit ExactDivisor(uint64_t divisor) : divisor_(divisor) {
    shift_ = static_cast<unsigned>(std::countr_zero(divisor));
    const uint64_t odd = divisor >> shift_;
    inverse_ = odd;  // right in 3 bits; each step of Newton's doubles them
    for (int correct_bits = 3; correct_bits < 64; correct_bits *= 2) {
      inverse_ *= 2 - odd * inverse_;
    }
    max_quotient_ = UINT64_MAX / divisor;
  }
  uint64_t divisor() const { return divisor_; }
  bool Divides(uint64_t value) const { return Quotient(value) <= max_quotient_; }
  // value / divisor, if it divides.
  uint64_t Quotient(uint64_t value) const {
    return std::rotr(value * inverse_, static_cast<int>(shift_));
  }

 private:
  uint64_t divisor_;
  unsigned shift_;
  uint64_t inverse_;
  uint64_t max_quotient_;
};

bool IsRegular(std::span<const Timestamp> timestamps) {
  if (timestamps.size() < 3) {
    return true;
  }
  const Timestamp interval = timestamps[1] - timestamps[0];
  bool regular = true;
  for (size_t i = 2; i < timestamps.size(); ++i) {
    regular &= timestamps[i] - timestamps[i - 1] == interval;
  }
  return regular;
}

// The largest common divisor of all differences.
ExactDivisor FindUnit(std::span<const Timestamp> timestamps) {
  ExactDivisor unit(static_cast<uint64_t>(timestamps[1] - timestamps[0]));
  for (size_t i = 2; i < timestamps.size() && unit.divisor() != 1; ++i) {
    const auto difference = static_cast<uint64_t>(timestamps[i] - timestamps[i - 1]);
    if (!unit.Divides(difference)) {
      unit = ExactDivisor(std::gcd(unit.divisor(), difference));
    }
  }
  return unit;
}

struct ZoneModel {
  uint64_t base = 0;
  uint64_t slope = 0;
  unsigned width = 0;
};

uint64_t Predict(uint64_t slope, size_t row) {
  return (slope * row) >> kSlopeShift;
}

// The line from the first to the last position, moved down so that all are on or above it.
// Replaces the positions by what is left over.
ZoneModel FitZone(std::span<uint64_t> positions) {
  ZoneModel zone;
  const uint64_t span = positions.back() - positions.front();
  // A wider span would overflow slope * row; rows days apart at nanosecond jitter take 64 bits.
  constexpr uint64_t kMaxSpan = uint64_t{1} << (64 - kSlopeShift - 1);
  if (positions.size() > 1 && span < kMaxSpan) {
    zone.slope = (span << kSlopeShift) / (positions.size() - 1);
  }
  int64_t min = INT64_MAX;
  int64_t max = INT64_MIN;
  const uint64_t first = positions.front();
  for (size_t i = 0; i < positions.size(); ++i) {
    positions[i] -= first + Predict(zone.slope, i);
    min = std::min(min, static_cast<int64_t>(positions[i]));
    max = std::max(max, static_cast<int64_t>(positions[i]));
  }
  for (uint64_t& position : positions) {
    position -= static_cast<uint64_t>(min);
  }
  zone.base = first + static_cast<uint64_t>(min);
  zone.width = PackedWidth(static_cast<uint64_t>(max) - static_cast<uint64_t>(min));
  return zone;
}

void EncodeLinear(std::span<const Timestamp> timestamps, std::string* out) {
  const ExactDivisor unit = FindUnit(timestamps);
  uint64_t positions[kMaxChunkRows];
  for (size_t i = 0; i < timestamps.size(); ++i) {
    positions[i] = unit.Quotient(static_cast<uint64_t>(timestamps[i] - timestamps[0]));
  }
  ZoneModel zones[kMaxChunkRows / kZoneRows];
  size_t zone_count = 0;
  unsigned base_bytes = 0;
  unsigned slope_bytes = 0;
  for (size_t first = 0; first < timestamps.size(); first += kZoneRows) {
    const size_t count = std::min(kZoneRows, timestamps.size() - first);
    ZoneModel& zone = zones[zone_count++];
    zone = FitZone({positions + first, count});
    base_bytes = std::max(base_bytes, SignedBytes(zone.base));
    slope_bytes = std::max(slope_bytes, UnsignedBytes(zone.slope));
  }
  const unsigned unit_bytes = UnsignedBytes(unit.divisor());
  out->push_back(static_cast<char>(unit_bytes));
  AppendBytes(unit.divisor(), unit_bytes, out);
  out->push_back(static_cast<char>(base_bytes | slope_bytes << 4));
  for (size_t z = 0; z < zone_count; ++z) {
    out->push_back(static_cast<char>(zones[z].width));
    AppendBytes(zones[z].base, base_bytes, out);
    AppendBytes(zones[z].slope, slope_bytes, out);
  }
  for (size_t z = 0; z < zone_count; ++z) {
    const size_t first = z * kZoneRows;
    PackBits(positions + first, std::min(kZoneRows, timestamps.size() - first), zones[z].width,
             out);
  }
}

// The first index in 0 .. count for which `before` is false, given that it is true for all below
// and none above. Searches outward from `guess` in growing steps, then halves what is left.
template <typename Before>
size_t PartitionPoint(size_t guess, size_t count, const Before& before) {
  size_t low = 0;
  size_t high = count;
  if (before(guess)) {
    low = guess + 1;
    for (size_t step = 1; low + step <= high; step *= 2) {
      if (!before(low + step - 1)) {
        high = low + step - 1;
        break;
      }
      low += step;
    }
  } else {
    high = guess;
    for (size_t step = 1; step <= high; step *= 2) {
      if (before(high - step)) {
        low = high - step + 1;
        break;
      }
      high -= step;
    }
  }
  while (low < high) {
    const size_t middle = (low + high) / 2;
    if (before(middle)) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return low;
}

}  // namespace

TimestampCodec EncodeTimestamps(std::span<const Timestamp> timestamps, std::string* out) {
  if (IsRegular(timestamps)) {
    const uint64_t interval =
        timestamps.size() > 1 ? static_cast<uint64_t>(timestamps[1] - timestamps[0]) : 0;
    AppendBytes(interval, UnsignedBytes(interval), out);
    return TimestampCodec::kRegular;
  }
  EncodeLinear(timestamps, out);
  return TimestampCodec::kLinear;
}

std::optional<TimestampColumnView> TimestampColumnView::Open(std::string_view bytes, uint8_t codec,
                                                             Timestamp first, size_t count) {
  if (codec == static_cast<uint8_t>(TimestampCodec::kRegular)) {
    if (bytes.size() > sizeof(uint64_t)) {
      return std::nullopt;
    }
    return TimestampColumnView(bytes, TimestampCodec::kRegular, first, count);
  }
  if (codec != static_cast<uint8_t>(TimestampCodec::kLinear) || bytes.empty()) {
    return std::nullopt;
  }
  const auto unit_bytes = static_cast<uint8_t>(bytes[0]);
  if (unit_bytes > 8 || bytes.size() < size_t{2} + unit_bytes) {
    return std::nullopt;
  }
  const TimestampColumnView view(bytes, TimestampCodec::kLinear, first, count);
  return view.IsWellFormed() ? std::optional(view) : std::nullopt;
}

TimestampColumnView::TimestampColumnView(std::string_view bytes, TimestampCodec codec,
                                         Timestamp first, size_t count)
    : bytes_(bytes), codec_(codec), first_(static_cast<uint64_t>(first)), count_(count) {
  if (codec == TimestampCodec::kRegular) {
    unit_ = ReadUnsigned(bytes.data(), static_cast<unsigned>(bytes.size()));
    return;
  }
  const auto unit_bytes = static_cast<uint8_t>(bytes[0]);
  unit_ = ReadUnsigned(bytes.data() + 1, unit_bytes);
  const auto sizes = static_cast<uint8_t>(bytes[1 + unit_bytes]);
  base_bytes_ = sizes & 0xF;
  slope_bytes_ = sizes >> 4;
  headers_offset_ = 2 + unit_bytes;
}

bool TimestampColumnView::IsWellFormed() const {
  const size_t header_size = 1 + base_bytes_ + slope_bytes_;
  size_t size = headers_offset_ + ZoneCount() * header_size;
  if (base_bytes_ > 8 || slope_bytes_ > 8 || bytes_.size() < size) {
    return false;
  }
  for (size_t zone = 0; zone < ZoneCount(); ++zone) {
    if (!IsPackedWidth(ZoneWidth(zone))) {
      return false;
    }
    size += PackedSize(RowsInZone(zone), ZoneWidth(zone));
  }
  return size == bytes_.size() && static_cast<uint64_t>(At(0)) == first_;
}

size_t TimestampColumnView::RowsInZone(size_t zone) const {
  return std::min(kZoneRows, count_ - zone * kZoneRows);
}

unsigned TimestampColumnView::ZoneWidth(size_t zone) const {
  return static_cast<uint8_t>(bytes_[headers_offset_ + zone * (1 + base_bytes_ + slope_bytes_)]);
}

TimestampColumnView::Zone TimestampColumnView::GetZone(size_t zone) const {
  const size_t header_size = 1 + base_bytes_ + slope_bytes_;
  size_t offset = headers_offset_ + ZoneCount() * header_size;
  for (size_t before = 0; before < zone; ++before) {
    offset += PackedSize(kZoneRows, ZoneWidth(before));
  }
  const char* header = bytes_.data() + headers_offset_ + zone * header_size;
  return {.base = ReadSigned(header + 1, base_bytes_),
          .slope = ReadUnsigned(header + 1 + base_bytes_, slope_bytes_),
          .width = static_cast<uint8_t>(*header),
          .count = RowsInZone(zone),
          .bits = bytes_.substr(offset)};
}

Timestamp TimestampColumnView::At(const Zone& zone, size_t row_in_zone) const {
  const uint64_t position =
      zone.base + Predict(zone.slope, row_in_zone) + UnpackOne(zone.bits, row_in_zone, zone.width);
  return static_cast<Timestamp>(first_ + unit_ * position);
}

Timestamp TimestampColumnView::At(size_t row) const {
  if (codec_ == TimestampCodec::kRegular) {
    return static_cast<Timestamp>(first_ + unit_ * row);
  }
  return At(GetZone(row / kZoneRows), row % kZoneRows);
}

size_t TimestampColumnView::LowerBound(Timestamp timestamp) const {
  if (timestamp <= static_cast<Timestamp>(first_)) {
    return 0;
  }
  if (codec_ == TimestampCodec::kRegular) {
    return LowerBoundRegular(timestamp);
  }
  // The last zone that begins before the timestamp holds the bound, or ends right before it.
  const size_t zones_before = PartitionPoint(
      ZoneCount() / 2, ZoneCount(), [&](size_t zone) { return At(zone * kZoneRows) < timestamp; });
  return LowerBoundInZone(std::max<size_t>(zones_before, 1) - 1, timestamp);
}

size_t TimestampColumnView::LowerBoundRegular(Timestamp timestamp) const {
  if (unit_ == 0) {
    return count_;  // a single row, which lies before the timestamp
  }
  const uint64_t distance = static_cast<uint64_t>(timestamp) - first_;
  const uint64_t row = (distance - 1) / unit_ + 1;
  return static_cast<size_t>(std::min<uint64_t>(row, count_));
}

// Where the line says, corrected.
size_t TimestampColumnView::LowerBoundInZone(size_t zone_index, Timestamp timestamp) const {
  const Zone zone = GetZone(zone_index);
  size_t guess = zone.count / 2;
  if (unit_ != 0 && zone.slope != 0) {
    const uint64_t position = (static_cast<uint64_t>(timestamp) - first_) / unit_ - zone.base;
    const uint64_t row =
        static_cast<int64_t>(position) < 0
            ? 0
            : (std::min(position, UINT64_MAX >> kSlopeShift) << kSlopeShift) / zone.slope;
    guess = static_cast<size_t>(std::min<uint64_t>(row, zone.count - 1));
  }
  return zone_index * kZoneRows +
         PartitionPoint(guess, zone.count, [&](size_t row) { return At(zone, row) < timestamp; });
}

void TimestampColumnView::Decode(size_t first, size_t count, Timestamp* out) const {
  if (codec_ == TimestampCodec::kRegular) {
    FillRegular(first_ + unit_ * first, unit_, count, reinterpret_cast<uint64_t*>(out));
    return;
  }
  while (count > 0) {
    const Zone zone = GetZone(first / kZoneRows);
    const size_t begin = first % kZoneRows;
    const size_t rows = std::min(count, zone.count - begin);
    // Vectors as wide as a cache line take twice the time where they lie across two.
    alignas(64) uint64_t offsets[kMaxUnpackCount + kUnpackSlack];
    UnpackBits(zone.bits, zone.count, zone.width, offsets);
    const TimestampLine line = {
        .first = first_, .unit = unit_, .base = zone.base, .slope = zone.slope};
    FillLine(line, begin, offsets + begin, rows, reinterpret_cast<uint64_t*>(out));
    first += rows;
    count -= rows;
    out += rows;
  }
}

}  // namespace tsdbd::storage
