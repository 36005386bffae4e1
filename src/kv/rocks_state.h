#pragma once
// What the parts of a RocksStore share: the open database, the clock, the hot values; and how
// RocksDB's types become ours.

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include <rocksdb/cache.h>
#include <rocksdb/db.h>
#include <rocksdb/options.h>
#include <rocksdb/write_buffer_manager.h>

#include "common/status.h"
#include "kv/expiry_filter.h"
#include "kv/hot_values.h"
#include "kv/rocks_space.h"
#include "kv/rocks_store.h"

namespace tsdbd::kv {

class RocksCache {
 public:
  std::shared_ptr<rocksdb::Cache> blocks;
  // Memtables are charged to the same cache.
  std::shared_ptr<rocksdb::WriteBufferManager> memtables;
};

inline rocksdb::Slice ToSlice(std::string_view bytes) {
  return {bytes.data(), bytes.size()};
}
inline std::string_view ToView(const rocksdb::Slice& slice) {
  return {slice.data(), slice.size()};
}

// "put to /data/kv/a: IO error: No space left on device: While appending to file: …". RocksDB's
// text names the file. A full disk is kResourceExhausted, damage kDataLoss, a database that takes
// no writes because of an earlier error kUnavailable.
Status FromRocks(const rocksdb::Status& status, std::string_view operation,
                 std::string_view directory);

struct RocksCounters {
  std::atomic<uint64_t> writes = 0;
  std::atomic<uint64_t> compactions = 0;
  std::atomic<uint64_t> damaged_records = 0;
};

struct RocksState {
  RocksState(StoreOptions options_in, RocksOptions rocks);
  ~RocksState();

  // A log that ends in the middle of a record was being written when its process died: it is read
  // to there. One that is damaged before its end is kept aside in quarantine/, counted and logged,
  // and read to the damage.
  Status Open();
  // Makes the database take writes again after an error. kUnavailable if it would go on with a
  // broken log: only what is in a memtable makes it begin another.
  Status Resume();
  Status Fail(const rocksdb::Status& status, std::string_view operation) const {
    return FromRocks(status, operation, options.directory);
  }

  // Constant after construction.
  const StoreOptions options;
  const std::function<int64_t()> now_ns;
  const std::shared_ptr<RocksCache> cache;
  rocksdb::Env* const env;

  // These synchronise themselves. The filter and the listener of the database use them.
  const std::shared_ptr<SnapshotTimes> snapshot_times;
  HotValues hot;
  RocksSpace space;
  RocksCounters counters;
  // An append to RocksDB's log has failed since the last Resume. Any further use of that log would
  // trip an assertion in Debian's RocksDB, and so end the process.
  std::atomic<bool> log_is_broken = false;

  // Constant after Open.
  std::unique_ptr<rocksdb::DB> db;
  rocksdb::ColumnFamilyHandle* entries = nullptr;
  rocksdb::ColumnFamilyHandle* meta = nullptr;

 private:
  rocksdb::Status OpenWith(rocksdb::WALRecoveryMode mode);
  Status KeepLogsAside() const;
  rocksdb::DBOptions DatabaseOptions();
  rocksdb::ColumnFamilyOptions EntryOptions() const;
};

}  // namespace tsdbd::kv
