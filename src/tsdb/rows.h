#pragma once
// Reading rows back: the parts (buffers, sealed chunks, chunks of blocks) that together hold the
// rows of one series or one group, and their merge into columns in order of time.
//
// Parts mostly follow each other in time; then each is decoded straight into the result. Parts that
// overlap (late rows, rows sent again) form a cluster, which is decoded, sorted and freed of
// superseded rows as a whole.

#include <cstdint>
#include <functional>
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
  uint32_t column_count = 0;  // of the group
  uint32_t order = 0;         // in which the parts were added; set by ForEachCluster
  const GroupRows* buffer = nullptr;      // an open buffer, or
  const SealedChunk* sealed = nullptr;    // a chunk of the head, or
  const storage::Block* block = nullptr;  // a chunk of a block
  uint32_t block_group = 0;
  const storage::ChunkRef* block_chunk = nullptr;

  bool sorted() const { return buffer == nullptr || buffer->sorted; }
};

// Where rows go: appended to timestamps, to each of the columns, and to sequences if not null (0
// for rows without one).
struct RowSink {
  std::vector<model::Timestamp>* timestamps = nullptr;
  std::span<std::vector<double>> columns;
  std::vector<uint64_t>* sequences = nullptr;
};

// The parts of a group's rows in the head that overlap `range`, in the order they were written.
void AddParts(const GroupRows& rows, uint32_t first_column, uint32_t column_count,
              const model::TimeRange& range, std::vector<RowPart>* parts);
// The same for a group of a block.
void AddParts(const storage::Block& block, uint32_t group, uint32_t first_column,
              const model::TimeRange& range, std::vector<RowPart>* parts);

// Calls `visit` with each cluster of parts, in order of time. Sorts *parts, which are given in the
// order in which they were written.
Status ForEachCluster(std::vector<RowPart>* parts,
                      const std::function<Status(std::span<const RowPart>)>& visit);

// Appends the rows of one cluster that are in `range`, in order of time, each timestamp once.
Status ReadCluster(std::span<const RowPart> cluster, const model::TimeRange& range,
                   const RowSink& sink);

}  // namespace tsdbd::tsdb
