#pragma once
// Store: one keyspace: an ordered map from keys to values that is durable. Two backends implement
// it: AlexStore (kv/alex_store.h) and RocksStore (kv/rocks_store.h); nothing outside src/kv knows
// which one it talks to.
//
// Keys are bytes. An integer keyspace holds unsigned 64-bit keys, given as their 8 bytes with the
// most significant first (IntegerKey), so that the order of the bytes is the order of the numbers.
//
// Threads: everything may be called from any thread.
//
// Invariants
// 1. A write is atomic: after a crash all of its operations are there or none.
// 2. A write that returned OK is seen by every read that begins afterwards; its `done` tells when
//    it is as durable as the sync mode promises. A reader may see a write before it is durable.
// 3. Versions rise: of two writes to a keyspace the later one has the higher version, also after a
//    restart, and no two share one (operations of one batch share theirs).
// 4. After a failed sync the store is poisoned: writes fail with kUnavailable and the reason, reads
//    go on. On a full disk writes fail with kResourceExhausted, and work again once there is space.

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <limits>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "common/status.h"

namespace tsdbd::kv {

enum class KeyType : uint8_t { kBytes, kInteger };

// What a successful write promises; as in wal::SyncMode.
enum class SyncMode : uint8_t {
  kAlways,    // done when on disk
  kInterval,  // done when the kernel has it; on disk at most sync_interval_ms later
  kNone,      // done when the kernel has it
};

inline constexpr int64_t kNeverExpires = std::numeric_limits<int64_t>::max();
inline constexpr size_t kMaxKeyBytes = 64 << 10;

// The 8 bytes that stand for `key` in an integer keyspace.
inline std::array<char, 8> IntegerKey(uint64_t key) {
  return std::bit_cast<std::array<char, 8>>(__builtin_bswap64(key));
}
// The reverse; `bytes` has 8.
inline uint64_t IntegerOfKey(std::string_view bytes) {
  uint64_t key;
  std::memcpy(&key, bytes.data(), sizeof(key));
  return __builtin_bswap64(key);
}

// What is stored under a key. The views are valid as long as the ReadView that they came from.
struct Entry {
  std::string_view key;
  std::string_view value;
  uint64_t version = 0;                // of the write that made it
  int64_t expires_ns = kNeverExpires;  // Unix time
};

// Operations that take effect together, in this order.
class WriteBatch {
 public:
  struct Operation {
    bool is_delete = false;
    std::string_view key = {};
    std::string_view value = {};
    int64_t expires_ns = kNeverExpires;
  };

  // Keys and values are not copied: they must live until the write returns.
  void Put(std::string_view key, std::string_view value, int64_t expires_ns = kNeverExpires) {
    operations_.push_back({.key = key, .value = value, .expires_ns = expires_ns});
  }
  // Deleting what is not there is no error.
  void Delete(std::string_view key) { operations_.push_back({.is_delete = true, .key = key}); }
  void Clear() { operations_.clear(); }

  std::span<const Operation> operations() const { return operations_; }

 private:
  std::vector<Operation> operations_;
};

// Called once for each entry; false ends the scan.
using EntryVisitor = std::function<bool(const Entry&)>;

struct ScanRange {
  // In key order, `from` included, `to` excluded; empty: no bound. Only for ordered keyspaces.
  std::string_view from = {};
  std::string_view to = {};
  // Where a scan before this one ended (`cursor` of Scan); empty: at the beginning.
  std::string_view cursor = {};
  // At most so many entries; a keyspace in hash order may give a few more, since keys of equal hash
  // come together.
  size_t limit = std::numeric_limits<size_t>::max();
  bool is_descending = false;  // only for ordered keyspaces
  bool keys_only = false;      // values are left out, and need not be read
};

// A way to read. Entries stay valid, whatever is written or compacted, until it is destroyed; so it
// should not live for long. One thread at a time.
class ReadView {
 public:
  virtual ~ReadView() = default;

  // kNotFound without a message if there is no such key (or it has expired); kDataLoss, naming file
  // and offset, if the record is damaged.
  virtual Status Get(std::string_view key, Entry* entry) = 0;

  // The same for many keys at once, whose cache misses overlap. `statuses` and `entries` have the
  // size of `keys`.
  virtual void GetMany(std::span<const std::string_view> keys, std::span<Entry> entries,
                       std::span<Status> statuses) = 0;

