#include "kv/history.h"

namespace tsdbd::kv {

void History::End(uint64_t version) {
  std::vector<Entries::node_type> freed;  // without the lock
  MutexLock lock(&mutex_);
  snapshots_.erase(snapshots_.find(version));
  // A snapshot needs what was replaced after it.
  const uint64_t oldest = snapshots_.empty() ? UINT64_MAX : *snapshots_.begin();
  while (!by_age_.empty() && by_age_.front().first <= oldest) {
    freed.push_back(entries_.extract(by_age_.front().second));
    by_age_.pop_front();
  }
  is_needed_.store(!snapshots_.empty(), std::memory_order_relaxed);
}

void History::Collect(uint64_t first, uint64_t last, uint64_t version,
                      std::vector<KeyIndex::Pair>* pairs) const {
  MutexLock lock(&mutex_);
  for (auto it = entries_.lower_bound(first); it != entries_.end() && it->first <= last; ++it) {
    if (it->second.replaced_at > version) {
      pairs->push_back({it->first, it->second.position});
    }
  }
}

}  // namespace tsdbd::kv
