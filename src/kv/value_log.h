#pragma once
// ValueLog: the files that hold every record of an AlexStore, and the one place where they are
// written. Records are appended through a shared mapping, so the kernel has them at once and they
// are read like all others. It knows nothing of keys. Format: docs/formats/kv.md.
//
// Threads: Reserve, Append and Publish under the store's write lock; Sync by one thread at a time;
// Find and what it leads to by any that holds a pin of the gate; Remove by one thread at a time.
// A thread of its own prepares the next segment.
//
// Invariants
// 1. The order of positions is the order of the log. Numbers of segments are never used twice.
// 2. A batch (what was reserved at once) lies in one segment.
// 3. What a mark says was durable, was.
// 4. A failed Reserve has changed nothing.

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "common/env.h"
#include "common/epoch.h"
#include "common/mutex.h"
#include "common/status.h"
#include "kv/log_format.h"
#include "kv/log_segment.h"

namespace tsdbd::kv {

struct ValueLogOptions {
  std::string directory;
  KeyType key_type = KeyType::kBytes;
  // Segments have 1/8 of the live bytes between these bounds: much smaller ones cost a file each
  // few milliseconds, much larger ones make a small store take more space than it holds.
  uint64_t min_segment_bytes = 1 << 20;
  uint64_t max_segment_bytes = 64 << 20;
  // Whether a segment is zeroed and synced before its first record, so that a sync of records is a
  // mere overwrite (0.16 ms against some ms); else all of it reaches the disk with the first sync.
  bool sync_segments_ahead = true;
  std::function<uint64_t()> make_salt = {};  // random if unset
};

class ValueLog {
 public:
  ValueLog(Env* env, ValueLogOptions options, EpochGate* gate);
  ~ValueLog();
  ValueLog(const ValueLog&) = delete;
  ValueLog& operator=(const ValueLog&) = delete;

  // What recovery found, lowest number first; before Start.
  void Adopt(std::unique_ptr<LogSegment> segment);
  // New records go into segments from `next_number` on. The log ends at `end`, and all of it is on
  // disk; adopted segments behind it are forgotten.
  void Start(uint32_t next_number, Position end);
  // Prepares no more segments and removes the one that is ready. Idempotent.
  void Stop();

  // ---- The writer

  // Makes room for records of `bytes` in one segment and, where something became durable since the
  // last one, writes a mark. Waits for a segment that is being prepared; kResourceExhausted if the
  // disk is full. `version` is the newest one used; `live_bytes` decides how large segments are.
  Status Reserve(uint64_t bytes, uint64_t version, uint64_t live_bytes);
  Position Append(const Record& record, uint64_t value_hash);
  // A record that says no more than `version` (and what is durable).
  void Mark(uint64_t version) { WriteMark(0, version); }
  // Whether something became durable that no mark tells of, and there is room for one.
  bool CanMark() const {
    return active_ != nullptr && durable_through() > marked_ &&
           position_bytes_ + kMarkRecordBytes <= active_->bytes().size();
  }
  // Lets Sync cover what was appended.
  void Publish();
  Position end() const { return end_.load(std::memory_order_acquire); }
  // Ends the active segment and begins another with room for `bytes`; if that fails, nothing has
  // changed. As Reserve besides.
  Status BeginSegment(uint64_t bytes, uint64_t version, uint64_t live_bytes);
  LogSegment* active() const { return active_; }

  // ---- Readers

  LogSegment* Find(Position position) const { return table_.Find(SegmentOf(position)); }

  // ---- Sync and upkeep

  // Brings all that was published to the disk.
  Status Sync();
  Position durable_through() const { return durable_.load(std::memory_order_acquire); }

  // All, lowest number first. Those that were sealed and are durable may be removed.
  std::vector<LogSegment*> Segments() const;
  // Removes the file, durably, and frees the segment once no reader has it. What was removed before
  // is gone for good before this one goes, also where a removal failed in between.
  Status Remove(LogSegment* segment);

  uint64_t disk_bytes() const;  // with the segment that is ready

 private:
  std::string Path(uint32_t number) const;
  void WriteMark(Position previous_end, uint64_t version);
  uint64_t SizeForSegment(uint64_t bytes, uint64_t live_bytes) const;
  // A segment of at least `min_bytes`, if possible of `good_bytes`, as the ones after it.
  StatusOr<std::unique_ptr<LogSegment>> Take(uint64_t min_bytes, uint64_t good_bytes);
  // Waits until one of at least `min_bytes` is ready, or an attempt has failed.
  Status AwaitReady(uint64_t min_bytes) REQUIRES(preparer_mutex_);
  void RunPreparer();
  void Discard(std::unique_ptr<LogSegment> segment) REQUIRES(preparer_mutex_);
  Status RemoveLeftovers();
  Status SyncRemovals();
  StatusOr<std::unique_ptr<LogSegment>> Prepare(uint32_t number, uint64_t bytes);
  static void Free(void* log, void* segment, size_t size);

  Env* const env_;
  const ValueLogOptions options_;
  EpochGate* const gate_;

  mutable Mutex mutex_;
  // Owns them, those included that readers still have although their file is gone.
  std::map<uint32_t, std::unique_ptr<LogSegment>> segments_ GUARDED_BY(mutex_);
  SegmentTable table_;  // changed under mutex_

  // The writer's.
  LogSegment* active_ = nullptr;
  LogSegment* last_ = nullptr;   // that was active; null: none since Start
  uint64_t position_bytes_ = 0;  // in last_
  Position marked_ = 0;          // what the last mark said

  std::atomic<Position> end_ = 0;
  std::atomic<Position> durable_ = 0;
  bool has_unsynced_removal_ = false;   // Remove's
  uint32_t durable_names_through_ = 0;  // Sync's: segments up to here have their name on disk

  mutable Mutex preparer_mutex_;
  CondVar wake_preparer_;
  CondVar attempt_done_;
  std::unique_ptr<LogSegment> ready_ GUARDED_BY(preparer_mutex_);
  uint64_t wanted_bytes_ GUARDED_BY(preparer_mutex_) = 0;  // of the next one
  uint32_t next_number_ GUARDED_BY(preparer_mutex_) = 1;
  Status failure_ GUARDED_BY(preparer_mutex_);  // of the last attempt; no other until a Take
  std::vector<std::string> leftovers_ GUARDED_BY(preparer_mutex_);  // files that must go
  bool is_stopping_ GUARDED_BY(preparer_mutex_) = false;
  std::thread preparer_;
};

}  // namespace tsdbd::kv
