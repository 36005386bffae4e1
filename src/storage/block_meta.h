#pragma once
// What a block is: its place in time, in the order of generations, and what is in it.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "common/status.h"
#include "model/sample.h"

namespace tsdbd::storage {

// The first group of fields is given to the writer, the second is counted by it.
struct BlockMeta {
  model::Timestamp partition_start = 0;  // included
  // Excluded; but kMaxTimestamp, which nothing can lie behind, is in the last partition.
  model::Timestamp partition_end = 0;
  uint64_t generation_min = 0;  // the generations whose rows it holds
  uint64_t generation_max = 0;
  uint32_t level = 0;                // 0: flushed; a compacted block is one above its parents
  std::vector<std::string> parents;  // file names of the blocks that this one replaces
  // The deletions up to this number have been carried out on its rows, as far as they apply to the
  // parents; 0: none.
  uint64_t deletions_applied = 0;

  model::Timestamp min_time = 0;
  model::Timestamp max_time = 0;
  uint64_t group_count = 0;
  uint64_t series_count = 0;
  uint64_t chunk_count = 0;
  uint64_t row_count = 0;
  uint64_t sample_count = 0;
};

// Of these two blocks of a partition, whether `a` comes before `b`: b's samples win.
bool Precedes(const BlockMeta& a, const BlockMeta& b);

// The name of the block's file, different for any two blocks that can be live at one time:
// 20240131T000000Z-0000000012-0000000012-00.block
std::string BlockFileName(const BlockMeta& meta);
inline constexpr std::string_view kBlockSuffix = ".block";

// The meta section.
std::string EncodeBlockMeta(const BlockMeta& meta);
StatusOr<BlockMeta> DecodeBlockMeta(std::string_view section);

}  // namespace tsdbd::storage
