#pragma once
// Connection: what the connections of all protocols have in common: a socket, a place in a loop, a
// link for other threads. A protocol derives its own from it.
//
// Threads: its loop's only, which owns it; others have its Link.

#include <cstddef>
#include <cstdint>
#include <memory>

#include "net/mailbox.h"
#include "net/socket.h"

namespace tsdbd::net {

class EventLoop;

class Connection : public SocketEvents {
 public:
  explicit Connection(EventLoop* loop);
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  // Takes over a connected, non-blocking socket and begins to read.
  virtual void Open(int descriptor);
  // The link was woken.
  virtual void OnWake() = 0;
  // Several times within the shortest timeout.
  virtual void CheckTimeouts(uint64_t now_ms) = 0;
  // The server stops: finishes what it has begun, and closes.
  virtual void BeginStop() = 0;
  // At once; OnClosed follows.
  void Close() { socket_.Close(); }

 protected:
  void OnBroken() override { Close(); }
  // Or Release() later, where something still needs the connection.
  void OnClosed() override { Release(); }

  // Lets the loop destroy the closed connection: the last thing that is done with it.
  void Release();
  // Brings the loop's counter of bytes sent up to date.
  void CountSent();

  EventLoop* const loop_;
  Socket socket_;
  const std::shared_ptr<Link> link_;

 private:
  friend class EventLoop;

  size_t index_ = 0;  // where the loop keeps it
  uint64_t counted_sent_bytes_ = 0;
};

}  // namespace tsdbd::net
