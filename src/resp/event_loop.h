#pragma once
// EventLoop: a thread with a libuv loop, a listening socket and the connections it serves.
//
// Threads: Start, Stop, Join from the server's; load() and counters() from any; all else from its
// own.

#include <atomic>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include <uv.h>

#include "common/status.h"
#include "resp/mailbox.h"
#include "resp/request_parser.h"
#include "resp/server_state.h"

namespace tsdbd::resp {

class Connection;

class EventLoop {
 public:
  // Takes over `listener`, a listening, non-blocking socket. Fails if the process is out of
  // descriptors.
  static StatusOr<std::unique_ptr<EventLoop>> Create(ServerState* state, int listener);
  ~EventLoop();
  EventLoop(const EventLoop&) = delete;
  EventLoop& operator=(const EventLoop&) = delete;

  // At most once; an EventLoop that is never started may be destroyed.
  void Start();
  // Begins a graceful stop, which ends after shutdown_grace_ms and the jobs that run then.
  void Stop() { mailbox_->PostStop(); }
  void Join();

  // Connections assigned to it, for balancing.
  int load() const { return load_.load(std::memory_order_relaxed); }
  const LoopCounters& counters() const { return counters_; }

  // For connections.
  uv_loop_t* uv_loop() { return &loop_; }
  ServerState& state() { return *state_; }
  LoopCounters* mutable_counters() { return &counters_; }
  const std::shared_ptr<Mailbox>& mailbox() const { return mailbox_; }
  uint64_t now_ms() const { return uv_now(&loop_); }
  bool is_stopping() const { return is_stopping_; }
  // Used up within one event: what is read, the commands in it, their replies.
  std::span<char> read_buffer() { return read_buffer_; }
  CommandBatch* batch() { return &batch_; }
  std::string& reply_buffer() { return reply_buffer_; }
  // The connection is closed. Destroys it.
  void Remove(Connection* connection);

 private:
  EventLoop(ServerState* state, int listener);

  Status Init();
  void Run();
  void WatchListener();
  void OnMail();
  void AcceptAll();
  void OnAcceptFailed();
  void Assign(int socket);
  void Adopt(int socket);
  void Release();
  void OnTick();
  void BeginStop();
  void FinishIfStopped();

  ServerState* const state_;
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
  CommandBatch batch_;
  std::string reply_buffer_;
  bool is_stopping_ = false;
  uint64_t stop_deadline_ms_ = 0;
};

}  // namespace tsdbd::resp
