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

#include "common/env.h"
#include "common/status.h"
#include "wal/recovery.h"

namespace tsdbd::wal {

enum class SyncMode {
  kAlways,    // a record is done when it is on disk
  kInterval,  // done when written; on disk at most sync_interval_ms later
  kNone       // done when written; on disk when the kernel or the end of a segment says so
};

// One group commit, for those who time stages. sync_ns is 0 where the mode did not sync.
struct CommitTiming {
  uint64_t records = 0;
  uint64_t written_bytes = 0;
  int64_t write_ns = 0;
  int64_t sync_ns = 0;
};

struct LogOptions {
  std::string directory;  // made if it does not exist; one Log at a time
  SyncMode sync_mode = SyncMode::kAlways;
  int64_t sync_interval_ms = 100;
  // Preallocation of one costs some 20 ms of disk time, so not much smaller; replay and dropping
  // work in whole segments, so not much larger.
  uint64_t segment_bytes = 16 << 20;
  // Bounds the time of one write, and so the wait of the records behind it.
  uint64_t max_commit_bytes = 8 << 20;
  // Longer records are refused. Above the largest request body after inflating.
  uint64_t max_record_bytes = 256 << 20;
  // Records accepted but not yet done; beyond it Append() says kUnavailable.
  uint64_t max_queued_bytes = 256 << 20;
  // Ready ahead of the writer: two cover a burst of 32 MiB while the third is being written.
  uint32_t prepared_segments = 2;
  // Dropped segments kept for reuse; more are deleted.
  uint32_t max_spare_segments = 4;
  // Segments of older generations are dropped unread at Open: the caller has their contents
  // elsewhere. Also the generation of the first record of an empty log.
  uint64_t first_generation = 1;
  // Called on the log's thread after each commit, before its callbacks.
  std::function<void(const CommitTiming&)> on_commit;
  // Salts segments so that the old contents of a reused file never pass for new. Random if unset.
  std::function<uint64_t()> make_salt;
};

enum class HealthState {
  kOk,
  kBroken,   // a write failed (disk full, I/O error): StartGeneration() resumes
  kPoisoned  // a sync failed, what is on disk is unknown: only a new Open() helps
};

struct Health {
  HealthState state = HealthState::kOk;
  Status status;  // why, unless kOk
};

struct LogStats {
  uint64_t records = 0;        // done with OK
  uint64_t record_bytes = 0;   // of those
  uint64_t written_bytes = 0;  // with headers and padding
  uint64_t commits = 0;
  uint64_t failed_records = 0;    // done with an error
  uint64_t rejected_records = 0;  // refused by Append()
  uint64_t syncs = 0;
  int64_t sync_ns = 0;      // total
  int64_t max_sync_ns = 0;  // longest since Open
  uint64_t queued_records = 0;
  uint64_t queued_bytes = 0;
  uint64_t segments = 0;       // in use, the active one included
  uint64_t segment_bytes = 0;  // their size on disk
  uint64_t prepared_segments = 0;
  uint64_t spare_segments = 0;
  uint64_t segments_created = 0;   // by writing zeros
  uint64_t segments_recycled = 0;  // by reuse
  uint64_t segment_waits = 0;      // rotations that found no segment ready
  uint64_t generation = 0;         // of the active segment
};

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
  class Impl;
  explicit Log(std::unique_ptr<Impl> impl);
  const std::unique_ptr<Impl> impl_;
};

}  // namespace tsdbd::wal
