#include "http/mailbox.h"

#include <utility>

namespace tsdbd::http {

thread_local bool Mailbox::is_loop_thread_ = false;

void Mailbox::PostExchange(std::shared_ptr<Exchange> exchange) {
  MutexLock lock(&mutex_);
  if (wake_up_ != nullptr) {
    mail_.exchanges.push_back(std::move(exchange));
    WakeUp();
  }
}

bool Mailbox::PostSocket(int socket) {
  MutexLock lock(&mutex_);
  if (wake_up_ == nullptr) {
    return false;
  }
  mail_.sockets.push_back(socket);
  WakeUp();
  return true;
}

void Mailbox::PostStop() {
  MutexLock lock(&mutex_);
  if (wake_up_ != nullptr) {
    mail_.stop = true;
    WakeUp();
  }
}

void Mailbox::Open(uv_async_t* wake_up) {
  MutexLock lock(&mutex_);
  wake_up_ = wake_up;
}

void Mailbox::Close() {
  MutexLock lock(&mutex_);
  wake_up_ = nullptr;
}

Mailbox::Mail Mailbox::Take() {
  MutexLock lock(&mutex_);
  woken_ = false;
  return std::exchange(mail_, {});
}

void Mailbox::WakeUp() {
  if (!woken_) {
    woken_ = true;
    uv_async_send(wake_up_);
  }
}

}  // namespace tsdbd::http
