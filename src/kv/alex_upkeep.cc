// The background of an AlexStore: expired keys, checkpoints, compaction. Why compaction brings
// nothing back is told at the top of alex_engine.h.

#include <algorithm>
#include <chrono>

#include <spdlog/spdlog.h>
#include <sys/resource.h>
#include <unistd.h>

#include "common/stages.h"
#include "kv/alex_engine.h"

namespace tsdbd::kv {
namespace {

// In the background a segment is rewritten when this much of it is dead: then each byte that is
// freed costs at most one and a half to be copied.
constexpr double kBackgroundDeadShare = 0.4;
// On request: more would be copied than freed.
constexpr double kRequestedDeadShare = 0.05;

// Each start begins a segment, so that many starts with few writes leave many small segments. When
// there are more than so many that hold less than 1/8 of the smallest size, what lives in them is
// moved to the end of the log: at most a MiB or two at a time, and then nothing until there are as
// many again.
constexpr size_t kMaxSmallSegments = 8;
constexpr uint64_t kSmallestPerSmall = 8;

// What is done under one hold of the write lock: some tens of microseconds.
constexpr size_t kMoveRecords = 64;
constexpr uint64_t kMoveBytes = 128 << 10;
constexpr size_t kSweepRecords = 64;
constexpr uint64_t kSweepBytes = 1 << 20;  // records are checked as a whole

// So that who waits for the upkeep's lock gets it.
constexpr std::chrono::milliseconds kPauseBetweenSegments(1);
constexpr size_t kExpiriesAtATime = 1024;

constexpr size_t kCheckpointPagePairs = 4096;

constexpr int kUpkeepNiceness = 5;

}  // namespace

void AlexStore::WakeUpkeep() {
  {
    MutexLock lock(&wake_mutex_);
    is_woken_ = true;
  }
  wake_.NotifyOne();
}

bool AlexStore::IsStopping() {
  MutexLock lock(&wake_mutex_);
  return is_stopping_;
}

void AlexStore::RunUpkeep() {
  const auto thread = static_cast<id_t>(gettid());
  setpriority(PRIO_PROCESS, thread, getpriority(PRIO_PROCESS, thread) + kUpkeepNiceness);
  while (true) {
    {
      MutexLock lock(&wake_mutex_);
      if (!is_stopping_ && !is_woken_) {
        wake_.WaitFor(&wake_mutex_, std::chrono::milliseconds(options_.upkeep_interval_ms));
      }
      if (is_stopping_) {
        return;
      }
      is_woken_ = false;
    }
    DoUpkeep();
  }
}

void AlexStore::DoUpkeep() {
  if (!group_->is_healthy()) {
    return;
  }
  SweepExpired();
  // One segment at a time, so that a checkpoint that is due and a Clear need not wait for long.
  for (bool is_compacting = true; is_compacting && !IsStopping();) {
    {
      MutexLock lock(&upkeep_mutex_);
      if (bytes_since_checkpoint_ >= options_.checkpoint_interval_bytes) {
        Report("checkpoint", WriteCheckpoint());
      }
      const StatusOr<bool> compacted = CompactOne(kBackgroundDeadShare, /*is_throttled=*/true);
      Report("compaction", compacted.status());
      is_compacting = compacted.ok() && *compacted;
    }
    std::this_thread::sleep_for(kPauseBetweenSegments);
  }
}

void AlexStore::Report(const char* what, const Status& status) {
  if (!status.ok() && status != reported_) {
    spdlog::warn("kv {} failed directory={} error=\"{}\"", what, options_.store.directory,
                 Message(status));
    reported_ = status;
  }
}

// ---- Expired keys

void AlexStore::SweepExpired() {
  const int64_t now_ns = options_.now_ns();
  bool goes_on = true;
  while (goes_on && !IsStopping()) {
    WriteBatch batch;
    MutexLock lock(&write_mutex_);
    if (!Admit().ok()) {
      return;
    }
    auto it = expiries_.begin();
    uint64_t bytes = 0;
    goes_on = false;
    while (it != expiries_.end() && it->expires_ns <= now_ns) {
      goes_on = batch.operations().size() == kSweepRecords || bytes >= kSweepBytes;
      if (goes_on) {
        break;
      }
      Record record;
      const bool is_current = ReadRecordAt(it->position, &record) == RecordState::kIntact &&
                              index_.IsAt(record.index_key, it->position);
      bytes += record.stored_bytes;
      if (is_current) {
        batch.Delete(record.key);
        ++it;
      } else {
        it = expiries_.erase(it);
      }
    }
    if (!batch.operations().empty()) {
      std::vector<Prepared> prepared(batch.operations().size());
      Prepare(batch.operations(), prepared);
      goes_on = Apply(batch.operations(), prepared).ok() && goes_on;
    }
  }
  group_->Add(nullptr);
}

// ---- Checkpoints

Status AlexStore::WriteCheckpoint() {
  CheckpointHeader header;
  header.key_type = static_cast<uint32_t>(options_.store.key_type);
  std::vector<CheckpointSegment> segments;
  uint64_t covered_bytes = 0;
  {
    MutexLock lock(&write_mutex_);
    header.log_position = log_.end();
    header.version = version_;
    for (const LogSegment* segment : log_.Segments()) {
      segments.push_back({.number = segment->number(),
                          .figures = segment->figures,
                          .flags = (segment->is_damaged ? CheckpointSegment::kIsDamaged : 0) |
                                   (segment->has_clear ? CheckpointSegment::kHasClear : 0)});
    }
    covered_bytes = bytes_since_checkpoint_.exchange(0);
    history_.Begin(version_);
  }
  const auto write = [&]() -> Status {
    // What it says is in the log must be there whatever happens.
    RETURN_IF_ERROR(group_->Sync());
    ASSIGN_OR_RETURN(const auto writer,
                     CheckpointWriter::Create(env_, options_.store.directory, header));
    RETURN_IF_ERROR(WriteCheckpointKeys(header, writer.get()));
    RETURN_IF_ERROR(WriteCheckpointExpiries(header, writer.get()));
    RETURN_IF_ERROR(writer->AddSegments(segments));
    return writer->Finish();
  };
  const Status status = write();
  history_.End(header.version);
  if (!status.ok()) {
    MutexLock lock(&write_mutex_);
    bytes_since_checkpoint_ += covered_bytes;
  }
  return status;
}

// What the index held at header.log_position: what it holds now from before that, and what the
// history has kept. Nothing is compacted meanwhile, so a position tells when its key was written.
Status AlexStore::WriteCheckpointKeys(const CheckpointHeader& header, CheckpointWriter* writer) {
  std::vector<KeyIndex::Pair> page;
  uint64_t first = 0;
  for (bool has_more = true; has_more;) {
    const EpochGate::Pin pin(&gate_);
    size_t count = 0;
    uint64_t last = 0;
    uint64_t moves;
    do {
      moves = index_.move_count();
      page.resize(kCheckpointPagePairs);
      count = index_.map().ScanForward(first, page);
      has_more = count == page.size();
      last = has_more ? page.back().key : UINT64_MAX;
      page.resize(count);
      index_.CollectOthers(first, last, &page);
    } while (index_.move_count() != moves);
    history_.Collect(first, last, header.version, &page);
    if (page.size() != count) {
      const auto order = [](const KeyIndex::Pair& pair) {
        return std::pair(pair.key, pair.payload);
      };
      std::sort(page.begin(), page.end(),
                [&](const auto& a, const auto& b) { return order(a) < order(b); });
      page.erase(std::unique(page.begin(), page.end(),
                             [&](const auto& a, const auto& b) { return order(a) == order(b); }),
                 page.end());
    }
    std::erase_if(page,
                  [&](const KeyIndex::Pair& pair) { return pair.payload >= header.log_position; });
    RETURN_IF_ERROR(writer->AddKeys(page));
    first = last + 1;
    has_more = has_more && last != UINT64_MAX;
  }
  return OkStatus();
}

// Those that go meanwhile belong to keys that the log behind the checkpoint changes.
Status AlexStore::WriteCheckpointExpiries(const CheckpointHeader& header,
                                          CheckpointWriter* writer) {
  std::vector<ExpiryEntry> page;
  ExpiryEntry next{.expires_ns = std::numeric_limits<int64_t>::min()};
  do {
    page.clear();
    {
      MutexLock lock(&write_mutex_);
      for (auto it = expiries_.lower_bound(next);
           it != expiries_.end() && page.size() < kExpiriesAtATime; ++it) {
        page.push_back(*it);
      }
    }
    if (!page.empty()) {
      next = page.back();
      ++next.position;
    }
    const bool is_last = page.size() < kExpiriesAtATime;
    std::erase_if(page,
                  [&](const ExpiryEntry& entry) { return entry.position >= header.log_position; });
    RETURN_IF_ERROR(writer->AddExpiries(page));
    if (is_last) {
      return OkStatus();
    }
  } while (true);
}

// ---- Compaction

AlexStore::Pick AlexStore::PickSegment(double min_dead_share) {
  MutexLock lock(&write_mutex_);
  Pick best{.dead_share = min_dead_share};
  Pick small;  // the oldest
  size_t small_count = 0;
  uint32_t sealed_end = 0;
  bool is_first = true;
  bool has_dead_before = false;  // a put, in an older segment
  for (LogSegment* segment : log_.Segments()) {
    if (segment == log_.active()) {
      break;
    }
    const SegmentFigures& figures = segment->figures;
    const uint64_t kept_bytes =
        figures.live_bytes + (has_dead_before ? figures.delete_bytes : 0) + kLogPageBytes;
    const double dead_share =
        1 - static_cast<double>(kept_bytes) / static_cast<double>(segment->bytes().size());
    // A clear must stay in front of all that it does not clear.
    const bool may_go = !segment->is_damaged && (is_first || !segment->has_clear);
    if (may_go && dead_share >= best.dead_share) {
      best = {.segment = segment, .dead_share = dead_share, .drops_deletes = !has_dead_before};
    }
    if (may_go &&
        figures.end_bytes - kLogPageBytes < options_.min_segment_bytes / kSmallestPerSmall) {
      if (small_count++ == 0) {
        small = {.segment = segment, .dead_share = dead_share, .drops_deletes = !has_dead_before};
      }
    }
    sealed_end = segment->number() + 1;
    has_dead_before = has_dead_before || segment->is_damaged || figures.dead_put_bytes() > 0;
    is_first = false;
  }
  if (small_count > kMaxSmallSegments) {
    small_end_ = sealed_end;
  }
  const bool has_small = small.segment != nullptr && small.segment->number() < small_end_;
  return best.segment == nullptr && has_small ? small : best;
}

StatusOr<bool> AlexStore::CompactOne(double min_dead_share, bool is_throttled) {
  const Pick pick = PickSegment(min_dead_share);
  if (pick.segment == nullptr) {
    return false;
  }
  RETURN_IF_ERROR(CompactSegment(pick, is_throttled));
  return true;
}

Status AlexStore::CompactSegment(const Pick& pick, bool is_throttled) {
  StageTimer timer(Stage::kKvCompact);
  timer.set_items(pick.segment->bytes().size());
  RETURN_IF_ERROR(MoveRecords(pick, is_throttled));
  if (is_throttled && IsStopping()) {
    return OkStatus();
  }
  RETURN_IF_ERROR(MarkAndSync());
  compaction_count_.fetch_add(1, std::memory_order_relaxed);
  return log_.Remove(pick.segment);
}

Status AlexStore::MarkAndSync() {
  RETURN_IF_ERROR(group_->Sync());
  {
    MutexLock lock(&write_mutex_);
    RETURN_IF_ERROR(Admit());
    RETURN_IF_ERROR(log_.Reserve(0, version_, live_bytes_));
    log_.Publish();
  }
  return group_->Sync();
}

Status AlexStore::MoveRecords(const Pick& pick, bool is_throttled) {
  LogSegment* const segment = pick.segment;
  const uint64_t end = segment->figures.end_bytes;  // sealed: it stays
  MoveBatch batch;
  int64_t step_start_ns = MonotonicNanos();
  const auto move = [&]() -> Status {
    KeepWorthMoving(&batch);
    RETURN_IF_ERROR(Move(batch));
    batch = {};
    if (is_throttled) {  // half of one core at most
      std::this_thread::sleep_for(std::chrono::nanoseconds(MonotonicNanos() - step_start_ns));
      step_start_ns = MonotonicNanos();
    }
    return OkStatus();
  };
  for (uint64_t offset = kLogPageBytes; offset < end && !(is_throttled && IsStopping());) {
    Record record;
    if (ReadRecord(segment->bytes(), segment->salt(), offset, &record) != RecordState::kIntact) {
      segment->is_damaged = true;  // it stays: others in it may have to be looked at
      const EpochGate::Pin pin(&gate_);
      return DamagedRecord(MakePosition(segment->number(), offset));
    }
    const bool is_wanted = record.kind == RecordKind::kPut ||
                           (record.kind == RecordKind::kDelete && !pick.drops_deletes);
    if (is_wanted) {
      batch.items.push_back({MakePosition(segment->number(), offset), record, 0});
      batch.bytes += record.stored_bytes;
    }
    offset += record.stored_bytes;
    if (batch.items.size() >= kMoveRecords || batch.bytes >= kMoveBytes) {
      RETURN_IF_ERROR(move());
    }
  }
  return move();
}

// Leaves out what is dead already, without the write lock.
void AlexStore::KeepWorthMoving(MoveBatch* batch) const {
  const EpochGate::Pin pin(&gate_);
  std::erase_if(batch->items, [&](const MoveBatch::Item& item) {
    const bool is_dead =
        item.record.kind == RecordKind::kPut && !index_.IsAt(item.record.index_key, item.position);
    batch->bytes -= is_dead ? item.record.stored_bytes : 0;
    return is_dead;
  });
  for (MoveBatch::Item& item : batch->items) {
    item.value_hash = ValueHash(item.record.value);
  }
}

Status AlexStore::Move(const MoveBatch& batch) {
  if (batch.items.empty()) {
    return OkStatus();
  }
  MutexLock lock(&write_mutex_);
  RETURN_IF_ERROR(Admit());
  RETURN_IF_ERROR(log_.Reserve(batch.bytes, version_, live_bytes_));
  for (const MoveBatch::Item& item : batch.items) {
    Record copy = item.record;
    copy.more_follows = false;
    const bool is_put = copy.kind == RecordKind::kPut;
    const bool is_needed = is_put ? index_.IsAt(copy.index_key, item.position)
                                  : index_.Find(copy.index_key, copy.key) == 0;
    if (!is_needed) {
      continue;
    }
    const Position position = log_.Append(copy, item.value_hash);
    if (is_put) {
      index_.Move(copy.index_key, item.position, position);
      log_.Find(item.position)->figures.live_bytes -= copy.stored_bytes;
      log_.active()->figures.live_bytes += copy.stored_bytes;
      if (copy.has_expiry()) {
        expiries_.erase({copy.expires_ns, item.position});
        expiries_.insert({copy.expires_ns, position});
      }
    }
  }
  log_.Publish();
  bytes_since_checkpoint_ += batch.bytes;
  return OkStatus();
}

Status AlexStore::Compact() {
  MutexLock upkeep_lock(&upkeep_mutex_);
  {
    MutexLock lock(&write_mutex_);
    RETURN_IF_ERROR(Admit());
    const LogSegment* const active = log_.active();
    if (active != nullptr && active->figures.dead_put_bytes() + active->figures.delete_bytes >
                                 active->figures.end_bytes * kRequestedDeadShare) {
      // On a full disk what was ended before can still go.
      if (const Status status = log_.BeginSegment(0, version_, live_bytes_);
          !status.ok() && !absl::IsResourceExhausted(status)) {
        return status;
      }
      log_.Publish();
    }
  }
  // Writes that go on make more to compact: some rounds, not for ever.
  for (size_t rounds = 2 * log_.Segments().size(); rounds > 0; --rounds) {
    ASSIGN_OR_RETURN(const bool compacted, CompactOne(kRequestedDeadShare, /*is_throttled=*/false));
    if (!compacted) {
      break;
    }
  }
  return OkStatus();
}

}  // namespace tsdbd::kv
