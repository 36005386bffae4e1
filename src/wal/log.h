#pragma once
// Log: a write-ahead log with group commit. It knows opaque records and generations, nothing of
// what they mean. Format: docs/formats/wal.md.
//
// Threads: every method may be called from any thread, except that Sync(), Close() and the
// destructor must not be called from a callback. One thread of the log writes, syncs and runs the
// callbacks; a second prepares segments ahead, so that rotation waits for no disk.
//
// Invariants
// 1. Log order is the order in which Append() and StartGeneration() returned OK; callbacks run in
// it.
// 2. What a crash loses is a suffix of the log, never a hole; with SyncMode::kAlways nothing whose
//    callback saw OK is lost.
// 3. After a failed sync no callback ever sees OK again: the log is poisoned until it is reopened.
// 4. A segment belongs to one generation. A broken segment is never written again.

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "common/env.h"
#include "common/mutex.h"
#include "common/status.h"
#include "wal/buffer_pool.h"
#include "wal/commit_builder.h"
#include "wal/log_types.h"
#include "wal/recovery.h"
#include "wal/segment_files.h"

namespace tsdbd::wal {

class Log {
 public:
  // Runs on the log's thread, in log order; must not block. OK: durable as the sync mode demands.
  using Done = std::function<void(const Status&)>;

  // Recovers what is in the directory (visiting each intact record on the calling thread), cuts a
  // torn tail, makes all that was recovered durable, and is then ready to append. Appends continue
  // the newest generation found; a caller whose report tells of damage should start a new one.
  // A full disk does not fail Open: the log then starts as kBroken.
  static StatusOr<std::unique_ptr<Log>> Open(Env* env, LogOptions options,
                                             const RecordVisitor& visitor, RecoveryReport* report);
  ~Log();
  Log(const Log&) = delete;
  Log& operator=(const Log&) = delete;

  // Queues a record; never waits for the disk. If it returns OK, `done` (which may be null) runs
  // once; otherwise the record is not in the log and `done` never runs: kUnavailable for a full
  // queue, a poisoned or closed log; kInvalidArgument for a record over max_record_bytes; the
  // status of health() for a broken log (kResourceExhausted: disk full).
  Status Append(std::string record, Done done);

  // Records appended after this are in `generation`, which must not be lower than the current one,
  // and in a new segment. On a broken log this is the attempt to resume; records queued before it
  // have failed. Same contract as Append() for the result and for `done`.
  Status StartGeneration(uint64_t generation, Done done);

  // Removes the segments whose generation is at most `generation`; damaged ones go to the folder
  // quarantine/. Works on the calling thread, with a directory sync for each segment, so that a
  // crash leaves a suffix of the log.
  Status DropGenerationsThrough(uint64_t generation);

  // Waits until all that was appended before is on disk, whatever the sync mode.
  Status Sync();

  // Refuses new records, finishes the queued ones, syncs, and stops the threads. Idempotent.
  Status Close();

  // An empty string, where possible with the capacity of a record that is done.
  std::string TakeBuffer();

  Health health() const;
  LogStats stats() const;

 private:
  struct Item {
    enum class Kind { kRecord, kStartGeneration, kSync };
    Kind kind = Kind::kRecord;
    uint64_t generation = 0;  // kStartGeneration only
    std::string record;       // kRecord only
    Done done;
  };

  Log(Env* env, LogOptions options, const RecoveredLog& recovered);
  Status Start(const RecoveredLog& recovered, uint64_t generation);

  Status Enqueue(Item item);
  Status Admit(const Item& item) REQUIRES(mu_);
  static uint64_t QueueBytes(const Item& item);

  // All below run on the log's thread, and before it starts on the opening one.
  void Run();
  bool TakeBatch();
  void ProcessBatch();
  size_t CommitFrom(size_t begin);
  Status WriteCommit(size_t begin, size_t end, uint64_t payload_bytes);
  void CountCommit(const CommitTiming& timing);
  void WriteCloseMark();
  // Runs the callbacks of batch_[begin, end) and gives their space in the queue back.
  void Finish(size_t begin, size_t end, const Status& status);

  uint64_t RoomInActive() const;
  Status BeginGeneration(uint64_t generation);
  Status BeginSegment(uint64_t generation);
  Status EndSegment();

  StatusOr<int64_t> TimedSync();
  Status SyncUnsynced();
  void SyncIfDue();
  int64_t NanosUntilSyncIsDue() const;
  void StartWriteback();

  // Return the status that records fail with from now on.
  Status Break(Status status);
  Status Poison(const Status& cause);

  const LogOptions options_;

  const std::unique_ptr<SegmentFiles> files_;  // own synchronisation
  BufferPool buffers_;                         // own synchronisation

  Mutex close_mu_;  // before mu_ in the lock order
  bool closed_ GUARDED_BY(close_mu_) = false;
  Status close_status_ GUARDED_BY(close_mu_);

  mutable Mutex mu_;
  CondVar work_;
  std::vector<Item> queue_ GUARDED_BY(mu_);
  bool thread_waits_ GUARDED_BY(mu_) = false;
  bool closing_ GUARDED_BY(mu_) = false;
  Health health_ GUARDED_BY(mu_);
  uint64_t requested_generation_ GUARDED_BY(mu_) = 0;
  LogStats stats_ GUARDED_BY(mu_);

  // The log's thread only.
  std::vector<Item> batch_;
  CommitBuilder builder_;
  PreparedSegment active_;          // file null: none
  uint64_t position_bytes_ = 0;     // where the active segment's next commit goes
  uint64_t writeback_bytes_ = 0;    // the kernel was told to write up to here
  uint64_t generation_ = 0;         // of the active segment
  uint64_t last_commit_;            // newest good one
  uint64_t next_commit_;            // number of the next attempt
  uint64_t durable_through_;        // newest commit that is on disk
  int64_t oldest_unsynced_ns_ = 0;  // when the one after it was written
  bool is_poisoned_ = false;

  std::thread thread_;
};

}  // namespace tsdbd::wal
