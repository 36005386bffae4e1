#pragma once
// ServerState: what the loops of one server share; LoopState: what the connections of one loop do.
//
// Threads: ServerState is constant; a LoopState is its loop's, and its counters may be read by any
// thread.

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "http/body_buffer.h"
#include "http/server.h"
#include "net/counters.h"

namespace tsdbd::http {

// In cache lines that no other loop writes.
struct alignas(64) LoopState {
  // The time of day for answers, rendered once a second.
  std::string_view Date();

  net::Counter requests;
  net::Counter refused_requests;
  net::Counter answers_by_class[6];
  std::string date;
  int64_t date_seconds = -1;
};

struct ServerState {
  ServerState(ServerOptions server_options, HeadHook head_hook)
      : options(std::move(server_options)),
        on_head(std::move(head_hook)),
        body_pool(std::make_shared<BodyPool>(options.max_bodies_total_bytes)),
        loops(net::LoopCount(options)) {}

  const ServerOptions options;
  const HeadHook on_head;
  const std::shared_ptr<BodyPool> body_pool;
  std::vector<LoopState> loops;  // by the loop's index
};

}  // namespace tsdbd::http
