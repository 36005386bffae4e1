#pragma once
// RocksVersions: the counter that versions come from, higher after every restart. What is on disk
// is the end of a lease of versions; it is synced before the first of them is given out, so that a
// crash skips what is left of the lease and never gives a version out twice.
//
// Threads: everything may be called from any thread.

#include <cstdint>

#include "common/mutex.h"
#include "common/status.h"
#include "kv/rocks_state.h"

namespace tsdbd::kv {

class RocksVersions {
 public:
  explicit RocksVersions(RocksState* state) : state_(state) {}

  // Reads where the store had got to, and takes a lease if the disk has space for it: with that in
  // a memtable RocksDB survives a full disk at the first write (RocksState::Resume).
  Status Open() EXCLUDES(mutex_);
  // The caller has taken space for a write.
  StatusOr<uint64_t> Next() EXCLUDES(mutex_);
  // Gives back what is left of the lease, if the disk has space for that.
  Status Close() EXCLUDES(mutex_);

 private:
  // One sync for so many writes.
  static constexpr uint64_t kLease = 1 << 20;

  Status Lease() REQUIRES(mutex_);
  Status Store(uint64_t end) REQUIRES(mutex_);

  RocksState* const state_;
  Mutex mutex_;
  uint64_t next_ GUARDED_BY(mutex_) = 1;
  uint64_t lease_end_ GUARDED_BY(mutex_) = 1;
};

}  // namespace tsdbd::kv
