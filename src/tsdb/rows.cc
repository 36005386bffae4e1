#include "tsdb/rows.h"

#include <algorithm>
#include <bit>
#include <tuple>

#include "tsdb/row_sort.h"

namespace tsdbd::tsdb {
namespace {

// Appends rows of an open buffer, as they were written.
void AppendBuffer(const RowPart& part, const model::TimeRange& range, const RowSink& sink) {
  const GroupRows& rows = *part.buffer;
  const size_t words = RowWords(part.column_count, rows.sequenced);
  for (uint32_t i = 0; i < rows.row_count; ++i) {
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

StatusOr<storage::ChunkView> OpenChunk(const RowPart& part) {
  if (part.sealed != nullptr) {
    return storage::ChunkView::Open(part.sealed->bytes());
  }
  StatusOr<storage::ChunkView> chunk = part.block->ReadChunk(part.block_group, *part.block_chunk);
  if (!chunk.ok()) {
    part.block->NoteDamage(*part.block_chunk, chunk.status());
  }
  return chunk;
}

Status AppendChunk(const RowPart& part, const model::TimeRange& range, const RowSink& sink) {
  ASSIGN_OR_RETURN(const storage::ChunkView chunk, OpenChunk(part));
  const size_t first = range.min <= chunk.min_time() ? 0 : chunk.LowerBound(range.min);
  const size_t end =
      range.max >= part.max_time ? chunk.row_count() : chunk.LowerBound(range.max + 1);
  if (first >= end) {
    return OkStatus();
  }
  const size_t count = end - first;
  const size_t before = sink.timestamps->size();
  sink.timestamps->resize(before + count);
  chunk.DecodeTimestamps(first, count, sink.timestamps->data() + before);
  for (size_t column = 0; column < sink.columns.size(); ++column) {
    std::vector<double>& values = sink.columns[column];
    values.resize(before + count);
    chunk.DecodeColumn(part.first_column + column, first, count, values.data() + before);
  }
  if (sink.sequences != nullptr) {
    sink.sequences->resize(before + count, 0);
    if (chunk.has_sequences()) {
      chunk.DecodeSequences(first, count, sink.sequences->data() + before);
    }
  }
  return OkStatus();
}

Status AppendPart(const RowPart& part, const model::TimeRange& range, const RowSink& sink) {
  if (part.buffer != nullptr) {
    AppendBuffer(part, range, sink);
    return OkStatus();
  }
  // What is around a damaged chunk is served without it.
  const Status status = AppendChunk(part, range, sink);
  return status.code() == StatusCode::kDataLoss ? OkStatus() : status;
}

}  // namespace

void AddParts(const GroupRows& rows, uint32_t first_column, uint32_t column_count,
              const model::TimeRange& range, std::vector<RowPart>* parts) {
  const size_t before = parts->size();
  const auto add = [&](model::Timestamp min_time, model::Timestamp max_time) -> RowPart* {
    if (!range.Overlaps({min_time, max_time})) {
      return nullptr;
    }
    return &parts->emplace_back(RowPart{.min_time = min_time,
                                        .max_time = max_time,
                                        .generation = rows.generation,
                                        .first_column = first_column,
                                        .column_count = column_count});
  };
  if (rows.row_count > 0) {
    if (RowPart* part = add(rows.buffer_min_time, rows.buffer_max_time)) {
      part->buffer = &rows;
    }
  }
  for (const SealedChunk* chunk = rows.newest; chunk != nullptr; chunk = chunk->previous) {
    if (RowPart* part = add(chunk->min_time, chunk->max_time)) {
      part->sealed = chunk;
    }
  }
  std::reverse(parts->begin() + before, parts->end());
}

void AddParts(const storage::Block& block, uint32_t group, uint32_t first_column,
              const model::TimeRange& range, std::vector<RowPart>* parts) {
  const std::span<const storage::ChunkRef> chunks = block.Chunks(group);
  const auto first = std::ranges::lower_bound(chunks, range.min, {}, &storage::ChunkRef::max_time);
  for (auto chunk = first; chunk != chunks.end() && chunk->min_time <= range.max; ++chunk) {
    parts->push_back({.min_time = chunk->min_time,
                      .max_time = chunk->max_time,
                      .generation = block.meta().generation_max,
                      .first_column = first_column,
                      .block = &block,
                      .block_group = group,
                      .block_chunk = &*chunk});
  }
}

Status ForEachCluster(std::vector<RowPart>* parts,
                      const std::function<Status(std::span<const RowPart>)>& visit) {
  for (uint32_t i = 0; i < parts->size(); ++i) {
    (*parts)[i].order = i;
  }
  if (!std::ranges::is_sorted(*parts, {}, &RowPart::min_time)) {
    std::ranges::sort(*parts, {}, &RowPart::min_time);
  }
  for (size_t begin = 0; begin < parts->size();) {
    model::Timestamp max_time = (*parts)[begin].max_time;
    size_t end = begin + 1;
    while (end < parts->size() && (*parts)[end].min_time <= max_time) {
      max_time = std::max(max_time, (*parts)[end++].max_time);
    }
    RETURN_IF_ERROR(visit(std::span(*parts).subspan(begin, end - begin)));
    begin = end;
  }
  return OkStatus();
}

Status ReadCluster(std::span<const RowPart> cluster, const model::TimeRange& range,
                   const RowSink& sink) {
  if (cluster.size() == 1 && cluster[0].sorted()) {
    return AppendPart(cluster[0], range, sink);
  }
  std::vector<model::Timestamp> timestamps;
  std::vector<uint64_t> sequences;
  std::vector<const RowPart*> part_of;
  std::vector<std::vector<double>> columns(sink.columns.size());
  const RowSink all{.timestamps = &timestamps, .columns = columns, .sequences = &sequences};
  for (const RowPart& part : cluster) {
    RETURN_IF_ERROR(AppendPart(part, range, all));
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
  return OkStatus();
}

}  // namespace tsdbd::tsdb
