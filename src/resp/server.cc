#include "resp/server.h"

#include <algorithm>
#include <thread>
#include <utility>

#include "common/check.h"
#include "http/listeners.h"
#include "resp/event_loop.h"
#include "resp/server_state.h"

namespace tsdbd::resp {

Server::Server(ServerOptions options, Service* service)
    : state_(std::make_unique<ServerState>(std::move(options), service)) {}

Server::~Server() {
  Stop();
}

Status Server::Start() {
  CHECK(loops_.empty());
  const ServerOptions& options = state_->options;
  // A connection has one job at most, so no job is ever refused.
  pool_ = std::make_unique<ThreadPool>(
      ThreadPool::Options{.name = "resp-pool",
                          .thread_count = options.pool_thread_count,
                          .queue_capacity = static_cast<size_t>(options.max_connections)});
  state_->pool = pool_.get();
  const int loop_count = options.loop_count > 0
                             ? options.loop_count
                             : std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
  ASSIGN_OR_RETURN(http::Listeners listeners,
                   http::Listeners::Open(options.host, options.port, loop_count));
  std::vector<std::unique_ptr<EventLoop>> loops;
  for (size_t i = 0; i < listeners.size(); ++i) {
    ASSIGN_OR_RETURN(auto loop, EventLoop::Create(state_.get(), listeners.Take(i)));
    loops.push_back(std::move(loop));
  }
  port_ = listeners.port();
  loops_ = std::move(loops);
  for (const std::unique_ptr<EventLoop>& loop : loops_) {
    state_->loops.push_back(loop.get());
  }
  for (const std::unique_ptr<EventLoop>& loop : loops_) {
    loop->Start();
  }
  return OkStatus();
}

void Server::Stop() {
  for (const std::unique_ptr<EventLoop>& loop : loops_) {
    loop->Stop();
  }
  for (const std::unique_ptr<EventLoop>& loop : loops_) {
    loop->Join();
  }
  if (pool_ != nullptr) {
    pool_->Stop();
  }
}

ServerStatistics Server::statistics() const {
  ServerStatistics sum;
  for (const std::unique_ptr<EventLoop>& loop : loops_) {
    const LoopCounters& counters = loop->counters();
    sum.connections_accepted += counters.connections_accepted;
    sum.connections_refused += counters.connections_refused;
    sum.connections_timed_out += counters.connections_timed_out;
    sum.protocol_errors += counters.protocol_errors;
    sum.received_bytes += counters.received_bytes;
    sum.sent_bytes += counters.sent_bytes;
  }
  sum.connections_open = static_cast<uint64_t>(state_->open_connections.load());
  sum.input_bytes = state_->input_budget.used_bytes();
  return sum;
}

}  // namespace tsdbd::resp
