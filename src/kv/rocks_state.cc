#include "kv/rocks_state.h"

#include <cstdarg>
#include <cstdio>
#include <utility>
#include <vector>

#include <rocksdb/convenience.h>
#include <rocksdb/env.h>
#include <rocksdb/filter_policy.h>
#include <rocksdb/listener.h>
#include <rocksdb/table.h>
#include <spdlog/spdlog.h>

#include "common/stages.h"

namespace tsdbd::kv {
namespace {

// A memtable: large enough that a flush writes in long runs, small enough that several keyspaces
// fit the budget of their cache.
constexpr size_t kMemtableBytes = size_t{32} << 20;
// Bits per key of a bloom filter: about 1 % of the look-ups for keys that are not there read a
// block.
constexpr double kBloomBitsPerKey = 10;
// Of a memtable, for its own bloom filter: a look-up of a key that is not in it, the common case,
// then skips its skip list.
constexpr double kMemtableBloomShare = 0.05;
// Point reads fetch whole blocks: 4 KiB hold some 20 values of 200 bytes.
constexpr size_t kBlockBytes = size_t{4} << 10;
// Bounds what a start replays, as wal segments of all memtables are kept until those are flushed.
constexpr uint64_t kMaxLogBytes = uint64_t{256} << 20;
// A file that no compaction touched for so long is compacted alone, so that expired entries in it
// go. RocksDB's default with a filter is 30 days.
constexpr uint64_t kPeriodicCompactionSeconds = 7 * 86'400;

// Folder for damaged logs, in the store's.
constexpr const char* kQuarantine = "quarantine";

// RocksDB's warnings and errors as lines of our log; it writes no LOG file of its own then.
class LogForwarder final : public rocksdb::Logger {
 public:
  explicit LogForwarder(std::string directory)
      : Logger(rocksdb::InfoLogLevel::WARN_LEVEL), directory_(std::move(directory)) {}

  using Logger::Logv;
  void Logv(const char* format, va_list arguments) override {
    Logv(rocksdb::InfoLogLevel::WARN_LEVEL, format, arguments);
  }
  void Logv(const rocksdb::InfoLogLevel level, const char* format, va_list arguments) override {
    if (level < GetInfoLogLevel()) {
      return;
    }
    char text[1024];
    std::vsnprintf(text, sizeof(text), format, arguments);
    const bool is_error =
        level >= rocksdb::InfoLogLevel::ERROR_LEVEL && level <= rocksdb::InfoLogLevel::FATAL_LEVEL;
    spdlog::log(is_error ? spdlog::level::err : spdlog::level::warn,
                "rocksdb directory={} what=\"{}\"", directory_, text);
  }

 private:
  const std::string directory_;
};

class CompactionListener final : public rocksdb::EventListener {
 public:
  explicit CompactionListener(RocksCounters* counters) : counters_(counters) {}

  void OnCompactionCompleted(rocksdb::DB*, const rocksdb::CompactionJobInfo& info) override {
    counters_->compactions.fetch_add(1, std::memory_order_relaxed);
    RecordStage(Stage::kKvCompact, static_cast<int64_t>(info.stats.elapsed_micros) * kNanosPerMicro,
                info.stats.total_input_bytes);
  }

 private:
  RocksCounters* const counters_;
};

// Notes a broken log, and keeps RocksDB from resuming with it by itself.
class LogListener final : public rocksdb::EventListener {
 public:
  explicit LogListener(std::atomic<bool>* log_is_broken) : log_is_broken_(log_is_broken) {}

  void OnBackgroundError(rocksdb::BackgroundErrorReason reason, rocksdb::Status*) override {
    if (reason == rocksdb::BackgroundErrorReason::kWriteCallback) {
      log_is_broken_->store(true);
    }
  }
  void OnErrorRecoveryBegin(rocksdb::BackgroundErrorReason reason, rocksdb::Status,
                            bool* resume_by_itself) override {
    if (reason == rocksdb::BackgroundErrorReason::kWriteCallback) {
      *resume_by_itself = false;
    }
  }

