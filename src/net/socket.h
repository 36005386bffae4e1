#pragma once
// Socket: a connected TCP socket on a libuv loop: bytes in, an ordered queue of bytes out. Knows
// nothing of protocols.
//
// Threads: the loop's only. Events come from the loop, OnBroken also out of Flush.

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <uv.h>

namespace tsdbd::net {

class SocketEvents {
 public:
  virtual ~SocketEvents() = default;
  // Where the next bytes shall go; not empty.
  virtual std::span<char> ReadSpace() = 0;
  // What came, at the start of the last ReadSpace().
  virtual void OnRead(std::span<char> bytes) = 0;
  // The peer will send no more.
  virtual void OnEndOfInput() = 0;
  // Bytes that had to wait are with the kernel now.
  virtual void OnWritten() = 0;
  // Reading or writing failed: the connection is of no use any more.
  virtual void OnBroken() = 0;
  // Close() is done: the last event, the Socket may be destroyed.
  virtual void OnClosed() = 0;
};

class Socket {
 public:
  explicit Socket(SocketEvents* events) : events_(events) {}
  Socket(const Socket&) = delete;
  Socket& operator=(const Socket&) = delete;

  // Takes over a connected, non-blocking socket.
  void Open(uv_loop_t* loop, int descriptor);
  void SetReading(bool reading);

  // Queue bytes; Flush hands them on. SendBody keeps a large string as it is, without a copy.
  void SendSmall(std::string_view bytes);
  void SendBody(std::string bytes);
  // Flush, then hands these on without a copy as far as the kernel takes them now; queues the rest.
  void SendNow(std::string_view bytes);
  // Writes what the kernel takes now and lets the loop write the rest.
  void Flush();

  // Queued and not yet with the kernel.
  size_t unsent_bytes() const { return static_cast<size_t>(queued_bytes_ - sent_bytes()); }
  // With the kernel, since Open.
  uint64_t sent_bytes() const { return flushed_bytes_ - uv_stream_get_write_queue_size(stream()); }

  // Received by the peer's kernel: the sign of life of a slow reader, since ours takes more only
  // once a third of its buffer, which may be megabytes, is free.
  uint64_t acknowledged_bytes() const;

  // Whether the peer has closed the connection, or its sending side, which looks the same; also
  // while nothing is read.
  bool has_peer_left() const;

  // Tells the peer that no more will come.
  void ShutDownWriting();
  // At once, whatever is queued. OnClosed follows.
  void Close();
  // The same with a reset, so that the peer cannot take what it has for all there was.
  void CloseWithReset();
  bool is_closing() const { return uv_is_closing(reinterpret_cast<const uv_handle_t*>(&tcp_)); }

 private:
  uv_stream_t* stream() { return reinterpret_cast<uv_stream_t*>(&tcp_); }
  const uv_stream_t* stream() const { return reinterpret_cast<const uv_stream_t*>(&tcp_); }
  int descriptor() const;

  bool WriteNow();
  void WriteLater();

  static void AllocateCallback(uv_handle_t* handle, size_t suggested_size, uv_buf_t* buffer);
  static void ReadCallback(uv_stream_t* stream, ssize_t size, const uv_buf_t* buffer);
  static void WriteCallback(uv_write_t* request, int status);
  static void CloseCallback(uv_handle_t* handle);

  SocketEvents* const events_;
  uv_tcp_t tcp_;
  uv_write_t write_;
  bool is_reading_ = false;
  bool is_writing_ = false;  // write_ is with libuv, its bytes in in_flight_

  std::vector<std::string> queue_;
  size_t front_offset_ = 0;  // of queue_.front(): written already
  std::vector<std::string> in_flight_;
  uint64_t queued_bytes_ = 0;   // ever
  uint64_t flushed_bytes_ = 0;  // ever: given to the kernel or to libuv
};

}  // namespace tsdbd::net
