#pragma once
// AlexMap: an ordered map from 64-bit integer keys to small payloads.
//
// Threads: one writer at a time; readers need no lock, only a pin of the gate that the map was made
// with, for as long as they read. A reader sees every change that was complete when it began.

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <utility>

#include "common/epoch.h"
#include "common/mutex.h"

namespace tsdbd::index {

template <typename Key, typename Payload>
class AlexMap {
 public:
  struct Pair {
    Key key;
    Payload payload;
  };

  // `gate` outlives the map; memory that readers may still see is retired to it.
  explicit AlexMap(EpochGate* gate) : gate_(gate) {}

  // Readers.
  bool Find(Key key, Payload* payload) const {
    ReaderLock lock(&mutex_);
    const auto found = map_.find(key);
    if (found == map_.end()) {
      return false;
    }
    *payload = found->second;
    return true;
  }
  // Find for many keys whose cache misses overlap. The spans have equal sizes.
  void FindMany(std::span<const Key> keys, std::span<Payload> payloads,
                std::span<bool> found) const {
    for (size_t i = 0; i < keys.size(); ++i) {
      found[i] = Find(keys[i], &payloads[i]);
    }
  }
  // Copies the first pairs with key >= `from`, in order; fewer than pairs.size() only at the end.
  size_t ScanForward(Key from, std::span<Pair> pairs) const {
    ReaderLock lock(&mutex_);
    size_t count = 0;
    for (auto at = map_.lower_bound(from); at != map_.end() && count < pairs.size(); ++at) {
      pairs[count++] = {at->first, at->second};
    }
    return count;
  }
  // The same downward: key <= `from`, the largest first.
  size_t ScanBackward(Key from, std::span<Pair> pairs) const {
    ReaderLock lock(&mutex_);
    size_t count = 0;
    for (auto at = map_.upper_bound(from); at != map_.begin() && count < pairs.size();) {
      --at;
      pairs[count++] = {at->first, at->second};
    }
    return count;
  }
  size_t size() const { return map_.size(); }
  size_t memory_bytes() const { return map_.size() * 64; }

  // The writer.
  // False, without a change, if the key is there already.
  bool Insert(Key key, Payload payload) {
    WriterLock lock(&mutex_);
    return map_.emplace(key, payload).second;
  }
  // Inserts or replaces; the payload that was there before.
  std::optional<Payload> Upsert(Key key, Payload payload) {
    WriterLock lock(&mutex_);
    const auto [at, is_new] = map_.try_emplace(key, payload);
    return is_new ? std::nullopt : std::optional<Payload>(std::exchange(at->second, payload));
  }
  // The payload that was there.
  std::optional<Payload> Erase(Key key) {
    WriterLock lock(&mutex_);
    const auto node = map_.extract(key);
    return node.empty() ? std::nullopt : std::optional<Payload>(node.mapped());
  }
  // Replaces everything by `pairs`, whose keys rise strictly.
  void BulkLoad(std::span<const Pair> pairs) {
    WriterLock lock(&mutex_);
    map_.clear();
    for (const Pair& pair : pairs) {
      map_.emplace_hint(map_.end(), pair.key, pair.payload);
    }
  }

 private:
  EpochGate* const gate_;
  mutable SharedMutex mutex_;
  std::map<Key, Payload> map_;
};

}  // namespace tsdbd::index
