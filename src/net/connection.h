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

// A peer must send, or take, so much in the time that it is given: a modem does it, and one that
// only wants to hold the connection has to work for it.
inline constexpr uint64_t kMinProgressBytes = 1'024;

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
  // Looks at what has been sent, for the loop's counter and HasStalled; after every event.
  void NoteSent();
  // Whether something is to be sent, and in `limit_ms` the peer has taken less than
  // kMinProgressBytes.
  bool HasStalled(uint64_t now_ms, int64_t limit_ms);

  EventLoop* const loop_;
  Socket socket_;
  const std::shared_ptr<Link> link_;

 private:
  friend class EventLoop;

  size_t index_ = 0;  // where the loop keeps it
  uint64_t counted_sent_bytes_ = 0;
  bool has_unsent_ = false;                 // as of the last NoteSent
  uint64_t unsent_since_ms_ = 0;            // when the window for taking the next KiB began
  uint64_t unsent_acknowledged_bytes_ = 0;  // at that time
};

}  // namespace tsdbd::net
