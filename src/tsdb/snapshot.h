#pragma once
// A snapshot: a data directory of its own with the live blocks, as hard links, and the tombstones.
// A daemon started on it, or on a copy of it, gives the same answers.

#include <string>
#include <string_view>

#include "common/env.h"
#include "common/status.h"
#include "storage/block_manager.h"

namespace tsdbd::tsdb {

// 20240131T120000Z-2be650b6d019eb54: the time and a random number.
std::string NewSnapshotName();

// Makes `directory`, complete and durable when it returns OK. The blocks may be replaced and
// removed meanwhile. `tombstones`: the contents of their file; empty: none. Where hard links cannot
// be made (another file system, a file that is gone), the bytes are written anew. On error, what
// there is of it is removed.
Status WriteSnapshot(Env* env, const std::string& directory, const storage::BlockList& blocks,
                     std::string_view tombstones);

}  // namespace tsdbd::tsdb
