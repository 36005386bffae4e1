#include "net/server.h"

#include <algorithm>
#include <thread>
#include <utility>

#include "common/check.h"
#include "net/event_loop.h"
#include "net/listeners.h"

namespace tsdbd::net {

size_t LoopCount(const ServerOptions& options) {
  return options.loop_count > 0 ? static_cast<size_t>(options.loop_count)
                                : std::max(1u, std::thread::hardware_concurrency());
}

Server::Server(const ServerOptions& options, Protocol protocol)
    : state_{.options = options, .protocol = std::move(protocol)} {}

Server::~Server() {
  Stop();
}

Status Server::Start() {
  CHECK(loops_.empty());
  const ServerOptions& options = state_.options;
  ASSIGN_OR_RETURN(Listeners listeners, Listeners::Open(options.host, options.port,
                                                        static_cast<int>(LoopCount(options))));
  std::vector<std::unique_ptr<EventLoop>> loops;
  for (size_t i = 0; i < listeners.size(); ++i) {
    ASSIGN_OR_RETURN(auto loop, EventLoop::Create(&state_, i, listeners.Take(i)));
    loops.push_back(std::move(loop));
  }
  port_ = listeners.port();
  loops_ = std::move(loops);
  for (const std::unique_ptr<EventLoop>& loop : loops_) {
    state_.loops.push_back(loop.get());
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
}

ServerStatistics Server::statistics() const {
  ServerStatistics sum;
  for (const std::unique_ptr<EventLoop>& loop : loops_) {
    const LoopCounters& counters = loop->counters();
    sum.connections_accepted += counters.connections_accepted.value();
    sum.connections_refused += counters.connections_refused.value();
    sum.accept_failures += counters.accept_failures.value();
    sum.connections_timed_out += counters.connections_timed_out.value();
    sum.received_bytes += counters.received_bytes.value();
    sum.sent_bytes += counters.sent_bytes.value();
  }
  sum.connections_open = static_cast<uint64_t>(state_.open_connections.load());
  return sum;
}

}  // namespace tsdbd::net
