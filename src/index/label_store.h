#pragma once
// LabelStore: every label pair and every schema of the head exactly once, counted by reference, so
// that groups hold pointers and equal labels are equal pointers.
//
// Threads: InternPair, InternSchema and Release may be called from any thread. The postings in
// pairs and schemas belong to SeriesIndex and are guarded by its lock. What Release frees goes
// through the EpochGate: readers with a pin may go on reading names and values.

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include <absl/container/flat_hash_map.h>

#include "common/epoch.h"
#include "common/mutex.h"
#include "common/slab_pool.h"
#include "index/postings.h"
#include "model/labels.h"

namespace tsdbd::index {

struct LabelPair;

// A label's name. Never freed: names are few.
struct LabelName {
  std::string name;
  std::vector<LabelPair*> pairs;  // those with postings; guarded by SeriesIndex
};

// A label. The value's bytes follow the struct.
struct LabelPair {
  uint64_t hash = 0;  // model::HashLabel(name, value)
  LabelName* name = nullptr;
  LabelPair* next_same_hash = nullptr;  // guarded by the store's shard
  uint32_t references = 0;              // guarded by the store's shard
  uint32_t value_size = 0;
  uint32_t place_in_name = 0;  // index into name->pairs; guarded by SeriesIndex
  Postings groups;             // guarded by SeriesIndex

  std::string_view value() const { return {reinterpret_cast<const char*>(this + 1), value_size}; }
};

// What tells the columns of a group apart: series i has the label column_label=column_values[i]
// besides the group's own. An empty value means no such label.
struct Schema {
  std::string column_label;
  std::vector<std::string> column_values;
  std::vector<uint64_t> column_hashes;  // HashLabel(column_label, column_values[i]); 0 if empty
  uint64_t hash = 0;
  uint32_t references = 0;  // guarded by the store
  Postings groups;          // guarded by SeriesIndex

  size_t column_count() const { return column_values.size(); }
};

class LabelStore {
 public:
  explicit LabelStore(EpochGate* gate) : gate_(gate) {}
  ~LabelStore();

  // Each call takes a reference, to be given back with Release.
  LabelPair* InternPair(std::string_view name, std::string_view value);
  Schema* InternSchema(std::string_view column_label, const std::vector<std::string>& values);
  void Release(LabelPair* pair);
  void Release(Schema* schema);

  // Null if no group ever had the name, or has the pair.
  LabelName* FindName(std::string_view name) const;
  const LabelPair* FindPair(std::string_view name, std::string_view value) const;

  // Every name so far. Calls `visit(LabelName*)`.
  template <typename Visitor>
  void ForEachName(Visitor visit) const {
    MutexLock lock(&names_mutex_);
    for (const auto& [text, name] : names_) {
      visit(name);
    }
  }
  // Every schema that a group has. Calls `visit(Schema*)`.
  template <typename Visitor>
  void ForEachSchema(Visitor visit) const {
    MutexLock lock(&schemas_mutex_);
    for (const auto& [hash, bucket] : schemas_) {
      for (Schema* schema : bucket) {
        visit(schema);
      }
    }
  }

  uint64_t pair_count() const;
  uint64_t MemoryBytes() const;

 private:
  struct Prehashed {
    size_t operator()(uint64_t hash) const { return hash; }
  };
  struct Shard {
    mutable Mutex mutex;
    absl::flat_hash_map<uint64_t, LabelPair*, Prehashed> pairs GUARDED_BY(mutex);
    uint64_t count GUARDED_BY(mutex) = 0;
    SlabPool pool;
  };
  // More than any machine's ingesting threads; a rehash stops only one of them.
  static constexpr size_t kShards = 16;

  Shard& ShardOf(uint64_t hash) const { return shards_[hash >> 60]; }
  LabelName* InternName(std::string_view name);
  static LabelPair* FindInShard(const Shard& shard, uint64_t hash, std::string_view name,
                                std::string_view value) REQUIRES(shard.mutex);
  static void FreePair(void* pool, void* pair, size_t size);

  EpochGate* const gate_;
  mutable std::array<Shard, kShards> shards_;

  mutable Mutex names_mutex_;
  absl::flat_hash_map<std::string_view, LabelName*> names_ GUARDED_BY(names_mutex_);

  mutable Mutex schemas_mutex_;
  absl::flat_hash_map<uint64_t, std::vector<Schema*>, Prehashed> schemas_
      GUARDED_BY(schemas_mutex_);
};

}  // namespace tsdbd::index
