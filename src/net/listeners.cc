#include "net/listeners.h"

#include <algorithm>
#include <cerrno>
#include <utility>

#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

namespace tsdbd::net {

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

StatusOr<Listeners> Listeners::Open(const std::string& host, uint16_t port, int count) {
  const std::string name = fmt::format("{}:{}", host, port);
  ASSIGN_OR_RETURN(Address address, Resolve(host, port));
  if (port != 0) {
    RETURN_IF_ERROR(CheckNobodyListens(address, name));
  }
  Listeners listeners;
  for (int i = 0; i < count; ++i) {
    ASSIGN_OR_RETURN(const int listener, Listen(address, /*is_shared=*/true, name));
    listeners.sockets_.push_back(listener);
    // With port 0 the first one has chosen, and the others join it.
    address.size = sizeof(address.storage);
    getsockname(listener, reinterpret_cast<sockaddr*>(&address.storage), &address.size);
  }
  listeners.port_ = PortOf(address);
  return listeners;
}

Listeners::~Listeners() {
  for (const int socket : sockets_) {
    if (socket >= 0) {
      close(socket);
    }
  }
}

int Listeners::Take(size_t index) {
  return std::exchange(sockets_[index], -1);
}

}  // namespace tsdbd::net
