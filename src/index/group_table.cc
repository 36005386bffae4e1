#include "index/group_table.h"

#include <algorithm>
#include <bit>

namespace tsdbd::index {

class GroupTable::PartsLock {
 public:
  PartsLock(std::array<Part, kParts>* parts, const Schema& schema,
            uint64_t labels_hash) NO_THREAD_SAFETY_ANALYSIS : parts_(parts) {
    for (const uint64_t column_hash : schema.column_hashes) {
      mask_ |= uint32_t{1} << PartIndex(labels_hash + column_hash);
    }
    for (uint32_t left = mask_; left != 0; left &= left - 1) {
      (*parts_)[std::countr_zero(left)].mutex.Lock();
    }
  }
  ~PartsLock() NO_THREAD_SAFETY_ANALYSIS {
    for (uint32_t left = mask_; left != 0; left &= left - 1) {
      (*parts_)[std::countr_zero(left)].mutex.Unlock();
    }
  }
  PartsLock(const PartsLock&) = delete;
  PartsLock& operator=(const PartsLock&) = delete;

 private:
  static_assert(kParts <= 32, "one bit each");
  std::array<Part, kParts>* const parts_;
  uint32_t mask_ = 0;
};

IndexedGroup* GroupTable::FindOrCreate(const Schema* schema, std::span<LabelPair* const> labels,
                                       uint64_t labels_hash,
                                       const std::function<IndexedGroup*()>& create,
                                       std::vector<IndexedGroup*>* overlapping) {
  const PartsLock lock(&parts_, *schema, labels_hash);
  if (IndexedGroup* found = Find(schema, labels, labels_hash + schema->column_hashes[0])) {
    return found;
  }
  IndexedGroup* group = create();
  if (group != nullptr) {
    Register(group, overlapping);
  }
  return group;
}

IndexedGroup* GroupTable::Find(const Schema* schema, std::span<LabelPair* const> labels,
                               uint64_t series_hash) {
  const auto is_it = [&](const IndexedGroup* group) {
    return group->schema == schema && std::ranges::equal(group->label_span(), labels);
  };
  Part& part = parts_[PartIndex(series_hash)];
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
    Part& part = parts_[PartIndex(hash)];
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
  const PartsLock lock(&parts_, *group->schema, group->labels_hash);
  for (size_t column = 0; column < group->schema->column_count(); ++column) {
    const uint64_t hash = group->SeriesHash(column);
    Part& part = parts_[PartIndex(hash)];
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
  uint64_t count = 0;
  for (const Part& part : parts_) {
    MutexLock lock(&part.mutex);
    count += part.first.size();
  }
  return count;
}

uint64_t GroupTable::MemoryBytes() const {
  uint64_t bytes = 0;
  for (const Part& part : parts_) {
    MutexLock lock(&part.mutex);
    bytes += part.first.capacity() * (sizeof(uint64_t) + sizeof(IndexedGroup*) + 1);
  }
  return bytes;
}

}  // namespace tsdbd::index
