#include "net/event_loop.h"

#include <cerrno>
#include <string>
#include <utility>

#include <pthread.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/check.h"

namespace tsdbd::net {

namespace {

// One read takes at most this much where the connection has no place of its own for it. Should stay
// in the core's cache.
constexpr size_t kReadBufferBytes = size_t{64} << 10;
// Accepted before the loop looks at its connections again.
constexpr int kMaxAcceptsAtOnce = 64;
// After a failed accept (out of descriptors) the loop does not try again at once: it would spin.
// New connections wait in the kernel meanwhile.
constexpr uint64_t kAcceptPauseMs = 100;

thread_local bool is_loop_thread = false;

bool IsShortage(int error) {
  return error == EMFILE || error == ENFILE || error == ENOBUFS || error == ENOMEM;
}

template <typename Handle>
void CloseHandle(Handle* handle) {
  if (!uv_is_closing(reinterpret_cast<uv_handle_t*>(handle))) {
    uv_close(reinterpret_cast<uv_handle_t*>(handle), nullptr);
  }
}

}  // namespace

EventLoop::EventLoop(ServerState* state, size_t index, int listener)
    : state_(state),
      index_(index),
      mailbox_(std::make_shared<Mailbox>()),
      listener_(listener),
      read_buffer_(kReadBufferBytes) {}

StatusOr<std::unique_ptr<EventLoop>> EventLoop::Create(ServerState* state, size_t index,
                                                       int listener) {
  std::unique_ptr<EventLoop> loop(new EventLoop(state, index, listener));
  RETURN_IF_ERROR(loop->Init());
  return loop;
}

Status EventLoop::Init() {
  if (const int error = uv_loop_init(&loop_); error != 0) {
    return ErrnoStatus(-error, "event loop", state_->protocol.name);
  }
  is_initialised_ = true;
  // Of the handles only this one takes descriptors.
  const int error = uv_async_init(&loop_, &wake_up_, [](uv_async_t* handle) {
    static_cast<EventLoop*>(handle->data)->OnMail();
  });
  if (error != 0) {
    return ErrnoStatus(-error, "event loop", state_->protocol.name);
  }
  CHECK(uv_poll_init(&loop_, &listener_poll_, listener_) == 0);
  CHECK(uv_timer_init(&loop_, &accept_timer_) == 0);
  CHECK(uv_timer_init(&loop_, &tick_timer_) == 0);
  wake_up_.data = listener_poll_.data = accept_timer_.data = tick_timer_.data = this;
  mailbox_->Open(&wake_up_);
  return OkStatus();
}

EventLoop::~EventLoop() {
  CHECK(!thread_.joinable());
  if (is_initialised_) {
    // A loop that ran has closed its handles; one that never did does so now.
    const auto close_handle = [](uv_handle_t* handle, void*) { CloseHandle(handle); };
    uv_walk(&loop_, close_handle, nullptr);
    uv_run(&loop_, UV_RUN_DEFAULT);
    CHECK(uv_loop_close(&loop_) == 0);
  }
  if (listener_ >= 0) {
    close(listener_);
  }
}

void EventLoop::Start() {
  thread_ = std::thread([this] { Run(); });
}

void EventLoop::Join() {
  if (thread_.joinable()) {
    thread_.join();
  }
}

void EventLoop::Run() {
  // Signals are the main thread's; and a write to a closed socket must be an error, not a SIGPIPE.
  sigset_t all_signals;
  sigfillset(&all_signals);
  pthread_sigmask(SIG_BLOCK, &all_signals, nullptr);
  pthread_setname_np(pthread_self(), std::string(state_->protocol.name).c_str());
  is_loop_thread = true;
  WatchListener();
  uv_run(&loop_, UV_RUN_DEFAULT);
}

bool IsLoopThread() {
  return is_loop_thread;
}

void EventLoop::WatchListener() {
  uv_poll_start(&listener_poll_, UV_READABLE, [](uv_poll_t* handle, int, int) {
    static_cast<EventLoop*>(handle->data)->AcceptAll();
  });
}

void EventLoop::OnMail() {
  const Mailbox::Mail mail = mailbox_->Take();
  for (const int socket : mail.sockets) {
    Adopt(socket);
  }
  for (const std::shared_ptr<Link>& link : mail.links) {
    if (Connection* const connection = link->Receive()) {
      connection->OnWake();
    }
  }
  if (mail.stop && !is_stopping_) {
    BeginStop();
  }
}

void EventLoop::AcceptAll() {
  for (int i = 0; i < kMaxAcceptsAtOnce; ++i) {
    const int socket = accept4(listener_, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (socket >= 0) {
      Assign(socket);
    } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
      return;
    } else if (IsShortage(errno)) {
      OnAcceptFailed();
      return;
    }
    // All else (ECONNABORTED, EPROTO, ...) concerns that one connection.
  }
}

void EventLoop::OnAcceptFailed() {
  counters_.accept_failures.Add();
  uv_poll_stop(&listener_poll_);
  const auto resume = [](uv_timer_t* handle) {
    static_cast<EventLoop*>(handle->data)->WatchListener();
  };
  uv_timer_start(&accept_timer_, resume, kAcceptPauseMs, 0);
}

void EventLoop::Assign(int socket) {
  counters_.connections_accepted.Add();
  if (state_->open_connections.fetch_add(1) >= state_->options.max_connections) {
    state_->open_connections.fetch_sub(1);
    counters_.connections_refused.Add();
    // Whoever does not get it sees the close.
    const std::string_view answer = state_->protocol.full_answer;
    (void)send(socket, answer.data(), answer.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
    close(socket);
    return;
  }
  // The kernel spreads connections over the sockets at random; four of them on two loops would be
  // all on one in every eighth case.
  EventLoop* target = this;
  for (EventLoop* loop : state_->loops) {
    if (loop->load() < target->load()) {
      target = loop;
    }
  }
  target->load_.fetch_add(1, std::memory_order_relaxed);
  if (target == this) {
    Adopt(socket);
  } else if (!target->mailbox_->PostSocket(socket)) {
    close(socket);
    target->Leave();
  }
}

void EventLoop::Adopt(int socket) {
  if (is_stopping_) {
    close(socket);
    Leave();
    return;
  }
  if (connections_.empty()) {
    const uint64_t tick_ms = state_->protocol.tick_ms;
    const auto tick = [](uv_timer_t* handle) { static_cast<EventLoop*>(handle->data)->OnTick(); };
    uv_timer_start(&tick_timer_, tick, tick_ms, tick_ms);
  }
  std::unique_ptr<Connection> connection = state_->protocol.new_connection(this);
  connection->index_ = connections_.size();
  connections_.push_back(std::move(connection));
  connections_.back()->Open(socket);
}

void EventLoop::Leave() {
  load_.fetch_sub(1, std::memory_order_relaxed);
  state_->open_connections.fetch_sub(1);
}

void EventLoop::Remove(Connection* connection) {
  const size_t index = connection->index_;
  std::swap(connections_[index], connections_.back());
  connections_[index]->index_ = index;
  connections_.pop_back();
  Leave();
  if (connections_.empty()) {
    uv_timer_stop(&tick_timer_);
    FinishIfStopped();
  }
}

void EventLoop::OnTick() {
  const bool is_over = is_stopping_ && now_ms() >= stop_deadline_ms_;
  for (const std::unique_ptr<Connection>& connection : connections_) {
    if (is_over) {
      connection->Close();
    } else {
      connection->CheckTimeouts(now_ms());
    }
  }
}

void EventLoop::BeginStop() {
  is_stopping_ = true;
  stop_deadline_ms_ = now_ms() + static_cast<uint64_t>(state_->options.shutdown_grace_ms);
  CloseHandle(&listener_poll_);
  CloseHandle(&accept_timer_);
  close(std::exchange(listener_, -1));
  for (const std::unique_ptr<Connection>& connection : connections_) {
    connection->BeginStop();
  }
  FinishIfStopped();
}

void EventLoop::FinishIfStopped() {
  if (!is_stopping_ || !connections_.empty()) {
    return;
  }
  mailbox_->Close();
  for (const int socket : mailbox_->Take().sockets) {
    close(socket);
    Leave();
  }
  CloseHandle(&wake_up_);
  CloseHandle(&tick_timer_);
}

}  // namespace tsdbd::net
