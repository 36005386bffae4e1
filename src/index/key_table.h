#pragma once
// KeyTable: raw line bytes → series group, so that a line whose series is known costs one hash, one
// look-up and one compare, and its tags are never parsed. A sharded hash index; keys lie in slab
// pools. Several raw keys may lead to one group (tags in another order).
//
// Identity is the bytes: a hash only leads to the candidates.
// Threads: Find and Insert from any thread; Erase* only while no Find or Insert runs.

#include <array>
#include <atomic>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include <absl/container/flat_hash_map.h>

#include "common/hash.h"
#include "common/mutex.h"
#include "common/slab_pool.h"
#include "model/row_batch.h"

namespace tsdbd::index {

struct IndexedGroup;

// A field list in its context (model::KeyDecoder::context): with the raw key, what names a group.
struct FieldSet {
  std::string context;
  std::vector<std::string> names;
  uint64_t hash = 0;
  mutable std::atomic<uint64_t> references = 0;  // raw keys that have it
};

// A raw key and its group. The key's bytes follow the struct.
struct RawKey {
  IndexedGroup* group = nullptr;
  const FieldSet* fields = nullptr;
  RawKey* next_same_hash = nullptr;
  RawKey* next_of_group = nullptr;
  Hash128 hash;
  uint32_t size = 0;

  std::string_view bytes() const { return {reinterpret_cast<const char*>(this + 1), size}; }
};

class KeyTable {
 public:
  // One line to find: `key` and `fields` as in the request; `hash` from HashOf; `group` is the
  // answer, null if unknown.
  struct Query {
    std::string_view key;
    const FieldSet* fields = nullptr;
    Hash128 hash;
    IndexedGroup* group = nullptr;
  };

  ~KeyTable();

  static Hash128 HashOf(const Hash128& key_hash, const FieldSet& fields) {
    return {key_hash.low ^ fields.hash, key_hash.high + fields.hash};
  }

  // The pointer is valid until EraseUnusedFieldSets.
  const FieldSet* InternFieldSet(std::string_view context, const model::FieldList& fields);

  // Answers all queries: shard by shard, a group of look-ups at a time, so that their cache misses
  // overlap.
  void Find(std::span<Query> queries) const;

  // Adds a key that Find did not know; if another thread was faster, nothing happens.
  // *keys_of_group is the head of the group's list of keys.
  void Insert(const Query& query, IndexedGroup* group, std::atomic<RawKey*>* keys_of_group);
  // Removes a group's keys.
  void EraseAll(RawKey* keys_of_group);
  void EraseUnusedFieldSets();

  uint64_t MemoryBytes() const;

 private:
  struct Prehashed {
    size_t operator()(const Hash128& hash) const { return hash.low; }
  };
  struct Shard {
    mutable Mutex mutex;
    absl::flat_hash_map<Hash128, RawKey*, Prehashed> keys GUARDED_BY(mutex);
    SlabPool pool;
  };
  static constexpr size_t kShardBits = 4;
  // More than any machine's ingesting threads; a rehash stops only one of them.
  static constexpr size_t kShards = size_t{1} << kShardBits;
  // Look-ups in flight at a time: about what a core's miss buffers can overlap.
  static constexpr size_t kBatch = 32;

  static size_t ShardIndex(const Hash128& hash) { return hash.high >> (64 - kShardBits); }
  static RawKey* Match(RawKey* chain, const Query& query);
  static void FindInShard(const Shard& shard, std::span<Query> queries,
                          std::span<const uint32_t> order);

  std::array<Shard, kShards> shards_;
  Mutex field_sets_mutex_;
  absl::flat_hash_map<uint64_t, std::vector<FieldSet*>> field_sets_ GUARDED_BY(field_sets_mutex_);
};

}  // namespace tsdbd::index
