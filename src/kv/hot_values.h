#pragma once
// HotValues: the values of a RocksStore that were read lately, in memory and without the blocks,
// indexes and filters around them. Bounded in bytes, sharded, evicts by CLOCK.
//
// Threads: everything may be called from any thread. Of two writes of one key the second begins
// after the first has ended: the store's key locks see to that.
//
// Invariants
// 1. What is in here is what the database has, at every moment: a write takes its keys out before
//    it changes the database, and puts them back, if at all, after that.
// 2. A reader may only put in what it read while no write of the key was under way. It asks for a
//    ticket before it reads the database, and Fill does nothing if a write has begun since. Writes
//    are counted per key hash modulo kWriteCounters: keys that share a counter cost each other a
//    fill, never a wrong value.

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <absl/container/flat_hash_map.h>

#include "common/mutex.h"

namespace tsdbd::kv {

struct HotValue {
  std::string key;
  std::string value;
  uint64_t version = 0;
  int64_t expires_ns = 0;

  // What it takes in memory, with the table around it.
  size_t size_bytes() const { return sizeof(HotValue) + key.capacity() + value.capacity() + 64; }
};

class HotValues {
 public:
  using Pointer = std::shared_ptr<const HotValue>;
  // The state of a key's write counter.
  using Ticket = uint64_t;

  struct Stats {
    uint64_t hits = 0;
    uint64_t misses = 0;
    uint64_t size_bytes = 0;
  };

  // 0: keeps nothing.
  explicit HotValues(size_t capacity_bytes);

  // Null if it is not there. Counts a hit or a miss.
  Pointer Find(std::string_view key);

  Ticket BeginFill(std::string_view key) const;
  void Fill(Ticket ticket, Pointer value);

  // Around a change of the database. Begin says whether the value was there; the new one, if given
  // to End, takes its place.
  bool BeginWrite(std::string_view key);
  void EndWrite(std::string_view key, Pointer value);

  // The same for all keys. No write may be under way.
  void BeginClear();
  void EndClear();

  // Whether a value of this size is kept at all: one must not empty a shard.
  bool Takes(size_t size_bytes) const { return size_bytes <= shard_capacity_bytes_ / 4; }
  Stats stats() const;

 private:
  static constexpr int kShardBits = 5;
  static constexpr size_t kShards = size_t{1} << kShardBits;
  static constexpr size_t kWriteCounters = 4096;
  // A counter has the number of writes under way in its low half, of those finished in its high.
  static constexpr uint64_t kOneUnderWay = 1;
  static constexpr uint64_t kOneFinished = uint64_t{1} << 32;
  static constexpr uint64_t kUnderWayMask = kOneFinished - 1;

  struct Cell {
    Pointer value;  // null: free
    uint64_t hash = 0;
    bool was_read = false;  // since the hand passed
  };

  // Keys are told apart by their hash; of two with one hash the later takes the earlier's place.
  struct alignas(64) Shard {
    mutable Mutex mutex;
    absl::flat_hash_map<uint64_t, uint32_t> cell_of_hash GUARDED_BY(mutex);
    std::vector<Cell> cells GUARDED_BY(mutex);
    std::vector<uint32_t> free_cells GUARDED_BY(mutex);
    size_t hand GUARDED_BY(mutex) = 0;
    size_t size_bytes GUARDED_BY(mutex) = 0;
    uint64_t hits GUARDED_BY(mutex) = 0;
    uint64_t misses GUARDED_BY(mutex) = 0;

    bool Remove(uint64_t hash) REQUIRES(mutex);
    void Free(uint32_t cell) REQUIRES(mutex);
    void Insert(uint64_t hash, Pointer value, size_t capacity_bytes) REQUIRES(mutex);
    void EvictOne() REQUIRES(mutex);
  };

  Shard& ShardOf(uint64_t hash) { return shards_[hash >> (64 - kShardBits)]; }
  std::atomic<uint64_t>& CounterOf(uint64_t hash) { return counters_[hash % kWriteCounters]; }

  const size_t shard_capacity_bytes_;
  std::array<Shard, kShards> shards_;
  std::array<std::atomic<uint64_t>, kWriteCounters> counters_{};
};

}  // namespace tsdbd::kv
