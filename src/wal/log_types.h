#pragma once
// What a Log is told and what it tells about itself: options, health, figures.

#include <cstdint>
#include <functional>
#include <string>

#include "common/status.h"

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
  // Dropped segments kept for reuse, which saves writing each byte of the log twice; more are
  // deleted, so that no more than 256 MiB of disk stay taken.
  uint32_t max_spare_segments = 16;
  // Records of older generations are not visited at Open and their segments dropped: the caller has
  // them elsewhere. Also the generation of the first record of an empty log.
  uint64_t first_generation = 1;
  // Called on the log's thread after each commit, before its callbacks; with no records after a
  // sync outside of one.
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

}  // namespace tsdbd::wal
