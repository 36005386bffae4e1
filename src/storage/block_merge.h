#pragma once
// Merge: blocks of one partition become one, with the same answers. The rows of a group are merged
// by time, duplicates by last write, late rows go where they belong, chunks are cut anew to full
// size; a chunk that is full and that nothing overlaps is copied as it is.
//
// Groups with equal labels and columns become one. Groups whose columns differ stay groups of
// their own: a row has a value for each of its columns, and there is no value that says "none". If
// they share a series, their chunks carry sequence numbers that keep the order in which the blocks
// were written (docs/formats/block.md).
//
// Memory follows the number of groups, series and chunks; of the samples, one chunk per input of
// the group at hand.

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>

#include "common/env.h"
#include "common/status.h"
#include "storage/block.h"
#include "storage/block_deletions.h"

namespace tsdbd::storage {

struct MergeInput {
  std::shared_ptr<const Block> block;
  BlockDeletions deletions = {};  // what is not carried over
};

struct MergeOptions {
  Env* env = nullptr;
  std::string path;                // BlockManager::NewTempPath
  uint64_t deletions_applied = 0;  // for the meta of the result
  // Called with each chunk's bytes when it has been read, and when it has been written. An error
  // ends the merge with it. May sleep.
  std::function<Status(uint64_t bytes)> on_bytes = [](uint64_t) { return OkStatus(); };
};

struct MergeResult {
  BlockMeta meta;           // of the finished file; if row_count is 0 there is none
  uint64_t read_bytes = 0;  // of chunks
  uint64_t chunks_copied = 0;
  uint64_t chunks_encoded = 0;
};

// `inputs` are in order of precedence, and no other block that overlaps them in time lies between
// them in that order. The result is to be published in their place. Damaged chunks are left out and
// noted in their block, for the manager to keep its file. kDataLoss if the index of an input is
// damaged. On error no file is left.
StatusOr<MergeResult> MergeBlocks(std::span<const MergeInput> inputs, const MergeOptions& options);

}  // namespace tsdbd::storage
