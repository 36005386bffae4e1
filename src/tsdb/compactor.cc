#include "tsdb/compactor.h"

#include <algorithm>
#include <chrono>
#include <map>

#include <spdlog/spdlog.h>

#include "common/clock.h"
#include "common/stages.h"
#include "storage/compaction_policy.h"

namespace tsdbd::tsdb {
namespace {

using storage::Block;
using storage::BlockList;

// Between looks for work that nobody announced (partitions that are over), and after a failure: a
// full disk stays full for a while.
constexpr auto kInterval = std::chrono::seconds(60);
// Late blocks are common this long after a partition's end: with the flush that carries its last
// rows, two hours at the most by default, it is still merged as one that is written.
constexpr int64_t kCloseAfterNs = 3'600 * kNanosPerSecond;
// Less than queries give way (server/services.cc): nobody waits for a merge.
constexpr int kNiceness = 15;
// The disk keeps this much for the log and flushes.
constexpr uint64_t kSpareBytes = 64 << 20;
// Waiting for less than this costs more than it smooths.
constexpr int64_t kMinWaitNs = kNanosPerMilli;

using Partition = std::pair<model::Timestamp, model::Timestamp>;

Partition PartitionOf(const Block& block) {
  return {block.meta().partition_start, block.meta().partition_end};
}

// Whether a block between these two in the order of generations overlaps them in time but is of
// another partition: the width of partitions was changed. Its rows would lose their place.
bool IsBetween(const Block& other, const Block& a, const Block& b) {
  const storage::BlockMeta& meta = other.meta();
  return PartitionOf(other) != PartitionOf(a) && meta.partition_start < a.meta().partition_end &&
         a.meta().partition_start < meta.partition_end &&
         meta.generation_max >= a.meta().generation_max &&
         meta.generation_max <= b.meta().generation_max;
}

// The blocks that may be merged: runs of neighbours, each of one partition. The snapshot is in
// order of partition, then precedence.
std::vector<BlockList> FindRuns(const BlockList& all, uint64_t merged_up_to) {
  std::vector<BlockList> runs;
  model::Timestamp covered_to = 0;
  bool has_mixed_widths = false;
  for (size_t i = 0; i < all.size(); ++i) {
    has_mixed_widths |= i > 0 && PartitionOf(*all[i]) != PartitionOf(*all[i - 1]) &&
                        all[i]->meta().partition_start < covered_to;
    covered_to = std::max(covered_to, all[i]->meta().partition_end);
  }
  std::map<Partition, BlockList> partitions;
  for (const auto& block : all) {
    if (block->meta().generation_max <= merged_up_to) {
      partitions[PartitionOf(*block)].push_back(block);
    }
  }
  for (auto& [partition, blocks] : partitions) {
    runs.emplace_back();
    for (const auto& block : blocks) {
      const bool is_cut =
          has_mixed_widths && !runs.back().empty() && std::ranges::any_of(all, [&](const auto& o) {
            return IsBetween(*o, *runs.back().back(), *block);
          });
      if (is_cut) {
        runs.emplace_back();
      }
      runs.back().push_back(block);
    }
  }
  return runs;
}

uint64_t SizeOf(std::span<const std::shared_ptr<const Block>> blocks) {
  uint64_t size = 0;
  for (const auto& block : blocks) {
    size += block->size_bytes();
  }
  return size;
}

}  // namespace

void Compactor::Start() {
  thread_ = std::make_unique<ThreadPool>(ThreadPool::Options{
      .name = "compactor", .thread_count = 1, .queue_capacity = 1, .niceness = kNiceness});
  static_cast<void>(thread_->TrySubmit([this] { RunBackground(); }));
}

void Compactor::Stop() {
  {
    MutexLock lock(&mutex_);
    stop_ = true;
    wake_.NotifyAll();
  }
  if (thread_ != nullptr) {
    thread_->Stop();
  }
}

void Compactor::Wake() {
  MutexLock lock(&mutex_);
  wanted_ = true;
  wake_.NotifyAll();
}

void Compactor::RunBackground() {
  while (true) {
    const Status status = RunDue(/*throttled=*/true);
    MutexLock lock(&mutex_);
    // After a failure the minute is waited for in any case.
    const auto until = std::chrono::steady_clock::now() + kInterval;
    while (!stop_ && !(wanted_ && status.ok()) && std::chrono::steady_clock::now() < until) {
      wake_.WaitFor(&mutex_, until - std::chrono::steady_clock::now());
    }
    if (stop_) {
      return;
    }
    wanted_ = false;
  }
}

Status Compactor::RunDue(bool throttled) {
  MutexLock merge_lock(&merge_mutex_);
  while (true) {
    const BlockList due = FindDue(WallNanos());
    if (due.empty()) {
      return options_.deletions->Forget(*options_.blocks->Snapshot());
    }
    RETURN_IF_ERROR(Merge(due, throttled));
  }
}

BlockList Compactor::FindDue(model::Timestamp now) const {
  const storage::BlockSnapshot snapshot = options_.blocks->Snapshot();
  for (const BlockList& run : FindRuns(*snapshot, options_.merged_up_to())) {
    if (run.empty()) {
      continue;
    }
    const model::Timestamp end = run.front()->meta().partition_end;
    const bool is_closed = end < now - kCloseAfterNs;
    std::vector<uint64_t> sizes;
    for (const auto& block : run) {
      sizes.push_back(block->size_bytes());
    }
    if (const auto picked = storage::PickMerge(sizes, is_closed)) {
      const auto first = run.begin() + static_cast<ptrdiff_t>(picked->first);
      return {first, first + static_cast<ptrdiff_t>(picked->count)};
    }
    for (const auto& block : run) {
      if (IsWorthRewriting(block, now)) {
        return {block};
      }
    }
  }
  return {};
}

// When all samples of some series have gone from it: space that is easily won. What is deleted of
// others waits for the next merge.
bool Compactor::IsWorthRewriting(const std::shared_ptr<const Block>& block,
                                 model::Timestamp now) const {
  const auto deletions = options_.deletions->Of(block, now);
  const model::TimeRange partition = {block->meta().partition_start,
                                      block->meta().partition_end - 1};
  return deletions.ok() && *deletions != nullptr &&
         std::ranges::any_of(**deletions, [&](const storage::BlockDeletion& deletion) {
           return deletion.range.min <= partition.min && deletion.range.max >= partition.max;
         });
}

Status Compactor::CleanTombstones() {
  MutexLock merge_lock(&merge_mutex_);
  const storage::BlockSnapshot snapshot = options_.blocks->Snapshot();
  for (const auto& block : *snapshot) {
    if (options_.deletions->HasTombstone(*block)) {
      RETURN_IF_ERROR(Merge({&block, 1}, /*throttled=*/false));
    }
  }
  return options_.deletions->Forget(*options_.blocks->Snapshot());
}

Status Compactor::Merge(Blocks blocks, bool throttled) {
  {
    MutexLock lock(&mutex_);
    stats_.running = true;
    next_ns_ = MonotonicNanos();
  }
  StageTimer timer(Stage::kCompact);
  const int64_t start_ns = MonotonicNanos();
  storage::MergeResult result;
  const Status status = MergeAndPublish(blocks, throttled, &result);
  const int64_t elapsed_ns = MonotonicNanos() - start_ns;
  MutexLock lock(&mutex_);
  stats_.running = false;
  if (status.ok()) {
    timer.Stop(result.meta.sample_count);
    ++stats_.compactions;
    stats_.elapsed_ns += elapsed_ns;
    has_failed_ = false;
    spdlog::info("compacted partition={} blocks={} size_bytes={} samples={} elapsed_ms={}",
                 storage::BlockFileName(blocks.front()->meta()), blocks.size(), SizeOf(blocks),
                 result.meta.sample_count, elapsed_ns / kNanosPerMilli);
    return status;
  }
  timer.Cancel();
  if (status.code() == StatusCode::kCancelled) {
    return status;
  }
  ++stats_.failures;
  if (!has_failed_) {
    has_failed_ = true;
    spdlog::error("compaction failed and will be tried again error=\"{}\"", Message(status));
  }
  return status;
}

Status Compactor::MergeAndPublish(Blocks blocks, bool throttled, storage::MergeResult* result) {
  RETURN_IF_ERROR(CheckSpace(blocks));
  const storage::MergeOptions options = {
      .env = options_.env,
      .path = options_.blocks->NewTempPath(),
      // Before the tombstones are looked at: one that comes meanwhile is not taken for done.
      .deletions_applied = options_.deletions->newest_number(),
      .on_bytes = [&](uint64_t bytes) { return Throttle(bytes, throttled); }};
  const model::Timestamp now = WallNanos();
  std::vector<storage::MergeInput> inputs;
  for (const auto& block : blocks) {
    auto deletions = options_.deletions->Of(block, now);
    if (const Status index = block->CheckIndex(); index.code() == StatusCode::kDataLoss) {
      options_.blocks->Quarantine(block, index);
      return OkStatus();  // the others are looked at anew
    }
    RETURN_IF_ERROR(deletions.status());
    inputs.push_back({block, *deletions == nullptr ? storage::BlockDeletions() : **deletions});
  }
  ASSIGN_OR_RETURN(*result, storage::MergeBlocks(inputs, options));
  if (result->meta.row_count == 0) {
    options_.blocks->Drop(blocks);
  } else {
    const std::string paths[] = {options.path};
    const Status published = options_.blocks->Publish(paths);
    if (published.code() == StatusCode::kAborted) {
      return OkStatus();  // dropped meanwhile: nothing to be done about it
    }
    RETURN_IF_ERROR(published);
  }
  MutexLock lock(&mutex_);
  stats_.read_bytes += SizeOf(blocks);
  const storage::BlockSnapshot snapshot = options_.blocks->Snapshot();
  for (const auto& block : *snapshot) {
    const bool is_result =
        storage::BlockFileName(block->meta()) == storage::BlockFileName(result->meta);
    stats_.written_bytes += is_result ? block->size_bytes() : 0;
  }
  return OkStatus();
}

Status Compactor::CheckSpace(Blocks blocks) const {
  ASSIGN_OR_RETURN(const uint64_t free_bytes, options_.env->FreeBytes(options_.data_dir));
  const uint64_t needed_bytes = SizeOf(blocks) + kSpareBytes;
  if (free_bytes < needed_bytes) {
    return ResourceExhausted("a merge of {} blocks wants {} free bytes, but there are {}",
                             blocks.size(), needed_bytes, free_bytes);
  }
  return OkStatus();
}

Status Compactor::Throttle(uint64_t bytes, bool throttled) {
  MutexLock lock(&mutex_);
  if (throttled && options_.rate_bytes > 0) {
    const int64_t now = MonotonicNanos();
    next_ns_ = std::max(next_ns_, now - kNanosPerSecond) +
               static_cast<int64_t>(static_cast<double>(bytes) * kNanosPerSecond /
                                    static_cast<double>(options_.rate_bytes));
    while (!stop_ && next_ns_ - MonotonicNanos() > kMinWaitNs) {
      wake_.WaitFor(&mutex_, std::chrono::nanoseconds(next_ns_ - MonotonicNanos()));
    }
  }
  return stop_ ? MakeStatus(StatusCode::kCancelled, "the compactor stops") : OkStatus();
}

CompactionStats Compactor::stats() const {
  MutexLock lock(&mutex_);
  return stats_;
}

}  // namespace tsdbd::tsdb
