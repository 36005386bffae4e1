#include "index/key_table.h"

#include <algorithm>
#include <cstring>
#include <new>

namespace tsdbd::index {

KeyTable::~KeyTable() {
  for (auto& [hash, bucket] : field_sets_) {
    for (FieldSet* set : bucket) {
      delete set;
    }
  }
}

const FieldSet* KeyTable::InternFieldSet(std::string_view context, const model::FieldList& fields) {
  const uint64_t hash = MixHash(fields.hash, Hash64(context));
  MutexLock lock(&field_sets_mutex_);
  std::vector<FieldSet*>& bucket = field_sets_[hash];
  for (const FieldSet* set : bucket) {
    if (set->context == context && set->names == fields.names) {
      return set;
    }
  }
  bucket.push_back(new FieldSet{std::string(context), fields.names, hash});
  return bucket.back();
}

RawKey* KeyTable::Match(RawKey* chain, const Query& query) {
  while (chain != nullptr && (chain->fields != query.fields || chain->bytes() != query.key)) {
    chain = chain->next_same_hash;
  }
  return chain;
}

void KeyTable::FindInShard(const Shard& shard, std::span<Query> queries,
                           std::span<const uint32_t> order) {
  MutexLock lock(&shard.mutex);
  RawKey* candidates[kBatch];
  for (size_t begin = 0; begin < order.size(); begin += kBatch) {
    const size_t count = std::min(kBatch, order.size() - begin);
    if (count > 1) {
      for (size_t i = 0; i < count; ++i) {
        shard.keys.prefetch(queries[order[begin + i]].hash);
      }
    }
    for (size_t i = 0; i < count; ++i) {
      const auto it = shard.keys.find(queries[order[begin + i]].hash);
      candidates[i] = it == shard.keys.end() ? nullptr : it->second;
      // The struct and the first bytes of the key, then what most keys have besides.
      __builtin_prefetch(candidates[i]);
      __builtin_prefetch(reinterpret_cast<const char*>(candidates[i]) + 64);
      __builtin_prefetch(reinterpret_cast<const char*>(candidates[i]) + 128);
    }
    for (size_t i = 0; i < count; ++i) {
      Query& query = queries[order[begin + i]];
      const RawKey* found = Match(candidates[i], query);
      query.group = found == nullptr ? nullptr : found->group;
    }
  }
}

void KeyTable::Find(std::span<Query> queries) const {
  if (queries.size() == 1) {
    const uint32_t only = 0;
    FindInShard(shards_[ShardIndex(queries[0].hash)], queries, {&only, 1});
    return;
  }
  // A counting sort by shard.
  std::array<uint32_t, kShards + 1> begins = {};
  for (const Query& query : queries) {
    ++begins[ShardIndex(query.hash) + 1];
  }
  for (size_t shard = 0; shard < kShards; ++shard) {
    begins[shard + 1] += begins[shard];
  }
  thread_local std::vector<uint32_t> order;
  order.resize(queries.size());
  std::array<uint32_t, kShards + 1> next = begins;
  for (uint32_t i = 0; i < queries.size(); ++i) {
    order[next[ShardIndex(queries[i].hash)]++] = i;
  }
  for (size_t shard = 0; shard < kShards; ++shard) {
    if (begins[shard] != begins[shard + 1]) {
      FindInShard(shards_[shard], queries,
                  std::span(order).subspan(begins[shard], begins[shard + 1] - begins[shard]));
    }
  }
}

void KeyTable::Insert(const Query& query, IndexedGroup* group,
                      std::atomic<RawKey*>* keys_of_group) {
  Shard& shard = shards_[ShardIndex(query.hash)];
  MutexLock lock(&shard.mutex);
  RawKey*& chain = shard.keys[query.hash];
  if (Match(chain, query) != nullptr) {
    return;
  }
  auto* key = new (shard.pool.Allocate(sizeof(RawKey) + query.key.size())) RawKey();
  key->group = group;
  key->fields = query.fields;
  key->hash = query.hash;
  key->size = static_cast<uint32_t>(query.key.size());
  std::memcpy(reinterpret_cast<char*>(key + 1), query.key.data(), query.key.size());
  key->next_same_hash = chain;
  chain = key;
  // Keys of one group may lie in several shards, so its list needs an atomic push.
  key->next_of_group = keys_of_group->load(std::memory_order_relaxed);
  while (!keys_of_group->compare_exchange_weak(key->next_of_group, key)) {
  }
  query.fields->references.fetch_add(1, std::memory_order_relaxed);
}

void KeyTable::EraseAll(RawKey* keys_of_group) {
  while (keys_of_group != nullptr) {
    RawKey* key = keys_of_group;
    keys_of_group = key->next_of_group;
    Shard& shard = shards_[ShardIndex(key->hash)];
    MutexLock lock(&shard.mutex);
    const auto it = shard.keys.find(key->hash);
    RawKey** link = &it->second;
    while (*link != key) {
      link = &(*link)->next_same_hash;
    }
    *link = key->next_same_hash;
    if (it->second == nullptr) {
      shard.keys.erase(it);
    }
    key->fields->references.fetch_sub(1, std::memory_order_relaxed);
    shard.pool.Free(key, sizeof(RawKey) + key->size);
  }
}

void KeyTable::EraseUnusedFieldSets() {
  MutexLock lock(&field_sets_mutex_);
  absl::erase_if(field_sets_, [](auto& entry) {
    std::erase_if(entry.second, [](FieldSet* set) {
      const bool unused = set->references == 0;
      if (unused) {
        delete set;
      }
      return unused;
    });
    return entry.second.empty();
  });
}

uint64_t KeyTable::MemoryBytes() const {
  uint64_t bytes = 0;
  for (const Shard& shard : shards_) {
    MutexLock lock(&shard.mutex);
    bytes +=
        shard.pool.used_bytes() + shard.keys.capacity() * (sizeof(Hash128) + sizeof(RawKey*) + 1);
  }
  return bytes;
}

}  // namespace tsdbd::index
