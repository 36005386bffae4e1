#pragma once
// Mailbox: how other threads reach an event loop; Link: how they reach one connection of it. Both
// outlive what they lead to; what is posted after that is dropped. One wake-up of the loop serves
// all that was posted until it looks.
//
// Threads: Post* and Wake from any thread; the others from the loop's.

#include <atomic>
#include <memory>
#include <vector>

#include "common/mutex.h"

// Not <uv.h>: its macros (termios) are in the way of those who include this.
typedef struct uv_async_s uv_async_t;

namespace tsdbd::net {

class Connection;
class Link;

class Mailbox {
 public:
  struct Mail {
    std::vector<std::shared_ptr<Link>> links;  // of connections that were woken
    std::vector<int> sockets;                  // accepted, to be served
    bool stop = false;
  };

  void PostLink(std::shared_ptr<Link> link) EXCLUDES(mutex_);
  // False if the loop is gone: the socket stays the caller's.
  bool PostSocket(int socket) EXCLUDES(mutex_);
  void PostStop() EXCLUDES(mutex_);

  // `wake_up` is sent on the first post after each Take.
  void Open(uv_async_t* wake_up) EXCLUDES(mutex_);
  void Close() EXCLUDES(mutex_);
  Mail Take() EXCLUDES(mutex_);

 private:
  void WakeUp() REQUIRES(mutex_);

  Mutex mutex_;
  uv_async_t* wake_up_ GUARDED_BY(mutex_) = nullptr;
  bool is_woken_ GUARDED_BY(mutex_) = false;
  Mail mail_ GUARDED_BY(mutex_);
};

class Link : public std::enable_shared_from_this<Link> {
 public:
  Link(std::shared_ptr<Mailbox> mailbox, Connection* connection)
      : mailbox_(std::move(mailbox)), connection_(connection) {}

  // Makes the loop look at the connection; posted once however often it is asked before that.
  void Wake() {
    if (!is_posted_.exchange(true, std::memory_order_acq_rel)) {
      mailbox_->PostLink(shared_from_this());
    }
  }

  // The connection, null once it is gone. What wakes from now on is posted anew.
  Connection* Receive() {
    is_posted_.exchange(false, std::memory_order_acq_rel);
    return connection_;
  }
  void Cut() { connection_ = nullptr; }

 private:
  const std::shared_ptr<Mailbox> mailbox_;
  std::atomic<bool> is_posted_ = false;
  Connection* connection_;  // the loop's thread only
};

}  // namespace tsdbd::net
