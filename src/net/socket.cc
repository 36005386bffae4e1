#include "net/socket.h"

#include <algorithm>
#include <array>
#include <utility>

#include <linux/sockios.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "common/check.h"

namespace tsdbd::net {

namespace {

// Strings below this are put together; copying so little costs less than another buffer in writev.
constexpr size_t kCoalesceBytes = size_t{4} << 10;
// A string that others are appended to grows no further than this.
constexpr size_t kMaxTailBytes = size_t{16} << 10;
// Buffers of one write: more than a pipelined batch of answers makes.
constexpr size_t kMaxBuffers = 32;

}  // namespace

void Socket::Open(uv_loop_t* loop, int descriptor) {
  CHECK(uv_tcp_init(loop, &tcp_) == 0);
  tcp_.data = this;
  write_.data = this;
  CHECK(uv_tcp_open(&tcp_, descriptor) == 0);
}

int Socket::descriptor() const {
  uv_os_fd_t descriptor = -1;
  uv_fileno(reinterpret_cast<const uv_handle_t*>(&tcp_), &descriptor);
  return descriptor;
}

void Socket::SetReading(bool reading) {
  if (reading == is_reading_ || is_closing()) {
    return;
  }
  is_reading_ = reading;
  if (reading) {
    uv_read_start(stream(), AllocateCallback, ReadCallback);
  } else {
    uv_read_stop(stream());
  }
}

void Socket::AllocateCallback(uv_handle_t* handle, size_t, uv_buf_t* buffer) {
  const std::span<char> space = static_cast<Socket*>(handle->data)->events_->ReadSpace();
  *buffer = uv_buf_init(space.data(), static_cast<unsigned>(space.size()));
}

void Socket::ReadCallback(uv_stream_t* stream, ssize_t size, const uv_buf_t* buffer) {
  auto* self = static_cast<Socket*>(stream->data);
  if (size > 0) {
    self->events_->OnRead({buffer->base, static_cast<size_t>(size)});
  } else if (size == UV_EOF) {
    self->is_reading_ = false;
    self->events_->OnEndOfInput();
  } else if (size < 0) {
    self->events_->OnBroken();
  }
}

void Socket::SendSmall(std::string_view bytes) {
  queued_bytes_ += bytes.size();
  if (queue_.empty() || queue_.back().size() > kMaxTailBytes) {
    queue_.emplace_back();
  }
  queue_.back().append(bytes);
}

void Socket::SendBody(std::string bytes) {
  if (bytes.size() < kCoalesceBytes) {
    SendSmall(bytes);
  } else {
    queued_bytes_ += bytes.size();
    queue_.push_back(std::move(bytes));
  }
}

void Socket::SendNow(std::string_view bytes) {
  Flush();
  if (!is_writing_ && !is_closing() && queue_.empty() && !bytes.empty()) {
    // libuv does not change what it writes.
    const uv_buf_t buffer =
        uv_buf_init(const_cast<char*>(bytes.data()), static_cast<unsigned>(bytes.size()));
    if (const int written = uv_try_write(stream(), &buffer, 1); written > 0) {
      queued_bytes_ += static_cast<size_t>(written);
      flushed_bytes_ += static_cast<size_t>(written);
      bytes.remove_prefix(static_cast<size_t>(written));
    }
  }
  if (!bytes.empty()) {
    // An error shows itself again when this is flushed.
    SendSmall(bytes);
    Flush();
  }
}

void Socket::Flush() {
  if (is_writing_ || is_closing() || queue_.empty()) {
    return;
  }
  if (!WriteNow()) {
    events_->OnBroken();
  } else if (!queue_.empty()) {
    WriteLater();
  }
}

bool Socket::WriteNow() {
  while (!queue_.empty()) {
    std::array<uv_buf_t, kMaxBuffers> buffers;
    const size_t count = std::min(queue_.size(), kMaxBuffers);
    size_t offset = front_offset_;
    size_t total = 0;
    for (size_t i = 0; i < count; ++i) {
      buffers[i] =
          uv_buf_init(queue_[i].data() + offset, static_cast<unsigned>(queue_[i].size() - offset));
      total += buffers[i].len;
      offset = 0;
    }
    const int written = uv_try_write(stream(), buffers.data(), static_cast<unsigned>(count));
    if (written == UV_EAGAIN) {
      return true;
    }
    if (written < 0) {
      return false;
    }
    flushed_bytes_ += static_cast<size_t>(written);
    size_t end = front_offset_ + static_cast<size_t>(written);
    size_t done = 0;
    while (done < count && end >= queue_[done].size()) {
      end -= queue_[done].size();
      ++done;
    }
    queue_.erase(queue_.begin(), queue_.begin() + static_cast<ptrdiff_t>(done));
    front_offset_ = end;
    if (static_cast<size_t>(written) < total) {
      return true;
    }
  }
  // An idle connection holds no memory for its answers.
  std::vector<std::string>().swap(queue_);
  return true;
}

void Socket::WriteLater() {
  in_flight_ = std::move(queue_);
  queue_.clear();
  std::vector<uv_buf_t> buffers;
  buffers.reserve(in_flight_.size());
  for (std::string& bytes : in_flight_) {
    const size_t offset = std::exchange(front_offset_, 0);
    buffers.push_back(
        uv_buf_init(bytes.data() + offset, static_cast<unsigned>(bytes.size() - offset)));
    flushed_bytes_ += buffers.back().len;
  }
  is_writing_ = true;
  CHECK(uv_write(&write_, stream(), buffers.data(), static_cast<unsigned>(buffers.size()),
                 WriteCallback) == 0);
}

void Socket::WriteCallback(uv_write_t* request, int status) {
  auto* self = static_cast<Socket*>(request->data);
  self->is_writing_ = false;
  std::vector<std::string>().swap(self->in_flight_);
  if (self->is_closing()) {
    return;
  }
  if (status < 0) {
    self->events_->OnBroken();
    return;
  }
  self->Flush();
  self->events_->OnWritten();
}

uint64_t Socket::acknowledged_bytes() const {
  int unacknowledged = 0;
  ioctl(descriptor(), SIOCOUTQ, &unacknowledged);
  return sent_bytes() - static_cast<uint64_t>(unacknowledged);
}

bool Socket::has_peer_left() const {
  pollfd poll_it = {.fd = descriptor(), .events = POLLRDHUP, .revents = 0};
  return poll(&poll_it, 1, 0) > 0;
}

void Socket::ShutDownWriting() {
  ::shutdown(descriptor(), SHUT_WR);
}

void Socket::Close() {
  if (!is_closing()) {
    uv_close(reinterpret_cast<uv_handle_t*>(&tcp_), CloseCallback);
  }
}

void Socket::CloseWithReset() {
  // Refuses only sockets whose shutdown libuv is busy with, which ours never are.
  if (!is_closing() && uv_tcp_close_reset(&tcp_, CloseCallback) != 0) {
    Close();
  }
}

void Socket::CloseCallback(uv_handle_t* handle) {
  static_cast<Socket*>(handle->data)->events_->OnClosed();
}

}  // namespace tsdbd::net
