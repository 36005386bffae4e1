#pragma once
// Removes expired entries while RocksDB compacts, but none that an open snapshot still sees.
//
// Threads: SnapshotTimes may be used from any thread; filters belong to RocksDB's.

#include <cstdint>
#include <functional>
#include <memory>
#include <set>
#include <string>

#include <rocksdb/compaction_filter.h>

#include "common/mutex.h"

namespace tsdbd::kv {

// The moments at which the snapshots that are open were taken. A snapshot sees entries as of its
// moment, so what expired later is still there for it.
class SnapshotTimes {
 public:
  explicit SnapshotTimes(std::function<int64_t()> now_ns) : now_ns_(std::move(now_ns)) {}

  // The present, which counts as a snapshot's until Close.
  int64_t Open() EXCLUDES(mutex_) {
    MutexLock lock(&mutex_);
    return *open_.insert(now_ns_());
  }
  void Close(int64_t taken_ns) EXCLUDES(mutex_) {
    MutexLock lock(&mutex_);
    open_.erase(open_.find(taken_ns));
  }
  // What had expired then is gone for everybody, also for snapshots that are taken from now on.
  int64_t Oldest() EXCLUDES(mutex_) {
    MutexLock lock(&mutex_);
    const int64_t now_ns = now_ns_();
    return open_.empty() ? now_ns : std::min(now_ns, *open_.begin());
  }

 private:
  const std::function<int64_t()> now_ns_;
  Mutex mutex_;
  std::multiset<int64_t> open_ GUARDED_BY(mutex_);
};

class ExpiryFilterFactory final : public rocksdb::CompactionFilterFactory {
 public:
  explicit ExpiryFilterFactory(std::shared_ptr<SnapshotTimes> times) : times_(std::move(times)) {}

  std::unique_ptr<rocksdb::CompactionFilter> CreateCompactionFilter(
      const rocksdb::CompactionFilter::Context& context) override;
  const char* Name() const override { return "tsdbd.ExpiryFilterFactory"; }

 private:
  const std::shared_ptr<SnapshotTimes> times_;
};

}  // namespace tsdbd::kv
