#include "tsdb/database.h"

#include <algorithm>
#include <future>
#include <optional>
#include <set>
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
#include "tsdb/snapshot.h"

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
  Status Compact() {
    Retain();
    return compactor_->Run();
  }
  Status DeleteSeries(std::vector<Selector> selectors, const model::TimeRange& range);
  StatusOr<std::string> Snapshot(bool skip_head);
  Status CleanTombstones() { return compactor_->CleanTombstones(); }
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
  Status FlushLocked() REQUIRES(flush_mutex_);
  // Begins a new generation of rows; those before become flushable. flush_mutex_ is held.
  Status FlipGeneration() REQUIRES(flush_mutex_);
  // Begins a new generation of the log only, after a failed write.
  Status RestartLog();
  Status FlushFrozen() REQUIRES(flush_mutex_);
  StatusOr<FlushResult> WriteFrozen(const std::vector<Group*>& groups) REQUIRES(flush_mutex_);
  void DropIdleGroups(uint64_t flushed_generation);
  // Takes those of the selected groups out of the head that have no row in it, so that their labels
  // are those of blocks only.
  void DropGroups(const std::vector<Selector>& selectors) REQUIRES(flush_mutex_);
  bool NeedsFlush();
  void RunMaintenance();
  void RunFlusher();
  void Retain();
  // Drops the oldest partitions until the blocks are small enough. Returns how many blocks.
  size_t RetainBytes();

  Env* const env_;
  const DatabaseOptions options_;
  std::unique_ptr<FileLock> lock_;
  Head head_;
  std::unique_ptr<storage::BlockManager> blocks_;
  std::unique_ptr<Deletions> deletions_;
  std::unique_ptr<Compactor> compactor_;
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

  // All rows of the generations up to this one are in blocks for good, and not in the log.
  std::atomic<uint64_t> flushed_generation_ = 0;

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
  ASSIGN_OR_RETURN(deletions_, Deletions::Open(env_, options_.data_dir, options_.retention_rules,
                                               *blocks_->Snapshot()));
  compactor_ = std::make_unique<Compactor>(
      Compactor::Options{.env = env_,
                         .data_dir = options_.data_dir,
                         .blocks = blocks_.get(),
                         .deletions = deletions_.get(),
                         .rate_bytes = options_.compaction_rate_bytes,
                         .merged_up_to = [this] { return flushed_generation_.load(); }});
  RETURN_IF_ERROR(Recover());
  flush_above_bytes_ = options_.head_limit_bytes;
  maintenance_ = std::thread([this] { RunMaintenance(); });
  flusher_ = std::thread([this] { RunFlusher(); });
  if (options_.compacts_by_itself) {
    compactor_->Start();
  }
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
    // A merged block's generations were in blocks, all of them, before it was made.
    const uint64_t oldest_in_log = meta.level > 0 ? meta.generation_max + 1 : meta.generation_min;
    if (meta.generation_max > newest_in_blocks) {
      newest_in_blocks = meta.generation_max;
      oldest_of_newest_flush = oldest_in_log;
    } else if (meta.generation_max == newest_in_blocks) {
      const bool is_complete = std::max(oldest_in_log, oldest_of_newest_flush) > newest_in_blocks;
      oldest_of_newest_flush =
          is_complete ? newest_in_blocks + 1 : std::min(oldest_of_newest_flush, oldest_in_log);
    }
  }
  // So were those that a tombstone speaks of; should they be seen again, they are not new rows.
  newest_in_blocks = std::max(newest_in_blocks, deletions_->newest_generation());
  oldest_of_newest_flush = std::max(oldest_of_newest_flush, deletions_->newest_generation() + 1);
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
  } else {
    flushed_generation_ = newest_in_blocks;
  }
  // A failure here means a log that cannot be written now: reads go on, maintenance tries again.
  ++wal_generation_;
  generation_ = wal_generation_;
  static_cast<void>(log_->StartGeneration(wal_generation_, nullptr));
  writer_->StartGeneration(generation_, wal_generation_);
  return OkStatus();
}

