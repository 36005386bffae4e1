#include "kv/rocks_store.h"

#include <atomic>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <rocksdb/write_batch.h>

#include "common/env.h"
#include "common/stages.h"
#include "kv/group_sync.h"
#include "kv/key_locks.h"
#include "kv/rocks_record.h"
#include "kv/rocks_state.h"
#include "kv/rocks_versions.h"
#include "kv/rocks_view.h"

namespace tsdbd::kv {
namespace {

// After a full disk, how often a write tries whether there is space again.
constexpr int64_t kResumePauseNanos = kNanosPerSecond / 2;

class RocksStore final : public Store {
 public:
  RocksStore(StoreOptions options, RocksOptions rocks);
  ~RocksStore() override { Close().IgnoreError(); }

  Status Open();

  Status Write(const WriteBatch& batch, Done done, uint64_t* version) override;
  Status Update(std::string_view key, const Edit& edit, Done done, uint64_t* version) override;
  std::unique_ptr<ReadView> Read(Consistency consistency) override;
  Status Sync() override;
  Status Clear() override;
  Status Compact() override;
  Status Close() override;
  StoreStats stats() const override;
  bool is_ordered() const override { return true; }
  bool may_block() const override { return true; }

 private:
  Status CheckOperations(const WriteBatch& batch) const;
  Status CheckKey(std::string_view key) const;
  // The caller holds the locks of all keys of the batch.
  Status Apply(const WriteBatch& batch, uint64_t* version);
  // One try of an Update under the locks `held`. False if its batch needs more, which `needed`
  // gets.
  StatusOr<bool> TryUpdate(std::string_view key, const Edit& edit, KeyLocks::Mask held,
                           KeyLocks::Mask* needed, uint64_t* version);
  Status PutInto(const WriteBatch& batch, uint64_t version);
  Status SyncLog();
  // Before anything is written: takes space for it, and ends what an earlier full disk began.
  Status PrepareToWrite(size_t size_bytes);
  // `status`, remembered if it tells of a full disk.
  Status NoteFull(Status status);

  RocksState state_;
  RocksVersions versions_;
  KeyLocks locks_;

  std::atomic<bool> closed_ = false;
  std::atomic<bool> is_full_ = false;  // a write has failed for lack of space
  std::atomic<int64_t> resume_after_ns_ = 0;

