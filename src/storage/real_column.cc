#include "storage/real_column.h"

#include <algorithm>
#include <array>
#include <bit>
#include <functional>
#include <utility>
#include <vector>

#include "common/check.h"
#include "storage/bit_packing.h"
#include "storage/chunk.h"
#include "storage/packed_integers.h"
#include "storage/short_integers.h"

namespace tsdbd::storage {
namespace {

// A left part has 7 to 16 bits: of a right one, no more can be packed, and fewer are no doubles.
constexpr unsigned kMinRightBits = 48;
constexpr unsigned kMaxRightBits = kMaxPackedWidth;
constexpr unsigned kMaxIndexBits = 3;
constexpr size_t kBitsPerException = 32;
constexpr size_t kHeaderSize = 2;

using Dictionary = std::array<uint16_t, size_t{1} << kMaxIndexBits>;

struct Cut {
  unsigned right_bits = 0;
  unsigned index_bits = 0;
  Dictionary left = {};
  size_t sample_bits = SIZE_MAX;  // what the sample takes
};

constexpr size_t kSampleSize = 128;

// The best dictionary for a cut at `right_bits`, the commonest left part first. `sample` is sorted.
Cut CutAt(std::span<const uint64_t> sample, unsigned right_bits) {
  std::pair<uint32_t, uint16_t> counts[kSampleSize];  // how many have it, left part
  size_t part_count = 0;
  for (const uint64_t bits : sample) {
    const auto left = static_cast<uint16_t>(bits >> right_bits);
    if (part_count == 0 || counts[part_count - 1].second != left) {
      counts[part_count++] = {0, left};
    }
    ++counts[part_count - 1].first;
  }
  const size_t dictionary_size = std::min(part_count, Dictionary().size());
  std::partial_sort(counts, counts + dictionary_size, counts + part_count, std::greater<>());
  Cut best;
  Cut cut{.right_bits = right_bits};
  size_t covered = 0;
  for (size_t i = 0; i < dictionary_size; ++i) {
    cut.left[i] = counts[i].second;
    covered += counts[i].first;
    cut.index_bits = static_cast<unsigned>(std::bit_width(i));
    cut.sample_bits = sample.size() * (right_bits + cut.index_bits) +
                      (sample.size() - covered) * kBitsPerException;
    best = cut.sample_bits < best.sample_bits ? cut : best;
  }
  return best;
}

Cut ChooseCut(std::span<const double> values) {
  uint64_t sample[kSampleSize];
  const size_t size = std::min(values.size(), kSampleSize);
  for (size_t i = 0; i < size; ++i) {
    sample[i] = std::bit_cast<uint64_t>(values[i * values.size() / size]);
  }
  std::sort(sample, sample + size);
  Cut best;
  for (unsigned right_bits = kMinRightBits; right_bits <= kMaxRightBits; ++right_bits) {
    const Cut cut = CutAt({sample, size}, right_bits);
    best = cut.sample_bits < best.sample_bits ? cut : best;
  }
  return best;
}

}  // namespace

bool AppendReals(std::span<const double> values, std::string* out) {
  CHECK(!values.empty() && values.size() <= kMaxChunkRows);
  const size_t max_size = values.size_bytes() - values.size_bytes() / 20;
  const Cut cut = ChooseCut(values);
  const size_t sample_size = std::min(values.size(), kSampleSize);
  if (cut.sample_bits * values.size() / sample_size / 8 > max_size) {
    return false;
  }
  const size_t dictionary_size = size_t{1} << cut.index_bits;
  const uint64_t right_mask = (uint64_t{1} << cut.right_bits) - 1;
  std::vector<std::pair<uint16_t, uint16_t>> exceptions;  // row, left part
  std::string zones;
  for (size_t first = 0; first < values.size(); first += kZoneRows) {
    const size_t count = std::min(kZoneRows, values.size() - first);
    uint64_t indexes[kZoneRows];
    uint64_t rights[kZoneRows];
    for (size_t i = 0; i < count; ++i) {
      const auto bits = std::bit_cast<uint64_t>(values[first + i]);
      const auto left = static_cast<uint16_t>(bits >> cut.right_bits);
      rights[i] = bits & right_mask;
      const auto* found = std::find(cut.left.begin(), cut.left.begin() + dictionary_size, left);
      indexes[i] = static_cast<uint64_t>(found - cut.left.begin());
      if (indexes[i] == dictionary_size) {
        indexes[i] = 0;
        exceptions.emplace_back(static_cast<uint16_t>(first + i), left);
      }
    }
    PackBits(indexes, count, cut.index_bits, &zones);
    PackBits(rights, count, cut.right_bits, &zones);
  }
  const size_t size = kHeaderSize + sizeof(uint16_t) * (dictionary_size + 1) +
                      exceptions.size() * 2 * sizeof(uint16_t) + zones.size();
  if (size > max_size) {
    return false;
  }
  out->push_back(static_cast<char>(cut.right_bits));
  out->push_back(static_cast<char>(cut.index_bits));
  for (size_t i = 0; i < dictionary_size; ++i) {
    AppendBytes(cut.left[i], sizeof(uint16_t), out);
  }
  AppendBytes(exceptions.size(), sizeof(uint16_t), out);
  for (const auto& [row, left] : exceptions) {
    AppendBytes(row, sizeof(uint16_t), out);
  }
  for (const auto& [row, left] : exceptions) {
    AppendBytes(left, sizeof(uint16_t), out);
  }
  out->append(zones);
  return true;
}

std::optional<RealsView> RealsView::Open(std::string_view bytes, size_t count) {
  if (bytes.size() < kHeaderSize || count == 0) {
    return std::nullopt;
  }
  const unsigned right_bits = static_cast<uint8_t>(bytes[0]);
  const unsigned index_bits = static_cast<uint8_t>(bytes[1]);
  if (right_bits < kMinRightBits || right_bits > kMaxRightBits || index_bits > kMaxIndexBits ||
      bytes.size() < kHeaderSize + sizeof(uint16_t) * ((size_t{1} << index_bits) + 1)) {
    return std::nullopt;
  }
  const RealsView view(bytes, count);
  return view.IsWellFormed() ? std::optional(view) : std::nullopt;
}

RealsView::RealsView(std::string_view bytes, size_t count, size_t slack_bytes)
    : bytes_(bytes),
      count_(count),
      slack_bytes_(slack_bytes),
      right_bits_(static_cast<uint8_t>(bytes[0])),
      index_bits_(static_cast<uint8_t>(bytes[1])) {
  const size_t count_offset = kHeaderSize + (sizeof(uint16_t) << index_bits_);
  exception_count_ = ReadUnsigned(bytes.data() + count_offset, sizeof(uint16_t));
  exceptions_offset_ = count_offset + sizeof(uint16_t);
  zones_offset_ = exceptions_offset_ + exception_count_ * 2 * sizeof(uint16_t);
}

bool RealsView::IsWellFormed() const {
  const size_t full_zones = count_ / kZoneRows;
  const size_t rest = count_ % kZoneRows;
  const auto size_of = [&](size_t rows) {
    return PackedSize(rows, index_bits_) + PackedSize(rows, right_bits_);
  };
  if (bytes_.size() != zones_offset_ + full_zones * size_of(kZoneRows) + size_of(rest)) {
    return false;
  }
  for (size_t i = 0; i < exception_count_; ++i) {
    if (ExceptionRow(i) >= count_ || (i > 0 && ExceptionRow(i) <= ExceptionRow(i - 1))) {
      return false;
    }
  }
  return true;
}

uint64_t RealsView::Left(size_t index) const {
  return ReadUnsigned(bytes_.data() + kHeaderSize + index * sizeof(uint16_t), sizeof(uint16_t))
         << right_bits_;
}

uint16_t RealsView::ExceptionRow(size_t exception) const {
  return static_cast<uint16_t>(ReadUnsigned(
      bytes_.data() + exceptions_offset_ + exception * sizeof(uint16_t), sizeof(uint16_t)));
}

uint64_t RealsView::ExceptionLeft(size_t exception) const {
  const char* lefts = bytes_.data() + exceptions_offset_ + exception_count_ * sizeof(uint16_t);
  return ReadUnsigned(lefts + exception * sizeof(uint16_t), sizeof(uint16_t)) << right_bits_;
}

size_t RealsView::FindException(size_t row) const {
  size_t low = 0;
  size_t high = exception_count_;
  while (low < high) {
    const size_t middle = (low + high) / 2;
    if (ExceptionRow(middle) < row) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return low;
}

std::string_view RealsView::Zone(size_t zone) const {
  const size_t zone_size = PackedSize(kZoneRows, index_bits_) + PackedSize(kZoneRows, right_bits_);
  const size_t offset = zones_offset_ + zone * zone_size;
  return {bytes_.data() + offset, bytes_.size() - offset + slack_bytes_};
}

size_t RealsView::RightOffset(size_t zone) const {
  return PackedSize(std::min(kZoneRows, count_ - zone * kZoneRows), index_bits_);
}

void RealsView::Decode(size_t first, size_t count, double* out) const {
  uint64_t lefts[size_t{1} << kMaxIndexBits] = {};
  for (size_t i = 0; i < size_t{1} << index_bits_; ++i) {
    lefts[i] = Left(i);
  }
  alignas(kZoneBufferAlignment) uint64_t indexes[kZoneBufferSize];
  alignas(kZoneBufferAlignment) uint64_t rights[kZoneBufferSize];
  for (size_t row = first; row < first + count;) {
    const size_t zone = row / kZoneRows;
    const size_t begin = row % kZoneRows;
    const size_t end = std::min(kZoneRows, begin + (first + count - row));
    const std::string_view bits = Zone(zone);
    UnpackBits(bits, end, index_bits_, indexes);
    UnpackBits(bits.substr(RightOffset(zone)), end, right_bits_, rights);
    for (size_t i = begin; i < end; ++i) {
      out[row - first + i - begin] = std::bit_cast<double>(lefts[indexes[i]] | rights[i]);
    }
    row += end - begin;
  }
  // An exception's right part is in its place.
  const uint64_t right_mask = (uint64_t{1} << right_bits_) - 1;
  for (size_t i = FindException(first); i < exception_count_ && ExceptionRow(i) < first + count;
       ++i) {
    double& value = out[ExceptionRow(i) - first];
    value = std::bit_cast<double>(ExceptionLeft(i) | (std::bit_cast<uint64_t>(value) & right_mask));
  }
}

double RealsView::At(size_t row) const {
  const size_t zone = row / kZoneRows;
  const std::string_view bits = Zone(zone);
  const uint64_t right = UnpackOne(bits.substr(RightOffset(zone)), row % kZoneRows, right_bits_);
  const size_t exception = FindException(row);
  const uint64_t left = exception < exception_count_ && ExceptionRow(exception) == row
                            ? ExceptionLeft(exception)
                            : Left(UnpackOne(bits, row % kZoneRows, index_bits_));
  return std::bit_cast<double>(left | right);
}

}  // namespace tsdbd::storage
