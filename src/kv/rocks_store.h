#pragma once
// RocksStore: a keyspace on RocksDB, for ordered byte keys and for data whose index outgrows
// memory. The layout inside: column family `entries` has the keys as they are and values as
// rocks_record.h says; `meta` has the number up to which versions are given out (rocks_versions.h).
//
// Writes go to RocksDB's log without a sync; a group commit of ours (group_sync.h) then syncs that
// log once for all that came meanwhile. Reads of the newest state look into HotValues first.
//
// What a caller should know:
// - `edit` of an Update that writes other keys than its own may be called again with what is there
//   then, if another write came in between.
// - A scan keeps copies of what it visited until its view goes: page long ones (limit, cursor).
// - Writes, deletes among them, are refused while the disk has less than kReserveBytes left.
// - Expired entries are invisible at once and removed when RocksDB compacts them.
// - A scan that meets a damaged block ends with kDataLoss, naming the file: what lies behind the
//   block cannot be told.
// - ReadViews must go before the store does.

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "common/clock.h"
#include "common/env.h"
#include "common/status.h"
#include "kv/store.h"

namespace rocksdb {
class Env;
}

namespace tsdbd::kv {

// Memory that several stores share: RocksDB's blocks, with their indexes and filters, and its
// memtables. One budget for all of it.
class RocksCache;
std::shared_ptr<RocksCache> MakeRocksCache(size_t capacity_bytes);
uint64_t UsedBytes(const RocksCache& cache);

struct RocksOptions {
  std::shared_ptr<RocksCache> cache = nullptr;  // null: one of its own, of kOwnCacheBytes
  size_t hot_bytes = size_t{16} << 20;          // of HotValues; 0: none
  std::function<int64_t()> now_ns = WallNanos;
  rocksdb::Env* env = nullptr;  // null: the real one
  // What the disk of a directory has left (rocks_space.h).
  std::function<StatusOr<uint64_t>(const std::string&)> free_bytes =
      [](const std::string& directory) { return Env::Default()->FreeBytes(directory); };
};
inline constexpr size_t kOwnCacheBytes = size_t{64} << 20;

// kDataLoss if the files are damaged, kUnavailable if somebody else has them; the message names the
// file.
StatusOr<std::unique_ptr<Store>> OpenRocksStore(StoreOptions options, RocksOptions rocks);

}  // namespace tsdbd::kv
