#include "tsdb/database.h"

#include <algorithm>
#include <future>
#include <optional>
#include <thread>
#include <utility>

#include <spdlog/spdlog.h>

#include "common/check.h"
#include "common/mutex.h"
#include "common/stages.h"
#include "storage/block_manager.h"
#include "tsdb/batch_writer.h"
#include "tsdb/flush.h"
#include "tsdb/head.h"
#include "tsdb/replay.h"
#include "tsdb/selection.h"

namespace tsdbd::tsdb {
namespace {

// How often the maintenance thread looks: soon enough that writes resume within a second of disk
// space coming back, and that memory is not far over its limit before the flush begins.
constexpr auto kMaintenanceInterval = std::chrono::milliseconds(100);
constexpr int64_t kRetentionIntervalNs = 60 * kNanosPerSecond;
// A failed flush costs as much work as one that succeeds, and a full disk stays full for a while.
constexpr int64_t kFlushRetryNs = 5 * kNanosPerSecond;
// Groups dropped under one hold of the generation lock: writers wait for about 200 µs.
constexpr size_t kGroupsPerDrop = 256;

}  // namespace

// Lock order: flush_mutex_, generation_mutex_, then the locks of Head (a group's lock, then those
// of pools and gate; the tables' locks are never held together with a group's lock taken first).
class Database::Impl {
 public:
  Impl(Env* env, DatabaseOptions options)
      : env_(env), options_(std::move(options)), head_(options_.series_limits) {}

  Status Open();
  Status Close();
  void Write(const model::RowBatch& batch, WriteMode mode, WriteCallback done);
  Status Flush();
  StatusOr<std::unique_ptr<Selection>> Select(const model::SelectRequest& request) const;
  StatusOr<std::vector<std::string>> LabelStrings(std::optional<std::string_view> value_of,
                                                  const model::SelectRequest& request) const;
  DatabaseStats Stats() const;
  std::vector<RefusedMetric> MostRefused(size_t limit) const {
    return head_.limiter().MostRefused(limit);
  }
  const wal::Log& log() const { return *log_; }
  const wal::RecoveryReport& recovery() const { return recovery_; }
  const storage::BlockManager& blocks() const { return *blocks_; }

 private:
  Status Recover();
  // Begins a new generation of rows; those before become flushable. flush_mutex_ is held.
  Status FlipGeneration() REQUIRES(flush_mutex_);
  // Begins a new generation of the log only, after a failed write.
  Status RestartLog();
  Status FlushFrozen() REQUIRES(flush_mutex_);
  StatusOr<FlushResult> WriteFrozen(const std::vector<Group*>& groups) REQUIRES(flush_mutex_);
  void DropIdleGroups(uint64_t flushed_generation);
  bool NeedsFlush();
  void RunMaintenance();
  void RunFlusher();
  void Retain();

  Env* const env_;
  const DatabaseOptions options_;
  std::unique_ptr<FileLock> lock_;
  Head head_;
  std::unique_ptr<storage::BlockManager> blocks_;
  std::unique_ptr<wal::Log> log_;
  std::unique_ptr<BatchWriter> writer_;
  wal::RecoveryReport recovery_;
  uint64_t rows_recovered_ = 0;

  // Shared by writers, exclusive for a change of generation and for taking groups out.
  SharedMutex generation_mutex_;
  // Of the rows that are being written, and of the log: the second is higher after RestartLog.
  uint64_t generation_ GUARDED_BY(generation_mutex_) = 0;
  uint64_t wal_generation_ GUARDED_BY(generation_mutex_) = 0;

  // One flush at a time.
  Mutex flush_mutex_;
  // The generations that are set aside and not yet in blocks; none if frozen_max_ is 0.
  uint64_t frozen_min_ GUARDED_BY(flush_mutex_) = 0;
  uint64_t frozen_max_ GUARDED_BY(flush_mutex_) = 0;

  std::atomic<int64_t> first_write_ns_ = 0;   // monotonic; of the generation; 0: none yet
  std::atomic<int64_t> flush_failed_ns_ = 0;  // monotonic; 0: the last one did not
  std::atomic<uint64_t> head_bytes_ = 0;
  std::atomic<uint64_t> flush_above_bytes_ = 0;
  std::atomic<uint64_t> flushes_ = 0;
  std::atomic<uint64_t> flush_failures_ = 0;

