#include "index/group_table.h"

#include <algorithm>

namespace tsdbd::index {

IndexedGroup* GroupTable::FindOrCreate(const Schema* schema, std::span<LabelPair* const> labels,
                                       uint64_t labels_hash,
                                       const std::function<IndexedGroup*()>& create,
                                       std::vector<IndexedGroup*>* overlapping) {
  MutexLock lock(&mutex_);
  if (IndexedGroup* found = Find(schema, labels, labels_hash + schema->column_hashes[0])) {
    return found;
  }
  IndexedGroup* group = create();
  Register(group, overlapping);
  return group;
}

IndexedGroup* GroupTable::Find(const Schema* schema, std::span<LabelPair* const> labels,
                               uint64_t series_hash) {
  const auto is_it = [&](const IndexedGroup* group) {
    return group->schema == schema && std::ranges::equal(group->label_span(), labels);
  };
  Part& part = PartOf(series_hash);
  const auto first = part.first.find(series_hash);
  if (first == part.first.end()) {
    return nullptr;
  }
  if (is_it(first->second)) {
    return first->second;
  }
  const auto shared = part.shared.find(series_hash);
  if (shared == part.shared.end()) {
    return nullptr;
  }
  const auto found = std::ranges::find_if(shared->second, is_it);
  return found == shared->second.end() ? nullptr : *found;
}

void GroupTable::Register(IndexedGroup* group, std::vector<IndexedGroup*>* overlapping) {
  for (size_t column = 0; column < group->schema->column_count(); ++column) {
    const uint64_t hash = group->SeriesHash(column);
    Part& part = PartOf(hash);
    const auto [first, inserted] = part.first.try_emplace(hash, group);
    if (inserted) {
      continue;
    }
    std::vector<IndexedGroup*>& all = part.shared[hash];
    if (all.empty()) {
      all.push_back(first->second);
    }
    for (IndexedGroup* other : all) {
      if (other != group) {
        overlapping->push_back(other);
      }
    }
    if (std::ranges::find(all, group) == all.end()) {
      all.push_back(group);
    }
  }
}

void GroupTable::Erase(IndexedGroup* group) {
  MutexLock lock(&mutex_);
  for (size_t column = 0; column < group->schema->column_count(); ++column) {
    const uint64_t hash = group->SeriesHash(column);
    Part& part = PartOf(hash);
    const auto shared = part.shared.find(hash);
    if (shared != part.shared.end()) {
      std::erase(shared->second, group);
      if (!shared->second.empty()) {
        part.first[hash] = shared->second.front();
        continue;
      }
      part.shared.erase(shared);
    }
    part.first.erase(hash);
  }
}

uint64_t GroupTable::series_count() const {
  MutexLock lock(&mutex_);
  uint64_t count = 0;
  for (const Part& part : parts_) {
    count += part.first.size();
  }
  return count;
}

uint64_t GroupTable::MemoryBytes() const {
  MutexLock lock(&mutex_);
  uint64_t bytes = 0;
  for (const Part& part : parts_) {
    bytes += part.first.capacity() * (sizeof(uint64_t) + sizeof(IndexedGroup*) + 1);
  }
  return bytes;
}

}  // namespace tsdbd::index
