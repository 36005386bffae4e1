#pragma once
// Which blocks of a partition to merge next: size-tiered, as in Cassandra and RocksDB's universal
// compaction. Pure; the database's compactor applies it.
//
// While a partition is being written, six neighbours of about one size become one: a byte is
// merged once per factor of six in size. When it is over, what there is becomes one block; late
// blocks are then collected until they are worth the rewriting of the large one.
// compaction_policy_test measures the write amplification of a month.

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

namespace tsdbd::storage {

struct MergeRun {
  size_t first = 0;
  size_t count = 0;
};

// `sizes` are those of a partition's blocks in order of precedence, in bytes; `is_closed`: no more
// blocks are expected, but for late ones. Nothing if no merge is due.
std::optional<MergeRun> PickMerge(std::span<const uint64_t> sizes, bool is_closed);

}  // namespace tsdbd::storage
