#pragma once
// Help for tests that talk to a server: a raw client that can send anything at any pace, and Fetch
// for those who only want an answer. Blocking, with deadlines, so that a test fails and never
// hangs.

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace tsdbd::http {

struct ClientAnswer {
  int status = 0;  // 0: no whole answer came
  std::vector<std::pair<std::string, std::string>> headers;
  std::string body;  // without its chunks, otherwise as it came

  // The first header of that name, in any case; empty if there is none.
  std::string Header(std::string_view name) const;
};

class RawClient {
 public:
  // Connects to 127.0.0.1. A `receive_buffer_bytes` above 0 keeps the kernel from taking more.
  explicit RawClient(uint16_t port, int receive_buffer_bytes = 0);
  ~RawClient();
  RawClient(const RawClient&) = delete;
  RawClient& operator=(const RawClient&) = delete;

  bool is_connected() const { return socket_ >= 0; }
  // False if the server has closed.
  bool Send(std::string_view bytes);
  // The next answer; `to_head`: of a HEAD request, without a body.
  ClientAnswer ReadAnswer(bool to_head = false);
  // All bytes until the server closes; nullopt if it does not within `timeout_ms`.
  std::optional<std::string> ReadUntilClose(int timeout_ms = kTimeoutMs);
  // Waits for some bytes, for the next ReadAnswer. False at the end.
  bool ReceiveSome() { return Receive(kTimeoutMs); }
  // Whether anything (or the end) comes within `timeout_ms`.
  bool WaitForInput(int timeout_ms);

  // Whether the server's end of the connection was a reset.
  bool was_reset() const { return was_reset_; }

  void ShutDownWriting();
  // With a reset instead of an orderly end.
  void Reset();

  static constexpr int kTimeoutMs = 10'000;

 private:
  // Receives more into buffer_. False at the end, on error and at the deadline.
  bool Receive(int timeout_ms);
  std::optional<std::string> ReadLine();
  std::optional<std::string> ReadBytes(size_t count);
  bool ReadChunked(std::string* body);

  int socket_ = -1;
  bool is_ended_ = false;
  bool was_reset_ = false;
  std::string buffer_;  // received and not yet taken
};

// Waits until `condition` holds, for at most kTimeoutMs.
bool WaitUntil(const std::function<bool()>& condition);

// One request on a connection of its own. `headers`: whole lines, each with its CR LF.
ClientAnswer Fetch(uint16_t port, std::string_view method, std::string_view target,
                   std::string_view body = {}, std::string_view headers = {});

}  // namespace tsdbd::http
