#include "resp/server.h"

#include <utility>

#include "resp/connection.h"
#include "resp/server_state.h"

namespace tsdbd::resp {
namespace {

// How often connections that end or get on too slowly are looked at.
constexpr uint64_t kTickMs = 200;

net::Protocol ProtocolOf(ServerState* state) {
  return {.name = "resp",
          .full_answer = "-ERR max number of clients reached\r\n",
          .tick_ms = kTickMs,
          .new_connection = [state](net::EventLoop* loop) {
            return std::make_unique<Connection>(loop, state);
          }};
}

}  // namespace

Server::Server(ServerOptions options, Service* service)
    : state_(std::make_unique<ServerState>(std::move(options), service)),
      server_(state_->options, ProtocolOf(state_.get())) {}

Server::~Server() {
  Stop();
}

void Server::Stop() {
  server_.Stop();
  state_->pool.Stop();
}

ServerStatistics Server::statistics() const {
  ServerStatistics sum{server_.statistics()};
  for (const LoopState& loop : state_->loops) {
    sum.protocol_errors += loop.protocol_errors.value();
    sum.out_of_memory += loop.out_of_memory.value();
  }
  sum.memory_bytes = state_->memory.used_bytes();
  return sum;
}

}  // namespace tsdbd::resp
