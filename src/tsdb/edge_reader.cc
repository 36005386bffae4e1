#include "tsdb/edge_reader.h"

#include <algorithm>
#include <bit>

namespace tsdbd::tsdb {
namespace {

using model::Timestamp;
using storage::kZoneRows;

// Reaching one value in a zone costs about as much as decoding half of the zone.
constexpr size_t kRowsPerAccess = kZoneRows / 2;

}  // namespace

EdgeReader::EdgeReader(const model::EdgeRequest& request)
    : range_(request.windows.Range()), with_falls_(request.with_falls) {
  for (size_t step = 0; step < request.windows.count; ++step) {
    const model::TimeRange window = request.windows.Window(request.windows.At(step));
    if (window.min <= window.max) {
      begins_.push_back(window.min);
      ends_.push_back(window.max);
    }
  }
}

void EdgeReader::Read(std::vector<RowPart>* parts, model::EdgeSamples* samples) {
  samples->columns.timestamps.clear();
  samples->columns.values.clear();
  samples->ordinals.clear();
  next_ordinal_ = 0;
  SortParts(parts);
  PrefetchFirstParts(*parts);
  for (size_t begin = 0; begin < parts->size();) {
    PrefetchPart(*parts, begin + kPartsPrefetched);
    const size_t end = ClusterEnd(*parts, begin);
    const RowPart& first = (*parts)[begin];
    if (end - begin == 1 && first.buffer == nullptr && first.is_plain()) {
      AddChunk(first, samples);
    } else {
      AddAll(std::span<const RowPart>(*parts).subspan(begin, end - begin), samples);
    }
    begin = end;
  }
}

void EdgeReader::AddAll(std::span<const RowPart> cluster, model::EdgeSamples* samples) {
  model::SampleColumns& columns = samples->columns;
  ReadCluster(cluster, range_,
              {.timestamps = &columns.timestamps, .columns = {&columns.values, 1}});
  while (samples->ordinals.size() < columns.size()) {
    samples->ordinals.push_back(next_ordinal_++);
  }
}

void EdgeReader::AddChunk(const RowPart& part, model::EdgeSamples* samples) {
  const size_t first = range_.min <= part.min_time ? 0 : part.chunk.LowerBound(range_.min);
  const size_t end =
      range_.max >= part.max_time ? part.chunk.row_count() : part.chunk.LowerBound(range_.max + 1);
  if (first >= end) {
    return;
  }
  if (!MarkRows(part, first, end)) {
    AddAll({&part, 1}, samples);
    return;
  }
  for (size_t zone = first / kZoneRows; zone <= (end - 1) / kZoneRows; ++zone) {
    AddMarked(part, zone, first, samples);
  }
  next_ordinal_ += static_cast<uint32_t>(end - first);
}

bool EdgeReader::MarkRows(const RowPart& part, size_t first, size_t end) {
  const storage::ChunkView& chunk = part.chunk;
  const uint32_t zones = chunk.ZonesWithNan(part.first_column) |
                         (with_falls_ ? chunk.ZonesWithFalls(part.first_column) : 0);
  const auto first_begin = std::ranges::upper_bound(begins_, part.min_time);
  const auto last_begin = std::ranges::upper_bound(begins_, part.max_time);
  const auto first_end = std::ranges::lower_bound(ends_, part.min_time);
  const auto last_end = std::ranges::lower_bound(ends_, part.max_time);
  const auto edges = static_cast<size_t>((last_begin - first_begin) + (last_end - first_end)) + 2;
  const size_t zone_count = (chunk.row_count() + kZoneRows - 1) / kZoneRows;
  const auto decoded_zones =
      static_cast<size_t>(std::popcount(zones << (32 - zone_count)));  // of those that there are
  if (edges * kRowsPerAccess + decoded_zones * kZoneRows >= end - first) {
    return false;
  }
  std::fill(std::begin(wanted_), std::end(wanted_), 0);
  // With these nothing is lost between this chunk and its neighbours.
  Mark(first);
  Mark(end - 1);
  const auto mark_within = [&](size_t row) {
    if (row >= first && row < end) {
      Mark(row);
    }
  };
  for (auto begin = first_begin; begin != last_begin; ++begin) {
    mark_within(chunk.LowerBound(*begin));
  }
  for (auto last = first_end; last != last_end; ++last) {
    mark_within(chunk.LowerBound(*last + 1) - 1);  // behind the first row, so not below 0
  }
  for (size_t zone = 0; zone < zone_count; ++zone) {
    if ((zones >> zone & 1) == 0) {
      continue;
    }
    // And its neighbours: the value before a fall, and the values beside staleness markers.
    const size_t zone_first = zone * kZoneRows;
    for (size_t row = std::max(zone_first, size_t{1}) - 1; row <= zone_first + kZoneRows; ++row) {
      mark_within(row);
    }
  }
  return true;
}

void EdgeReader::AddMarked(const RowPart& part, size_t zone, size_t first,
                           model::EdgeSamples* samples) {
  constexpr size_t kWords = kZoneRows / 64;
  constexpr int kFewRows = 3;
  const size_t zone_first = zone * kZoneRows;
  int count = 0;
  for (size_t i = 0; i < kWords; ++i) {
    count += std::popcount(wanted_[zone * kWords + i]);
  }
  double decoded[kZoneRows];
  Timestamp timestamps[kZoneRows];
  if (count > kFewRows) {
    const size_t rows = std::min(kZoneRows, part.chunk.row_count() - zone_first);
    part.chunk.DecodeColumn(part.first_column, zone_first, rows, decoded);
    part.chunk.DecodeTimestamps(zone_first, rows, timestamps);
  }
  for (size_t i = 0; i < kWords; ++i) {
    for (uint64_t word = wanted_[zone * kWords + i]; word != 0; word &= word - 1) {
      const size_t in_zone = i * 64 + static_cast<size_t>(std::countr_zero(word));
      const size_t row = zone_first + in_zone;
      samples->columns.timestamps.push_back(count > kFewRows ? timestamps[in_zone]
                                                             : part.chunk.TimestampAt(row));
      samples->columns.values.push_back(
          count > kFewRows ? decoded[in_zone] : part.chunk.ValueAt(part.first_column, row));
      samples->ordinals.push_back(next_ordinal_ + static_cast<uint32_t>(row - first));
    }
  }
}

}  // namespace tsdbd::tsdb
