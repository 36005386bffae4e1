#pragma once
// Reading a log back: which of its commits count, what was torn, what is damaged. The format and
// the rule that tells a torn tail from corruption are in docs/formats/wal.md.

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/env.h"
#include "common/status.h"

namespace tsdbd::wal {

// Where a record's header lies: byte `offset` of segment file number `segment`.
struct RecordPosition {
  uint64_t segment = 0;
  uint64_t offset = 0;
};

// One intact record. `bytes` is valid during the visit only.
struct RecordView {
  uint64_t generation = 0;
  std::string_view bytes;
  RecordPosition position;
};

// Called once per intact record in log order. kDataLoss says that the record's contents make no
// sense: it is counted and kept aside like a record whose checksum fails, and recovery goes on. Any
// other failure ends recovery with that status.
using RecordVisitor = std::function<Status(const RecordView&)>;

// A place in a segment file that failed its checks although it had been durable.
struct Damage {
  std::string path;
  uint64_t offset = 0;
  std::string what;
};

// Where the log was cut: the end of the last commit that had reached the disk in full.
struct TornTail {
  std::string path;
  uint64_t offset = 0;
};

// For the caller to log and to count.
struct RecoveryReport {
  uint64_t segments = 0;           // that hold at least one commit
  uint64_t commits = 0;            // read, in full or in part
  uint64_t records = 0;            // delivered to the visitor
  uint64_t record_bytes = 0;       // of those
  uint64_t newest_generation = 0;  // 0: no commit was found

  uint64_t damaged_records = 0;  // lost to damage, in commits whose header could be read
  uint64_t lost_commits = 0;     // whose header could not be read; their records are not counted
  uint64_t damage_count = 0;     // places; the first kMaxListedDamages are listed
  std::vector<Damage> damages;
  std::optional<TornTail> torn_tail;
  int64_t elapsed_ns = 0;

  // A log line per place is useful for the first hundred; beyond that the disk is the news.
  static constexpr size_t kMaxListedDamages = 100;
};

// A segment file that recovery found.
struct RecoveredSegment {
  uint64_t number = 0;
  std::string path;
  uint64_t size_bytes = 0;
  uint64_t generation = 0;  // of its commits
  uint64_t end_bytes = 0;   // of the last of them that counts
  bool damaged = false;
};

// What is on disk, and what has to be done to it before new records may follow.
struct RecoveredLog {
  std::vector<RecoveredSegment> segments;    // that hold commits, in log order
  std::vector<RecoveredSegment> empty;       // hold none that counts: to be reused or removed
  std::vector<RecoveredSegment> unreadable;  // damaged, not one commit left: to be quarantined
  uint64_t last_commit = 0;                  // the newest that counts; 0: none
  uint64_t next_commit = 1;                  // above every number that was ever seen
  uint64_t next_segment = 1;
};

// Reads the log in `directory` and changes nothing. Commits of generations below `first_generation`
// are not visited.
StatusOr<RecoveredLog> ReadLog(Env* env, const std::string& directory, uint64_t first_generation,
                               const RecordVisitor& visitor, RecoveryReport* report);

// Makes what was read, and nothing else, durable: cuts what follows the last commit that counts and
// syncs all files that hold commits.
Status MakeDurable(Env* env, RecoveredLog* log);

}  // namespace tsdbd::wal
