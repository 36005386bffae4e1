#include "http/server.h"

#include <algorithm>
#include <thread>
#include <utility>

#include "common/check.h"
#include "http/event_loop.h"
#include "http/listeners.h"
#include "http/server_state.h"

namespace tsdbd::http {

Answer ServerOptions::JsonErrorAnswer(int status, std::string_view reason) {
  std::string body = "{\"error\":\"";
  for (const char c : reason) {
    if (c == '"' || c == '\\') {
      body.push_back('\\');
    }
    body.push_back(static_cast<unsigned char>(c) < 0x20 ? ' ' : c);
  }
  body.append("\"}\n");
  return {status, "application/json", std::move(body), {}};
}

Server::Server(ServerOptions options, HeadHook on_head)
    : state_(std::make_unique<ServerState>(std::move(options), std::move(on_head))) {}

Server::Server(ServerOptions options, const Router* router)
    : Server(std::move(options), [router](Request* request) { return router->Decide(request); }) {}

Server::~Server() {
  Stop();
}

Status Server::Start() {
  CHECK(loops_.empty());
  const ServerOptions& options = state_->options;
  const int loop_count = options.loop_count > 0
                             ? options.loop_count
                             : std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
  ASSIGN_OR_RETURN(Listeners listeners, Listeners::Open(options.host, options.port, loop_count));
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
}

ServerStatistics Server::statistics() const {
  ServerStatistics sum;
  for (const std::unique_ptr<EventLoop>& loop : loops_) {
    const LoopCounters& counters = loop->counters();
    sum.connections_accepted += counters.connections_accepted;
    sum.connections_refused += counters.connections_refused;
    sum.accept_failures += counters.accept_failures;
    sum.connections_timed_out += counters.connections_timed_out;
    sum.requests += counters.requests;
    sum.refused_requests += counters.refused_requests;
    for (size_t i = 0; i < std::size(sum.answers_by_class); ++i) {
      sum.answers_by_class[i] += counters.answers_by_class[i];
    }
    sum.received_bytes += counters.received_bytes;
    sum.sent_bytes += counters.sent_bytes;
  }
  sum.connections_open = static_cast<uint64_t>(state_->open_connections.load());
  sum.bodies_bytes = state_->body_pool->used_bytes();
  return sum;
}

}  // namespace tsdbd::http
