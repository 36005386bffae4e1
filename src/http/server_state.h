#pragma once
// ServerState: what the loops of one server share. Constant while they run, except for the counts.

#include <atomic>
#include <cstdint>
#include <memory>
#include <vector>

#include "http/body_buffer.h"
#include "http/server.h"

namespace tsdbd::http {

struct ServerState {
  ServerState(ServerOptions server_options, HeadHook head_hook)
      : options(std::move(server_options)),
        on_head(std::move(head_hook)),
        body_pool(std::make_shared<BodyPool>(options.max_bodies_total_bytes)) {}

  const ServerOptions options;
  const HeadHook on_head;
  const std::shared_ptr<BodyPool> body_pool;
  std::vector<EventLoop*> loops;

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
  Counter accept_failures = 0;
  Counter connections_timed_out = 0;
  Counter requests = 0;
  Counter refused_requests = 0;
  Counter answers_by_class[6] = {};
  Counter received_bytes = 0;
  Counter sent_bytes = 0;
};

}  // namespace tsdbd::http
