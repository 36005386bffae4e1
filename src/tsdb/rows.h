#pragma once
// Reading rows back: the parts (buffers, sealed chunks, chunks of blocks) that together hold the
// rows of one series or one group, and their merge into columns in order of time.
//
// Parts mostly follow each other in time; then each is decoded straight into the result. Parts that
// overlap (late rows, rows sent again) form a cluster, which is decoded, sorted and freed of
// superseded rows as a whole.

#include <algorithm>
#include <cstdint>
#include <span>
#include <vector>

#include "common/status.h"
#include "model/sample.h"
#include "storage/block.h"
#include "storage/chunk.h"
#include "tsdb/group.h"

namespace tsdbd::tsdb {

// A run of rows at one place. Points into memory that its owner keeps.
struct RowPart {
  model::Timestamp min_time = 0;
  model::Timestamp max_time = 0;
  uint64_t generation = 0;    // of equal timestamps the newer generation's row is served, then
                              // the higher sequence number's, then that of the part added later
  uint32_t first_column = 0;  // where the wanted columns begin in this part
  uint32_t order = 0;         // in which the parts were added; set by SortParts
  const RowsSnapshot* buffer = nullptr;  // an open buffer; or, if null,
  storage::ChunkView chunk;              // a chunk of the head or of a block

  // Of the rows at that place, only those from min_time to max_time count (ClipParts).
  bool clipped = false;

  bool sorted() const { return buffer == nullptr || buffer->sorted; }
  // Whether its rows may be taken as they lie there.
  bool is_plain() const { return sorted() && !clipped; }
  size_t row_count() const { return buffer != nullptr ? buffer->row_count : chunk.row_count(); }
};

// Chunks ahead of the one that is looked at: enough for the misses to overlap.
inline constexpr size_t kPartsPrefetched = 8;

// Where rows go: appended to timestamps, to each of the columns, and to sequences if not null (0
// for rows without one).
struct RowSink {
  std::vector<model::Timestamp>* timestamps = nullptr;
  std::span<std::vector<double>> columns;
  std::vector<uint64_t>* sequences = nullptr;
};

// Row `row` of an open buffer: its timestamp, its values, and its sequence number if it has one.
inline const uint64_t* BufferRow(const RowsSnapshot& rows, size_t row) {
  return rows.buffer + row * RowWords(rows.column_count, rows.sequenced);
}
inline model::Timestamp BufferTime(const RowsSnapshot& rows, size_t row) {
  return static_cast<model::Timestamp>(*BufferRow(rows, row));
}

// The chunks that are wanted: those that overlap `range`; and if there are moments (rising), only
// those among them that may have the latest row at any moment, but others may come with them.
struct PartFilter {
  model::TimeRange range;
  std::span<const model::Timestamp> moments = {};
};

// Appends the parts of a group's rows in the head that are wanted, in the order they were written.
// They point to `rows`.
void AddParts(const RowsSnapshot& rows, uint32_t first_column, const PartFilter& filter,
              std::vector<RowPart>* parts);
// The same for a group of a block. Chunks that fail their checks are noted and left out.
void AddParts(const storage::Block& block, uint32_t group, uint32_t first_column,
              const PartFilter& filter, std::vector<RowPart>* parts);

// Takes the rows in `ranges` (rising, apart from each other) out of the parts from `first_part` on:
// they become parts of what is left, each from its first row to its last.
void ClipParts(std::span<const model::TimeRange> ranges, size_t first_part,
               std::vector<RowPart>* parts);

// Sorts by min_time. The parts are given in the order in which they were written.
void SortParts(std::vector<RowPart>* parts);
// The end of the cluster that begins at `begin`: of the parts that overlap each other. The parts
// are sorted.
inline size_t ClusterEnd(std::span<const RowPart> parts, size_t begin) {
  model::Timestamp max_time = parts[begin].max_time;
  size_t end = begin + 1;
  while (end < parts.size() && parts[end].min_time <= max_time) {
    max_time = std::max(max_time, parts[end++].max_time);
  }
  return end;
}

// Fetches what reading the chunk at `index` needs first, if there is one.
inline void PrefetchPart(std::span<const RowPart> parts, size_t index) {
  if (index < parts.size() && parts[index].buffer == nullptr) {
    parts[index].chunk.PrefetchColumn(parts[index].first_column);
  }
}

inline void PrefetchFirstParts(std::span<const RowPart> parts) {
  for (size_t i = 0; i < kPartsPrefetched; ++i) {
    PrefetchPart(parts, i);
  }
}

// Calls `visit` with each cluster of parts, in order of time. Sorts *parts.
template <typename Visitor>
Status ForEachCluster(std::vector<RowPart>* parts, const Visitor& visit) {
  SortParts(parts);
  for (size_t begin = 0; begin < parts->size();) {
    const size_t end = ClusterEnd(*parts, begin);
    RETURN_IF_ERROR(visit(std::span<const RowPart>(*parts).subspan(begin, end - begin)));
    begin = end;
  }
  return OkStatus();
}

// Appends the rows of one cluster that are in `range`, in order of time, each timestamp once.
void ReadCluster(std::span<const RowPart> cluster, const model::TimeRange& range,
                 const RowSink& sink);

// Replaces *samples by the first column of all parts' rows that are in `range`. Sorts *parts.
void ReadColumn(std::vector<RowPart>* parts, const model::TimeRange& range,
                model::SampleColumns* samples);

}  // namespace tsdbd::tsdb
