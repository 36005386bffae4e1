#pragma once
// ServerState: what the loops of one server share; LoopState: what the connections of one loop do.
//
// Threads: ServerState may be used from any thread; a LoopState is its loop's, and its counters may
// be read by any thread.

#include <cstddef>
#include <string>
#include <vector>

#include "common/thread_pool.h"
#include "net/counters.h"
#include "resp/input_buffer.h"
#include "resp/server.h"

namespace tsdbd::resp {

// In cache lines that no other loop writes.
struct alignas(64) LoopState {
  net::Counter protocol_errors;
  net::Counter out_of_memory;
  // Used up within one event: the commands in what is read, their replies.
  CommandBatch batch;
  std::string reply_buffer;
};

struct ServerState {
  ServerState(ServerOptions server_options, Service* server_service)
      : options(std::move(server_options)),
        service(server_service),
        pool({.name = "resp-pool",
              .thread_count = options.pool_thread_count,
              // A connection has one job at most, so no job is ever refused.
              .queue_capacity = static_cast<size_t>(options.max_connections)}),
        memory(options.max_memory_bytes),
        loops(net::LoopCount(options)) {}

  const ServerOptions options;
  Service* const service;
  ThreadPool pool;
  MemoryBudget memory;
  std::vector<LoopState> loops;  // by the loop's index
};

}  // namespace tsdbd::resp
