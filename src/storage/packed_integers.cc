#include "storage/packed_integers.h"

#include <algorithm>

#include "common/check.h"
#include "storage/short_integers.h"

namespace tsdbd::storage {
namespace {

struct Range {
  int64_t min;
  int64_t max;
};

Range RangeOf(const uint64_t* values, size_t count) {
  Range range = {static_cast<int64_t>(values[0]), static_cast<int64_t>(values[0])};
  for (size_t i = 1; i < count; ++i) {
    const auto value = static_cast<int64_t>(values[i]);
    range.min = std::min(range.min, value);
    range.max = std::max(range.max, value);
  }
  return range;
}

// Of values[i] - values[i - 1], as signed numbers modulo 2^64.
Range RangeOfDifferences(const uint64_t* values, size_t count) {
  Range range = {INT64_MAX, INT64_MIN};
  for (size_t i = 1; i < count; ++i) {
    const auto difference = static_cast<int64_t>(values[i] - values[i - 1]);
    range.min = std::min(range.min, difference);
    range.max = std::max(range.max, difference);
  }
  return count > 1 ? range : Range{0, 0};
}

unsigned WidthOf(const Range& range) {
  return PackedWidth(static_cast<uint64_t>(range.max) - static_cast<uint64_t>(range.min));
}

size_t PackedCount(IntegerCoding coding, size_t values_in_zone) {
  return coding == IntegerCoding::kFrame ? values_in_zone : values_in_zone - 1;
}

}  // namespace

PackedIntegersEncoder::PackedIntegersEncoder(const uint64_t* values, size_t count)
    : values_(values), count_(count) {
  CHECK(count >= 1 && count <= kMaxChunkRows);
  PlanFrame();
  PlanDelta();
  coding_ = delta_.size < frame_.size ? IntegerCoding::kDelta : IntegerCoding::kFrame;
}

void PackedIntegersEncoder::PlanFrame() {
  size_t zone_count = 0;
  for (size_t first = 0; first < count_; first += kZoneRows, ++zone_count) {
    const size_t count = std::min(kZoneRows, count_ - first);
    const Range range = RangeOf(values_ + first, count);
    Zone& zone = frame_.zones[zone_count];
    zone = {static_cast<uint64_t>(range.min), 0, WidthOf(range)};
    frame_.base_bytes = std::max(frame_.base_bytes, SignedBytes(zone.base));
    frame_.size += PackedSize(count, zone.width);
  }
  frame_.size += 1 + zone_count * (1 + frame_.base_bytes);
}

void PackedIntegersEncoder::PlanDelta() {
  size_t zone_count = 0;
  for (size_t first = 0; first < count_; first += kZoneRows, ++zone_count) {
    const size_t count = std::min(kZoneRows, count_ - first);
    const Range range = RangeOfDifferences(values_ + first, count);
    Zone& zone = delta_.zones[zone_count];
    zone = {values_[first], static_cast<uint64_t>(range.min), WidthOf(range)};
    delta_.base_bytes = std::max(delta_.base_bytes, SignedBytes(zone.base));
    delta_.step_bytes = std::max(delta_.step_bytes, SignedBytes(zone.step));
    delta_.size += PackedSize(count - 1, zone.width);
  }
  delta_.size += 1 + zone_count * (1 + delta_.base_bytes + delta_.step_bytes);
}

void PackedIntegersEncoder::Append(std::string* out) const {
  const Plan& plan = coding_ == IntegerCoding::kFrame ? frame_ : delta_;
  const size_t zone_count = (count_ + kZoneRows - 1) / kZoneRows;
  out->push_back(static_cast<char>(plan.base_bytes | plan.step_bytes << 4));
  for (size_t z = 0; z < zone_count; ++z) {
    out->push_back(static_cast<char>(plan.zones[z].width));
    AppendBytes(plan.zones[z].base, plan.base_bytes, out);
    AppendBytes(plan.zones[z].step, plan.step_bytes, out);
  }
  for (size_t z = 0; z < zone_count; ++z) {
    const Zone& zone = plan.zones[z];
    const uint64_t* values = values_ + z * kZoneRows;
    const size_t packed_count = PackedCount(coding_, std::min(kZoneRows, count_ - z * kZoneRows));
    uint64_t packed[kZoneRows];
    for (size_t i = 0; i < packed_count; ++i) {
      packed[i] = coding_ == IntegerCoding::kFrame ? values[i] - zone.base
                                                   : values[i + 1] - values[i] - zone.step;
    }
    PackBits(packed, packed_count, zone.width, out);
  }
}

PackedIntegersView::PackedIntegersView(std::string_view bytes, IntegerCoding coding, size_t count,
                                       size_t slack_bytes)
    : bytes_(bytes), count_(count), slack_bytes_(slack_bytes), coding_(coding) {
  base_bytes_ = static_cast<uint8_t>(bytes[0]) & 0xF;
  step_bytes_ = static_cast<uint8_t>(bytes[0]) >> 4;
  header_size_ = 1 + base_bytes_ + step_bytes_;
}

std::optional<PackedIntegersView> PackedIntegersView::Open(std::string_view bytes,
                                                           IntegerCoding coding, size_t count) {
  if (bytes.empty() || count == 0) {
    return std::nullopt;
  }
  PackedIntegersView view(bytes, coding, count);
  const size_t zone_count = view.ZoneCount();
  if (view.base_bytes_ > 8 || view.step_bytes_ > 8 ||
      (coding == IntegerCoding::kFrame && view.step_bytes_ != 0) ||
      bytes.size() < 1 + zone_count * view.header_size_) {
    return std::nullopt;
  }
  size_t size = 1 + zone_count * view.header_size_;
  for (size_t zone = 0; zone < zone_count; ++zone) {
    if (!IsPackedWidth(static_cast<uint8_t>(*view.ZoneHeader(zone)))) {
      return std::nullopt;
    }
    size += view.ZoneBytes(zone);
  }
  if (size != bytes.size()) {
    return std::nullopt;
  }
  return view;
}

size_t PackedIntegersView::ValuesInZone(size_t zone) const {
  return std::min(kZoneRows, count_ - zone * kZoneRows);
}

size_t PackedIntegersView::ZoneBytes(size_t zone) const {
  return PackedSize(PackedCount(coding_, ValuesInZone(zone)),
                    static_cast<uint8_t>(*ZoneHeader(zone)));
}

PackedZone PackedIntegersView::Zone(size_t zone) const {
  size_t offset = 1 + ZoneCount() * header_size_;
  const size_t full_count = PackedCount(coding_, kZoneRows);  // the zones before are full
  for (size_t before = 0; before < zone; ++before) {
    offset += PackedSize(full_count, static_cast<uint8_t>(*ZoneHeader(before)));
  }
  const char* header = ZoneHeader(zone);
  return {.base = ReadSigned(header + 1, base_bytes_),
          .step = ReadSigned(header + 1 + base_bytes_, step_bytes_),
          .count = ValuesInZone(zone),
          .width = static_cast<uint8_t>(*header),
          .bits = {bytes_.data() + offset, bytes_.size() - offset + slack_bytes_}};
}

void PackedIntegersView::DecodeZone(size_t zone, uint64_t* out) const {
  const uint64_t base = DecodeZoneOffsets(zone, out);
  for (size_t i = 0; i < ValuesInZone(zone); ++i) {
    out[i] += base;
  }
}

uint64_t PackedIntegersView::DecodeZoneOffsets(size_t zone_index, uint64_t* out) const {
  const PackedZone zone = Zone(zone_index);
  if (coding_ == IntegerCoding::kFrame) {
    UnpackBits(zone.bits, zone.count, zone.width, out);
    return zone.base;
  }
  alignas(kZoneBufferAlignment) uint64_t packed[kZoneBufferSize];
  UnpackBits(zone.bits, zone.count - 1, zone.width, packed);
  uint64_t offset = 0;
  out[0] = 0;
#pragma GCC unroll 8
  for (size_t i = 1; i < zone.count; ++i) {
    offset += zone.step + packed[i - 1];
    out[i] = offset;
  }
  return zone.base;
}

void PackedIntegersView::DecodeZoneAsDecimals(size_t zone_index, size_t count, unsigned exponent,
                                              double* out) const {
  PackedZone zone = Zone(zone_index);
  if (coding_ == IntegerCoding::kDelta) {
    zone.count = count;
    SumsToDoubles(zone, exponent, out);
    return;
  }
  alignas(kZoneBufferAlignment) uint64_t packed[kZoneBufferSize];
  UnpackBits(zone.bits, count, zone.width, packed);
  ToDoubles(packed, count, zone.base, exponent, out);
}

uint64_t PackedIntegersView::At(size_t index) const {
  const PackedZone zone = Zone(index / kZoneRows);
  const size_t row = index % kZoneRows;
  if (coding_ == IntegerCoding::kFrame) {
    return zone.base + UnpackOne(zone.bits, row, zone.width);
  }
  alignas(kZoneBufferAlignment) uint64_t packed[kZoneBufferSize];
  UnpackBits(zone.bits, row, zone.width, packed);
  uint64_t value = zone.base + row * zone.step;
  for (size_t i = 0; i < row; ++i) {
    value += packed[i];
  }
  return value;
}

}  // namespace tsdbd::storage
