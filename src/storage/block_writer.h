#pragma once
// Writes a block file in one pass. Memory follows the number of groups, labels and chunks, never
// the chunks' bytes. One thread at a time. Format: docs/formats/block.md.

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "common/env.h"
#include "common/status.h"
#include "model/labels.h"
#include "storage/block.h"

namespace tsdbd::storage {

class BlockWriter {
 public:
  // `path` is a temporary name (BlockManager::NewTempPath); the file is removed again if the
  // writer dies before Finish. Of `meta`, the fields that the writer counts are ignored.
  static StatusOr<std::unique_ptr<BlockWriter>> Create(Env* env, const std::string& path,
                                                       const BlockMeta& meta);
  ~BlockWriter();
  BlockWriter(const BlockWriter&) = delete;
  BlockWriter& operator=(const BlockWriter&) = delete;

  // Begins the next group. `labels` (sorted, without `column_label`) are what its series share.
  // `ordered`: its chunks carry sequence numbers. Each group must be added once, with all chunks.
  Status AddGroup(const model::LabelViews& labels, std::string_view column_label,
                  std::span<const std::string_view> column_values, bool ordered);
  // The next chunk of that group: later than the one before and within the partition.
  // kInvalidArgument if it is not, or is no chunk of this group.
  Status AddChunk(std::string_view chunk);
  // Writes the index and syncs the file. Returns the complete meta. Nothing may follow.
  StatusOr<BlockMeta> Finish();

 private:
  struct State;
  explicit BlockWriter(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace tsdbd::storage