  Mutex threads_mutex_;
  CondVar threads_wake_;
  bool stop_ GUARDED_BY(threads_mutex_) = false;
  bool flush_wanted_ GUARDED_BY(threads_mutex_) = false;
  std::thread maintenance_;
  std::thread flusher_;
};

Status Database::Impl::Open() {
  RETURN_IF_ERROR(env_->CreateDirectories(options_.data_dir));
  ASSIGN_OR_RETURN(lock_, env_->Lock(options_.data_dir + "/LOCK"));
  ASSIGN_OR_RETURN(blocks_, storage::BlockManager::Open(env_, options_.data_dir));
  RETURN_IF_ERROR(Recover());
  flush_above_bytes_ = options_.head_limit_bytes;
  maintenance_ = std::thread([this] { RunMaintenance(); });
  flusher_ = std::thread([this] { RunFlusher(); });
  return OkStatus();
}

Status Database::Impl::Recover() {
  // Flushes are one at a time, so of the generations in blocks only those of the newest flush may
  // be there in part (some partitions published, others not), with the rest still in the log.
  uint64_t newest_in_blocks = 0;
  uint64_t oldest_of_newest_flush = 0;
  const storage::BlockSnapshot blocks = blocks_->Snapshot();
  for (const auto& block : *blocks) {
    const storage::BlockMeta& meta = block->meta();
    if (meta.generation_max > newest_in_blocks) {
      newest_in_blocks = meta.generation_max;
      oldest_of_newest_flush = meta.generation_min;
    } else if (meta.generation_max == newest_in_blocks) {
      oldest_of_newest_flush = std::min(oldest_of_newest_flush, meta.generation_min);
    }
  }
  wal::LogOptions log_options = options_.wal;
  log_options.directory = options_.data_dir + "/wal";
  log_options.first_generation = std::max<uint64_t>(oldest_of_newest_flush, 1);
  if (!log_options.on_commit) {
    log_options.on_commit = [](const wal::CommitTiming& timing) {
      RecordStage(Stage::kWalSync, timing.write_ns + timing.sync_ns, timing.records);
    };
  }
  // Replayed rows are newer than any block, and older than what will be written.
  const uint64_t first_sequence = static_cast<uint64_t>(WallNanos());
  const uint64_t replay_generation = newest_in_blocks + 1;
  Replay replay(&head_, replay_generation, first_sequence);
  StageTimer timer(Stage::kRecover);
  ASSIGN_OR_RETURN(log_,
                   wal::Log::Open(
                       env_, log_options,
                       [&replay](const wal::RecordView& record) { return replay.OnRecord(record); },
                       &recovery_));
  timer.Stop(replay.samples());
  rows_recovered_ = replay.rows();

  writer_ = std::make_unique<BatchWriter>(&head_, log_.get(), options_.max_labels,
                                          replay.next_sequence());
  MutexLock flush_lock(&flush_mutex_);
  WriterLock lock(&generation_mutex_);
  generation_ = replay_generation;
  wal_generation_ = std::max({replay_generation, recovery_.newest_generation});
  if (rows_recovered_ > 0) {
    frozen_min_ = std::min(replay_generation, replay.oldest_generation());
    frozen_max_ = wal_generation_;
    MutexLock threads_lock(&threads_mutex_);
    flush_wanted_ = true;
  }
  // A failure here means a log that cannot be written now: reads go on, maintenance tries again.
  ++wal_generation_;
  generation_ = wal_generation_;
  static_cast<void>(log_->StartGeneration(wal_generation_, nullptr));
  writer_->StartGeneration(generation_, wal_generation_);
  return OkStatus();
}

Status Database::Impl::Close() {
  {
    MutexLock lock(&threads_mutex_);
    stop_ = true;
    threads_wake_.NotifyAll();
  }
  if (maintenance_.joinable()) {
    maintenance_.join();
    flusher_.join();
  }
  if (log_ == nullptr) {
    return OkStatus();
  }
  const Status flushed = Flush();
  const Status closed = log_->Close();
  return flushed.ok() ? closed : flushed;
}

void Database::Impl::Write(const model::RowBatch& batch, WriteMode mode, WriteCallback done) {
  if (batch.rows.empty()) {
    done(WriteResult());
    return;
  }
  const uint64_t limit = flush_above_bytes_.load(std::memory_order_relaxed);
  if (head_bytes_.load(std::memory_order_relaxed) > 2 * limit) {
    WriteResult result;
    result.status = Unavailable(
        "the head holds {} bytes, twice its limit, and is being flushed; try again later",
        head_bytes_.load(std::memory_order_relaxed));
    done(std::move(result));
    return;
  }
  ReaderLock lock(&generation_mutex_);
  if (first_write_ns_.load(std::memory_order_relaxed) == 0) {
    first_write_ns_.store(MonotonicNanos(), std::memory_order_relaxed);
  }
  writer_->Write(batch, mode, std::move(done));
}

Status Database::Impl::FlipGeneration() {
  WriterLock lock(&generation_mutex_);
  RETURN_IF_ERROR(log_->StartGeneration(wal_generation_ + 1, nullptr));
  frozen_min_ = generation_;
  frozen_max_ = wal_generation_;
  generation_ = ++wal_generation_;
  writer_->StartGeneration(generation_, wal_generation_);
  first_write_ns_ = 0;
  return OkStatus();
}

Status Database::Impl::RestartLog() {
  // The attempt may fail and is then made again, each time with a number of its own.
  WriterLock lock(&generation_mutex_);
  const auto report = [](const Status& status) {
    if (status.ok()) {
      spdlog::info("wal writes resumed");
    }
  };
  RETURN_IF_ERROR(log_->StartGeneration(wal_generation_ + 1, report));
  ++wal_generation_;
  writer_->StartGeneration(generation_, wal_generation_);
  return OkStatus();
}

Status Database::Impl::Flush() {
  MutexLock lock(&flush_mutex_);
  if (frozen_max_ != 0) {
    RETURN_IF_ERROR(FlushFrozen());
  }
  if (first_write_ns_.load(std::memory_order_relaxed) == 0) {
    return OkStatus();
  }
  RETURN_IF_ERROR(FlipGeneration());
  return FlushFrozen();
}

Status Database::Impl::FlushFrozen() {
  StageTimer timer(Stage::kFlush);
  const int64_t start_ns = MonotonicNanos();
  std::vector<Group*> groups;
  for (index::IndexedGroup* indexed : head_.index()->AllGroups()) {
    auto* group = static_cast<Group*>(indexed);
    if (head_.Freeze(group, frozen_max_)) {
      groups.push_back(group);
    }
  }
  const StatusOr<FlushResult> result = WriteFrozen(groups);
  if (!result.ok()) {
    timer.Cancel();
    flush_failures_.fetch_add(1, std::memory_order_relaxed);
    flush_failed_ns_ = MonotonicNanos();
    spdlog::error("flush failed and will be tried again generation={} error=\"{}\"", frozen_max_,
                  Message(result.status()));
    return result.status();
  }
  for (Group* group : groups) {
    head_.DropFrozen(group);
  }
  RETURN_IF_ERROR(log_->DropGenerationsThrough(frozen_max_));
  DropIdleGroups(frozen_min_);
  timer.Stop(result->samples);
  flushes_.fetch_add(1, std::memory_order_relaxed);
  if (result->blocks > 0) {
    spdlog::info("flushed generation={} blocks={} groups={} rows={} samples={} elapsed_ms={}",
                 frozen_max_, result->blocks, result->groups, result->rows, result->samples,
                 (MonotonicNanos() - start_ns) / kNanosPerMilli);
  }
  frozen_min_ = 0;
  frozen_max_ = 0;
  flush_failed_ns_ = 0;
  // The index of living groups stays in memory: only what is added to it calls for the next flush.
  head_bytes_ = head_.MemoryBytes();
  flush_above_bytes_ =
      std::max(options_.head_limit_bytes, head_bytes_ + options_.head_limit_bytes / 4);
  return OkStatus();
}

StatusOr<FlushResult> Database::Impl::WriteFrozen(const std::vector<Group*>& groups) {
  // A crash may publish the blocks of some partitions only. So that no write is then left in part,
  // the log must be able to give back all that the blocks hold. It also has closed the segments of
  // these generations then.
  RETURN_IF_ERROR(log_->Sync());
  return WriteBlocks({.env = env_,
                      .blocks = blocks_.get(),
                      .groups = groups,
                      .generation_min = frozen_min_,
                      .generation_max = frozen_max_,
                      .partition_ns = options_.partition_ns});
}

void Database::Impl::DropIdleGroups(uint64_t flushed_generation) {
  const std::vector<index::IndexedGroup*> all = head_.index()->AllGroups();
  for (size_t begin = 0; begin < all.size(); begin += kGroupsPerDrop) {
    const size_t end = std::min(begin + kGroupsPerDrop, all.size());
    WriterLock lock(&generation_mutex_);
    for (size_t i = begin; i < end; ++i) {
      auto* group = static_cast<Group*>(all[i]);
      if (Head::LastGeneration(group) < flushed_generation) {
        head_.DropGroup(group);
      }
    }
  }
  WriterLock lock(&generation_mutex_);
  head_.keys()->EraseUnusedFieldSets();
}

bool Database::Impl::NeedsFlush() {
  const int64_t first_write_ns = first_write_ns_.load(std::memory_order_relaxed);
  if (const int64_t failed_ns = flush_failed_ns_; failed_ns != 0) {
    return MonotonicNanos() - failed_ns > kFlushRetryNs;
  }
  if (first_write_ns == 0) {
    return false;
  }
  return head_bytes_ > flush_above_bytes_ ||
         log_->stats().segment_bytes > options_.wal_limit_bytes ||
         MonotonicNanos() - first_write_ns > options_.head_max_age_ms * kNanosPerMilli;
}

void Database::Impl::RunMaintenance() {
  int64_t retained_ns = 0;
  while (true) {
    {
      MutexLock lock(&threads_mutex_);
      if (!stop_) {
        threads_wake_.WaitFor(&threads_mutex_, kMaintenanceInterval);
      }
      if (stop_) {
        return;
      }
    }
    head_.index()->ApplyPending();
    head_bytes_ = head_.MemoryBytes();
    if (log_->health().state == wal::HealthState::kBroken) {
      static_cast<void>(RestartLog());
    }
    if (NeedsFlush()) {
      MutexLock lock(&threads_mutex_);
      flush_wanted_ = true;
      threads_wake_.NotifyAll();
    }
    if (options_.retention_ns > 0 && MonotonicNanos() - retained_ns > kRetentionIntervalNs) {
      retained_ns = MonotonicNanos();
      Retain();
    }
  }
}

void Database::Impl::RunFlusher() {
  while (true) {
    {
      MutexLock lock(&threads_mutex_);
      while (!stop_ && !flush_wanted_) {
        threads_wake_.Wait(&threads_mutex_);
      }
      if (stop_) {
        return;
      }
      flush_wanted_ = false;
    }
    // A failed one is wanted again as long as its reason lasts.
    static_cast<void>(Flush());
  }
}

void Database::Impl::Retain() {
  StageTimer timer(Stage::kRetain);
  const StatusOr<size_t> dropped = blocks_->DropBefore(WallNanos() - options_.retention_ns);
  if (!dropped.ok()) {
    spdlog::error("retention failed error=\"{}\"", Message(dropped.status()));
  } else if (*dropped > 0) {
    spdlog::info("retention blocks_dropped={}", *dropped);
  }
  timer.set_items(dropped.ok() ? *dropped : 0);
}

StatusOr<std::unique_ptr<Selection>> Database::Impl::Select(
    const model::SelectRequest& request) const {
  model::SelectRequest clamped = request;
  if (options_.retention_ns > 0) {
    clamped.range.min = std::max(clamped.range.min, WallNanos() - options_.retention_ns);
  }
  auto selection = std::make_unique<Selection>(head_);
  RETURN_IF_ERROR(selection->AddHead(head_, clamped));
  RETURN_IF_ERROR(selection->AddBlocks(blocks_.get(), clamped));
  return selection;
}

namespace {

// Both sorted and unique, and so is *merged.
void MergeSorted(std::vector<std::string> strings, const std::vector<std::string_view>& views,
                 std::vector<std::string>* merged) {
  auto view = views.begin();
  for (std::string& text : strings) {
    for (; view != views.end() && *view < text; ++view) {
      merged->emplace_back(*view);
    }
    view += view != views.end() && *view == text ? 1 : 0;
    merged->push_back(std::move(text));
  }
  merged->insert(merged->end(), view, views.end());
}

}  // namespace

StatusOr<std::vector<std::string>> Database::Impl::LabelStrings(
    std::optional<std::string_view> value_of, const model::SelectRequest& request) const {
  const EpochGate::Pin pin(head_.gate());
  ASSIGN_OR_RETURN(std::vector<std::string> all,
                   value_of ? head_.index()->LabelValues(*value_of, request.matchers)
                            : head_.index()->LabelNames(request.matchers));
  const storage::BlockSnapshot blocks = blocks_->Snapshot();
  for (const auto& block : *blocks) {
    if (!request.range.Overlaps({block->meta().min_time, block->meta().max_time})) {
      continue;
    }
    const StatusOr<std::vector<std::string_view>> of_block =
        value_of ? block->LabelValues(*value_of, request.matchers)
                 : block->LabelNames(request.matchers);
    if (of_block.status().code() == StatusCode::kDataLoss) {
      blocks_->Quarantine(block, of_block.status());
      continue;
    }
    RETURN_IF_ERROR(of_block.status());
    std::vector<std::string> merged;
    merged.reserve(std::max(all.size(), of_block->size()));
    MergeSorted(std::move(all), *of_block, &merged);
    all = std::move(merged);
  }
  return all;
}

DatabaseStats Database::Impl::Stats() const {
  DatabaseStats stats;
  stats.rows_written = writer_->rows_written();
  stats.samples_written = writer_->samples_written();
  stats.rows_refused = writer_->rows_refused();
  stats.groups_created = head_.groups_created();
  stats.groups_dropped = head_.groups_dropped();
  stats.series_refused = head_.limiter().refused_series();
  stats.flushes = flushes_;
  stats.flush_failures = flush_failures_;
  stats.rows_recovered = rows_recovered_;
  stats.groups = head_.index()->group_count();
  stats.series = head_.series_count();
  stats.label_pairs = head_.label_pair_count();
  stats.head_bytes = head_.MemoryBytes();
  stats.generation = log_->stats().generation;
  const int64_t first_write_ns = first_write_ns_;
  stats.oldest_row_age_ms =
      first_write_ns == 0 ? 0 : (MonotonicNanos() - first_write_ns) / kNanosPerMilli;
  return stats;
}

Database::Database(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Database::~Database() {
  const Status status = impl_->Close();
  if (!status.ok()) {
    spdlog::error("closing the database failed error=\"{}\"", Message(status));
  }
}

StatusOr<std::unique_ptr<Database>> Database::Open(Env* env, DatabaseOptions options) {
  auto impl = std::make_unique<Impl>(env, std::move(options));
  RETURN_IF_ERROR(impl->Open());
  return std::unique_ptr<Database>(new Database(std::move(impl)));
}

void Database::Write(const model::RowBatch& batch, WriteMode mode, WriteCallback done) {
  impl_->Write(batch, mode, std::move(done));
}

WriteResult Database::Write(const model::RowBatch& batch, WriteMode mode) {
  std::promise<WriteResult> result;
  impl_->Write(batch, mode, [&result](WriteResult r) { result.set_value(std::move(r)); });
  return result.get_future().get();
}

Status Database::Flush() {
  return impl_->Flush();
}
Status Database::Close() {
  return impl_->Close();
}

StatusOr<std::unique_ptr<model::SeriesSet>> Database::Select(
    const model::SelectRequest& request) const {
  ASSIGN_OR_RETURN(std::unique_ptr<Selection> selection, impl_->Select(request));
  return std::unique_ptr<model::SeriesSet>(std::move(selection));
}

StatusOr<std::vector<std::string>> Database::LabelNames(const model::SelectRequest& request) const {
  return impl_->LabelStrings(std::nullopt, request);
}

StatusOr<std::vector<std::string>> Database::LabelValues(
    std::string_view name, const model::SelectRequest& request) const {
  return impl_->LabelStrings(name, request);
}

DatabaseStats Database::Stats() const {
  return impl_->Stats();
}
std::vector<RefusedMetric> Database::MostRefused(size_t limit) const {
  return impl_->MostRefused(limit);
}
const wal::Log& Database::log() const {
  return impl_->log();
}
const wal::RecoveryReport& Database::recovery() const {
  return impl_->recovery();
}
const storage::BlockManager& Database::blocks() const {
  return impl_->blocks();
}

}  // namespace tsdbd::tsdb