  // Whether keys are there, and when they expire: as GetMany, without the values. They need not be
  // read, so damage to them may go unnoticed.
  virtual void FindMany(std::span<const std::string_view> keys, std::span<Entry> entries,
                        std::span<Status> statuses);

  // Visits entries in the keyspace's order. What `cursor` gets is empty at the end, else the
  // ScanRange::cursor with which to go on, in this view or any later one: every key that is there
  // all the while is visited exactly once. kInvalidArgument for bounds in a keyspace that has no
  // key order, and for a cursor that is not one. Damaged records are skipped and counted.
  virtual Status Scan(const ScanRange& range, const EntryVisitor& visitor, std::string* cursor) = 0;
};

enum class Consistency : uint8_t {
  kLatest,    // each read sees what is newest then
  kSnapshot,  // all reads see the store as it was when the view was taken
};

struct StoreStats {
  uint64_t keys = 0;  // RocksStore: an estimate
  uint64_t live_bytes = 0;
  uint64_t disk_bytes = 0;
  uint64_t memory_bytes = 0;  // index and caches
  uint64_t segments = 0;      // files
  uint64_t writes = 0;        // operations since it was opened
  uint64_t syncs = 0;
  uint64_t compactions = 0;
  uint64_t damaged_records = 0;
  uint64_t cache_hits = 0;  // RocksStore's hot values
  uint64_t cache_misses = 0;
};

class Store {
 public:
  // Runs on a thread of the store or, where there is nothing to wait for, within the call that it
  // was given to; must not block. OK: durable as the sync mode demands.
  using Done = std::function<void(const Status&)>;

  // Decides on a write knowing what is there: sees the key's entry (null: none) and adds
  // operations, which may be on any keys; their keys and values must live until Update returns.
  // Runs under the store's write lock (or the key's), so nothing comes between; must not call the
  // store, but may read through a ReadView taken before: the keys that it then writes are as it
  // read them. It may run more than once; what its last run adds is written.
  using Edit = std::function<void(const Entry* current, WriteBatch* batch)>;

  virtual ~Store() = default;

  // Takes effect at once; does not wait for the disk. If it returns OK, `done` (which may be null)
  // runs once; otherwise nothing was written and `done` never runs. `version` (may be null) is that
  // of the write. kInvalidArgument: a key or value that is too long, or of the wrong size for an
  // integer keyspace.
  virtual Status Write(const WriteBatch& batch, Done done, uint64_t* version) = 0;

  // A read-modify-write, atomic for `key`. If `edit` adds nothing, nothing is written and `done`
  // runs as soon as all that `edit` could see is durable.
  virtual Status Update(std::string_view key, const Edit& edit, Done done, uint64_t* version) = 0;

  virtual std::unique_ptr<ReadView> Read(Consistency consistency) = 0;

  // Waits until all that was written before is on disk, whatever the sync mode.
  virtual Status Sync() = 0;
  // Removes every key. Waits for the disk.
  virtual Status Clear() = 0;
  // Gives dead space back now; otherwise that happens by itself. Waits.
  virtual Status Compact() = 0;
  // Finishes what is queued, syncs, and refuses new writes. Idempotent.
  virtual Status Close() = 0;

  virtual StoreStats stats() const = 0;
  // Whether scans go in key order and take bounds.
  virtual bool is_ordered() const = 0;
  // Whether reads and writes may wait for a disk, so that they do not belong on an event loop.
  virtual bool may_block() const = 0;

  // The same, waiting until it is durable.
  Status WriteAndWait(const WriteBatch& batch);
  Status Put(std::string_view key, std::string_view value, int64_t expires_ns = kNeverExpires);
  Status Delete(std::string_view key);
  // A copy of the value.
  StatusOr<std::string> Get(std::string_view key);
};

struct StoreOptions {
  std::string directory;  // made if it does not exist; one Store at a time
  KeyType key_type = KeyType::kBytes;
  SyncMode sync_mode = SyncMode::kAlways;
  int64_t sync_interval_ms = 100;
  // Larger values are refused: they are read and checked as a whole.
  size_t max_value_bytes = size_t{64} << 20;
};

}  // namespace tsdbd::kv
