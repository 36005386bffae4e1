#include "index/label_store.h"

#include <algorithm>
#include <cstring>
#include <new>

#include "common/check.h"
#include "common/hash.h"

namespace tsdbd::index {

LabelStore::~LabelStore() {
  for (Shard& shard : shards_) {
    for (auto& [hash, chain] : shard.pairs) {
      for (LabelPair* pair = chain; pair != nullptr;) {
        LabelPair* next = pair->next_same_hash;
        FreePair(&shard.pool, pair, sizeof(LabelPair) + pair->value_size);
        pair = next;
      }
    }
  }
  for (auto& [text, name] : names_) {
    delete name;
  }
  for (auto& [hash, bucket] : schemas_) {
    for (Schema* schema : bucket) {
      delete schema;
    }
  }
}

LabelPair* LabelStore::FindInShard(const Shard& shard, uint64_t hash, std::string_view name,
                                   std::string_view value) {
  const auto it = shard.pairs.find(hash);
  LabelPair* pair = it == shard.pairs.end() ? nullptr : it->second;
  while (pair != nullptr && (pair->value() != value || pair->name->name != name)) {
    pair = pair->next_same_hash;
  }
  return pair;
}

LabelPair* LabelStore::InternPair(std::string_view name, std::string_view value) {
  const uint64_t hash = model::HashLabel(name, value);
  Shard& shard = ShardOf(hash);
  MutexLock lock(&shard.mutex);
  if (LabelPair* found = FindInShard(shard, hash, name, value)) {
    ++found->references;
    return found;
  }
  LabelPair* pair = new (shard.pool.Allocate(sizeof(LabelPair) + value.size())) LabelPair();
  pair->hash = hash;
  pair->name = InternName(name);
  pair->references = 1;
  pair->value_size = static_cast<uint32_t>(value.size());
  std::memcpy(reinterpret_cast<char*>(pair + 1), value.data(), value.size());
  LabelPair*& chain = shard.pairs[hash];
  pair->next_same_hash = chain;
  chain = pair;
  ++shard.count;
  return pair;
}

LabelName* LabelStore::InternName(std::string_view name) {
  MutexLock lock(&names_mutex_);
  if (const auto it = names_.find(name); it != names_.end()) {
    return it->second;
  }
  auto* made = new LabelName{std::string(name), {}};
  names_.emplace(made->name, made);
  return made;
}

Schema* LabelStore::InternSchema(std::string_view column_label,
                                 const std::vector<std::string>& values) {
  uint64_t hash = Hash64(column_label, values.size());
  for (const std::string& value : values) {
    hash = MixHash(hash, Hash64(value));
  }
  MutexLock lock(&schemas_mutex_);
  std::vector<Schema*>& bucket = schemas_[hash];
  for (Schema* schema : bucket) {
    if (schema->column_label == column_label && schema->column_values == values) {
      ++schema->references;
      return schema;
    }
  }
  auto* schema = new Schema();
  schema->column_label = column_label;
  schema->column_values = values;
  for (const std::string& value : values) {
    schema->column_hashes.push_back(value.empty() ? 0 : model::HashLabel(column_label, value));
  }
  schema->hash = hash;
  schema->references = 1;
  bucket.push_back(schema);
  return schema;
}

void LabelStore::FreePair(void* pool, void* pair, size_t size) {
  static_cast<LabelPair*>(pair)->~LabelPair();
  static_cast<SlabPool*>(pool)->Free(pair, size);
}

void LabelStore::Release(LabelPair* pair) {
  Shard& shard = ShardOf(pair->hash);
  {
    MutexLock lock(&shard.mutex);
    if (--pair->references > 0) {
      return;
    }
    const auto it = shard.pairs.find(pair->hash);
    LabelPair** link = &it->second;
    while (*link != pair) {
      link = &(*link)->next_same_hash;
    }
    *link = pair->next_same_hash;
    if (it->second == nullptr) {
      shard.pairs.erase(it);
    }
    --shard.count;
  }
  gate_->Retire(FreePair, &shard.pool, pair, sizeof(LabelPair) + pair->value_size);
}

void LabelStore::Release(Schema* schema) {
  {
    MutexLock lock(&schemas_mutex_);
    if (--schema->references > 0) {
      return;
    }
    const auto it = schemas_.find(schema->hash);
    it->second.erase(std::find(it->second.begin(), it->second.end(), schema));
    if (it->second.empty()) {
      schemas_.erase(it);
    }
  }
  gate_->Retire([](void*, void* pointer, size_t) { delete static_cast<Schema*>(pointer); }, nullptr,
                schema, sizeof(Schema));
}

LabelName* LabelStore::FindName(std::string_view name) const {
  MutexLock lock(&names_mutex_);
  const auto it = names_.find(name);
  return it == names_.end() ? nullptr : it->second;
}

const LabelPair* LabelStore::FindPair(std::string_view name, std::string_view value) const {
  const uint64_t hash = model::HashLabel(name, value);
  const Shard& shard = ShardOf(hash);
  MutexLock lock(&shard.mutex);
  return FindInShard(shard, hash, name, value);
}

uint64_t LabelStore::pair_count() const {
  uint64_t count = 0;
  for (const Shard& shard : shards_) {
    MutexLock lock(&shard.mutex);
    count += shard.count;
  }
  return count;
}

uint64_t LabelStore::MemoryBytes() const {
  uint64_t bytes = 0;
  for (const Shard& shard : shards_) {
    MutexLock lock(&shard.mutex);
    bytes += shard.pool.used_bytes() + shard.pairs.capacity() * (sizeof(uint64_t) * 2 + 1);
  }
  return bytes;
}

}  // namespace tsdbd::index
