#pragma once
// ServerState: what the loops of one server share. Constant while they run, except for the counts.

#include <atomic>
#include <cstdint>
#include <vector>

#include "common/thread_pool.h"
#include "resp/input_buffer.h"
#include "resp/server.h"

namespace tsdbd::resp {

struct ServerState {
  ServerState(ServerOptions server_options, Service* server_service)
      : options(std::move(server_options)),
        service(server_service),
        input_budget(options.max_input_bytes) {}

  const ServerOptions options;
  Service* const service;
  ThreadPool* pool = nullptr;
  std::vector<EventLoop*> loops;

  MemoryBudget input_budget;
  std::atomic<int> open_connections = 0;
};

// Written by one loop's thread only, read by whoever asks: plain stores, no locked instructions.
struct alignas(64) LoopCounters {
  using Counter = std::atomic<uint64_t>;
  static void Add(Counter* counter, uint64_t count = 1) {
    counter->store(counter->load(std::memory_order_relaxed) + count, std::memory_order_relaxed);
  }

  Counter connections_accepted = 0;
  Counter connections_refused = 0;
  Counter connections_timed_out = 0;
  Counter protocol_errors = 0;
  Counter received_bytes = 0;
  Counter sent_bytes = 0;
};

}  // namespace tsdbd::resp
