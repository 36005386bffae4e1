#include "tsdb/rows.h"

#include <algorithm>
#include <bit>
#include <tuple>

#include "tsdb/row_sort.h"

namespace tsdbd::tsdb {
namespace {

constexpr size_t kCacheLine = 64;

// The times of the part's rows that are in `range`.
model::TimeRange TimesIn(const RowPart& part, const model::TimeRange& range) {
  return part.clipped ? model::TimeRange{std::max(range.min, part.min_time),
                                         std::min(range.max, part.max_time)}
                      : range;
}

// Appends rows of an open buffer, as they were written.
void AppendBuffer(const RowPart& part, const model::TimeRange& wanted, const RowSink& sink) {
  const model::TimeRange range = TimesIn(part, wanted);
  const RowsSnapshot& rows = *part.buffer;
  const size_t words = RowWords(rows.column_count, rows.sequenced);
  for (size_t i = 0; i < rows.row_count; ++i) {
    const uint64_t* row = rows.buffer + i * words;
    const auto timestamp = static_cast<model::Timestamp>(row[0]);
    if (!range.Contains(timestamp)) {
      continue;
    }
    sink.timestamps->push_back(timestamp);
    for (size_t column = 0; column < sink.columns.size(); ++column) {
      sink.columns[column].push_back(std::bit_cast<double>(row[1 + part.first_column + column]));
    }
    if (sink.sequences != nullptr) {
      sink.sequences->push_back(rows.sequenced ? row[words - 1] : 0);
    }
  }
}

// Rows first .. end - 1.
struct RowRange {
  size_t first = 0;
  size_t end = 0;
  size_t count() const { return end - first; }
};

RowRange RowsIn(const RowPart& part, const model::TimeRange& wanted) {
  const model::TimeRange range = TimesIn(part, wanted);
  const bool from_first = range.min <= part.min_time && !part.clipped;
  const bool to_last = range.max >= part.max_time && !part.clipped;
  const RowRange rows = {
      .first = from_first ? 0 : part.chunk.LowerBound(range.min),
      .end = to_last ? part.chunk.row_count() : part.chunk.LowerBound(range.max + 1)};
  return rows.first < rows.end ? rows : RowRange();
}

void AppendChunk(const RowPart& part, const model::TimeRange& range, const RowSink& sink) {
  const storage::ChunkView& chunk = part.chunk;
  const RowRange rows = RowsIn(part, range);
  const size_t before = sink.timestamps->size();
  sink.timestamps->resize(before + rows.count());
  chunk.DecodeTimestamps(rows.first, rows.count(), sink.timestamps->data() + before);
  for (size_t column = 0; column < sink.columns.size(); ++column) {
    std::vector<double>& values = sink.columns[column];
    values.resize(before + rows.count());
    chunk.DecodeColumn(part.first_column + column, rows.first, rows.count(),
                       values.data() + before);
  }
  if (sink.sequences != nullptr) {
    sink.sequences->resize(before + rows.count(), 0);
    if (chunk.has_sequences()) {
      chunk.DecodeSequences(rows.first, rows.count(), sink.sequences->data() + before);
    }
  }
}

void AppendPart(const RowPart& part, const model::TimeRange& range, const RowSink& sink) {
  if (part.buffer != nullptr) {
    AppendBuffer(part, range, sink);
  } else {
    AppendChunk(part, range, sink);
  }
}

// Where ReadColumn writes: into vectors that have room for all rows.
struct ColumnWriter {
  model::SampleColumns* samples;
  size_t size = 0;

