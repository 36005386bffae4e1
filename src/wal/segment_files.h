#pragma once
// SegmentFiles: the life of a log's segment files: prepared ahead, in use, closed, dropped and
// reused, or kept aside. It knows nothing of what is written in them after the header page.
//
//   wal-<number>.log         a segment: from the moment it has this name its header is on disk
//   spare-<number>.log       zeroed or dropped, to become a segment; worthless after a crash
//   quarantine/wal-<n>.log   a damaged segment of a dropped generation; never touched again
//
// Threads: Take() and Close() by the log's thread, DropThrough() by any; a thread of its own
// prepares segments.

#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "common/env.h"
#include "common/mutex.h"
#include "common/status.h"
#include "wal/log_types.h"
#include "wal/recovery.h"

namespace tsdbd::wal {

// A segment ready to be written from byte kPageBytes on.
struct PreparedSegment {
  uint64_t number = 0;
  uint64_t salt = 0;
  uint64_t size_bytes = 0;  // written and on disk: overwriting these costs no metadata
  std::unique_ptr<File> file;
};

// A segment that will not be written any more.
struct ClosedSegment {
  uint64_t number = 0;
  uint64_t generation = 0;
  uint64_t size_bytes = 0;
  bool damaged = false;
  bool reusable = true;  // false after a failed write
};

class SegmentFiles {
 public:
  // Takes over what recovery found; changes nothing on disk until Start().
  SegmentFiles(Env* env, const LogOptions& options, const RecoveredLog& recovered);
  ~SegmentFiles();
  SegmentFiles(const SegmentFiles&) = delete;
  SegmentFiles& operator=(const SegmentFiles&) = delete;

  // Puts the folder in order (empty segments become spares, unreadable ones go to quarantine),
  // makes its names durable and starts the thread.
  Status Start(const RecoveredLog& recovered);

  // The next segment in number order. Waits if none is ready; fails if none can be made.
  StatusOr<PreparedSegment> Take();
  void Close(const ClosedSegment& segment);
  // Instead of Close() for a segment without any commit that counts.
  void Discard(uint64_t number);
  // Lowest first, each removal durable before the next, so that what is left is a suffix.
  Status DropThrough(uint64_t generation);

  // Fills in the figures about segments.
  void AddTo(LogStats* stats) const;

 private:
  std::string Path(const std::string& name) const;
  std::string SpareName(uint64_t number) const;

  void Run();
  // Makes segment `number`, out of the file `spare` unless that is empty.
  StatusOr<PreparedSegment> Prepare(uint64_t number, const std::string& spare);
  Status FillWithZeros(File* file) const;
  Status WriteHeaderAndName(PreparedSegment* segment, const std::string& from);

  Status CollectSpares();
  // Takes the segment out of the log. Returns the name of the spare it became, or nothing. The
  // caller makes that durable before the spare may be used: else a crash could bring the old name
  // back with new contents.
  StatusOr<std::string> Dispose(const ClosedSegment& segment);
  Status Quarantine(const std::string& name);
  bool MayKeepSpare(const ClosedSegment& segment);
  void AddSpare(std::string name);

  Env* const env_;
  const LogOptions options_;

  Mutex drop_mu_;  // held for the length of a DropThrough(); before mu_ in the lock order
  mutable Mutex mu_;
  CondVar wake_thread_;
  CondVar attempt_done_;
  std::deque<ClosedSegment> closed_ GUARDED_BY(mu_);  // in number order
  std::deque<PreparedSegment> ready_ GUARDED_BY(mu_);
  std::vector<std::string> spares_ GUARDED_BY(mu_);  // names
  uint64_t next_number_ GUARDED_BY(mu_) = 1;
  uint64_t active_segments_ GUARDED_BY(mu_) = 0;
  Status failure_ GUARDED_BY(mu_);  // of the last attempt; stops the thread until a Take()
  bool stopping_ GUARDED_BY(mu_) = false;
  uint64_t created_ GUARDED_BY(mu_) = 0;
  uint64_t recycled_ GUARDED_BY(mu_) = 0;
  uint64_t waits_ GUARDED_BY(mu_) = 0;
  std::thread thread_;
};

}  // namespace tsdbd::wal
