#pragma once
// Mailbox: how other threads reach an event loop. Outlives the loop; what is posted after that is
// dropped. One wake-up serves everything posted until the loop looks.
//
// Threads: Post* from any thread; the others from the loop's.

#include <memory>
#include <vector>

#include <uv.h>

#include "common/mutex.h"

namespace tsdbd::http {

class Exchange;

class Mailbox {
 public:
  struct Mail {
    std::vector<std::shared_ptr<Exchange>> exchanges;  // with output to take
    std::vector<int> sockets;                          // accepted, to be served
    bool stop = false;
  };

  void PostExchange(std::shared_ptr<Exchange> exchange) EXCLUDES(mutex_);
  // False if the loop is gone: the socket stays the caller's.
  bool PostSocket(int socket) EXCLUDES(mutex_);
  void PostStop() EXCLUDES(mutex_);

  // `wake_up` is sent on the first post after each Take.
  void Open(uv_async_t* wake_up) EXCLUDES(mutex_);
  void Close() EXCLUDES(mutex_);
  Mail Take() EXCLUDES(mutex_);

  // Whether this thread runs an event loop: it must not wait then.
  static bool IsLoopThread() { return is_loop_thread_; }
  static void MarkLoopThread() { is_loop_thread_ = true; }

 private:
  void WakeUp() REQUIRES(mutex_);

  static thread_local bool is_loop_thread_;

  Mutex mutex_;
  uv_async_t* wake_up_ GUARDED_BY(mutex_) = nullptr;
  bool woken_ GUARDED_BY(mutex_) = false;
  Mail mail_ GUARDED_BY(mutex_);
};

}  // namespace tsdbd::http
