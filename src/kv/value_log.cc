#include "kv/value_log.h"

#include <algorithm>
#include <bit>
#include <random>

#include <spdlog/spdlog.h>

#include "common/check.h"

namespace tsdbd::kv {
namespace {

// The page cache keeps a file in the pieces it was written in (ext4 since Linux 6.16), so the steps
// in which zeros are written decide what reads and syncs cost. In steps of a huge page, the mapping
// has huge pages: a seventh less for a read that misses all caches. But a record then makes 2 MiB
// dirty, which is nothing once a second (0.7 ms) and too much for a sync of each record: in steps
// of 64 KiB that one takes 0.14 ms.
constexpr uint64_t kHugeStepBytes = 2 << 20;
constexpr uint64_t kSmallStepBytes = 64 << 10;

// What a segment has of the live bytes: 1/8, so that the active and the prepared one together add
// at most a quarter to a large store.
constexpr uint64_t kLiveBytesPerSegmentByte = 8;

uint64_t RandomSalt() {
  std::random_device device;
  return static_cast<uint64_t>(device()) << 32 | device();
}

std::string_view BytesOf(const MarkValue& mark) {
  return {reinterpret_cast<const char*>(&mark), sizeof(mark)};
}

Status WriteZeros(File* file, uint64_t size_bytes, bool will_sync) {
  const std::string zeros(std::min(will_sync ? kSmallStepBytes : kHugeStepBytes, size_bytes), '\0');
  for (uint64_t offset = 0; offset < size_bytes; offset += zeros.size()) {
    const uint64_t step_bytes = std::min<uint64_t>(zeros.size(), size_bytes - offset);
    RETURN_IF_ERROR(file->WriteAt(offset, std::string_view(zeros).substr(0, step_bytes)));
    if (will_sync) {  // spread over time, so that the log's own syncs do not wait for it
      file->StartWriteback(offset, step_bytes);
    }
  }
  return OkStatus();
}

}  // namespace

ValueLog::ValueLog(Env* env, ValueLogOptions options, EpochGate* gate)
    : env_(env), options_(std::move(options)), gate_(gate), table_(gate) {}

ValueLog::~ValueLog() {
  Stop();
}

void ValueLog::Stop() {
  {
    MutexLock lock(&preparer_mutex_);
    is_stopping_ = true;
  }
  wake_preparer_.NotifyAll();
  if (preparer_.joinable()) {
    preparer_.join();
  }
  MutexLock lock(&preparer_mutex_);
  Discard(std::move(ready_));
  failure_ = Unavailable("the store is closed");
}

std::string ValueLog::Path(uint32_t number) const {
  return options_.directory + "/" + LogSegmentName(number);
}

void ValueLog::Adopt(std::unique_ptr<LogSegment> segment) {
  MutexLock lock(&mutex_);
  table_.Add(segment.get());
  segments_[segment->number()] = std::move(segment);
}

void ValueLog::Start(uint32_t next_number, Position end) {
  end_ = end;
  durable_ = end;
  durable_names_through_ = SegmentOf(end);
  {
    MutexLock lock(&mutex_);
    while (!segments_.empty() && segments_.rbegin()->first > SegmentOf(end)) {
      table_.Remove(segments_.rbegin()->first);
      segments_.erase(std::prev(segments_.end()));
    }
  }
  {
    MutexLock lock(&preparer_mutex_);
    next_number_ = next_number;
    wanted_bytes_ = options_.min_segment_bytes;
  }
  preparer_ = std::thread([this] { RunPreparer(); });
}

// ---- The writer

uint64_t ValueLog::SizeForSegment(uint64_t bytes, uint64_t live_bytes) const {
  const uint64_t good = std::clamp(std::bit_floor(live_bytes / kLiveBytesPerSegmentByte + 1),
                                   options_.min_segment_bytes, options_.max_segment_bytes);
  return std::max(good, (bytes + kLogPageBytes - 1) / kLogPageBytes * kLogPageBytes);
}

Status ValueLog::Reserve(uint64_t bytes, uint64_t version, uint64_t live_bytes) {
  const bool has_news = durable_through() > marked_;
  if (active_ != nullptr &&
      position_bytes_ + bytes + (has_news ? kMarkRecordBytes : 0) <= active_->bytes().size()) {
    if (has_news) {
      WriteMark(0, version);
    }
    return OkStatus();
  }
  return BeginSegment(bytes, version, live_bytes);
}

Status ValueLog::BeginSegment(uint64_t bytes, uint64_t version, uint64_t live_bytes) {
  const uint64_t min_bytes = kLogPageBytes + kMarkRecordBytes + bytes;
  ASSIGN_OR_RETURN(std::unique_ptr<LogSegment> segment,
                   Take(min_bytes, SizeForSegment(min_bytes, live_bytes)));
  const Position previous_end =
      last_ != nullptr ? MakePosition(last_->number(), position_bytes_) : end();
  active_ = segment.get();
  last_ = active_;
  position_bytes_ = kLogPageBytes;
  Adopt(std::move(segment));
  WriteMark(previous_end, version);
  return OkStatus();
}

void ValueLog::WriteMark(Position previous_end, uint64_t version) {
  const MarkValue mark{.durable_through = durable_through(), .previous_end = previous_end};
  marked_ = mark.durable_through;
  Append({.kind = RecordKind::kMark,
          .version = version,
          .key_is_index_key = true,
          .value = BytesOf(mark)},
         ValueHash(BytesOf(mark)));
}

Position ValueLog::Append(const Record& record, uint64_t value_hash) {
  const Position position = MakePosition(active_->number(), position_bytes_);
  const uint64_t bytes = WriteRecord(record, value_hash, active_->salt(), position_bytes_,
                                     active_->writable() + position_bytes_);
  position_bytes_ += bytes;
  SegmentFigures& figures = active_->figures;
  figures.end_bytes = position_bytes_;
  if (record.kind == RecordKind::kPut) {
    figures.put_bytes += bytes;
  } else if (record.kind == RecordKind::kDelete) {
    figures.delete_bytes += bytes;
  }
  return position;
}

void ValueLog::Publish() {
  end_.store(MakePosition(last_->number(), position_bytes_), std::memory_order_release);
}

// ---- Sync and upkeep

Status ValueLog::Sync() {
  const Position target = end();
  const Position from = durable_through();
  if (target == from) {
    return OkStatus();
  }
  // None of these can go before this returns: only durable ones are removed.
  std::vector<const LogSegment*> segments;
  {
    MutexLock lock(&mutex_);
    for (auto it = segments_.lower_bound(SegmentOf(from));
         it != segments_.end() && it->first <= SegmentOf(target); ++it) {
      segments.push_back(it->second.get());
    }
  }
  for (const LogSegment* segment : segments) {
    const uint64_t begin = segment->number() == SegmentOf(from) ? OffsetOf(from) : 0;
    // What was sealed before `target` was published does not change any more.
    const uint64_t end =
        segment->number() == SegmentOf(target) ? OffsetOf(target) : segment->figures.end_bytes;
    if (begin < end) {
      RETURN_IF_ERROR(segment->Sync(begin, end));
    }
  }
  if (!options_.sync_segments_ahead && durable_names_through_ < SegmentOf(target)) {
    RETURN_IF_ERROR(env_->SyncDirectory(options_.directory));
    durable_names_through_ = SegmentOf(target);
  }
  durable_.store(target, std::memory_order_release);
  return OkStatus();
}

std::vector<LogSegment*> ValueLog::Segments() const {
  MutexLock lock(&mutex_);
  std::vector<LogSegment*> segments;
  for (const auto& [number, segment] : segments_) {
    if (!segment->is_removed) {
      segments.push_back(segment.get());
    }
  }
  return segments;
}

Status ValueLog::Remove(LogSegment* segment) {
  CHECK(segment->number() < SegmentOf(durable_through()));
  RETURN_IF_ERROR(RemoveLeftovers());
  RETURN_IF_ERROR(SyncRemovals());
  RETURN_IF_ERROR(env_->Remove(segment->path()));
  has_unsynced_removal_ = true;
  {
    MutexLock lock(&mutex_);
    segment->is_removed = true;
  }
  gate_->Retire(Free, this, segment, segment->bytes().size());
  return SyncRemovals();
}

Status ValueLog::SyncRemovals() {
  if (has_unsynced_removal_) {
    RETURN_IF_ERROR(env_->SyncDirectory(options_.directory));
    has_unsynced_removal_ = false;
  }
  return OkStatus();
}

void ValueLog::Free(void* log, void* segment, size_t size) {
  auto* const self = static_cast<ValueLog*>(log);
  const uint32_t number = static_cast<LogSegment*>(segment)->number();
  MutexLock lock(&self->mutex_);
  self->table_.Remove(number);
  self->segments_.erase(number);
}

uint64_t ValueLog::disk_bytes() const {
  uint64_t total = 0;
  {
    MutexLock lock(&mutex_);  // without a pin, no segment stays for longer than this is held
    for (const auto& [number, segment] : segments_) {
      total += segment->is_removed ? 0 : segment->bytes().size();
    }
  }
  MutexLock lock(&preparer_mutex_);
  return total + (ready_ != nullptr ? ready_->bytes().size() : 0);
}

// ---- Preparing

StatusOr<std::unique_ptr<LogSegment>> ValueLog::Take(uint64_t min_bytes, uint64_t good_bytes) {
  MutexLock lock(&preparer_mutex_);
  if (is_stopping_) {
    return failure_;
  }
  if (ready_ != nullptr && ready_->bytes().size() < min_bytes) {
    Discard(std::move(ready_));
  }
  wanted_bytes_ = good_bytes;
  if (ready_ == nullptr) {
    Status status = AwaitReady(min_bytes);
    const uint64_t smallest_bytes = SizeForSegment(min_bytes, 0);
    if (status.code() == StatusCode::kResourceExhausted && smallest_bytes < good_bytes) {
      // Where space is short, deletes and compaction need some to make more.
      wanted_bytes_ = smallest_bytes;
      status = AwaitReady(min_bytes);
    }
    RETURN_IF_ERROR(status);
  }
  // The ones after it: an oversized batch is an exception.
  wanted_bytes_ = std::min(good_bytes, options_.max_segment_bytes);
  std::unique_ptr<LogSegment> segment = std::move(ready_);
  wake_preparer_.NotifyAll();
  return segment;
}

Status ValueLog::AwaitReady(uint64_t min_bytes) {
  failure_ = OkStatus();
  wake_preparer_.NotifyAll();
  while (failure_.ok() && ready_ == nullptr) {
    attempt_done_.Wait(&preparer_mutex_);
    if (ready_ != nullptr && ready_->bytes().size() < min_bytes) {
      Discard(std::move(ready_));  // it was being prepared when this call came
      wake_preparer_.NotifyAll();
    }
  }
  // One of its own: absl counts references where TSan does not see it.
  return Status(failure_.code(), failure_.message());
}

void ValueLog::Discard(std::unique_ptr<LogSegment> segment) {
  if (segment != nullptr) {
    env_->Remove(segment->path()).IgnoreError();
    leftovers_.push_back(segment->path());
  }
}

// A start sees that a segment was passed over by the one that was begun instead; so its file goes
// before any other does.
Status ValueLog::RemoveLeftovers() {
  MutexLock lock(&preparer_mutex_);
  if (leftovers_.empty()) {
    return OkStatus();
  }
  for (const std::string& path : leftovers_) {
    if (const Status status = env_->Remove(path);
        !status.ok() && status.code() != StatusCode::kNotFound) {
      return status;
    }
  }
  RETURN_IF_ERROR(env_->SyncDirectory(options_.directory));
  leftovers_.clear();
  return OkStatus();
}

void ValueLog::RunPreparer() {
  MutexLock lock(&preparer_mutex_);
  while (true) {
    while (!is_stopping_ && (ready_ != nullptr || !failure_.ok())) {
      wake_preparer_.Wait(&preparer_mutex_);
    }
    if (is_stopping_) {
      return;
    }
    const uint32_t number = next_number_;
    const uint64_t bytes = wanted_bytes_;
    preparer_mutex_.Unlock();
    auto segment = Prepare(number, bytes);
    preparer_mutex_.Lock();
    if (segment.ok()) {
      ++next_number_;
      ready_ = *std::move(segment);
    } else {
      failure_ = segment.status();
      spdlog::warn("kv segment cannot be prepared file={} error=\"{}\"", Path(number),
                   Message(failure_));
    }
    attempt_done_.NotifyAll();
  }
}

StatusOr<std::unique_ptr<LogSegment>> ValueLog::Prepare(uint32_t number, uint64_t bytes) {
  const std::string path = Path(number);
  const uint64_t salt = options_.make_salt ? options_.make_salt() : RandomSalt();
  const auto make = [&]() -> StatusOr<std::unique_ptr<LogSegment>> {
    ASSIGN_OR_RETURN(const auto file, env_->Open(path, OpenMode::kCreateOrTruncate));
    // Space first: a full disk shows here, not in the middle, and the blocks lie together. Then
    // zeros: without them, the first write to each page costs 12 us.
    RETURN_IF_ERROR(file->Allocate(bytes));
    RETURN_IF_ERROR(WriteZeros(file.get(), bytes, options_.sync_segments_ahead));
    RETURN_IF_ERROR(file->WriteAt(0, EncodeLogSegmentHeader(number, salt, options_.key_type)));
    if (options_.sync_segments_ahead) {
      RETURN_IF_ERROR(file->Sync());
      RETURN_IF_ERROR(env_->SyncDirectory(options_.directory));
    }
    ASSIGN_OR_RETURN(auto mapping, env_->MapWritable(path));
    return std::make_unique<LogSegment>(number, salt, path, std::move(mapping));
  };
  auto segment = make();
  if (!segment.ok()) {
    env_->Remove(path).IgnoreError();
  }
  return segment;
}

}  // namespace tsdbd::kv
