// Block::Verify: everything that can be read is read, and must agree.

#include <algorithm>

#include "storage/block.h"
#include "storage/block_select.h"

namespace tsdbd::storage {

Status Block::Verify() const {
  RETURN_IF_ERROR(CheckIndex());
  RETURN_IF_ERROR(CheckOrder());
  RETURN_IF_ERROR(BlockSelector(*this).CheckPostings());
  uint64_t rows = 0;
  uint64_t samples = 0;
  for (uint32_t group = 0; group < group_count(); ++group) {
    RETURN_IF_ERROR(VerifyGroup(group, &rows, &samples));
  }
  if (rows != meta_.row_count || samples != meta_.sample_count) {
    return DataLoss("{}: meta says {} rows and {} samples, but there are {} and {}", path_,
                    meta_.row_count, meta_.sample_count, rows, samples);
  }
  return OkStatus();
}

// What binary search relies on.
Status Block::CheckOrder() const {
  for (size_t i = 1; i < names_.size(); ++i) {
    if (StringAt(names_[i - 1].name) >= StringAt(names_[i].name)) {
      return DataLoss("{}: label names are not sorted at {}", path_, i);
    }
  }
  for (const NameRecord& name : names_) {
    const auto pairs = pairs_.subspan(name.first_pair, name.pair_count);
    for (size_t i = 0; i < pairs.size(); ++i) {
      if (&names_[pairs[i].name] != &name ||
          (i > 0 && PairValue(pairs[i - 1]) >= PairValue(pairs[i]))) {
        return DataLoss("{}: values of label {} are not sorted at {}", path_, StringAt(name.name),
                        i);
      }
    }
  }
  return OkStatus();
}

Status Block::VerifyGroup(uint32_t group, uint64_t* rows, uint64_t* samples) const {
  model::LabelViews labels;
  GetLabels(group, &labels);
  if (!std::ranges::is_sorted(labels) || model::HashLabels(labels) != LabelsHash(group)) {
    return DataLoss("{}: labels of group {} are not those that were written", path_, group);
  }
  model::Timestamp last = -1;
  for (const ChunkRef& ref : Chunks(group)) {
    ASSIGN_OR_RETURN(const ChunkView chunk, CheckChunk(group, ref));
    if (ref.min_time <= last || ref.min_time < meta_.min_time || ref.max_time > meta_.max_time) {
      return DataLoss("{}: chunk at offset {} is not in order of time", path_, ref.offset);
    }
    last = ref.max_time;
    *rows += chunk.row_count();
    *samples += chunk.row_count() * chunk.column_count();
  }
  return OkStatus();
}

}  // namespace tsdbd::storage
