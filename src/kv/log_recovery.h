#pragma once
// Reading the value log back: which of its records count, what was torn, what is damaged. The rule
// that tells a torn tail from damage is in docs/formats/kv.md.

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "common/env.h"
#include "common/status.h"
#include "kv/log_segment.h"
#include "kv/recovery_report.h"

namespace tsdbd::kv {

// Called in log order once for each record that counts, marks included. kIntact, kMended, or
// kBadBody: then all but key, value and expiry is known.
using RecordVisitor = std::function<void(LogSegment*, Position, const Record&, RecordState)>;

struct RecoveredLog {
  std::vector<std::unique_ptr<LogSegment>> files;  // for a ValueLog to adopt
  std::vector<LogSegment*> segments;               // the same, lowest number first
  Position end = 0;                                // of the log; 0: it is empty
  uint32_t next_number = 1;                        // above every number that was ever seen

  // Before this nothing was torn: what cannot be read is damage.
  Position known_durable = 0;

  // What MakeDurable has to do.
  Position synced = 0;               // up to here, nothing
  std::vector<std::string> dropped;  // files behind the end, highest number first
};

// Maps the segments in `directory` and finds out up to where the log is known to have been on disk;
// `durable` is what somebody else knows of that (0: nothing). Changes nothing.
StatusOr<RecoveredLog> OpenLog(Env* env, const std::string& directory, KeyType key_type,
                               Position durable, RecoveryReport* report);

// Visits the records from `from` on (0: all) and finds the end of the log.
void ReplayLog(RecoveredLog* log, Position from, const RecordVisitor& visitor,
               RecoveryReport* report);

// Makes what was replayed, and nothing else, durable: removes what is behind the end, cuts the last
// segment there and syncs what may not have been on disk.
Status MakeDurable(Env* env, const std::string& directory, RecoveredLog* log);

}  // namespace tsdbd::kv