Status Database::Impl::Close() {
  if (compactor_ != nullptr) {
    compactor_->Stop();
  }
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
  return FlushLocked();
}

Status Database::Impl::DeleteSeries(std::vector<Selector> selectors,
                                    const model::TimeRange& range) {
  if (selectors.empty()) {
    return InvalidArgument("a deletion must say which series");
  }
  // No flush may come between: its rows would be of a generation that the tombstone does not mean,
  // in a block that a merge could make one with those that it does.
  MutexLock lock(&flush_mutex_);
  RETURN_IF_ERROR(FlushLocked());
  const storage::BlockSnapshot blocks = blocks_->Snapshot();
  uint64_t generation = 0;
  for (const auto& block : *blocks) {
    generation = std::max(generation, block->meta().generation_max);
  }
  RETURN_IF_ERROR(deletions_->Add(generation, range, selectors));
  DropGroups(selectors);
  return OkStatus();
}

StatusOr<std::string> Database::Impl::Snapshot(bool skip_head) {
  storage::BlockSnapshot blocks;
  std::string tombstones;
  {
    // No delete may come between. Merges may: a block that a tombstone has been carried out on
    // says so.
    MutexLock lock(&flush_mutex_);
    if (!skip_head) {
      RETURN_IF_ERROR(FlushLocked());
    }
    tombstones = deletions_->FileContents();
    blocks = blocks_->Snapshot();
  }
  const std::string name = NewSnapshotName();
  RETURN_IF_ERROR(WriteSnapshot(env_, fmt::format("{}/snapshots/{}", options_.data_dir, name),
                                *blocks, tombstones));
  return name;
}

void Database::Impl::DropGroups(const std::vector<Selector>& selectors) {
  std::vector<Group*> groups;
  {
    const EpochGate::Pin pin(head_.gate());
    for (const Selector& selector : selectors) {
      const auto selected = head_.index()->Select(selector, /*max_series=*/0);
      for (size_t i = 0; selected.ok() && i < selected->groups.size(); ++i) {
        groups.push_back(static_cast<Group*>(selected->groups[i].group));
      }
    }
  }
  std::ranges::sort(groups);
  groups.erase(std::unique(groups.begin(), groups.end()), groups.end());
  for (size_t begin = 0; begin < groups.size(); begin += kGroupsPerDrop) {
    const size_t end = std::min(begin + kGroupsPerDrop, groups.size());
    WriterLock lock(&generation_mutex_);
    for (size_t i = begin; i < end; ++i) {
      if (Head::LastGeneration(groups[i]) < generation_) {
        head_.DropGroup(groups[i]);
      }
    }
  }
}

