#pragma once
// KeyIndex: from keys to the positions of their newest records. An AlexMap from the 64-bit index
// key (the integer itself, or the hash of a byte key) to a position; and beside it, for byte keys,
// the few keys whose hash another key has already.
//
// Threads: one writer at a time (the store's write lock); readers hold a pin of the gate and take
// no lock, except to look at keys of equal hash, if there are any.

#include <atomic>
#include <cstdint>
#include <map>
#include <span>
#include <string_view>
#include <vector>

#include "common/epoch.h"
#include "common/mutex.h"
#include "index/alex_map.h"
#include "kv/store.h"
#include "kv/value_log.h"

namespace tsdbd::kv {

class KeyIndex {
 public:
  using Map = index::AlexMap<uint64_t, Position>;
  using Pair = Map::Pair;

  KeyIndex(KeyType key_type, const ValueLog* log, EpochGate* gate)
      : is_integer_(key_type == KeyType::kInteger), log_(log), map_(gate) {}

  // ---- Readers

  // The position of one key with this index key, or 0: there is none.
  Position FindFirst(uint64_t index_key) const {
    Position position = 0;
    return map_.Find(index_key, &position) ? position : 0;
  }
  // Whether there are keys that FindFirst does not lead to.
  bool has_collisions() const { return others_count_.load(std::memory_order_acquire) != 0; }
  // Adds the others with an index key in this range (both included).
  void CollectOthers(uint64_t first, uint64_t last, std::vector<Pair>* pairs) const;
  // Differs before and after FindFirst and CollectOthers if a key may have moved from one to the
  // other meanwhile: then look again.
  uint64_t move_count() const { return move_count_.load(std::memory_order_acquire); }
  const Map& map() const { return map_; }

  size_t size() const { return map_.size() + others_count_.load(std::memory_order_relaxed); }
  size_t memory_bytes() const;

  // ---- The writer

  // Where `key` is; 0: nowhere.
  Position Find(uint64_t index_key, std::string_view key) const;
  // Returns where it was before; 0: nowhere.
  Position Put(uint64_t index_key, std::string_view key, Position position);
  Position Remove(uint64_t index_key, std::string_view key);
  // If a key with this index key is at `from`, it is now at `to`.
  bool Move(uint64_t index_key, Position from, Position to);
  bool IsAt(uint64_t index_key, Position position) const;
  // A record of which no more than the index key is known hides what was there.
  Position PutUnreadable(uint64_t index_key, Position position);
  // Removes everything. What was there is freed with what is returned, which takes its time.
  struct Remains;
  Remains Clear();
  // Replaces everything. The pairs are in order; several may have the same key.
  void Load(std::span<const Pair> pairs, bool has_collisions);

 private:
  using Others = std::multimap<uint64_t, Position>;

  // Whether the record at `position` is of this key; true also if it is unreadable.
  bool KeyIs(Position position, std::string_view key) const;
  Others::const_iterator FindOther(uint64_t index_key, std::string_view key) const
      REQUIRES_SHARED(others_mutex_);
  void CountOthers() REQUIRES(others_mutex_);

  const bool is_integer_;
  const ValueLog* const log_;

  Map map_;
  std::atomic<size_t> others_count_ = 0;
  std::atomic<uint64_t> move_count_ = 0;
  mutable SharedMutex others_mutex_;
  Others others_ GUARDED_BY(others_mutex_);
};

struct KeyIndex::Remains {
  Map::Remains map;
  Others others;
};

}  // namespace tsdbd::kv
