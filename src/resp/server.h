#pragma once
// Server: RESP2 and RESP3, Redis' protocol, on libuv. One event loop per core; every loop has its
// own listening socket on the same port, and a new connection goes to the loop that has the fewest.
// Knows nothing of databases: see session.h.
//
// Threads: Start and Stop from one thread; the others from any once it has started.

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "common/status.h"
#include "common/thread_pool.h"
#include "resp/request_parser.h"
#include "resp/session.h"

namespace tsdbd::resp {

struct ServerOptions {
  // An address or a name.
  std::string host = "127.0.0.1";
  // 0: any free port, see Server::port().
  uint16_t port = 6379;
  // 0: one per core.
  int loop_count = 0;
  // Threads for commands that may wait for a disk.
  size_t pool_thread_count = 2;
  // Over all loops; beyond it new ones are told so and closed.
  int max_connections = 10'000;
  RequestLimits request_limits;
  // Requests that have come in part, of all connections together; who needs more is told so and
  // closed. Two of the largest requests.
  size_t max_input_bytes = size_t{256} << 20;
  // A request that has come in part must get on within this time, else its client is told so and
  // closed. Connections without one may be idle for ever, as with Redis.
  int64_t progress_timeout_ms = 10'000;
  // What Stop() gives replies in flight.
  int64_t shutdown_grace_ms = 10'000;
};

// Counts since the start, except where "now" is said.
struct ServerStatistics {
  uint64_t connections_open = 0;  // now
  uint64_t connections_accepted = 0;
  uint64_t connections_refused = 0;  // over max_connections
  uint64_t connections_timed_out = 0;
  uint64_t protocol_errors = 0;
  uint64_t received_bytes = 0;
  uint64_t sent_bytes = 0;
  uint64_t input_bytes = 0;  // now, of requests that have come in part
};

class EventLoop;
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
  Status Start();
  // The port it listens on, after Start.
  uint16_t port() const { return port_; }
  // Stops accepting, lets commands that have been begun finish and their replies go out for
  // shutdown_grace_ms, closes what is left. Completions may still be finished after that.
  void Stop();

  ServerStatistics statistics() const;

 private:
  const std::unique_ptr<ServerState> state_;
  std::unique_ptr<ThreadPool> pool_;
  std::vector<std::unique_ptr<EventLoop>> loops_;
  uint16_t port_ = 0;
};

}  // namespace tsdbd::resp
