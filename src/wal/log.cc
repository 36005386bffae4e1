#include "wal/log.h"

#include <algorithm>
#include <optional>
#include <utility>

#include <spdlog/spdlog.h>

#include "common/clock.h"
#include "wal/format.h"

namespace tsdbd::wal {
namespace {

// Half of what recovery is willing to read as one segment.
constexpr uint64_t kMaxRecordBytes = 1ULL << 30;

// A queue that was longer once (4 MiB of items) gives its memory back.
constexpr size_t kMaxKeptItems = 50'000;

// Without a sync after each commit, the kernel is told to begin writing after so many bytes: else
// the sync at the segment's end would wait for all of them at once.
constexpr uint64_t kWritebackStepBytes = 1 << 20;

Status Validate(const LogOptions& options) {
  if (options.segment_bytes < 2 * kPageBytes || options.segment_bytes % kPageBytes != 0) {
    return InvalidArgument("wal segment size {} is not a multiple of {} of at least twice that",
                           options.segment_bytes, kPageBytes);
  }
  if (options.max_record_bytes > kMaxRecordBytes) {
    return InvalidArgument("wal max_record_bytes {} is above {}", options.max_record_bytes,
                           kMaxRecordBytes);
  }
  if (options.sync_mode == SyncMode::kInterval && options.sync_interval_ms <= 0) {
    return InvalidArgument("wal sync interval {} ms is not positive", options.sync_interval_ms);
  }
  return OkStatus();
}

}  // namespace

StatusOr<std::unique_ptr<Log>> Log::Open(Env* env, LogOptions options, const RecordVisitor& visitor,
                                         RecoveryReport* report) {
  RETURN_IF_ERROR(Validate(options));
  RETURN_IF_ERROR(env->CreateDirectories(options.directory));
  ASSIGN_OR_RETURN(RecoveredLog recovered,
                   ReadLog(env, options.directory, options.first_generation, visitor, report));
  RETURN_IF_ERROR(MakeDurable(env, &recovered));
  const uint64_t generation = std::max(options.first_generation, report->newest_generation);
  std::unique_ptr<Log> log(new Log(env, std::move(options), recovered));
  RETURN_IF_ERROR(log->Start(recovered, generation));
  return log;
}

Log::Log(Env* env, LogOptions options, const RecoveredLog& recovered)
    : options_(std::move(options)),
      files_(std::make_unique<SegmentFiles>(env, options_, recovered)),
      builder_(options_.max_commit_bytes),
      last_commit_(recovered.last_commit),
      next_commit_(recovered.next_commit),
      durable_through_(recovered.last_commit) {}

Status Log::Start(const RecoveredLog& recovered, uint64_t generation) {
  RETURN_IF_ERROR(files_->Start(recovered));
  if (options_.first_generation > 0) {
    if (Status status = files_->DropThrough(options_.first_generation - 1); !status.ok()) {
      spdlog::warn("old wal segments stay for now error=\"{}\"", Message(status));
    }
  }
  {
    MutexLock lock(&mu_);
    requested_generation_ = generation;
  }
  if (Status status = BeginSegment(generation); !status.ok()) {
    if (status.code() != StatusCode::kResourceExhausted) {
      return status;
    }
  }
  thread_ = std::thread([this] { Run(); });
  return OkStatus();
}

Log::~Log() {
  if (Status status = Close(); !status.ok()) {
    spdlog::error("wal not closed cleanly error=\"{}\"", Message(status));
  }
}

uint64_t Log::QueueBytes(const Item& item) {
  return sizeof(Item) + item.record.size();
}

Status Log::Append(std::string record, Done done) {
  if (record.size() > options_.max_record_bytes) {
    return InvalidArgument("a record of {} bytes is over the limit of {}", record.size(),
                           options_.max_record_bytes);
  }
  Item item;
  item.record = std::move(record);
  item.done = std::move(done);
  return Enqueue(std::move(item));
}

Status Log::StartGeneration(uint64_t generation, Done done) {
  Item item;
  item.kind = Item::Kind::kStartGeneration;
  item.generation = generation;
  item.done = std::move(done);
  return Enqueue(std::move(item));
}

Status Log::Enqueue(Item item) {
  bool wake = false;
  {
    MutexLock lock(&mu_);
    if (Status status = Admit(item); !status.ok()) {
      stats_.rejected_records += item.kind == Item::Kind::kRecord;
      return status;
    }
    stats_.queued_bytes += QueueBytes(item);
    stats_.queued_records += item.kind == Item::Kind::kRecord;
    queue_.push_back(std::move(item));
    wake = std::exchange(thread_waits_, false);
  }
  if (wake) {
    work_.NotifyOne();
  }
  return OkStatus();
}

Status Log::Admit(const Item& item) {
  const bool is_start = item.kind == Item::Kind::kStartGeneration;
  if (closing_) {
    return Unavailable("the log in {} is closed", options_.directory);
  }
  if (health_.state == HealthState::kPoisoned ||
      (health_.state == HealthState::kBroken && !is_start)) {
    return health_.status;
  }
  if (is_start) {
    if (item.generation < requested_generation_) {
      return InvalidArgument("generation {} is below generation {}", item.generation,
                             requested_generation_);
    }
    requested_generation_ = item.generation;
  }
  const bool is_full =
      stats_.queued_bytes > 0 && stats_.queued_bytes + QueueBytes(item) > options_.max_queued_bytes;
  if (item.kind == Item::Kind::kRecord && is_full) {
    return Unavailable("the log's queue of {} bytes is full", options_.max_queued_bytes);
  }
  return OkStatus();
}

Status Log::DropGenerationsThrough(uint64_t generation) {
  return files_->DropThrough(generation);
}

Status Log::Sync() {
  Mutex mu;
  CondVar done;
  std::optional<Status> result;
  Item item;
  item.kind = Item::Kind::kSync;
  item.done = [&](const Status& status) {
    MutexLock lock(&mu);
    result = status;
    done.NotifyOne();
  };
  RETURN_IF_ERROR(Enqueue(std::move(item)));
  MutexLock lock(&mu);
  while (!result) {
    done.Wait(&mu);
  }
  return *result;
}

Status Log::Close() {
  MutexLock close_lock(&close_mu_);
  if (!closed_) {
    closed_ = true;
    {
      MutexLock lock(&mu_);
      closing_ = true;
    }
    work_.NotifyOne();
    if (thread_.joinable()) {
      thread_.join();
    }
    close_status_ = health().status;
  }
  return close_status_;
}

std::string Log::TakeBuffer() {
  return buffers_.Take();
}

Health Log::health() const {
  MutexLock lock(&mu_);
  return health_;
}

LogStats Log::stats() const {
  LogStats stats;
  {
    MutexLock lock(&mu_);
    stats = stats_;
  }
  files_->AddTo(&stats);
  return stats;
}

void Log::Run() {
  while (TakeBatch()) {
    ProcessBatch();
    SyncIfDue();
  }
  WriteCloseMark();
}

// False when there will be no more.
bool Log::TakeBatch() {
  MutexLock lock(&mu_);
  while (queue_.empty() && !closing_) {
    const int64_t wait_ns = NanosUntilSyncIsDue();
    if (wait_ns <= 0) {
      break;
    }
    thread_waits_ = true;
    if (wait_ns == INT64_MAX) {
      work_.Wait(&mu_);
    } else {
      work_.WaitFor(&mu_, std::chrono::nanoseconds(wait_ns));
    }
    thread_waits_ = false;
  }
  batch_.swap(queue_);
  return !batch_.empty() || !closing_;
}

void Log::ProcessBatch() {
  size_t next = 0;
  while (next < batch_.size()) {
    const Item& item = batch_[next];
    if (item.kind == Item::Kind::kRecord) {
      next = CommitFrom(next);
      SyncIfDue();
      continue;
    }
    const Status status =
        item.kind == Item::Kind::kSync ? SyncUnsynced() : BeginGeneration(item.generation);
    Finish(next, next + 1, status);
    ++next;
  }
  batch_.clear();
  if (batch_.capacity() > kMaxKeptItems) {
    batch_ = {};
  }
}

// Commits, or fails, the records that lie together from `begin` on, as many as one commit takes.
// Returns the first that it did not take.
size_t Log::CommitFrom(size_t begin) {
  Status status = health().status;
  const uint64_t first_bytes = RecordBytes(batch_[begin].record.size());
  if (status.ok() && CommitBytes(first_bytes) > RoomInActive() && position_bytes_ > kPageBytes) {
    status = BeginSegment(generation_);
  }
  // A record larger than all segments makes its segment grow.
  const uint64_t limit_bytes =
      std::max(CommitBytes(first_bytes), std::min(RoomInActive(), options_.max_commit_bytes));
  uint64_t payload_bytes = 0;
  size_t end = begin;
  while (end < batch_.size() && batch_[end].kind == Item::Kind::kRecord) {
    const uint64_t with_next = payload_bytes + RecordBytes(batch_[end].record.size());
    if (CommitBytes(with_next) > limit_bytes) {
      break;
    }
    payload_bytes = with_next;
    ++end;
  }
  if (status.ok()) {
    status = WriteCommit(begin, end, payload_bytes);
  }
  Finish(begin, end, status);
  return end;
}

Status Log::WriteCommit(size_t begin, size_t end, uint64_t payload_bytes) {
  CommitHeader header;
  header.record_count = static_cast<uint32_t>(end - begin);
  header.number = next_commit_++;
  header.previous = last_commit_;
  header.durable_through = durable_through_;
  header.generation = generation_;
  header.offset = position_bytes_;
  header.payload_bytes = payload_bytes;
  builder_.Begin(header, active_.salt);
  for (size_t i = begin; i < end; ++i) {
    builder_.Add(batch_[i].record);
  }
  const std::string_view pages = builder_.Finish();

  CommitTiming timing{.records = end - begin, .written_bytes = pages.size()};
  const int64_t start_ns = MonotonicNanos();
  if (Status status = active_.file->WriteAt(position_bytes_, pages); !status.ok()) {
    return Break(status);
  }
  const int64_t written_ns = MonotonicNanos();
  timing.write_ns = written_ns - start_ns;
  position_bytes_ += pages.size();
  if (durable_through_ == last_commit_) {
    oldest_unsynced_ns_ = written_ns;
  }
  last_commit_ = header.number;
  if (options_.sync_mode == SyncMode::kAlways) {
    ASSIGN_OR_RETURN(timing.sync_ns, TimedSync());
  } else {
    StartWriteback();
  }
  CountCommit(timing);
  return OkStatus();
}

void Log::CountCommit(const CommitTiming& timing) {
  {
    MutexLock lock(&mu_);
    ++stats_.commits;
    stats_.written_bytes += timing.written_bytes;
  }
  if (options_.on_commit) {
    options_.on_commit(timing);
  }
}

void Log::StartWriteback() {
  if (position_bytes_ - writeback_bytes_ >= kWritebackStepBytes) {
    active_.file->StartWriteback(writeback_bytes_, position_bytes_ - writeback_bytes_);
    writeback_bytes_ = position_bytes_;
  }
}

// Never called again after it failed: the kernel has forgotten which pages it could not write, so
// a second sync would succeed and mean nothing.
StatusOr<int64_t> Log::TimedSync() {
  const int64_t start_ns = MonotonicNanos();
  if (Status status = active_.file->Sync(); !status.ok()) {
    return Poison(status);
  }
  const int64_t sync_ns = MonotonicNanos() - start_ns;
  durable_through_ = last_commit_;
  MutexLock lock(&mu_);
  ++stats_.syncs;
  stats_.sync_ns += sync_ns;
  stats_.max_sync_ns = std::max(stats_.max_sync_ns, sync_ns);
  return sync_ns;
}

Status Log::SyncUnsynced() {
  if (is_poisoned_ || durable_through_ == last_commit_) {
    return health().status;
  }
  CommitTiming timing;
  ASSIGN_OR_RETURN(timing.sync_ns, TimedSync());
  if (options_.on_commit) {
    options_.on_commit(timing);
  }
  return health().status;
}

// INT64_MAX: not at all.
int64_t Log::NanosUntilSyncIsDue() const {
  if (options_.sync_mode != SyncMode::kInterval || is_poisoned_ ||
      durable_through_ == last_commit_) {
    return INT64_MAX;
  }
  return oldest_unsynced_ns_ + options_.sync_interval_ms * kNanosPerMilli - MonotonicNanos();
}

void Log::SyncIfDue() {
  if (NanosUntilSyncIsDue() <= 0) {
    SyncUnsynced().IgnoreError();  // health() tells
  }
}

uint64_t Log::RoomInActive() const {
  return active_.size_bytes > position_bytes_ ? active_.size_bytes - position_bytes_ : 0;
}

Status Log::BeginGeneration(uint64_t generation) {
  const bool is_unused = position_bytes_ == kPageBytes && health().state == HealthState::kOk;
  if (!is_unused) {
    RETURN_IF_ERROR(BeginSegment(generation));
  }
  generation_ = generation;
  MutexLock lock(&mu_);
  stats_.generation = generation;
  return OkStatus();
}

// Heals a broken log, or breaks a healthy one.
Status Log::BeginSegment(uint64_t generation) {
  RETURN_IF_ERROR(EndSegment());
  auto segment = files_->Take();
  if (!segment.ok()) {
    return Break(segment.status());
  }
  active_ = *std::move(segment);
  position_bytes_ = kPageBytes;
  writeback_bytes_ = kPageBytes;
  generation_ = generation;
  MutexLock lock(&mu_);
  if (health_.state == HealthState::kBroken) {
    spdlog::info("wal is written again directory={} segment={}", options_.directory,
                 active_.number);
  }
  health_ = {};
  stats_.generation = generation;
  return OkStatus();
}

// The old segment is on disk before the first commit of the next says so.
Status Log::EndSegment() {
  if (is_poisoned_) {
    return health().status;
  }
  if (active_.file == nullptr) {
    return OkStatus();
  }
  if (durable_through_ != last_commit_) {
    RETURN_IF_ERROR(TimedSync().status());
  }
  if (position_bytes_ > kPageBytes) {
    files_->Close({.number = active_.number,
                   .generation = generation_,
                   .size_bytes = std::max(active_.size_bytes, position_bytes_),
                   .damaged = false,
                   .reusable = health().state == HealthState::kOk});
  } else {
    files_->Discard(active_.number);
  }
  active_ = {};
  return OkStatus();
}

// A commit without records that tells the next start how far the log had been durable. Without it,
// damage to the last commit would pass for a torn tail.
void Log::WriteCloseMark() {
  Status status = SyncUnsynced();
  if (!status.ok() || position_bytes_ == kPageBytes) {
    return;
  }
  if (RoomInActive() < CommitBytes(0)) {
    status = BeginSegment(generation_);
  }
  if (status.ok()) {
    status = WriteCommit(0, 0, 0);
  }
  if (status.ok()) {
    SyncUnsynced().IgnoreError();  // nothing acknowledged depends on the mark
  }
}

Status Log::Break(Status status) {
  MutexLock lock(&mu_);
  if (health_.state == HealthState::kOk) {
    spdlog::error("wal takes no records until it can be written again error=\"{}\"",
                  Message(status));
  }
  if (health_.state != HealthState::kPoisoned) {
    health_ = {HealthState::kBroken, status};
  }
  return status;
}

Status Log::Poison(const Status& cause) {
  is_poisoned_ = true;
  MutexLock lock(&mu_);
  health_ = {HealthState::kPoisoned,
             Unavailable("the log takes no more records since a sync failed, what is on disk is "
                         "unknown until a restart: {}",
                         Message(cause))};
  spdlog::critical("wal is poisoned error=\"{}\"", Message(health_.status));
  return health_.status;
}

void Log::Finish(size_t begin, size_t end, const Status& status) {
  {
    MutexLock lock(&mu_);
    for (size_t i = begin; i < end; ++i) {
      stats_.queued_bytes -= QueueBytes(batch_[i]);
      if (batch_[i].kind != Item::Kind::kRecord) {
        continue;
      }
      --stats_.queued_records;
      ++(status.ok() ? stats_.records : stats_.failed_records);
      stats_.record_bytes += status.ok() ? batch_[i].record.size() : 0;
    }
  }
  for (size_t i = begin; i < end; ++i) {
    Item& item = batch_[i];
    if (item.done) {
      item.done(status);
      item.done = nullptr;
    }
    buffers_.Put(std::move(item.record));
  }
}

}  // namespace tsdbd::wal
