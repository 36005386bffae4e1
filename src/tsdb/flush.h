#pragma once
// Flush: the frozen rows of the head become blocks, one per partition touched.

#include <cstdint>
#include <span>

#include "common/env.h"
#include "common/status.h"
#include "storage/block_manager.h"
#include "tsdb/head.h"

namespace tsdbd::tsdb {

struct FlushRequest {
  Env* env = nullptr;
  storage::BlockManager* blocks = nullptr;
  std::span<Group* const> groups;  // those with frozen rows
  uint64_t generation_min = 0;     // whose rows these are
  uint64_t generation_max = 0;
  int64_t partition_ns = 0;
};

struct FlushResult {
  uint64_t blocks = 0;
  uint64_t groups = 0;
  uint64_t rows = 0;
  uint64_t samples = 0;
  uint64_t size_bytes = 0;
};

// Writes and publishes the blocks. On error nothing was published, and the same call may be made
// again. Holds no lock of the head over I/O: frozen rows do not change.
StatusOr<FlushResult> WriteBlocks(const FlushRequest& request);

}  // namespace tsdbd::tsdb
