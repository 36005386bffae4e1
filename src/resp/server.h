#pragma once
// Server: RESP2 and RESP3, Redis' protocol, on the event loops of net/server.h. Knows nothing of
// databases: see session.h.
//
// Threads: Start and Stop from one thread; the others from any once it has started.

#include <cstddef>
#include <cstdint>
#include <memory>

#include "common/status.h"
#include "net/server.h"
#include "resp/request_parser.h"
#include "resp/session.h"

namespace tsdbd::resp {

struct ServerOptions : net::ServerOptions {
  ServerOptions() { port = 6379; }

  // Threads for commands that may wait for a disk or take long. More than cores: most wait.
  size_t pool_thread_count = 4;
  RequestLimits request_limits;
  // Requests that have come in part and replies that are not with the kernel yet, of all
  // connections together; who needs more is closed. Three of the largest values while they come.
  size_t max_memory_bytes = size_t{512} << 20;
  // A request that has come in part must get on within this time, else its client is told so and
  // closed. Connections without one may be idle for ever, as with Redis; but while memory is scarce
  // a client must take more of its replies within this time, too.
  int64_t progress_timeout_ms = 10'000;
};

// Counts since the start, except where "now" is said.
struct ServerStatistics : net::ServerStatistics {
  uint64_t protocol_errors = 0;
  uint64_t out_of_memory = 0;  // connections that needed more than max_memory_bytes
  uint64_t memory_bytes = 0;   // now, of max_memory_bytes
};

struct ServerState;

class Server {
 public:
  // `service` outlives the server.
  Server(ServerOptions options, Service* service);
  // Stops, if that has not been done.
  ~Server();
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  // Binds and starts the loops. Errors name the address.
  Status Start() { return server_.Start(); }
  // The port it listens on, after Start.
  uint16_t port() const { return server_.port(); }
  // Stops accepting, lets commands that have been begun finish and their replies go out for
  // shutdown_grace_ms, closes what is left. Completions may still be finished after that.
  void Stop();

  ServerStatistics statistics() const;

 private:
  const std::unique_ptr<ServerState> state_;
  net::Server server_;
};

}  // namespace tsdbd::resp
