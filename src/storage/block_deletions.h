#pragma once
// Samples of one block that count as deleted although they are still in it: what readers leave out
// and a merge (block_merge.h) drops. Who deletes what and why is the database's business.

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "model/sample.h"
#include "storage/block.h"

namespace tsdbd::storage {

// The samples in `range` of these series of the block.
struct BlockDeletion {
  model::TimeRange range;
  std::shared_ptr<const BlockSelection> series;  // as Block::Select gives them
};
using BlockDeletions = std::vector<BlockDeletion>;

// Appends the deleted ranges of one series: in no order, perhaps overlapping.
void AddDeletedRanges(const BlockDeletions& deletions, uint32_t group, uint32_t column,
                      std::vector<model::TimeRange>* ranges);

// Sorts; joins ranges that overlap or touch.
void JoinRanges(std::vector<model::TimeRange>* ranges);

}  // namespace tsdbd::storage