  void AddChunk(const RowPart& part, const model::TimeRange& range) {
    const RowRange rows = RowsIn(part, range);
    part.chunk.DecodeTimestamps(rows.first, rows.count(), samples->timestamps.data() + size);
    part.chunk.DecodeColumn(part.first_column, rows.first, rows.count(),
                            samples->values.data() + size);
    size += rows.count();
  }
  void AddBuffer(const RowPart& part, const model::TimeRange& range) {
    for (size_t i = 0; i < part.buffer->row_count; ++i) {
      const uint64_t* row = BufferRow(*part.buffer, i);
      const auto timestamp = static_cast<model::Timestamp>(row[0]);
      samples->timestamps[size] = timestamp;
      samples->values[size] = std::bit_cast<double>(row[1 + part.first_column]);
      size += range.Contains(timestamp);
    }
  }
  void AddMerged(std::span<const RowPart> cluster, const model::TimeRange& range) {
    std::vector<model::Timestamp> timestamps;
    std::vector<double> values;
    ReadCluster(cluster, range, {.timestamps = &timestamps, .columns = {&values, 1}});
    std::ranges::copy(timestamps, samples->timestamps.begin() + static_cast<ptrdiff_t>(size));
    std::ranges::copy(values, samples->values.begin() + static_cast<ptrdiff_t>(size));
    size += timestamps.size();
  }
};

model::TimeRange BufferTimes(const RowsSnapshot& rows) {
  model::TimeRange times = {BufferTime(rows, 0), BufferTime(rows, rows.row_count - 1)};
  if (!rows.sorted) {
    for (size_t i = 0; i < rows.row_count; ++i) {
      times.min = std::min(times.min, BufferTime(rows, i));
      times.max = std::max(times.max, BufferTime(rows, i));
    }
  }
  return times;
}

// The chunks among which all are that overlap the range.
std::span<const ChunkEntry> ChunksNear(const RowsSnapshot& rows, const model::TimeRange& range) {
  const std::span<const ChunkEntry> all(rows.chunks, rows.chunk_count);
  if (!rows.chunks_in_order) {
    return all;
  }
  const auto first = std::ranges::lower_bound(all, range.min, {}, &ChunkEntry::max_time);
  const auto end = std::ranges::upper_bound(first, all.end(), range.max, {}, &ChunkEntry::min_time);
  return {first, end};
}

// Whether it pays to ask of each chunk whether a moment needs it.
bool IsSparse(const PartFilter& filter, size_t chunk_count) {
  return !filter.moments.empty() && filter.moments.size() < chunk_count / 2;
}

// Whether a moment lies between the beginnings of the chunk at `index` and the next, which are in
// order of time.
template <typename Chunk>
bool HasMoment(const PartFilter& filter, std::span<const Chunk> chunks, size_t index) {
  const auto moment = std::ranges::lower_bound(filter.moments, chunks[index].min_time);
  return moment != filter.moments.end() &&
         (index + 1 == chunks.size() || *moment < chunks[index + 1].min_time);
}

void PrefetchChunk(std::span<const ChunkEntry> chunks, size_t index) {
  if (index < chunks.size()) {
    const auto* chunk = reinterpret_cast<const char*>(chunks[index].chunk);
    __builtin_prefetch(chunk);
    __builtin_prefetch(chunk + kCacheLine);  // the directory of a chunk of many columns
  }
}

}  // namespace

void AddParts(const RowsSnapshot& rows, uint32_t first_column, const PartFilter& filter,
              std::vector<RowPart>* parts) {
  const std::span<const ChunkEntry> chunks = ChunksNear(rows, filter.range);
  const bool is_sparse = rows.chunks_in_order && IsSparse(filter, chunks.size());
  for (size_t i = 0; !is_sparse && i < std::min(chunks.size(), kPartsPrefetched); ++i) {
    PrefetchChunk(chunks, i);
  }
  for (size_t i = 0; i < chunks.size(); ++i) {
    const ChunkEntry& entry = chunks[i];
    if (is_sparse && !HasMoment(filter, chunks, i)) {
      continue;
    }
    if (!is_sparse) {
      PrefetchChunk(chunks, i + kPartsPrefetched);
    }
    if (filter.range.Overlaps({entry.min_time, entry.max_time})) {
      parts->push_back({.min_time = entry.min_time,
                        .max_time = entry.max_time,
                        .generation = rows.generation,
                        .first_column = first_column,
                        .chunk = storage::ChunkView::OpenTrusted(entry.chunk->bytes())});
    }
  }
  if (rows.row_count == 0) {
    return;
  }
  const model::TimeRange times = BufferTimes(rows);
  if (filter.range.Overlaps(times)) {
    parts->push_back({.min_time = times.min,
                      .max_time = times.max,
                      .generation = rows.generation,
                      .first_column = first_column,
                      .buffer = &rows});
  }
}

void AddParts(const storage::Block& block, uint32_t group, uint32_t first_column,
              const PartFilter& filter, std::vector<RowPart>* parts) {
  const std::span<const storage::ChunkRef> all = block.Chunks(group);
  const auto first =
      std::ranges::lower_bound(all, filter.range.min, {}, &storage::ChunkRef::max_time);
  const auto end = std::ranges::upper_bound(first, all.end(), filter.range.max, {},
                                            &storage::ChunkRef::min_time);
  const std::span<const storage::ChunkRef> chunks(first, end);
  const bool is_sparse = IsSparse(filter, chunks.size());
  const size_t part_count = parts->size();
  for (size_t i = 0; !is_sparse && i < chunks.size(); ++i) {
    block.PrefetchChunk(chunks[i]);
  }
  for (size_t i = 0; i < chunks.size(); ++i) {
    if (is_sparse && !HasMoment(filter, chunks, i)) {
      continue;
    }
    const storage::ChunkRef& ref = chunks[i];
    const StatusOr<storage::ChunkView> chunk = block.ReadChunk(group, ref);
    if (!chunk.ok()) {
      // What is around a damaged chunk is served without it.
      block.NoteDamage(ref, chunk.status());
      if (!is_sparse) {
        continue;
      }
      // The moments' rows are now those of chunks before it.
      parts->resize(part_count);
      AddParts(block, group, first_column, {.range = filter.range}, parts);
      return;
    }
    parts->push_back({.min_time = ref.min_time,
                      .max_time = ref.max_time,
                      .generation = block.meta().generation_max,
                      .first_column = first_column,
                      .chunk = *chunk});
  }
}

namespace {

// Narrows the part to its rows in `range`; false if there are none.
bool Narrow(const model::TimeRange& range, RowPart* part) {
  model::TimeRange times = {model::kMaxTimestamp, model::kMinTimestamp};
  if (part->buffer != nullptr) {
    for (size_t row = 0; row < part->buffer->row_count; ++row) {
      if (const model::Timestamp time = BufferTime(*part->buffer, row); range.Contains(time)) {
        times = {std::min(times.min, time), std::max(times.max, time)};
      }
    }
  } else if (const RowRange rows = RowsIn(*part, range); rows.count() > 0) {
    times = {part->chunk.TimestampAt(rows.first), part->chunk.TimestampAt(rows.end - 1)};
  }
  part->clipped |= times.min != part->min_time || times.max != part->max_time;
  part->min_time = times.min;
  part->max_time = times.max;
  return times.min <= times.max;
}

}  // namespace

void ClipParts(std::span<const model::TimeRange> ranges, size_t first_part,
               std::vector<RowPart>* parts) {
  const std::vector<RowPart> all(parts->begin() + static_cast<ptrdiff_t>(first_part), parts->end());
  parts->resize(first_part);
  for (const RowPart& part : all) {
    model::Timestamp begin = part.min_time;
    for (size_t i = 0; i <= ranges.size() && begin <= part.max_time; ++i) {
      // Up to the next range, or to the end.
      const bool is_last = i == ranges.size() || ranges[i].min > part.max_time;
      if (!is_last && ranges[i].max < begin) {
        continue;
      }
      const model::Timestamp end = is_last ? part.max_time : ranges[i].min - 1;
      RowPart left = part;
      if (begin <= end && Narrow({begin, end}, &left)) {
        parts->push_back(left);
      }
      if (is_last) {
        break;
      }
      begin = ranges[i].max + 1;
    }
  }
}

void SortParts(std::vector<RowPart>* parts) {
  for (uint32_t i = 0; i < parts->size(); ++i) {
    (*parts)[i].order = i;
  }
  if (!std::ranges::is_sorted(*parts, {}, &RowPart::min_time)) {
    std::ranges::sort(*parts, {}, &RowPart::min_time);
  }
}

void ReadCluster(std::span<const RowPart> cluster, const model::TimeRange& range,
                 const RowSink& sink) {
  if (cluster.size() == 1 && cluster[0].sorted()) {  // clipped ones are clipped on the way
    AppendPart(cluster[0], range, sink);
    return;
  }
  std::vector<model::Timestamp> timestamps;
  std::vector<uint64_t> sequences;
  std::vector<const RowPart*> part_of;
  std::vector<std::vector<double>> columns(sink.columns.size());
  const RowSink all{.timestamps = &timestamps, .columns = columns, .sequences = &sequences};
  for (const RowPart& part : cluster) {
    AppendPart(part, range, all);
    part_of.resize(timestamps.size(), &part);
  }
  std::vector<uint32_t> order;
  SortRows(
      timestamps.size(), [&](uint32_t i) { return timestamps[i]; },
      [&](uint32_t i) {
        return std::tuple(part_of[i]->generation, sequences[i], part_of[i]->order);
      },
      &order);
  for (const uint32_t i : order) {
    sink.timestamps->push_back(timestamps[i]);
    for (size_t column = 0; column < columns.size(); ++column) {
      sink.columns[column].push_back(columns[column][i]);
    }
    if (sink.sequences != nullptr) {
      sink.sequences->push_back(sequences[i]);
    }
  }
}

void ReadColumn(std::vector<RowPart>* parts, const model::TimeRange& range,
                model::SampleColumns* samples) {
  size_t row_count = 0;
  for (const RowPart& part : *parts) {
    row_count += part.row_count();
  }
  // Vectors that are used again are not cleared, since growing them fills them with zeroes.
  samples->timestamps.resize(row_count);
  samples->values.resize(row_count);
  ColumnWriter writer{.samples = samples};
  SortParts(parts);
  PrefetchFirstParts(*parts);
  for (size_t begin = 0; begin < parts->size();) {
    const size_t end = ClusterEnd(*parts, begin);
    const RowPart& first = (*parts)[begin];
    PrefetchPart(*parts, begin + kPartsPrefetched);
    if (end - begin > 1 || !first.is_plain()) {
      writer.AddMerged(std::span<const RowPart>(*parts).subspan(begin, end - begin), range);
    } else if (first.buffer != nullptr) {
      writer.AddBuffer(first, range);
    } else {
      writer.AddChunk(first, range);
    }
    begin = end;
  }
  samples->timestamps.resize(writer.size);
  samples->values.resize(writer.size);
}

}  // namespace tsdbd::tsdb
