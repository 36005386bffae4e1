#include "storage/block_deletions.h"

#include <algorithm>

namespace tsdbd::storage {

void AddDeletedRanges(const BlockDeletions& deletions, uint32_t group, uint32_t column,
                      std::vector<model::TimeRange>* ranges) {
  for (const BlockDeletion& deletion : deletions) {
    const auto& groups = deletion.series->groups;
    const auto found = std::ranges::lower_bound(groups, group, {}, &SelectedGroup::group);
    if (found != groups.end() && found->group == group &&
        std::ranges::binary_search(deletion.series->column_sets[found->column_set], column)) {
      ranges->push_back(deletion.range);
    }
  }
}

void JoinRanges(std::vector<model::TimeRange>* ranges) {
  std::ranges::sort(*ranges, {}, &model::TimeRange::min);
  size_t kept = 0;
  for (const model::TimeRange& range : *ranges) {
    // kMaxTimestamp + 1 is representable.
    if (kept > 0 && range.min <= (*ranges)[kept - 1].max + 1) {
      (*ranges)[kept - 1].max = std::max((*ranges)[kept - 1].max, range.max);
    } else {
      (*ranges)[kept++] = range;
    }
  }
  ranges->resize(kept);
}

}  // namespace tsdbd::storage
