#pragma once
// Server: what servers of all protocols have in common. One event loop per core, each with its own
// listening socket on the same port (SO_REUSEPORT); a new connection goes to the loop that has the
// fewest. The protocol is in the connections: see connection.h.
//
// Threads: Start and Stop from one thread; the others from any once it has started.

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "common/status.h"

namespace tsdbd::net {

class Connection;
class EventLoop;

struct ServerOptions {
  // An address or a name.
  std::string host = "127.0.0.1";
  // 0: any free port, see Server::port().
  uint16_t port = 0;
  // 0: one per core.
  int loop_count = 0;
  // Over all loops; beyond it new ones are told so and closed.
  int max_connections = 10'000;
  // What Stop() gives answers in flight.
  int64_t shutdown_grace_ms = 10'000;
};

size_t LoopCount(const ServerOptions& options);
// Whether this thread runs an event loop: it must not wait then.
bool IsLoopThread();

struct Protocol {
  // Of the loops' threads, and in errors.
  std::string_view name;
  // All that a connection over max_connections gets. Fits a new socket's empty send buffer.
  std::string_view full_answer;
  // How often timeouts are looked at.
  uint64_t tick_ms = 0;
  // Called on the loop's thread.
  std::function<std::unique_ptr<Connection>(EventLoop*)> new_connection;
};

// Counts since the start, except where "now" is said.
struct ServerStatistics {
  uint64_t connections_open = 0;  // now
  uint64_t connections_accepted = 0;
  uint64_t connections_refused = 0;  // over max_connections
  uint64_t accept_failures = 0;      // out of descriptors or memory
  uint64_t connections_timed_out = 0;
  uint64_t received_bytes = 0;
  uint64_t sent_bytes = 0;
};

// What the loops of one server share. Constant while they run, except for the count.
struct ServerState {
  const ServerOptions options;
  const Protocol protocol;
  std::vector<EventLoop*> loops = {};
  std::atomic<int> open_connections = 0;
};

class Server {
 public:
  Server(const ServerOptions& options, Protocol protocol);
  // Stops, if that has not been done.
  ~Server();
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  // Binds and starts the loops, once. Errors name the address.
  Status Start();
  // The port it listens on, after Start.
  uint16_t port() const { return port_; }
  // Stops accepting, tells the connections, closes after shutdown_grace_ms what is left.
  void Stop();

  ServerStatistics statistics() const;

 private:
  ServerState state_;
  std::vector<std::unique_ptr<EventLoop>> loops_;
  uint16_t port_ = 0;
};

}  // namespace tsdbd::net
