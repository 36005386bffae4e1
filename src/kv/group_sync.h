#pragma once
// GroupSync: group commit. Many writes wait for one sync: those that come while a sync runs share
// the next one. A writer that was just told comes again at once, as a rule; so the next sync waits
// a moment for as many as shared the last one. A single writer never waits for others. It knows
// nothing of what is synced.
//
// Threads: everything may be called from any thread; Sync() and Close() not from a Done. A thread
// of its own syncs.
//
// Invariants
// 1. A Done of SyncMode::kAlways sees OK only after a sync that began after its Add().
// 2. After a failed sync nothing sees OK any more, and nothing is synced again: what is on disk is
//    unknown (the kernel may have forgotten the pages that it could not write).

#include <atomic>
#include <cstdint>
#include <functional>
#include <thread>
#include <vector>

#include "common/mutex.h"
#include "common/status.h"
#include "kv/store.h"

namespace tsdbd::kv {

class GroupSync {
 public:
  using Done = Store::Done;

  // `sync` brings all that was written before its call to the disk; it runs on one thread at a
  // time.
  GroupSync(SyncMode mode, int64_t interval_ms, std::function<Status()> sync);
  // Closes it; what that says is lost.
  ~GroupSync();
  GroupSync(const GroupSync&) = delete;
  GroupSync& operator=(const GroupSync&) = delete;

  // A write has reached the kernel. With kAlways `done` (which may be null) runs after the sync
  // that covers it, on the thread; with the other modes before Add returns, so the caller must hold
  // no lock that `done` needs.
  void Add(Done done);

  // Waits until all that was written before is on disk, whatever the mode.
  Status Sync();

  // kUnavailable with the reason after a failed sync.
  Status Health() const;
  // The same, cheaply.
  bool is_healthy() const { return is_healthy_.load(std::memory_order_acquire); }

  // Syncs what was added and stops the thread. A write that is added after it is synced by the
  // caller. Idempotent.
  Status Close();

  uint64_t sync_count() const { return sync_count_.load(std::memory_order_relaxed); }

 private:
  void Run();
  void WaitForWork() REQUIRES(mutex_);
  void WaitForOthers() REQUIRES(mutex_);
  // Returns with what the writes it covers end with.
  Status SyncNow();
  void Poison(const Status& cause);

  const SyncMode mode_;
  const int64_t interval_ns_;
  const std::function<Status()> sync_;

  Mutex sync_mutex_;  // held while sync_ runs; before mutex_ in the lock order
  std::atomic<bool> is_healthy_ = true;
  std::atomic<uint64_t> sync_count_ = 0;

  mutable Mutex mutex_;
  CondVar work_;
  std::vector<Done> waiting_ GUARDED_BY(mutex_);      // for the next sync
  bool sync_wanted_ GUARDED_BY(mutex_) = false;       // now, even if nobody waits
  int64_t unsynced_since_ns_ GUARDED_BY(mutex_) = 0;  // kInterval: the oldest write; 0: none
  size_t group_size_ GUARDED_BY(mutex_) = 0;          // of the last sync
  int64_t last_sync_ns_ GUARDED_BY(mutex_) = 0;       // how long it took
  bool thread_waits_ GUARDED_BY(mutex_) = false;
  size_t wake_at_ GUARDED_BY(mutex_) = 1;  // while it waits: when so many wait for the next sync
  bool is_closing_ GUARDED_BY(mutex_) = false;
  Status health_ GUARDED_BY(mutex_);

  Mutex close_mutex_;  // before the others in the lock order
  bool is_closed_ GUARDED_BY(close_mutex_) = false;

  std::thread thread_;
};

}  // namespace tsdbd::kv
