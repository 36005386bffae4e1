#pragma once
// Database: the time-series engine. The only place where index, WAL and storage meet: a written
// batch is resolved to series groups, logged, appended to the head; a flush turns the head into
// blocks; a query sees head and blocks as one. docs/architecture.md tells the way of one sample.
//
// Threads: every public method may be called from any thread, except Open and Close. Write does no
// file I/O and holds no lock that is held over file I/O, so event loops may call it.
//
// Invariants:
// 1. A write whose callback got OK is on disk as `wal.sync` demands and visible to every later
// Select.
// 2. A batch is one WAL record: after a crash all of its accepted rows are there, or none.
// 3. Of two rows with the same series and timestamp the one written last is served.

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "common/clock.h"
#include "common/env.h"
#include "common/status.h"
#include "model/row_batch.h"
#include "model/series_source.h"
#include "tsdb/compactor.h"
#include "tsdb/deletions.h"
#include "tsdb/series_limiter.h"
#include "wal/log.h"

namespace tsdbd::tsdb {

struct DatabaseOptions {
  std::string data_dir;
  wal::LogOptions wal;  // its directory is set by the database: <data_dir>/wal

  // Width of a block's time range, UTC-aligned.
  int64_t partition_ns = kNanosPerDay;
  // Blocks that end this long before now are dropped; 0: never.
  int64_t retention_ns = 0;
  // The oldest partitions are dropped while the blocks have more bytes than this; 0: never.
  uint64_t retention_bytes = 0;
  // Of matching series, samples older than this are not served; compaction drops them.
  std::vector<RetentionRule> retention_rules;
  // Bytes that compaction reads and writes in a second; 0: no limit.
  uint64_t compaction_rate_bytes = 64ull << 20;
  // Whether blocks are merged in the background. Off only in tests that count files or steps.
  bool compacts_by_itself = true;
  // The head is flushed when it holds this many bytes, and writes get kUnavailable at twice this.
  uint64_t head_limit_bytes = 1ull << 30;
  // The head is flushed when its WAL has this many bytes: bounds replay time and log disk space.
  uint64_t wal_limit_bytes = 2ull << 30;
  // The head is flushed when its oldest row was written this long ago.
  int64_t head_max_age_ms = 2 * 3'600'000;
  // More labels than this on one series are refused: no dashboard can use them.
  uint32_t max_labels = 128;
  // Rows that would make more series than this in memory are refused.
  SeriesLimits series_limits;
};

enum class WriteMode {
  kPartial,       // store the good rows, report the bad ones
  kAllOrNothing,  // store nothing if any row is bad
};

struct WriteResult {
  // kUnavailable: overload or a poisoned log (retry later); kResourceExhausted: disk full;
  // kInvalidArgument: kAllOrNothing and a row was refused.
  Status status;
  uint64_t rows_stored = 0;
  uint64_t rows_refused = 0;
  std::vector<model::LineError> refused;  // the first kMaxReportedLines of them
};

// As many refused lines as an answer names.
inline constexpr size_t kMaxReportedLines = 100;

using WriteCallback = std::function<void(WriteResult)>;

struct DatabaseStats {
  // Since start.
  uint64_t rows_written = 0;
  uint64_t samples_written = 0;
  uint64_t rows_refused = 0;
  uint64_t series_refused = 0;  // by series_limits; again with each batch that has them
  uint64_t groups_created = 0;
  uint64_t groups_dropped = 0;
  uint64_t flushes = 0;
  uint64_t flush_failures = 0;
  uint64_t rows_recovered = 0;
  CompactionStats compaction;
  // Now.
  uint64_t tombstones = 0;
  uint64_t groups = 0;
  uint64_t series = 0;
  uint64_t label_pairs = 0;
  uint64_t head_bytes = 0;  // pools, chunks and buffers of the head and its index
  uint64_t generation = 0;
  int64_t oldest_row_age_ms = 0;  // of the head, by time written; 0 if empty
};

class Database : public model::SeriesSource {
 public:
  // Recovers what the folder holds and makes it durable. kFailedPrecondition if another process
  // has the folder.
  static StatusOr<std::unique_ptr<Database>> Open(Env* env, DatabaseOptions options);
  ~Database() override;

  // Stores a batch. `done` is called exactly once, from any thread, possibly before Write returns.
  // `batch` and the bytes it points to are not used after Write returns.
  void Write(const model::RowBatch& batch, WriteMode mode, WriteCallback done);
  // The same, waiting for the callback. Not for event loops.
  WriteResult Write(const model::RowBatch& batch, WriteMode mode);

  // Turns the head into published blocks; returns when they are durable.
  Status Flush();

  // Does the retention and the compaction (compactor.h) that is due, now and at full speed.
  Status Compact();

  // Deletes the samples in `range` of the series that match all matchers of any of the selectors,
  // of all that has been written before the call: flushes, then writes a tombstone. In effect at
  // once and durable when it returns; the space comes back with compaction. kInvalidArgument
  // without a selector; kResourceExhausted if there are too many tombstones.
  Status DeleteSeries(std::vector<Selector> selectors, const model::TimeRange& range);
  // Rewrites the blocks that tombstones apply to; then there are no tombstones.
  Status CleanTombstones();

  // Makes a snapshot (snapshot.h) of all that has been written before the call, or, with
  // `skip_head`, of what is in blocks. Returns the name of its folder in <data_dir>/snapshots.
  StatusOr<std::string> Snapshot(bool skip_head);

  // Flushes, closes the log. No other call may be under way or follow.
  Status Close();

  StatusOr<std::unique_ptr<model::SeriesSet>> Select(
      const model::SelectRequest& request) const override;
  StatusOr<std::vector<std::string>> LabelNames(const model::SelectRequest& request) const override;
  StatusOr<std::vector<std::string>> LabelValues(
      std::string_view name, const model::SelectRequest& request) const override;

  DatabaseStats Stats() const;
  // Whose series were refused by series_limits, those with most first.
  std::vector<RefusedMetric> MostRefused(size_t limit) const;
  // Figures of the parts, for /metrics.
  const wal::Log& log() const;
  const wal::RecoveryReport& recovery() const;
  const storage::BlockManager& blocks() const;

 private:
  class Impl;
  explicit Database(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace tsdbd::tsdb
