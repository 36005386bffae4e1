#include "tsdb/flush.h"

#include <algorithm>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "storage/block_writer.h"
#include "storage/chunk.h"
#include "tsdb/rows.h"

namespace tsdbd::tsdb {
namespace {

// Frozen rows are changed by nobody but the flush, which is one at a time.
const GroupRows& FrozenRows(const Group& group) NO_THREAD_SAFETY_ANALYSIS {
  return *group.frozen;
}

// Block files written side by side: bounds file descriptors and memory when a backfill touches
// years. More partitions take more passes over the groups.
constexpr size_t kPartitionsPerPass = 32;

int64_t PartitionOf(model::Timestamp timestamp, int64_t partition_ns) {
  return timestamp / partition_ns;
}

// Every partition that rows of the part lie in; a neighbour may be among them without any.
void AddPartitions(const RowPart& part, int64_t partition_ns, std::set<int64_t>* partitions) {
  const int64_t first = PartitionOf(part.min_time, partition_ns);
  const int64_t last = PartitionOf(part.max_time, partition_ns);
  partitions->insert(first);
  partitions->insert(last);
  if (last - first <= 1) {
    return;
  }
  std::vector<model::Timestamp> timestamps;
  ReadCluster({&part, 1}, model::TimeRange(),
              {.timestamps = &timestamps, .columns = {}, .sequences = nullptr});
  for (const model::Timestamp timestamp : timestamps) {
    partitions->insert(PartitionOf(timestamp, partition_ns));
  }
}

// Writes the blocks of some partitions: one pass over the groups.
class FlushPass {
 public:
  FlushPass(const FlushRequest& request, std::span<const int64_t> partitions)
      : request_(request), partitions_(partitions) {}

  Status Run() {
    for (const Group* group : request_.groups) {
      RETURN_IF_ERROR(WriteGroup(*group));
    }
    return OkStatus();
  }

  // Finishes the files; appends their paths.
  Status Finish(std::vector<std::string>* paths, FlushResult* result) {
    for (auto& [partition, output] : outputs_) {
      ASSIGN_OR_RETURN(const storage::BlockMeta meta, output.writer->Finish());
      paths->push_back(output.path);
      ++result->blocks;
      result->groups += meta.group_count;
      result->rows += meta.row_count;
      result->samples += meta.sample_count;
    }
    return OkStatus();
  }

 private:
  struct Output {
    std::string path;
    std::unique_ptr<storage::BlockWriter> writer;
  };
  // Rows of one group and partition that are not in a chunk yet, in order of time.
  struct Pending {
    std::vector<model::Timestamp> timestamps;
    std::vector<uint64_t> sequences;
    std::vector<std::vector<double>> columns;

    RowSink sink() {
      return {.timestamps = &timestamps, .columns = columns, .sequences = &sequences};
    }
    void DropFirst(size_t rows) {
      timestamps.erase(timestamps.begin(), timestamps.begin() + rows);
      sequences.erase(sequences.begin(), sequences.begin() + rows);
      for (std::vector<double>& column : columns) {
        column.erase(column.begin(), column.begin() + rows);
      }
    }
  };

  Status WriteGroup(const Group& group) {
    const GroupRows& rows = FrozenRows(group);
    const auto column_count = static_cast<uint32_t>(group.column_count());
    pending_.columns.resize(column_count);
    for (const int64_t partition : partitions_) {
      const model::TimeRange range = {partition * request_.partition_ns, EndOf(partition) - 1};
      if (!range.Overlaps({rows.min_time, rows.max_time})) {
        continue;
      }
      std::vector<RowPart> parts;
      const RowsSnapshot snapshot(rows, column_count);
      AddParts(snapshot, 0, {.range = range}, &parts);
      bool has_rows = false;
      RETURN_IF_ERROR(ForEachCluster(&parts, [&](std::span<const RowPart> cluster) -> Status {
        ReadCluster(cluster, range, pending_.sink());
        return WriteChunks(group, partition, /*only_full=*/true, &has_rows);
      }));
      RETURN_IF_ERROR(WriteChunks(group, partition, /*only_full=*/false, &has_rows));
    }
    return OkStatus();
  }

  static bool IsOrdered(const Group& group) {
    SpinLockGuard guard(&const_cast<Group&>(group).lock);
    return group.ordered;
  }

