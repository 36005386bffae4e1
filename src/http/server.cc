#include "http/server.h"

#include <algorithm>
#include <cerrno>
#include <thread>
#include <utility>

#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/check.h"
#include "http/event_loop.h"
#include "http/server_state.h"

namespace tsdbd::http {

namespace {

// Connections that wait to be accepted; the kernel cuts it to net.core.somaxconn.
constexpr int kListenBacklog = 4'096;

struct Address {
  sockaddr_storage storage = {};
  socklen_t size = 0;
  const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&storage); }
};

uint16_t PortOf(const Address& address) {
  return ntohs(address.storage.ss_family == AF_INET6
                   ? reinterpret_cast<const sockaddr_in6*>(&address.storage)->sin6_port
                   : reinterpret_cast<const sockaddr_in*>(&address.storage)->sin_port);
}

StatusOr<Address> Resolve(const std::string& host, uint16_t port) {
  addrinfo hints = {};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_PASSIVE | AI_NUMERICSERV;
  addrinfo* found = nullptr;
  const int error = getaddrinfo(host.empty() ? nullptr : host.c_str(), std::to_string(port).c_str(),
                                &hints, &found);
  if (error != 0) {
    return InvalidArgument("cannot resolve {}: {}", host, gai_strerror(error));
  }
  Address address;
  std::copy_n(reinterpret_cast<const char*>(found->ai_addr), found->ai_addrlen,
              reinterpret_cast<char*>(&address.storage));
  address.size = found->ai_addrlen;
  freeaddrinfo(found);
  return address;
}

// A listening socket. `is_shared`: others may listen beside it.
StatusOr<int> Listen(const Address& address, bool is_shared, const std::string& name) {
  const int listener =
      socket(address.storage.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (listener < 0) {
    return ErrnoStatus(errno, "socket", name);
  }
  const int on = 1;
  setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
  // Accepted sockets inherit it: answers are written whole, there is nothing to wait for.
  setsockopt(listener, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
  if (is_shared) {
    setsockopt(listener, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on));
  }
  const char* operation = nullptr;
  if (bind(listener, address.get(), address.size) != 0) {
    operation = "bind";
  } else if (listen(listener, kListenBacklog) != 0) {
    operation = "listen";
  }
  if (operation != nullptr) {
    const Status status = ErrnoStatus(errno, operation, name);
    close(listener);
    return status;
  }
  return listener;
}

// SO_REUSEPORT would let a second daemon of the same user share the port unnoticed.
Status CheckNobodyListens(const Address& address, const std::string& name) {
  ASSIGN_OR_RETURN(const int probe, Listen(address, /*is_shared=*/false, name));
  close(probe);
  return OkStatus();
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
  const std::string name = fmt::format("{}:{}", options.host, options.port);
  ASSIGN_OR_RETURN(Address address, Resolve(options.host, options.port));
  if (options.port != 0) {
    RETURN_IF_ERROR(CheckNobodyListens(address, name));
  }
  const int loop_count = options.loop_count > 0
                             ? options.loop_count
                             : std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
  std::vector<std::unique_ptr<EventLoop>> loops;
  for (int i = 0; i < loop_count; ++i) {
    ASSIGN_OR_RETURN(const int listener, Listen(address, /*is_shared=*/true, name));
    // With port 0 the first one has chosen, and the others join it.
    address.size = sizeof(address.storage);
    getsockname(listener, reinterpret_cast<sockaddr*>(&address.storage), &address.size);
    ASSIGN_OR_RETURN(auto loop, EventLoop::Create(state_.get(), listener));
    loops.push_back(std::move(loop));
  }
  port_ = PortOf(address);
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
