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
  NoteSent();
  link_->Cut();
  loop_->Remove(this);
}

void Connection::NoteSent() {
  const uint64_t sent_bytes = socket_.sent_bytes();
  loop_->counters().sent_bytes.Add(sent_bytes - counted_sent_bytes_);
  counted_sent_bytes_ = sent_bytes;
  const bool has_unsent = socket_.unsent_bytes() > 0;
  if (has_unsent && !has_unsent_) {
    unsent_since_ms_ = loop_->now_ms();
    unsent_acknowledged_bytes_ = socket_.acknowledged_bytes();
  }
  has_unsent_ = has_unsent;
}

bool Connection::HasStalled(uint64_t now_ms, int64_t limit_ms) {
  if (!has_unsent_ || now_ms - unsent_since_ms_ <= static_cast<uint64_t>(limit_ms)) {
    return false;
  }
  const uint64_t acknowledged_bytes = socket_.acknowledged_bytes();
  if (acknowledged_bytes - unsent_acknowledged_bytes_ < kMinProgressBytes) {
    return true;
  }
  unsent_since_ms_ = now_ms;
  unsent_acknowledged_bytes_ = acknowledged_bytes;
  return false;
}

}  // namespace tsdbd::net
