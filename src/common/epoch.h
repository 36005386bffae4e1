#pragma once
// EpochGate: lets readers use memory that writers have already unlinked. A reader holds a Pin while
// it has pointers; a writer unlinks an object (under the lock that guards the link) and then
// retires it; it is freed as soon as no pin is left that is older than its retirement: at once if
// there is no reader at all.
// Thread-safe. Pins are per query, not per look-up: taking one locks a mutex.

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <vector>

#include "common/mutex.h"

namespace tsdbd {

class EpochGate {
 public:
  // Frees `size` bytes at `pointer`, which belong to `owner`.
  using FreeFunction = void (*)(void* owner, void* pointer, size_t size);

  class Pin {
   public:
    Pin() = default;
    explicit Pin(EpochGate* gate) : gate_(gate), epoch_(gate->Enter()) {}
    Pin(Pin&& other) noexcept : gate_(other.gate_), epoch_(other.epoch_) { other.gate_ = nullptr; }
    Pin& operator=(Pin&&) = delete;
    ~Pin() {
      if (gate_ != nullptr) {
        gate_->Leave(epoch_);
      }
    }

   private:
    EpochGate* gate_ = nullptr;
    uint64_t epoch_ = 0;
  };

  EpochGate() = default;
  // No pin may be left.
  ~EpochGate();
  EpochGate(const EpochGate&) = delete;
  EpochGate& operator=(const EpochGate&) = delete;

  // The object must already be out of reach for readers that come from now on.
  void Retire(FreeFunction free, void* owner, void* pointer, size_t size);

  // Whether anybody has a pin. If not, and the caller holds the lock that guards a link, nobody has
  // what it leads to, and the caller may change it in place.
  bool HasReaders() const { return pin_count_.load(std::memory_order_seq_cst) != 0; }

  // Objects that wait for a reader to go.
  size_t waiting_count() const { return waiting_count_.load(std::memory_order_relaxed); }

 private:
  struct Retired {
    uint64_t epoch;
    FreeFunction free;
    void* owner;
    void* pointer;
    size_t size;
  };

  uint64_t Enter();
  void Leave(uint64_t epoch);

  std::atomic<int64_t> pin_count_ = 0;
  std::atomic<size_t> waiting_count_ = 0;
  Mutex mutex_;
  uint64_t epoch_ GUARDED_BY(mutex_) = 0;
  std::map<uint64_t, int64_t> pins_ GUARDED_BY(mutex_);  // epoch → pins taken in it
  std::deque<Retired> retired_ GUARDED_BY(mutex_);       // epochs rise
};

}  // namespace tsdbd
