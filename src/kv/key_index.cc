#include "kv/key_index.h"

#include <algorithm>

namespace tsdbd::kv {

void KeyIndex::CollectOthers(uint64_t first, uint64_t last, std::vector<Pair>* pairs) const {
  ReaderLock lock(&others_mutex_);
  for (auto it = others_.lower_bound(first); it != others_.end() && it->first <= last; ++it) {
    pairs->push_back({it->first, it->second});
  }
}

size_t KeyIndex::memory_bytes() const {
  constexpr size_t kNodeBytes = 64;  // of a std::multimap, as malloc rounds it
  return map_.memory_bytes() + others_count_.load(std::memory_order_relaxed) * kNodeBytes;
}

bool KeyIndex::KeyIs(Position position, std::string_view key) const {
  const LogSegment* const segment = log_->Find(position);
  const uint64_t offset = OffsetOf(position);
  const auto header = ReadRecordHeader(segment->bytes(), segment->salt(), offset);
  // Most are equal, and then the value, which may be long, need not be read.
  if (header && !header->key_is_index_key() && header->key_bytes() == key.size() &&
      segment->bytes().substr(offset + sizeof(RecordHeader) + (header->has_expiry() ? 8 : 0),
                              key.size()) == key) {
    return true;
  }
  Record record;
  return ReadRecord(segment->bytes(), segment->salt(), offset, &record) != RecordState::kIntact ||
         record.key == key;
}

KeyIndex::Others::const_iterator KeyIndex::FindOther(uint64_t index_key,
                                                     std::string_view key) const {
  auto [it, end] = others_.equal_range(index_key);
  while (it != end && !KeyIs(it->second, key)) {
    ++it;
  }
  return it != end ? it : others_.end();
}

void KeyIndex::CountOthers() {
  others_count_.store(others_.size(), std::memory_order_release);
}

Position KeyIndex::Find(uint64_t index_key, std::string_view key) const {
  const Position first = FindFirst(index_key);
  if (first == 0 || is_integer_ || KeyIs(first, key)) {
    return first;
  }
  ReaderLock lock(&others_mutex_);
  const auto other = FindOther(index_key, key);
  return other != others_.end() ? other->second : 0;
}

Position KeyIndex::Put(uint64_t index_key, std::string_view key, Position position) {
  if (is_integer_) {
    return map_.Upsert(index_key, position).value_or(0);
  }
  if (map_.Insert(index_key, position)) {
    return 0;
  }
  const Position first = FindFirst(index_key);
  if (KeyIs(first, key)) {
    map_.Upsert(index_key, position);
    return first;
  }
  WriterLock lock(&others_mutex_);
  const auto other = FindOther(index_key, key);
  Position old = 0;
  if (other != others_.end()) {
    old = other->second;
    others_.erase(other);
  }
  others_.emplace(index_key, position);
  CountOthers();
  return old;
}

Position KeyIndex::Remove(uint64_t index_key, std::string_view key) {
  if (is_integer_) {
    return map_.Erase(index_key).value_or(0);
  }
  const Position first = FindFirst(index_key);
  if (first == 0) {
    return 0;
  }
  const bool is_first = KeyIs(first, key);
  if (!has_collisions()) {
    return is_first ? map_.Erase(index_key).value_or(0) : 0;
  }
  WriterLock lock(&others_mutex_);
  const auto other = is_first ? others_.find(index_key) : FindOther(index_key, key);
  if (other == others_.end()) {
    return is_first ? map_.Erase(index_key).value_or(0) : 0;
  }
  const Position removed = is_first ? first : other->second;
  // Readers that see an odd count wait for the lock or look again.
  move_count_.fetch_add(1, std::memory_order_acq_rel);
  if (is_first) {
    map_.Upsert(index_key, other->second);
  }
  others_.erase(other);
  CountOthers();
  move_count_.fetch_add(1, std::memory_order_acq_rel);
  return removed;
}

bool KeyIndex::IsAt(uint64_t index_key, Position position) const {
  if (FindFirst(index_key) == position) {
    return true;
  }
  if (!has_collisions()) {
    return false;
  }
  ReaderLock lock(&others_mutex_);
  const auto [begin, end] = others_.equal_range(index_key);
  return std::any_of(begin, end, [&](const auto& other) { return other.second == position; });
}

bool KeyIndex::Move(uint64_t index_key, Position from, Position to) {
  if (FindFirst(index_key) == from) {
    map_.Upsert(index_key, to);
    return true;
  }
  if (!has_collisions()) {
    return false;
  }
  WriterLock lock(&others_mutex_);
  const auto [begin, end] = others_.equal_range(index_key);
  const auto other =
      std::find_if(begin, end, [&](const auto& candidate) { return candidate.second == from; });
  if (other == end) {
    return false;
  }
  other->second = to;
  return true;
}

Position KeyIndex::PutUnreadable(uint64_t index_key, Position position) {
  return map_.Upsert(index_key, position).value_or(0);
}

KeyIndex::Remains KeyIndex::Clear() {
  Remains before;
  WriterLock lock(&others_mutex_);
  before.others.swap(others_);
  before.map = map_.Clear();
  CountOthers();
  return before;
}

void KeyIndex::Load(std::span<const Pair> pairs, bool has_collisions) {
  WriterLock lock(&others_mutex_);
  others_.clear();
  if (!has_collisions) {
    map_.BulkLoad(pairs);
  } else {
    std::vector<Pair> firsts;
    for (const Pair& pair : pairs) {
      if (firsts.empty() || firsts.back().key != pair.key) {
        firsts.push_back(pair);
      } else {
        others_.emplace(pair.key, pair.payload);
      }
    }
    map_.BulkLoad(firsts);
  }
  CountOthers();
}

}  // namespace tsdbd::kv
