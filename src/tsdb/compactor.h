#pragma once
// Compactor: merges the blocks of a partition in the background (storage/compaction_policy.h says
// which) and carries out deletions on the way. One thread of low priority, which keeps to a rate of
// bytes, so that flushes and queries are not held up. One merge at a time.
//
// Threads: all methods may run at the same time, except Start and Stop.
// Crashes: a merge that did not come to its publication leaves a temporary file, which the next
// start removes; storage::BlockManager does the rest.

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>

#include "common/env.h"
#include "common/mutex.h"
#include "common/status.h"
#include "common/thread_pool.h"
#include "storage/block_manager.h"
#include "storage/block_merge.h"
#include "tsdb/deletions.h"

namespace tsdbd::tsdb {

struct CompactionStats {
  uint64_t compactions = 0;
  uint64_t failures = 0;
  uint64_t read_bytes = 0;
  uint64_t written_bytes = 0;
  int64_t elapsed_ns = 0;
  bool running = false;
};

class Compactor {
 public:
  struct Options {
    Env* env = nullptr;
    std::string data_dir;
    storage::BlockManager* blocks = nullptr;
    Deletions* deletions = nullptr;
    uint64_t rate_bytes = 0;  // read and written per second in the background; 0: no limit
    // Blocks of generations up to this one may be merged: all of their rows are in blocks, and the
    // log need not give back any.
    std::function<uint64_t()> merged_up_to;
  };

  explicit Compactor(Options options) : options_(std::move(options)) {}
  ~Compactor() { Stop(); }

  // The background thread: looks for work once a minute and when woken.
  void Start();
  // Soon: a merge under way is given up.
  void Stop();
  void Wake();

  // Does now, without regard to the rate, what the background would do.
  Status Run() { return RunDue(/*throttled=*/false); }
  // Rewrites now every block that a tombstone applies to.
  Status CleanTombstones();

  CompactionStats stats() const;

 private:
  using Blocks = std::span<const std::shared_ptr<const storage::Block>>;

  void RunBackground();
  Status RunDue(bool throttled);
  // The blocks to merge next; none: nothing is due.
  storage::BlockList FindDue(model::Timestamp now) const;
  bool IsWorthRewriting(const std::shared_ptr<const storage::Block>& block,
                        model::Timestamp now) const;
  Status Merge(Blocks blocks, bool throttled) REQUIRES(merge_mutex_);
  Status MergeAndPublish(Blocks blocks, bool throttled, storage::MergeResult* result)
      REQUIRES(merge_mutex_);
  Status CheckSpace(Blocks blocks) const;
  // Waits until the rate allows for these bytes. kCancelled when the compactor stops.
  Status Throttle(uint64_t bytes, bool throttled);

  const Options options_;

  Mutex merge_mutex_;  // one merge at a time; before all other locks here

  mutable Mutex mutex_;
  CondVar wake_;
  bool stop_ GUARDED_BY(mutex_) = false;
  bool wanted_ GUARDED_BY(mutex_) = false;
  bool has_failed_ GUARDED_BY(mutex_) = false;  // and said so
  CompactionStats stats_ GUARDED_BY(mutex_);
  int64_t next_ns_ GUARDED_BY(mutex_) = 0;  // when the bytes so far will have been allowed for

  std::unique_ptr<ThreadPool> thread_;
};

}  // namespace tsdbd::tsdb
