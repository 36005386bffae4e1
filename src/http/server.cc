#include "http/server.h"

#include <algorithm>
#include <ctime>
#include <utility>

#include "http/connection.h"
#include "http/server_state.h"
#include "http/text.h"

namespace tsdbd::http {
namespace {

// Timeouts are looked at eight times within the shortest of them, but not more often than a loop
// with ten thousand connections can afford.
constexpr int64_t kTimeoutFraction = 8;
constexpr int64_t kMinTickMs = 10;
constexpr int64_t kMaxTickMs = 500;

constexpr std::string_view kTooManyConnections =
    "HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nConnection: close\r\n"
    "X-Content-Type-Options: nosniff\r\nContent-Length: 0\r\n\r\n";

uint64_t TickMs(const ServerOptions& options) {
  const int64_t shortest_ms = std::min({options.idle_timeout_ms, options.progress_timeout_ms,
                                        options.write_stall_timeout_ms, options.shutdown_grace_ms});
  return static_cast<uint64_t>(std::clamp(shortest_ms / kTimeoutFraction, kMinTickMs, kMaxTickMs));
}

net::Protocol ProtocolOf(ServerState* state) {
  return {.name = "http",
          .full_answer = kTooManyConnections,
          .tick_ms = TickMs(state->options),
          .new_connection = [state](net::EventLoop* loop) {
            return std::make_unique<Connection>(loop, state);
          }};
}

}  // namespace

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

std::string_view LoopState::Date() {
  const int64_t seconds = std::time(nullptr);
  if (seconds != date_seconds) {
    date_seconds = seconds;
    date = HttpDate(seconds);
  }
  return date;
}

Server::Server(ServerOptions options, HeadHook on_head)
    : state_(std::make_unique<ServerState>(std::move(options), std::move(on_head))),
      server_(state_->options, ProtocolOf(state_.get())) {}

Server::Server(ServerOptions options, const Router* router)
    : Server(std::move(options), [router](Request* request) { return router->Decide(request); }) {}

Server::~Server() = default;

ServerStatistics Server::statistics() const {
  ServerStatistics sum{server_.statistics()};
  for (const LoopState& loop : state_->loops) {
    sum.requests += loop.requests.value();
    sum.refused_requests += loop.refused_requests.value();
    for (size_t i = 0; i < std::size(sum.answers_by_class); ++i) {
      sum.answers_by_class[i] += loop.answers_by_class[i].value();
    }
  }
  sum.bodies_bytes = state_->body_pool->used_bytes();
  return sum;
}

}  // namespace tsdbd::http
