#pragma once
// Server: HTTP/1.0 and 1.1, parsed by llhttp, on the event loops of net/server.h. Knows nothing of
// databases: see exchange.h for handlers, router.h for routes.
//
// A connection handles one request at a time: only requests with safe methods might run in parallel
// (RFC 9112, 9.3.2), and a client that pipelines a write and a query wants the query to see the
// write. What it sends ahead waits in a bounded buffer, then in the kernel.
//
// Threads: Start and Stop from one thread; the others from any once it has started.

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "common/status.h"
#include "http/exchange.h"
#include "http/router.h"
#include "net/server.h"

namespace tsdbd::http {

// By default on loopback: the server has no authentication. A connection takes 8 KiB at most while
// idle.
struct ServerOptions : net::ServerOptions {
  ServerOptions() { port = 8086; }

  // Request line and headers. Cookies and long PromQL in a URL fit; more belongs into a body.
  size_t max_head_bytes = size_t{32} << 10;
  // A body, before and after inflating. A route may have its own limit.
  size_t max_body_bytes = size_t{64} << 20;
  // All bodies in memory together; beyond it requests get 503. Four of the largest, or 140 of the
  // common 1.8 MB.
  size_t max_bodies_total_bytes = size_t{256} << 20;
  // What a streamed answer may be ahead of its client, per connection.
  size_t max_stream_bytes = size_t{1} << 20;

  // Between two requests. Longer than the 60 s after which most clients and proxies drop theirs, so
  // that it is rarely the server who closes under a client that is about to send.
  int64_t idle_timeout_ms = 75'000;
  // For a whole head from its first byte, and for each next KiB of a body: slow clients must not
  // hold connections.
  int64_t progress_timeout_ms = 10'000;
  // For a client to take the next KiB of an answer. Longer: a paused reader is common (a pager).
  int64_t write_stall_timeout_ms = 30'000;

  // Answers below this size are sent as they are: they fit one packet anyway.
  size_t min_gzip_bytes = size_t{1} << 10;

  // Renders what the server itself refuses (400, 404, 405, 408, 413, ...): JSON {"error": reason}
  // unless replaced. Called on all loops' threads.
  std::function<Answer(int status, std::string_view reason)> error_answer = JsonErrorAnswer;

  static Answer JsonErrorAnswer(int status, std::string_view reason);
};

// Counts since the start, except where "now" is said.
struct ServerStatistics : net::ServerStatistics {
  uint64_t requests = 0;              // complete ones, handed to a handler
  uint64_t refused_requests = 0;      // answered by the server itself
  uint64_t answers_by_class[6] = {};  // [2]: 2xx, ...
  uint64_t bodies_bytes = 0;          // now
};

struct ServerState;

class Server {
 public:
  Server(ServerOptions options, HeadHook on_head);
  // `router` is not changed any more and outlives the server.
  Server(ServerOptions options, const Router* router);
  // Stops, if that has not been done.
  ~Server();
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  // Binds and starts the loops. Errors name the address.
  Status Start() { return server_.Start(); }
  // The port it listens on, after Start.
  uint16_t port() const { return server_.port(); }
  // Stops accepting, closes idle connections, lets answers in flight finish for shutdown_grace_ms,
  // closes what is left. Handlers may still hold exchanges after that.
  void Stop() { server_.Stop(); }

  ServerStatistics statistics() const;

 private:
  const std::unique_ptr<ServerState> state_;
  net::Server server_;
};

}  // namespace tsdbd::http
