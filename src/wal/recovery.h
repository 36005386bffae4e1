#pragma once
// What recovery reads out of a log's segments and what it tells about them. The format and the
// rule that tells a torn tail from corruption are in docs/formats/wal.md.

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

}  // namespace tsdbd::wal
