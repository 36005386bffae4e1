#include "net/mailbox.h"

#include <utility>

#include <uv.h>

namespace tsdbd::net {

void Mailbox::PostLink(std::shared_ptr<Link> link) {
  MutexLock lock(&mutex_);
  if (wake_up_ != nullptr) {
    mail_.links.push_back(std::move(link));
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
  is_woken_ = false;
  return std::exchange(mail_, {});
}

void Mailbox::WakeUp() {
  if (!is_woken_) {
    is_woken_ = true;
    uv_async_send(wake_up_);
  }
}

}  // namespace tsdbd::net
