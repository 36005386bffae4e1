#pragma once
// Counters of an event loop and its connections.
//
// Threads: written by the loop's thread only, read by whoever asks: plain stores, no locked
// instructions.

#include <atomic>
#include <cstdint>

namespace tsdbd::net {

class Counter {
 public:
  void Add(uint64_t count = 1) { value_.store(value() + count, std::memory_order_relaxed); }
  uint64_t value() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<uint64_t> value_ = 0;
};

// In cache lines that no other loop writes.
struct alignas(64) LoopCounters {
  Counter connections_accepted;
  Counter connections_refused;
  Counter accept_failures;
  Counter connections_timed_out;
  Counter received_bytes;
  Counter sent_bytes;
};

}  // namespace tsdbd::net
