#include "tsdb/step_reader.h"

#include <bit>

namespace tsdbd::tsdb {
namespace {

// Reaching one value costs about as much as decoding this many in a run; in columns where all rows
// of the zone before it are decoded for it, as many as half a zone has.
constexpr size_t kRowsPerAccess = 8;
constexpr size_t kRowsPerZoneAccess = storage::kZoneRows / 2;

bool IsDense(const RowPart& part, size_t step_count) {
  const size_t rows_per_access =
      part.chunk.HasFastAccess(part.first_column) ? kRowsPerAccess : kRowsPerZoneAccess;
  return step_count * rows_per_access >= part.row_count();
}

}  // namespace

StepReader::StepReader(const model::StepTimes& times)
    : range_(times.Range()), step_ns_(times.step_ns) {
  moments_.resize(times.count);
  window_begins_.resize(times.count);
  for (size_t step = 0; step < times.count; ++step) {
    moments_[step] = times.At(step);
    window_begins_[step] = times.Window(moments_[step]).min;
  }
}

bool StepReader::ReadFromBuffer(const RowsSnapshot& rows, uint32_t column, double* values) const {
  if (rows.row_count == 0 || !rows.sorted || count() == 0) {
    return false;
  }
  if (rows.chunk_count > 0) {
    // The row that the first step takes must be in the buffer, and no chunk may have a later one.
    const ChunkEntry& newest = rows.chunks[rows.chunk_count - 1];
    const model::Timestamp first_time = BufferTime(rows, 0);
    if (!rows.chunks_in_order || newest.max_time >= first_time || first_time > moments_[0]) {
      return false;
    }
  }
  Steps steps = {0, count()};
  for (; steps.first < count() && moments_[steps.first] < BufferTime(rows, 0); ++steps.first) {
    values[steps.first] = model::StaleMarker();
  }
  ReadBuffer(rows, column, steps, values);
  return true;
}

void StepReader::Read(std::vector<RowPart>* parts, double* values) {
  SortParts(parts);
  PrefetchFirstParts(*parts);
  size_t step = parts->empty() ? count() : StepsBefore(parts->front().min_time, 0);
  std::fill_n(values, step, model::StaleMarker());
  for (size_t begin = 0; begin < parts->size();) {
    PrefetchPart(*parts, begin + kPartsPrefetched);
    const size_t end = ClusterEnd(*parts, begin);
    const size_t end_step =
        end < parts->size() ? StepsBefore((*parts)[end].min_time, step) : count();
    if (step < end_step) {
      ReadCluster(std::span<const RowPart>(*parts).subspan(begin, end - begin), {step, end_step},
                  values);
    }
    step = end_step;
    begin = end;
  }
}

size_t StepReader::StepsBefore(model::Timestamp time, size_t known) const {
  // Chunks of the head hold the rows of a few steps, and a search mispredicts about as many
  // branches as it takes halvings.
  constexpr size_t kNearSteps = 8;
  const size_t near_end = std::min(known + kNearSteps, count());
  for (; known < near_end; ++known) {
    if (moments_[known] >= time) {
      return known;
    }
  }
  const auto bound =
      std::lower_bound(moments_.begin() + static_cast<ptrdiff_t>(known), moments_.end(), time);
  return static_cast<size_t>(bound - moments_.begin());
}

void StepReader::ReadCluster(std::span<const RowPart> cluster, Steps steps, double* values) {
  const RowPart& part = cluster[0];
  if (cluster.size() > 1 || !part.is_plain()) {
    ReadMerged(cluster, steps, values);
  } else if (part.buffer != nullptr) {
    ReadBuffer(*part.buffer, part.first_column, steps, values);
  } else {
    ReadChunk(part, steps, values);
  }
}

// From the last step to the first, since one that looks at now is the commonest.
void StepReader::ReadBuffer(const RowsSnapshot& rows, uint32_t column, Steps steps,
                            double* values) const {
  size_t row = rows.row_count - 1;
  for (size_t step = steps.end; step-- > steps.first;) {
    while (BufferTime(rows, row) > moments_[step]) {
      --row;
    }
    values[step] = IsInWindow(step, BufferTime(rows, row))
                       ? std::bit_cast<double>(BufferRow(rows, row)[1 + column])
                       : model::StaleMarker();
  }
}

void StepReader::ReadChunk(const RowPart& part, Steps steps, double* values) {
  rows_.resize(count());
  decoded_.resize(storage::kMaxChunkRows);
  FindRows(part, steps);
  const std::span<const uint16_t> rows = Rows(steps);
  const storage::ChunkView& chunk = part.chunk;
  const bool is_dense = IsDense(part, steps.count());
  size_t decoded_first = 0;
  if (is_dense) {
    const auto is_row = [](uint16_t row) { return row != kNoRow; };
    const auto first = std::ranges::find_if(rows, is_row);
    if (first == rows.end()) {
      std::fill_n(values + steps.first, steps.count(), model::StaleMarker());
      return;
    }
    // Rows rise with the steps.
    const auto last = std::find_if(rows.rbegin(), rows.rend(), is_row);
    decoded_first = *first;
    chunk.DecodeColumn(part.first_column, decoded_first, *last - decoded_first + size_t{1},
                       decoded_.data());
  }
  for (size_t i = 0; i < steps.count(); ++i) {
    const uint16_t row = rows[i];
    values[steps.first + i] = row == kNoRow ? model::StaleMarker()
                              : is_dense    ? decoded_[row - decoded_first]
                                            : chunk.ValueAt(part.first_column, row);
  }
}

void StepReader::ReadMerged(std::span<const RowPart> cluster, Steps steps, double* values) {
  merged_timestamps_.clear();
  merged_values_.clear();
  tsdb::ReadCluster(cluster, model::TimeRange(),
                    {.timestamps = &merged_timestamps_, .columns = {&merged_values_, 1}});
  size_t next = 0;  // the first row behind the moment
  for (size_t step = steps.first; step < steps.end; ++step) {
    while (next < merged_timestamps_.size() && merged_timestamps_[next] <= moments_[step]) {
      ++next;
    }
    values[step] = next > 0 && IsInWindow(step, merged_timestamps_[next - 1])
                       ? merged_values_[next - 1]
                       : model::StaleMarker();
  }
}

void StepReader::FindRows(const RowPart& part, Steps steps) {
  const int64_t interval_ns = part.chunk.RegularInterval();
  if (interval_ns != interval_ns_) {
    interval_ns_ = interval_ns;
    const bool is_even = interval_ns > 0 && step_ns_ > 0 && step_ns_ % interval_ns == 0;
    rows_per_step_ = is_even ? step_ns_ / interval_ns : 0;
  }
  if (rows_per_step_ > 0) {
    FindEvenRows(part, interval_ns, steps);
  } else if (interval_ns > 0) {
    FindRegularRows(part, interval_ns, steps);
  } else if (steps.count() * kRowsPerAccess >= part.row_count()) {
    FindDecodedRows(part, steps);
  } else {
    FindSparseRows(part, steps);
  }
}

void StepReader::FindRegularRows(const RowPart& part, int64_t interval_ns, Steps steps) {
  // A product in place of a division. What it is wrong by is put right below: a row at most, as a
  // chunk has few.
  const double rows_per_ns = 1 / static_cast<double>(interval_ns);
  const int64_t last_row = static_cast<int64_t>(part.row_count()) - 1;
  for (size_t i = 0; i < steps.count(); ++i) {
    const size_t step = steps.first + i;
    const model::Timestamp moment = std::min(moments_[step], part.max_time);
    const int64_t distance_ns = moment - part.min_time;
    auto row = static_cast<int64_t>(static_cast<double>(distance_ns) * rows_per_ns);
    row = std::min(row, last_row);
    row -= row * interval_ns > distance_ns;
    row += (row + 1) * interval_ns <= distance_ns;
    rows_[i] =
        IsInWindow(step, part.min_time + row * interval_ns) ? static_cast<uint16_t>(row) : kNoRow;
  }
}

// The step is a multiple of the interval: all moments up to the last row lie equally far behind
// their rows.
void StepReader::FindEvenRows(const RowPart& part, int64_t interval_ns, Steps steps) {
  size_t even_count = steps.count();
  while (even_count > 0 && moments_[steps.first + even_count - 1] > part.max_time) {
    --even_count;
    rows_[even_count] = IsInWindow(steps.first + even_count, part.max_time)
                            ? static_cast<uint16_t>(part.row_count() - 1)
                            : kNoRow;
  }
  if (even_count == 0) {
    return;
  }
  const int64_t first_row = (moments_[steps.first] - part.min_time) / interval_ns;
  const bool is_in_window = IsInWindow(steps.first, part.min_time + first_row * interval_ns);
  for (size_t i = 0; i < even_count; ++i) {
    rows_[i] = is_in_window
                   ? static_cast<uint16_t>(first_row + static_cast<int64_t>(i) * rows_per_step_)
                   : kNoRow;
  }
}

void StepReader::FindDecodedRows(const RowPart& part, Steps steps) {
  const size_t row_count = part.row_count();
  timestamps_.resize(storage::kMaxChunkRows);
  part.chunk.DecodeTimestamps(0, row_count, timestamps_.data());
  size_t next = 1;  // the first row behind the moment
  for (size_t i = 0; i < steps.count(); ++i) {
    const size_t step = steps.first + i;
    while (next < row_count && timestamps_[next] <= moments_[step]) {
      ++next;
    }
    rows_[i] = IsInWindow(step, timestamps_[next - 1]) ? static_cast<uint16_t>(next - 1) : kNoRow;
  }
}

void StepReader::FindSparseRows(const RowPart& part, Steps steps) {
  const storage::ChunkView& chunk = part.chunk;
  for (size_t i = 0; i < steps.count(); ++i) {
    const size_t step = steps.first + i;
    const size_t next =
        moments_[step] >= part.max_time ? chunk.row_count() : chunk.LowerBound(moments_[step] + 1);
    rows_[i] =
        IsInWindow(step, chunk.TimestampAt(next - 1)) ? static_cast<uint16_t>(next - 1) : kNoRow;
  }
}

}  // namespace tsdbd::tsdb