Status Database::Impl::FlushLocked() {
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
  flushed_generation_ = frozen_max_;
  compactor_->Wake();
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
    if (MonotonicNanos() - retained_ns > kRetentionIntervalNs) {
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
  if (options_.retention_ns == 0 && options_.retention_bytes == 0) {
    return;
  }
  StageTimer timer(Stage::kRetain);
  size_t dropped = 0;
  if (options_.retention_ns > 0) {
    dropped += blocks_->DropBefore(WallNanos() - options_.retention_ns);
  }
  if (options_.retention_bytes > 0) {
    dropped += RetainBytes();
  }
  if (dropped > 0) {
    spdlog::info("retention blocks_dropped={}", dropped);
  }
  timer.set_items(dropped);
}

size_t Database::Impl::RetainBytes() {
  const storage::BlockSnapshot blocks = blocks_->Snapshot();
  uint64_t size_bytes = 0;
  for (const auto& block : *blocks) {
    size_bytes += block->size_bytes();
  }
  // They are in order of partition. The newest stays, however large it is.
  size_t end = 0;
  while (size_bytes > options_.retention_bytes) {
    const model::Timestamp partition = (*blocks)[end]->meta().partition_start;
    if (partition == blocks->back()->meta().partition_start) {
      break;
    }
    for (; (*blocks)[end]->meta().partition_start == partition; ++end) {
      size_bytes -= (*blocks)[end]->size_bytes();
    }
  }
  return blocks_->Drop(std::span(*blocks).first(end));
}

StatusOr<std::unique_ptr<Selection>> Database::Impl::Select(
    const model::SelectRequest& request) const {
  const model::Timestamp now = WallNanos();
  model::SelectRequest clamped = request;
  if (options_.retention_ns > 0) {
    clamped.range.min = std::max(clamped.range.min, now - options_.retention_ns);
  }
  auto selection = std::make_unique<Selection>(head_, *deletions_, now);
  RETURN_IF_ERROR(selection->AddHead(head_, clamped));
  RETURN_IF_ERROR(selection->AddBlocks(blocks_.get(), clamped));
  return selection;
}

namespace {

// The label names, or the values of one, of the block's series that match and are not deleted.
StatusOr<std::vector<std::string_view>> BlockLabels(
    const std::shared_ptr<const storage::Block>& block, std::optional<std::string_view> value_of,
    std::span<const model::Matcher> matchers, const Deletions& deletions, model::Timestamp now) {
  ASSIGN_OR_RETURN(const auto deleted, deletions.Of(block, now));
  const auto covers_block = [&](const storage::BlockDeletion& deletion) {
    return deletion.range.Contains(block->meta().min_time) &&
           deletion.range.Contains(block->meta().max_time);
  };
  // Whether samples of a series are left within the block is not looked into.
  if (deleted == nullptr || std::ranges::none_of(*deleted, covers_block)) {
    return value_of ? block->LabelValues(*value_of, matchers) : block->LabelNames(matchers);
  }
  ASSIGN_OR_RETURN(const storage::BlockSelection selected, block->Select(matchers));
  std::set<std::string_view> strings;
  model::LabelViews labels;
  std::vector<model::TimeRange> ranges;
  for (const storage::SelectedGroup& entry : selected.groups) {
    bool is_left = false;
    const std::string_view column_label = block->ColumnLabel(entry.group);
    for (const uint32_t column : selected.column_sets[entry.column_set]) {
      ranges.clear();
      storage::AddDeletedRanges(*deleted, entry.group, column, &ranges);
      if (std::ranges::any_of(ranges, [&](const model::TimeRange& range) {
            return range.Contains(block->meta().min_time) && range.Contains(block->meta().max_time);
          })) {
        continue;
      }
      is_left = true;
      const std::string_view value = block->ColumnValue(entry.group, column);
      if (!value.empty() && (!value_of || *value_of == column_label)) {
        strings.insert(value_of ? value : column_label);
      }
    }
    if (!is_left) {
      continue;
    }
    block->GetLabels(entry.group, &labels);
    for (const model::LabelView& label : labels) {
      if (!value_of || *value_of == label.name) {
        strings.insert(value_of ? label.value : label.name);
      }
    }
  }
  return std::vector<std::string_view>(strings.begin(), strings.end());
}

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
  const model::Timestamp now = WallNanos();
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
        BlockLabels(block, value_of, request.matchers, *deletions_, now);
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
  stats.compaction = compactor_->stats();
  stats.tombstones = deletions_->tombstone_count();
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
Status Database::Compact() {
  return impl_->Compact();
}
Status Database::DeleteSeries(std::vector<Selector> selectors, const model::TimeRange& range) {
  return impl_->DeleteSeries(std::move(selectors), range);
}
StatusOr<std::string> Database::Snapshot(bool skip_head) {
  return impl_->Snapshot(skip_head);
}
Status Database::CleanTombstones() {
  return impl_->CleanTombstones();
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