  std::optional<GroupSync> group_sync_;  // from Open on
};

KeyLocks::Mask MaskOf(const WriteBatch& batch) {
  KeyLocks::Mask mask = 0;
  for (const WriteBatch::Operation& operation : batch.operations()) {
    mask |= KeyLocks::MaskOf(operation.key);
  }
  return mask;
}

// About what it takes in the log.
size_t BytesOf(const WriteBatch& batch) {
  size_t bytes = 0;
  for (const WriteBatch::Operation& operation : batch.operations()) {
    bytes += operation.key.size() + operation.value.size() + kRocksHeaderBytes;
  }
  return bytes;
}

RocksStore::RocksStore(StoreOptions options, RocksOptions rocks)
    : state_(std::move(options), std::move(rocks)), versions_(&state_) {}

Status RocksStore::Open() {
  RETURN_IF_ERROR(state_.Open());
  RETURN_IF_ERROR(versions_.Open());
  group_sync_.emplace(state_.options.sync_mode, state_.options.sync_interval_ms,
                      [this] { return SyncLog(); });
  return OkStatus();
}

Status RocksStore::SyncLog() {
  if (state_.log_is_broken.load()) {
    return ResourceExhausted("sync the log of {}: its last write failed", state_.options.directory);
  }
  return state_.Fail(state_.db->SyncWAL(), "sync the log of");
}

Status RocksStore::CheckKey(std::string_view key) const {
  if (state_.options.key_type == KeyType::kInteger && key.size() != sizeof(uint64_t)) {
    return InvalidArgument("a key of {} bytes in a keyspace of 8-byte integers", key.size());
  }
  if (key.size() > kMaxKeyBytes) {
    return InvalidArgument("a key of {} bytes; at most {} are possible", key.size(), kMaxKeyBytes);
  }
  return OkStatus();
}

Status RocksStore::CheckOperations(const WriteBatch& batch) const {
  for (const WriteBatch::Operation& operation : batch.operations()) {
    RETURN_IF_ERROR(CheckKey(operation.key));
    if (operation.value.size() > state_.options.max_value_bytes) {
      return InvalidArgument("a value of {} bytes; at most {} are possible", operation.value.size(),
                             state_.options.max_value_bytes);
    }
  }
  return OkStatus();
}

Status RocksStore::Write(const WriteBatch& batch, Done done, uint64_t* version) {
  RETURN_IF_ERROR(CheckOperations(batch));
  {
    const KeyLocks::Guard guard(&locks_, MaskOf(batch));
    RETURN_IF_ERROR(Apply(batch, version));
  }
  group_sync_->Add(std::move(done));
  return OkStatus();
}

Status RocksStore::Update(std::string_view key, const Edit& edit, Done done, uint64_t* version) {
  RETURN_IF_ERROR(CheckKey(key));
  KeyLocks::Mask held = KeyLocks::MaskOf(key);
  for (bool is_applied = false; !is_applied;) {
    KeyLocks::Mask needed = 0;
    ASSIGN_OR_RETURN(is_applied, TryUpdate(key, edit, held, &needed, version));
    held = needed;
  }
  group_sync_->Add(std::move(done));
  return OkStatus();
}

StatusOr<bool> RocksStore::TryUpdate(std::string_view key, const Edit& edit, KeyLocks::Mask held,
                                     KeyLocks::Mask* needed, uint64_t* version) {
  const KeyLocks::Guard guard(&locks_, held);
  PinnedRecord pinned;
  Entry current;
  Status status = ReadLatest(&state_, key, &pinned, &current);
  if (!status.ok() && !absl::IsNotFound(status)) {
    return status;
  }
  WriteBatch batch;
  edit(status.ok() ? &current : nullptr, &batch);
  RETURN_IF_ERROR(CheckOperations(batch));
  // Locks are taken in one order, so those of more keys cannot be added to what is held.
  *needed = held | MaskOf(batch);
  if (*needed != held) {
    return false;
  }
  RETURN_IF_ERROR(Apply(batch, version));
  return true;
}

Status RocksStore::Apply(const WriteBatch& batch, uint64_t* version) {
  if (closed_.load()) {
    return Unavailable("write to {}: the store is closed", state_.options.directory);
  }
  if (!group_sync_->is_healthy()) {
    return group_sync_->Health();
  }
  uint64_t given = 0;
  if (!batch.operations().empty()) {
    RETURN_IF_ERROR(PrepareToWrite(BytesOf(batch)));
    StatusOr<uint64_t> next = versions_.Next();
    RETURN_IF_ERROR(NoteFull(next.status()));
    given = *next;
    RETURN_IF_ERROR(PutInto(batch, given));
  }
  if (version != nullptr) {
    *version = given;
  }
  return OkStatus();
}

Status RocksStore::PutInto(const WriteBatch& batch, uint64_t version) {
  StageTimer timer(Stage::kKvLogAppend);
  timer.set_items(batch.operations().size());
  rocksdb::WriteBatch records;
  bool was_hot = false;
  for (const WriteBatch::Operation& operation : batch.operations()) {
    was_hot = state_.hot.BeginWrite(operation.key);
    const rocksdb::Slice key = ToSlice(operation.key);
    if (operation.is_delete) {
      records.Delete(state_.entries, key).PermitUncheckedError();
      continue;
    }
    const auto header = RocksHeader(version, operation.expires_ns);
    const rocksdb::Slice parts[] = {{header.data(), header.size()}, ToSlice(operation.value)};
    records.Put(state_.entries, {&key, 1}, {parts, 2}).PermitUncheckedError();
  }
  const rocksdb::Status status = state_.db->Write(rocksdb::WriteOptions(), &records);
  // What was hot stays so; in a batch a key may occur again, so there it is left to the next read.
  HotValues::Pointer hot;
  const WriteBatch::Operation& first = batch.operations().front();
  if (status.ok() && was_hot && batch.operations().size() == 1 && !first.is_delete) {
    hot = std::make_shared<const HotValue>(HotValue{.key = std::string(first.key),
                                                    .value = std::string(first.value),
                                                    .version = version,
                                                    .expires_ns = first.expires_ns});
  }
  for (const WriteBatch::Operation& operation : batch.operations()) {
    state_.hot.EndWrite(operation.key, hot);
  }
  RETURN_IF_ERROR(NoteFull(state_.Fail(status, "write to")));
  state_.counters.writes.fetch_add(batch.operations().size(), std::memory_order_relaxed);
  return OkStatus();
}

Status RocksStore::NoteFull(Status status) {
  if (absl::IsResourceExhausted(status)) {
    resume_after_ns_.store(MonotonicNanos() + kResumePauseNanos);
    is_full_.store(true);
  }
  return status;
}

// RocksDB takes no writes after one that failed until it is told to resume.
Status RocksStore::PrepareToWrite(size_t size_bytes) {
  RETURN_IF_ERROR(state_.space.Take(size_bytes));
  if (!is_full_.load()) {
    return OkStatus();
  }
  int64_t after_ns = resume_after_ns_.load();
  const int64_t now_ns = MonotonicNanos();
  if (now_ns < after_ns ||
      !resume_after_ns_.compare_exchange_strong(after_ns, now_ns + kResumePauseNanos)) {
    return ResourceExhausted("write to {}: the disk was full a moment ago",
                             state_.options.directory);
  }
  RETURN_IF_ERROR(state_.Resume());
  is_full_.store(false);
  return OkStatus();
}

std::unique_ptr<ReadView> RocksStore::Read(Consistency consistency) {
  return std::make_unique<RocksView>(&state_, consistency);
}

Status RocksStore::Sync() {
  return group_sync_->Sync();
}

Status RocksStore::Clear() {
  // Above every key: they are not longer than kMaxKeyBytes.
  static const std::string kAboveAll(kMaxKeyBytes + 1, '\xFF');
  {
    const KeyLocks::Guard guard(&locks_, KeyLocks::kAll);
    RETURN_IF_ERROR(Apply(WriteBatch(), nullptr));
    RETURN_IF_ERROR(PrepareToWrite(kAboveAll.size()));
    state_.hot.BeginClear();
    const rocksdb::Status status =
        state_.db->DeleteRange(rocksdb::WriteOptions(), state_.entries, "", kAboveAll);
    state_.hot.EndClear();
    RETURN_IF_ERROR(NoteFull(state_.Fail(status, "clear")));
  }
  RETURN_IF_ERROR(group_sync_->Sync());
  return Compact();
}

Status RocksStore::Compact() {
  rocksdb::CompactRangeOptions options;
  options.bottommost_level_compaction = rocksdb::BottommostLevelCompaction::kForceOptimized;
  return state_.Fail(state_.db->CompactRange(options, state_.entries, nullptr, nullptr), "compact");
}

Status RocksStore::Close() {
  {
    const KeyLocks::Guard guard(&locks_, KeyLocks::kAll);
    if (!group_sync_ || closed_.exchange(true)) {
      return OkStatus();
    }
  }
  RETURN_IF_ERROR(group_sync_->Close());
  return versions_.Close();
}

StoreStats RocksStore::stats() const {
  const auto property = [this](const std::string& name) {
    uint64_t value = 0;
    state_.db->GetIntProperty(state_.entries, name, &value);
    return value;
  };
  using Properties = rocksdb::DB::Properties;
  const HotValues::Stats hot = state_.hot.stats();
  const RocksCounters& counters = state_.counters;
  StoreStats stats;
  stats.keys = property(Properties::kEstimateNumKeys);
  stats.live_bytes =
      property(Properties::kEstimateLiveDataSize) + property(Properties::kCurSizeAllMemTables);
  stats.disk_bytes = property(Properties::kTotalSstFilesSize);
  std::vector<std::unique_ptr<rocksdb::LogFile>> logs;
  state_.db->GetSortedWalFiles(logs).PermitUncheckedError();
  for (const auto& log : logs) {
    stats.disk_bytes += log->SizeFileBytes();
  }
  // The blocks are in a cache that several stores share: UsedBytes tells.
  stats.memory_bytes = property(Properties::kCurSizeAllMemTables) +
                       property(Properties::kEstimateTableReadersMem) + hot.size_bytes;
  rocksdb::ColumnFamilyMetaData files;
  state_.db->GetColumnFamilyMetaData(state_.entries, &files);
  stats.segments = files.file_count;
  stats.writes = counters.writes.load(std::memory_order_relaxed);
  stats.syncs = group_sync_->sync_count();
  stats.compactions = counters.compactions.load(std::memory_order_relaxed);
  stats.damaged_records = counters.damaged_records.load(std::memory_order_relaxed);
  stats.cache_hits = hot.hits;
  stats.cache_misses = hot.misses;
  return stats;
}

}  // namespace

StatusOr<std::unique_ptr<Store>> OpenRocksStore(StoreOptions options, RocksOptions rocks) {
  RETURN_IF_ERROR(Env::Default()->CreateDirectories(options.directory));
  auto store = std::make_unique<RocksStore>(std::move(options), std::move(rocks));
  RETURN_IF_ERROR(store->Open());
  return store;
}

}  // namespace tsdbd::kv
