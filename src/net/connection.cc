#include "net/connection.h"

#include "net/event_loop.h"

namespace tsdbd::net {

Connection::Connection(EventLoop* loop)
    : loop_(loop), socket_(this), link_(std::make_shared<Link>(loop->mailbox(), this)) {}

void Connection::Open(int descriptor) {
  socket_.Open(loop_->uv_loop(), descriptor);
  socket_.SetReading(true);
}

void Connection::Release() {
  CountSent();
  link_->Cut();
  loop_->Remove(this);
}

void Connection::CountSent() {
  const uint64_t sent_bytes = socket_.sent_bytes();
  loop_->counters().sent_bytes.Add(sent_bytes - counted_sent_bytes_);
  counted_sent_bytes_ = sent_bytes;
}

}  // namespace tsdbd::net
