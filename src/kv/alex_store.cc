// Opening, writing and closing; the index at start is in alex_recovery.cc, reading in alex_view.cc,
// the background in alex_upkeep.cc.

#include "kv/alex_store.h"

#include <algorithm>

#include <spdlog/spdlog.h>

#include "common/stages.h"
#include "kv/alex_engine.h"
#include "kv/alex_view.h"

namespace tsdbd::kv {
namespace {

// A larger batch is refused: it would need a segment of its own that nobody can compact in parts.
constexpr uint64_t kMaxBatchBytes = uint64_t{1} << 30;

// Reading the clock three times costs as much as a tenth of a small write, so small ones are timed
// one in so many.
constexpr uint64_t kTimedWriteInterval = 64;
constexpr size_t kAlwaysTimedOperations = 16;

// Operations of a batch whose places in the index are asked for together.
constexpr size_t kPrefetchGroup = 16;

uint64_t DefaultHash(std::string_view key) {
  return Hash64(key);
}

ValueLogOptions LogOptionsOf(const AlexStoreOptions& options) {
  return {.directory = options.store.directory,
          .key_type = options.store.key_type,
          .min_segment_bytes = options.min_segment_bytes,
          .max_segment_bytes = options.max_segment_bytes,
          .sync_segments_ahead = options.store.sync_mode == SyncMode::kAlways,
          .make_salt = options.make_salt};
}

}  // namespace

StatusOr<std::unique_ptr<Store>> OpenAlexStore(Env* env, const AlexStoreOptions& options,
                                               RecoveryReport* report) {
  RecoveryReport unused;
  auto store = std::make_unique<AlexStore>(env, options);
  RETURN_IF_ERROR(store->Open(report != nullptr ? report : &unused));
  return store;
}

StatusOr<std::unique_ptr<Store>> OpenAlexStore(Env* env, const StoreOptions& options,
                                               RecoveryReport* report) {
  return OpenAlexStore(env, AlexStoreOptions{.store = options}, report);
}

AlexStore::AlexStore(Env* env, AlexStoreOptions options)
    : env_(env),
      options_(std::move(options)),
      is_integer_(options_.store.key_type == KeyType::kInteger),
      hash_(options_.hash != nullptr ? options_.hash : DefaultHash),
      log_(env, LogOptionsOf(options_), &gate_),
      index_(options_.store.key_type, &log_, &gate_) {}

AlexStore::~AlexStore() {
  Close().IgnoreError();
}

Status AlexStore::Open(RecoveryReport* report) {
  const int64_t start_ns = MonotonicNanos();
  const std::string& directory = options_.store.directory;
  RETURN_IF_ERROR(env_->CreateDirectories(directory));
  ASSIGN_OR_RETURN(directory_lock_, env_->Lock(directory + "/LOCK"));
  {
    MutexLock lock(&write_mutex_);
    RETURN_IF_ERROR(Recover(report));
  }
  report->elapsed_ns = MonotonicNanos() - start_ns;
  group_ = std::make_unique<GroupSync>(options_.store.sync_mode, options_.store.sync_interval_ms,
                                       [this] { return log_.Sync(); });
  if (options_.has_upkeep) {
    upkeep_ = std::thread([this] { RunUpkeep(); });
  }
  return OkStatus();
}

// ---- Writing

Status AlexStore::CheckKey(std::string_view key) const {
  if (!IsKey(key)) {
    return InvalidArgument("a key of {} bytes in a keyspace of integers, which have 8", key.size());
  }
  if (key.size() > kMaxKeyBytes) {
    return InvalidArgument("a key of {} bytes; the limit is {}", key.size(), kMaxKeyBytes);
  }
  return OkStatus();
}

Status AlexStore::Validate(std::span<const WriteBatch::Operation> operations) const {
  uint64_t total_bytes = 0;
  for (const WriteBatch::Operation& operation : operations) {
    RETURN_IF_ERROR(CheckKey(operation.key));
    if (operation.value.size() > options_.store.max_value_bytes) {
      return InvalidArgument("a value of {} bytes; the limit is {}", operation.value.size(),
                             options_.store.max_value_bytes);
    }
    total_bytes += operation.key.size() + operation.value.size();
  }
  if (total_bytes > kMaxBatchBytes) {
    return InvalidArgument("a batch of {} bytes; the limit is {}", total_bytes, kMaxBatchBytes);
  }
  return OkStatus();
}

Record AlexStore::RecordOf(const WriteBatch::Operation& operation, const Prepared& prepared) const {
  return {.kind = operation.is_delete ? RecordKind::kDelete : RecordKind::kPut,
          .index_key = prepared.index_key,
          .expires_ns = operation.is_delete ? kNeverExpires : operation.expires_ns,
          .key_is_index_key = is_integer_,
          .key = operation.key,
          .value = operation.is_delete ? std::string_view() : operation.value};
}

void AlexStore::Prepare(std::span<const WriteBatch::Operation> operations,
                        std::span<Prepared> prepared) const {
  for (size_t i = 0; i < operations.size(); ++i) {
    prepared[i].index_key = IndexKeyOf(operations[i].key);
    const Record record = RecordOf(operations[i], prepared[i]);
    prepared[i].value_hash = ValueHash(record.value);
    prepared[i].record_bytes = record.BytesToStore();
  }
}

Status AlexStore::Admit() {
  if (is_closed_) {
    return Unavailable("the store is closed");
  }
  return group_->is_healthy() ? OkStatus() : group_->Health();
}

Status AlexStore::Write(const WriteBatch& batch, Done done, uint64_t* version) {
  const std::span<const WriteBatch::Operation> operations = batch.operations();
  RETURN_IF_ERROR(Validate(operations));
  Prepared single;
  std::vector<Prepared> many;
  std::span<Prepared> prepared(&single, 1);
  if (operations.size() != 1) {
    many.resize(operations.size());
    prepared = many;
  }
  Prepare(operations, prepared);
  {
    MutexLock lock(&write_mutex_);
    RETURN_IF_ERROR(Admit());
    if (!operations.empty()) {
      RETURN_IF_ERROR(Apply(operations, prepared));
    }
    if (version != nullptr) {
      *version = version_;
    }
  }
  group_->Add(std::move(done));
  return OkStatus();
}

Status AlexStore::Update(std::string_view key, const Edit& edit, Done done, uint64_t* version) {
  RETURN_IF_ERROR(CheckKey(key));
  const uint64_t index_key = IndexKeyOf(key);
  {
    MutexLock lock(&write_mutex_);
    RETURN_IF_ERROR(Admit());
    Entry entry;
    const Entry* current = nullptr;
    if (const Position position = index_.Find(index_key, key); position != 0) {
      Record record;
      if (ReadRecordAt(position, &record) != RecordState::kIntact) {
        return DamagedRecord(position);
      }
      if (!HasExpired(record)) {
        entry = {record.key, record.value, record.version, record.expires_ns};
        current = &entry;
      }
    }
    update_batch_.Clear();
    edit(current, &update_batch_);
    const std::span<const WriteBatch::Operation> operations = update_batch_.operations();
    RETURN_IF_ERROR(Validate(operations));
    if (!operations.empty()) {
      update_prepared_.resize(operations.size());
      Prepare(operations, update_prepared_);
      RETURN_IF_ERROR(Apply(operations, update_prepared_));
    }
    if (version != nullptr) {
      *version = version_;
    }
  }
  group_->Add(std::move(done));
  return OkStatus();
}

Status AlexStore::Apply(std::span<const WriteBatch::Operation> operations,
                        std::span<Prepared> prepared) {
  uint64_t bytes = 0;
  for (const Prepared& one : prepared) {
    bytes += one.record_bytes;
  }
  const LogSegment* const segment = log_.active();
  // A delete of what is not there becomes a mark, which can be larger.
  RETURN_IF_ERROR(log_.Reserve(std::max(bytes, kMarkRecordBytes), version_, live_bytes_));
  ++version_;
  const bool is_timed =
      operations.size() >= kAlwaysTimedOperations || version_ % kTimedWriteInterval == 0;
  const int64_t start_ns = is_timed ? MonotonicNanos() : 0;
  if (operations.size() == 1 && operations[0].is_delete &&
      index_.Find(prepared[0].index_key, operations[0].key) == 0) {
    log_.Mark(version_);  // nothing but the version
    log_.Publish();
  } else {
    for (size_t i = 0; i < operations.size(); ++i) {
      Record record = RecordOf(operations[i], prepared[i]);
      record.version = version_;
      record.more_follows = i + 1 < operations.size();
      prepared[i].position = log_.Append(record, prepared[i].value_hash);
    }
    log_.Publish();
    const int64_t appended_ns = is_timed ? MonotonicNanos() : 0;
    for (size_t i = 0; i < operations.size(); ++i) {
      if (i % kPrefetchGroup == 0 && operations.size() > 1) {
        for (const Prepared& next :
             prepared.subspan(i, std::min(kPrefetchGroup, operations.size() - i))) {
          index_.map().Prefetch(next.index_key);
        }
      }
      ChangeIndex(operations[i], prepared[i]);
    }
    if (is_timed) {
      RecordStage(Stage::kKvLogAppend, appended_ns - start_ns, operations.size());
      RecordStage(Stage::kKvIndex, MonotonicNanos() - appended_ns, operations.size());
    }
  }
  write_count_.store(write_count_.load(std::memory_order_relaxed) + operations.size(),
                     std::memory_order_relaxed);
  bytes_since_checkpoint_.store(bytes_since_checkpoint_.load(std::memory_order_relaxed) + bytes,
                                std::memory_order_relaxed);
  if (log_.active() != segment) {
    WakeUpkeep();
  }
  return OkStatus();
}

void AlexStore::ChangeIndex(const WriteBatch::Operation& operation, const Prepared& prepared) {
  if (history_.is_needed()) {
    // Before the index changes: a snapshot looks here after it looked there.
    if (const Position old = index_.Find(prepared.index_key, operation.key); old != 0) {
      const LogSegment* const segment = log_.Find(old);
      const auto header = ReadRecordHeader(segment->bytes(), segment->salt(), OffsetOf(old));
      if (!header || header->version != version_) {
        history_.Add(prepared.index_key, version_, old);
      }
    }
  }
  Position old = 0;
  if (operation.is_delete) {
    old = index_.Remove(prepared.index_key, operation.key);
  } else {
    old = index_.Put(prepared.index_key, operation.key, prepared.position);
    log_.active()->figures.live_bytes += prepared.record_bytes;
    live_bytes_ += prepared.record_bytes;
    if (operation.expires_ns != kNeverExpires) {
      expiries_.insert({operation.expires_ns, prepared.position});
    }
  }
  if (old != 0) {
    Forget(old);
  }
}

void AlexStore::Forget(Position position) {
  LogSegment* const segment = log_.Find(position);
  const uint64_t offset = OffsetOf(position);
  const auto header = ReadRecordHeader(segment->bytes(), segment->salt(), offset);
  if (!header) {
    segment->is_damaged = true;  // its figures no longer say how much is alive
    return;
  }
  segment->figures.live_bytes -= header->record_bytes();
  live_bytes_ -= header->record_bytes();
  if (header->has_expiry()) {
    int64_t expires_ns;
    std::memcpy(&expires_ns, segment->bytes().data() + offset + sizeof(RecordHeader),
                sizeof(expires_ns));
    expiries_.erase({expires_ns, position});
  }
}

// ---- Clearing and closing

void AlexStore::AddAllToHistory() {
  std::vector<KeyIndex::Pair> pairs(1024);
  uint64_t from = 0;
  while (const size_t count = index_.map().ScanForward(from, pairs)) {
    for (size_t i = 0; i < count; ++i) {
      history_.Add(pairs[i].key, version_, pairs[i].payload);
    }
    from = pairs[count - 1].key + 1;
    if (count < pairs.size() || from == 0) {
      break;
    }
  }
  std::vector<KeyIndex::Pair> others;
  index_.CollectOthers(0, UINT64_MAX, &others);
  for (const KeyIndex::Pair& other : others) {
    history_.Add(other.key, version_, other.payload);
  }
}

AlexStore::Cleared AlexStore::ResetIndex() {
  Cleared cleared;
  cleared.index = index_.Clear();
  cleared.expiries.swap(expiries_);
  live_bytes_ = 0;
  for (LogSegment* segment : log_.Segments()) {
    segment->figures.live_bytes = 0;
    segment->is_damaged = false;  // what cannot be read there is no longer wanted
  }
  return cleared;
}

Status AlexStore::Clear() {
  MutexLock upkeep_lock(&upkeep_mutex_);
  uint32_t first_kept = 0;
  Cleared cleared;
  {
    MutexLock lock(&write_mutex_);
    RETURN_IF_ERROR(Admit());
    const Record record{
        .kind = RecordKind::kClear, .version = version_ + 1, .key_is_index_key = true};
    // In a segment of its own, so that all before it can go: it is never copied.
    RETURN_IF_ERROR(log_.BeginSegment(record.BytesToStore(), version_, 0));
    ++version_;
    if (history_.is_needed()) {
      AddAllToHistory();
    }
    log_.Append(record, ValueHash(record.value));
    log_.Publish();
    log_.active()->has_clear = true;
    first_kept = log_.active()->number();
    cleared = ResetIndex();
  }
  RETURN_IF_ERROR(MarkAndSync());
  for (LogSegment* segment : log_.Segments()) {
    if (segment->number() >= first_kept) {
      break;
    }
    if (const Status status = log_.Remove(segment); !status.ok()) {
      // It does no harm where it is; compaction tries again.
      spdlog::warn("kv segment cannot be removed file={} error=\"{}\"", segment->path(),
                   Message(status));
    }
  }
  return OkStatus();
}

Status AlexStore::Close() {
  MutexLock close_lock(&close_mutex_);
  if (close_was_called_) {
    return close_status_;
  }
  close_was_called_ = true;
  if (group_ == nullptr) {  // Open failed
    log_.Stop();
    return OkStatus();
  }
  {
    MutexLock lock(&wake_mutex_);
    is_stopping_ = true;
  }
  wake_.NotifyAll();
  if (upkeep_.joinable()) {
    upkeep_.join();
  }
  {
    MutexLock lock(&write_mutex_);
    is_closed_ = true;
  }
  close_status_ = group_->Sync();
  MutexLock upkeep_lock(&upkeep_mutex_);
  if (close_status_.ok()) {
    if (options_.checkpoint_at_close && bytes_since_checkpoint_ != 0) {
      if (const Status status = WriteCheckpoint(); !status.ok()) {
        spdlog::warn("kv checkpoint failed directory={} error=\"{}\"", options_.store.directory,
                     Message(status));
      }
    }
    MutexLock lock(&write_mutex_);
    if (log_.CanMark()) {
      log_.Mark(version_);
      log_.Publish();
    }
  }
  const Status closed = group_->Close();
  close_status_ = close_status_.ok() ? closed : close_status_;
  log_.Stop();
  directory_lock_.reset();
  return close_status_;
}

StoreStats AlexStore::stats() const {
  StoreStats stats;
  stats.keys = index_.size();
  stats.disk_bytes = log_.disk_bytes();
  stats.memory_bytes = index_.memory_bytes();
  stats.segments = log_.Segments().size();
  stats.writes = write_count_;
  stats.syncs = group_->sync_count();
  stats.compactions = compaction_count_;
  stats.damaged_records = damaged_count_;
  MutexLock lock(&write_mutex_);
  stats.live_bytes = live_bytes_;
  constexpr uint64_t kNodeBytes = 64;  // of a std::set, as malloc rounds it
  stats.memory_bytes += expiries_.size() * kNodeBytes;
  return stats;
}

}  // namespace tsdbd::kv
