#pragma once
// History: what snapshots still see of keys that were overwritten or deleted after they were taken.
// The log keeps the records; here stands where they are. Empty while there is no snapshot.
//
// Threads: Begin and Add under the store's write lock; the rest by any.

#include <atomic>
#include <cstdint>
#include <deque>
#include <map>
#include <set>
#include <utility>
#include <vector>

#include "common/mutex.h"
#include "kv/key_index.h"
#include "kv/log_format.h"

namespace tsdbd::kv {

class History {
 public:
  // A snapshot of the store after the write `version`; ended by End with the same.
  void Begin(uint64_t version) {
    MutexLock lock(&mutex_);
    snapshots_.insert(version);
    is_needed_.store(true, std::memory_order_relaxed);
  }
  void End(uint64_t version);

  // For the writer: whether Add must be called.
  bool is_needed() const { return is_needed_.load(std::memory_order_relaxed); }

  // The write `replaced_at` is about to take the record at `position` out of the index.
  void Add(uint64_t index_key, uint64_t replaced_at, Position position) {
    MutexLock lock(&mutex_);
    by_age_.emplace_back(replaced_at, entries_.emplace(index_key, Entry{replaced_at, position}));
  }

  // Adds the records that were replaced after `version` of keys in this range (both included).
  void Collect(uint64_t first, uint64_t last, uint64_t version,
               std::vector<KeyIndex::Pair>* pairs) const;

 private:
  struct Entry {
    uint64_t replaced_at = 0;
    Position position = 0;
  };
  using Entries = std::multimap<uint64_t, Entry>;

  std::atomic<bool> is_needed_ = false;
  mutable Mutex mutex_;
  std::multiset<uint64_t> snapshots_ GUARDED_BY(mutex_);
  Entries entries_ GUARDED_BY(mutex_);  // by index key
  std::deque<std::pair<uint64_t, Entries::iterator>> by_age_ GUARDED_BY(mutex_);
};

}  // namespace tsdbd::kv