  int64_t EndOf(int64_t partition) const {
    const bool is_last = partition == PartitionOf(model::kMaxTimestamp, request_.partition_ns);
    return is_last ? model::kMaxTimestamp + 1 : (partition + 1) * request_.partition_ns;
  }

  Status WriteChunks(const Group& group, int64_t partition, bool only_full, bool* has_rows) {
    const size_t count = pending_.timestamps.size();
    size_t done = 0;
    while (done < count && (!only_full || count - done >= storage::kFlushChunkRows)) {
      const size_t rows = std::min(count - done, storage::kFlushChunkRows);
      RETURN_IF_ERROR(WriteChunk(group, partition, done, rows, has_rows));
      done += rows;
    }
    pending_.DropFirst(done);
    return OkStatus();
  }

  Status WriteChunk(const Group& group, int64_t partition, size_t first_row, size_t row_count,
                    bool* has_rows) {
    Output& output = outputs_[partition];
    if (output.writer == nullptr) {
      output.path = request_.blocks->NewTempPath();
      storage::BlockMeta meta;
      meta.partition_start = partition * request_.partition_ns;
      meta.partition_end = EndOf(partition);
      meta.generation_min = request_.generation_min;
      meta.generation_max = request_.generation_max;
      ASSIGN_OR_RETURN(output.writer,
                       storage::BlockWriter::Create(request_.env, output.path, meta));
    }
    if (!*has_rows) {
      *has_rows = true;
      ordered_ = IsOrdered(group);
      RETURN_IF_ERROR(AddGroup(group, output.writer.get()));
    }
    columns_.clear();
    for (const std::vector<double>& column : pending_.columns) {
      columns_.push_back(column.data() + first_row);
    }
    chunk_.clear();
    encoder_.Encode({.timestamps = std::span(pending_.timestamps).subspan(first_row, row_count),
                     .columns = columns_,
                     .sequences = ordered_ ? pending_.sequences.data() + first_row : nullptr},
                    &chunk_);
    return output.writer->AddChunk(chunk_);
  }

  Status AddGroup(const Group& group, storage::BlockWriter* writer) const {
    model::LabelViews labels;
    for (const index::LabelPair* pair : group.label_span()) {
      labels.push_back({pair->name->name, pair->value()});
    }
    const std::vector<std::string_view> values(group.schema->column_values.begin(),
                                               group.schema->column_values.end());
    return writer->AddGroup(labels, group.schema->column_label, values, ordered_);
  }

  const FlushRequest& request_;
  const std::span<const int64_t> partitions_;
  std::map<int64_t, Output> outputs_;
  storage::ChunkEncoder encoder_;
  Pending pending_;
  bool ordered_ = false;
  std::vector<const double*> columns_;
  std::string chunk_;
};

std::vector<int64_t> FindPartitions(const FlushRequest& request) {
  std::set<int64_t> partitions;
  std::vector<RowPart> parts;
  for (const Group* group : request.groups) {
    const GroupRows& rows = FrozenRows(*group);
    const int64_t first = PartitionOf(rows.min_time, request.partition_ns);
    const int64_t last = PartitionOf(rows.max_time, request.partition_ns);
    if (last - first <= 1) {
      partitions.insert(first);
      partitions.insert(last);
      continue;
    }
    parts.clear();
    const RowsSnapshot snapshot(rows, group->column_count());
    AddParts(snapshot, 0, {}, &parts);
    for (const RowPart& part : parts) {
      AddPartitions(part, request.partition_ns, &partitions);
    }
  }
  return {partitions.begin(), partitions.end()};
}

}  // namespace

StatusOr<FlushResult> WriteBlocks(const FlushRequest& request) {
  FlushResult result;
  std::vector<std::string> paths;
  const std::vector<int64_t> partitions = FindPartitions(request);
  const auto write_all = [&]() -> Status {
    for (size_t begin = 0; begin < partitions.size(); begin += kPartitionsPerPass) {
      const size_t count = std::min(kPartitionsPerPass, partitions.size() - begin);
      FlushPass pass(request, std::span(partitions).subspan(begin, count));
      RETURN_IF_ERROR(pass.Run());
      RETURN_IF_ERROR(pass.Finish(&paths, &result));
    }
    return OkStatus();
  };
  if (Status status = write_all(); !status.ok()) {
    for (const std::string& path : paths) {
      static_cast<void>(request.env->Remove(path));
    }
    return status;
  }
  RETURN_IF_ERROR(request.blocks->Publish(paths));
  return result;
}

}  // namespace tsdbd::tsdb