 private:
  std::atomic<bool>* const log_is_broken_;
};

StatusCode CodeOf(const rocksdb::Status& status) {
  if (status.subcode() == rocksdb::Status::kNoSpace ||
      status.subcode() == rocksdb::Status::kSpaceLimit) {
    return StatusCode::kResourceExhausted;
  }
  switch (status.code()) {
    case rocksdb::Status::kNotFound:
      return StatusCode::kNotFound;
    case rocksdb::Status::kCorruption:
      return StatusCode::kDataLoss;
    case rocksdb::Status::kIOError:
    case rocksdb::Status::kShutdownInProgress:
    case rocksdb::Status::kBusy:
    case rocksdb::Status::kTimedOut:
    case rocksdb::Status::kAborted:
      return StatusCode::kUnavailable;
    default:
      return StatusCode::kInternal;
  }
}

}  // namespace

std::shared_ptr<RocksCache> MakeRocksCache(size_t capacity_bytes) {
  auto cache = std::make_shared<RocksCache>();
  rocksdb::LRUCacheOptions options;
  options.capacity = capacity_bytes;
  // Indexes and filters go before data blocks, and are evicted after them.
  options.high_pri_pool_ratio = 0.5;
  cache->blocks = rocksdb::NewLRUCache(options);
  // Half of the budget at most: beyond it memtables are flushed early.
  cache->memtables =
      std::make_shared<rocksdb::WriteBufferManager>(capacity_bytes / 2, cache->blocks);
  return cache;
}

uint64_t UsedBytes(const RocksCache& cache) {
  return cache.blocks->GetUsage();
}

Status FromRocks(const rocksdb::Status& status, std::string_view operation,
                 std::string_view directory) {
  if (status.ok()) {
    return OkStatus();
  }
  return MakeStatus(CodeOf(status), "{} {}: {}", operation, directory, status.ToString());
}

RocksState::RocksState(StoreOptions options_in, RocksOptions rocks)
    : options(std::move(options_in)),
      now_ns(std::move(rocks.now_ns)),
      cache(rocks.cache != nullptr ? std::move(rocks.cache) : MakeRocksCache(kOwnCacheBytes)),
      env(rocks.env != nullptr ? rocks.env : rocksdb::Env::Default()),
      snapshot_times(std::make_shared<SnapshotTimes>(now_ns)),
      hot(rocks.hot_bytes),
      space(options.directory, std::move(rocks.free_bytes)) {}

RocksState::~RocksState() {
  if (db == nullptr) {
    return;
  }
  for (rocksdb::ColumnFamilyHandle* family : {entries, meta}) {
    db->DestroyColumnFamilyHandle(family).PermitUncheckedError();
  }
  db->Close().PermitUncheckedError();
}

Status RocksState::Open() {
  const rocksdb::Status strict = OpenWith(rocksdb::WALRecoveryMode::kTolerateCorruptedTailRecords);
  if (!strict.IsCorruption()) {
    return Fail(strict, "open");
  }
  // RocksDB removes the logs that it has read, so they are kept before it reads them.
  RETURN_IF_ERROR(KeepLogsAside());
  if (!OpenWith(rocksdb::WALRecoveryMode::kPointInTimeRecovery).ok()) {
    return Fail(strict, "open");
  }
  counters.damaged_records.fetch_add(1, std::memory_order_relaxed);
  spdlog::error("kv log damaged, what followed is lost directory={} kept={} what=\"{}\"",
                options.directory, kQuarantine, strict.ToString());
  return OkStatus();
}

Status RocksState::Resume() {
  uint64_t in_memtables = 0;
  for (rocksdb::ColumnFamilyHandle* family : {entries, meta}) {
    uint64_t count = 0;
    db->GetIntProperty(family, rocksdb::DB::Properties::kNumEntriesActiveMemTable, &count);
    in_memtables += count;
  }
  if (log_is_broken.load() && in_memtables == 0) {
    return Unavailable("write to {}: its log found the disk full; only a restart helps",
                       options.directory);
  }
  RETURN_IF_ERROR(Fail(db->Resume(), "resume writing to"));
  log_is_broken.store(false);
  return OkStatus();
}

rocksdb::Status RocksState::OpenWith(rocksdb::WALRecoveryMode mode) {
  rocksdb::DBOptions database = DatabaseOptions();
  database.wal_recovery_mode = mode;
  rocksdb::ColumnFamilyOptions meta_options;
  // One key: flushed together with what it is in one log with.
  meta_options.write_buffer_size = 64 << 10;
  const std::vector<rocksdb::ColumnFamilyDescriptor> families = {
      {rocksdb::kDefaultColumnFamilyName, EntryOptions()}, {"meta", meta_options}};
  std::vector<rocksdb::ColumnFamilyHandle*> handles;
  rocksdb::DB* opened = nullptr;
  const rocksdb::Status status =
      rocksdb::DB::Open(database, options.directory, families, &handles, &opened);
  if (status.ok()) {
    db.reset(opened);
    entries = handles[0];
    meta = handles[1];
  }
  return status;
}

Status RocksState::KeepLogsAside() const {
  const std::string folder = fmt::format("{}/{}", options.directory, kQuarantine);
  std::vector<std::string> names;
  rocksdb::Status status = env->GetChildren(options.directory, &names);
  if (status.ok()) {
    status = env->CreateDirIfMissing(folder);
  }
  for (size_t i = 0; i < names.size() && status.ok(); ++i) {
    const std::string kept = fmt::format("{}/{}", folder, names[i]);
    if (names[i].ends_with(".log") && env->FileExists(kept).IsNotFound()) {
      status = env->LinkFile(fmt::format("{}/{}", options.directory, names[i]), kept);
    }
  }
  return Fail(status, "keep damaged logs of");
}

rocksdb::DBOptions RocksState::DatabaseOptions() {
  rocksdb::DBOptions database;
  database.env = env;
  database.create_if_missing = true;
  database.create_missing_column_families = true;
  database.write_buffer_manager = cache->memtables;
  database.max_total_wal_size = kMaxLogBytes;
  // A flush and a compaction beside it; more would take the CPU from everything else.
  database.max_background_jobs = 2;
  database.info_log = std::make_shared<LogForwarder>(options.directory);
  database.listeners.push_back(std::make_shared<CompactionListener>(&counters));
  database.listeners.push_back(std::make_shared<LogListener>(&log_is_broken));
  // A log that was synced and is gone, or is shorter than it was, is damage and not a new start.
  database.track_and_verify_wals_in_manifest = true;
  // Files are removed by background threads and not by a read that was the last to use them.
  database.avoid_unnecessary_blocking_io = true;
  // Written back in steps while a file is written, so that its sync has little left to do.
  database.bytes_per_sync = 1 << 20;
  database.stats_dump_period_sec = 0;
  database.stats_persist_period_sec = 0;
  return database;
}

rocksdb::ColumnFamilyOptions RocksState::EntryOptions() const {
  rocksdb::BlockBasedTableOptions table;
  table.block_cache = cache->blocks;
  table.block_size = kBlockBytes;
  table.format_version = 5;
  table.checksum = rocksdb::kXXH3;
  table.filter_policy.reset(rocksdb::NewBloomFilterPolicy(kBloomBitsPerKey));
  // In the cache, so that they are part of the budget; those of the newest files stay there.
  table.cache_index_and_filter_blocks = true;
  table.cache_index_and_filter_blocks_with_high_priority = true;
  table.pin_l0_filter_and_index_blocks_in_cache = true;
  table.pin_top_level_index_and_filter = true;
  // Finds a key in its block by hash; falls back to binary search where keys collide.
  table.data_block_index_type = rocksdb::BlockBasedTableOptions::kDataBlockBinaryAndHash;

  rocksdb::ColumnFamilyOptions family;
  family.table_factory.reset(rocksdb::NewBlockBasedTableFactory(table));
  family.write_buffer_size = kMemtableBytes;
  family.max_write_buffer_number = 4;
  family.memtable_prefix_bloom_size_ratio = kMemtableBloomShare;
  family.memtable_whole_key_filtering = true;
  family.level_compaction_dynamic_level_bytes = true;
  family.compression = rocksdb::kLZ4Compression;
  family.bottommost_compression = rocksdb::kZSTD;
  family.compaction_filter_factory = std::make_shared<ExpiryFilterFactory>(snapshot_times);
  family.periodic_compaction_seconds = kPeriodicCompactionSeconds;
  return family;
}

}  // namespace tsdbd::kv
