#pragma once
// EventLoop: a thread with a libuv loop, a listening socket and the connections it serves. One
// timer looks at all connections a few times a second, instead of a timer for each.
//
// Threads: Start, Stop, Join from the server's; load() and counters() from any, the latter to read;
// all else from its own.

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <thread>
#include <vector>

#include <uv.h>

#include "common/status.h"
#include "net/connection.h"
#include "net/counters.h"
#include "net/mailbox.h"
#include "net/server.h"

namespace tsdbd::net {

class EventLoop {
 public:
  // The server's loop number `index`. Takes over `listener`, a listening, non-blocking socket.
  // Fails if the process is out of descriptors.
  static StatusOr<std::unique_ptr<EventLoop>> Create(ServerState* state, size_t index,
                                                     int listener);
  ~EventLoop();
  EventLoop(const EventLoop&) = delete;
  EventLoop& operator=(const EventLoop&) = delete;

  // At most once; an EventLoop that is never started may be destroyed.
  void Start();
  // Begins a graceful stop, which ends when the last connection is released: after
  // shutdown_grace_ms all are closed.
  void Stop() { mailbox_->PostStop(); }
  void Join();

  // Connections assigned to it, for balancing.
  int load() const { return load_.load(std::memory_order_relaxed); }
  LoopCounters& counters() { return counters_; }

  // For connections.
  size_t index() const { return index_; }
  uv_loop_t* uv_loop() { return &loop_; }
  const std::shared_ptr<Mailbox>& mailbox() const { return mailbox_; }
  // Read into and used up within one event.
  std::span<char> read_buffer() { return read_buffer_; }
  uint64_t now_ms() const { return uv_now(&loop_); }
  bool is_stopping() const { return is_stopping_; }
  // The connection is closed. Destroys it.
  void Remove(Connection* connection);

 private:
  EventLoop(ServerState* state, size_t index, int listener);

  Status Init();
  void Run();
  void WatchListener();
  void OnMail();
  void AcceptAll();
  void OnAcceptFailed();
  void Assign(int socket);
  void Adopt(int socket);
  void Leave();
  void OnTick();
  void BeginStop();
  void FinishIfStopped();

  ServerState* const state_;
  const size_t index_;
  const std::shared_ptr<Mailbox> mailbox_;
  std::thread thread_;

  std::atomic<int> load_ = 0;
  LoopCounters counters_;

  // The loop's thread only.
  uv_loop_t loop_;
  bool is_initialised_ = false;
  uv_async_t wake_up_;
  uv_poll_t listener_poll_;
  uv_timer_t accept_timer_;                               // ends a pause after a failed accept
  uv_timer_t tick_timer_;                                 // runs while there are connections
  int listener_;                                          // -1 once closed
  std::vector<std::unique_ptr<Connection>> connections_;  // each knows its index
  std::vector<char> read_buffer_;
  bool is_stopping_ = false;
  uint64_t stop_deadline_ms_ = 0;
};

}  // namespace tsdbd::net
