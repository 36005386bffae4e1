#include "common/epoch.h"

#include "common/check.h"

namespace tsdbd {

EpochGate::~EpochGate() {
  CHECK(pin_count_.load() == 0);
  CHECK(retired_.empty());
}

void EpochGate::Retire(FreeFunction free, void* owner, void* pointer, size_t size) {
  // A reader that could have seen the object counted itself before it followed the link to it, so a
  // zero here means that nobody has it. Read by an addition, not by a load: then a reader that
  // counts itself later sees the object unlinked, even if no lock guards the link.
  if (pin_count_.fetch_add(0, std::memory_order_seq_cst) == 0) {
    free(owner, pointer, size);
    return;
  }
  {
    MutexLock lock(&mutex_);
    if (!pins_.empty()) {
      retired_.push_back({epoch_++, free, owner, pointer, size});
      waiting_count_.store(retired_.size(), std::memory_order_relaxed);
      return;
    }
  }
  free(owner, pointer, size);
}

uint64_t EpochGate::Enter() {
  pin_count_.fetch_add(1, std::memory_order_seq_cst);
  MutexLock lock(&mutex_);
  ++pins_[epoch_];
  return epoch_;
}

void EpochGate::Leave(uint64_t epoch) {
  std::vector<Retired> free_now;
  {
    MutexLock lock(&mutex_);
    auto it = pins_.find(epoch);
    CHECK(it != pins_.end());
    if (--it->second == 0) {
      pins_.erase(it);
    }
    // An object retired in epoch e may be in the hands of pins of epochs up to e.
    while (!retired_.empty() && (pins_.empty() || pins_.begin()->first > retired_.front().epoch)) {
      free_now.push_back(retired_.front());
      retired_.pop_front();
    }
    waiting_count_.store(retired_.size(), std::memory_order_relaxed);
  }
  pin_count_.fetch_sub(1, std::memory_order_seq_cst);
  for (const Retired& retired : free_now) {
    retired.free(retired.owner, retired.pointer, retired.size);
  }
}

}  // namespace tsdbd
