#pragma once
// Listening sockets of a server with several event loops: one for each, all on the same port
// (SO_REUSEPORT).

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "common/status.h"

namespace tsdbd::net {

class Listeners {
 public:
  // `host` is an address or a name; port 0 stands for any free one. `count` sockets, non-blocking,
  // whose connections send without delay. Errors name the address.
  static StatusOr<Listeners> Open(const std::string& host, uint16_t port, int count);

  Listeners(Listeners&& other) noexcept = default;
  Listeners& operator=(Listeners&&) = delete;
  // Closes those that nobody took.
  ~Listeners();

  size_t size() const { return sockets_.size(); }
  uint16_t port() const { return port_; }
  // Hands the socket over; at most once for each index.
  int Take(size_t index);

 private:
  Listeners() = default;

  std::vector<int> sockets_;  // -1 once taken
  uint16_t port_ = 0;
};

}  // namespace tsdbd::net
