#include "resp/event_loop.h"

#include <cerrno>
#include <utility>

#include <pthread.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/check.h"
#include "resp/connection.h"

namespace tsdbd::resp {

namespace {

// One read takes at most this much; should stay in the core's cache.
constexpr size_t kReadBufferBytes = size_t{64} << 10;
// Accepted before the loop looks at its connections again.
constexpr int kMaxAcceptsAtOnce = 64;
// After a failed accept (out of descriptors) the loop does not try again at once: it would spin.
// New connections wait in the kernel meanwhile.
constexpr uint64_t kAcceptPauseMs = 100;
// How often connections that end or get on too slowly, and the end of the loop itself, are looked
// at.
constexpr uint64_t kTickMs = 200;

constexpr std::string_view kTooManyConnections = "-ERR max number of clients reached\r\n";

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

EventLoop::EventLoop(ServerState* state, int listener)
    : state_(state),
      mailbox_(std::make_shared<Mailbox>()),
      listener_(listener),
      read_buffer_(kReadBufferBytes) {}

StatusOr<std::unique_ptr<EventLoop>> EventLoop::Create(ServerState* state, int listener) {
  std::unique_ptr<EventLoop> loop(new EventLoop(state, listener));
  RETURN_IF_ERROR(loop->Init());
  return loop;
}

Status EventLoop::Init() {
  if (const int error = uv_loop_init(&loop_); error != 0) {
    return ErrnoStatus(-error, "event loop", "resp");
  }
  is_initialised_ = true;
  // Of the handles only this one takes descriptors.
  const int error = uv_async_init(&loop_, &wake_up_, [](uv_async_t* handle) {
    static_cast<EventLoop*>(handle->data)->OnMail();
  });
  if (error != 0) {
    return ErrnoStatus(-error, "event loop", "resp");
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
  pthread_setname_np(pthread_self(), "resp");
  WatchListener();
  uv_run(&loop_, UV_RUN_DEFAULT);
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
  for (const std::shared_ptr<ConnectionLink>& link : mail.links) {
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
  uv_poll_stop(&listener_poll_);
  const auto resume = [](uv_timer_t* handle) {
    static_cast<EventLoop*>(handle->data)->WatchListener();
  };
  uv_timer_start(&accept_timer_, resume, kAcceptPauseMs, 0);
}

void EventLoop::Assign(int socket) {
  LoopCounters::Add(&counters_.connections_accepted);
  if (state_->open_connections.fetch_add(1) >= state_->options.max_connections) {
    state_->open_connections.fetch_sub(1);
    LoopCounters::Add(&counters_.connections_refused);
    // Fits the empty send buffer of a new socket; whoever does not get it sees the close.
    (void)send(socket, kTooManyConnections.data(), kTooManyConnections.size(),
               MSG_DONTWAIT | MSG_NOSIGNAL);
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
    target->Release();
  }
}

void EventLoop::Adopt(int socket) {
  if (is_stopping_) {
    close(socket);
    Release();
    return;
  }
  if (connections_.empty()) {
    const auto tick = [](uv_timer_t* handle) { static_cast<EventLoop*>(handle->data)->OnTick(); };
    uv_timer_start(&tick_timer_, tick, kTickMs, kTickMs);
  }
  connections_.push_back(std::make_unique<Connection>(this, connections_.size()));
  connections_.back()->Open(socket);
}

void EventLoop::Release() {
  load_.fetch_sub(1, std::memory_order_relaxed);
  state_->open_connections.fetch_sub(1);
}

void EventLoop::Remove(Connection* connection) {
  const size_t index = connection->index();
  std::swap(connections_[index], connections_.back());
  connections_[index]->set_index(index);
  connections_.pop_back();
  Release();
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
    Release();
  }
  CloseHandle(&wake_up_);
  CloseHandle(&tick_timer_);
}

}  // namespace tsdbd::resp
