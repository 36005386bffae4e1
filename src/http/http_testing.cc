#include "http/http_testing.h"

#include <array>
#include <charconv>
#include <chrono>
#include <thread>

#include <arpa/inet.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "http/text.h"

namespace tsdbd::http {

namespace {

size_t ParseSize(std::string_view digits, int base) {
  size_t size = 0;
  std::from_chars(digits.data(), digits.data() + digits.size(), size, base);
  return size;
}

}  // namespace

std::string ClientAnswer::Header(std::string_view name) const {
  for (const auto& [header_name, value] : headers) {
    if (EqualsIgnoringCase(header_name, name)) {
      return value;
    }
  }
  return {};
}

RawClient::RawClient(uint16_t port, int receive_buffer_bytes) {
  socket_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (receive_buffer_bytes > 0) {
    setsockopt(socket_, SOL_SOCKET, SO_RCVBUF, &receive_buffer_bytes, sizeof(receive_buffer_bytes));
  }
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (connect(socket_, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0) {
    close(socket_);
    socket_ = -1;
  }
}

RawClient::~RawClient() {
  if (socket_ >= 0) {
    close(socket_);
  }
}

bool RawClient::Send(std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t sent = send(socket_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent <= 0) {
      return false;
    }
    bytes.remove_prefix(static_cast<size_t>(sent));
  }
  return true;
}

bool RawClient::WaitForInput(int timeout_ms) {
  pollfd waited = {socket_, POLLIN, 0};
  return !buffer_.empty() || poll(&waited, 1, timeout_ms) > 0;
}

bool RawClient::Receive(int timeout_ms) {
  pollfd waited = {socket_, POLLIN, 0};
  if (poll(&waited, 1, timeout_ms) <= 0) {
    return false;
  }
  std::array<char, 65'536> bytes;
  const ssize_t received = recv(socket_, bytes.data(), bytes.size(), 0);
  if (received <= 0) {
    was_reset_ = received < 0;
    is_ended_ = true;
    return false;
  }
  buffer_.append(bytes.data(), static_cast<size_t>(received));
  return true;
}

std::optional<std::string> RawClient::ReadLine() {
  size_t end = 0;
  while ((end = buffer_.find("\r\n")) == std::string::npos) {
    if (!Receive(kTimeoutMs)) {
      return std::nullopt;
    }
  }
  std::string line = buffer_.substr(0, end);
  buffer_.erase(0, end + 2);
  return line;
}

std::optional<std::string> RawClient::ReadBytes(size_t count) {
  while (buffer_.size() < count) {
    if (!Receive(kTimeoutMs)) {
      return std::nullopt;
    }
  }
  std::string bytes = buffer_.substr(0, count);
  buffer_.erase(0, count);
  return bytes;
}

bool RawClient::ReadChunked(std::string* body) {
  while (true) {
    const std::optional<std::string> size_line = ReadLine();
    if (!size_line) {
      return false;
    }
    const size_t size = ParseSize(*size_line, 16);
    const std::optional<std::string> data = ReadBytes(size + 2);
    if (!data) {
      return false;
    }
    if (size == 0) {
      return true;
    }
    body->append(*data, 0, size);
  }
}

ClientAnswer RawClient::ReadAnswer(bool to_head) {
  ClientAnswer answer;
  const std::optional<std::string> status_line = ReadLine();
  if (!status_line || !status_line->starts_with("HTTP/1.1 ")) {
    return {};
  }
  answer.status = static_cast<int>(ParseSize(std::string_view(*status_line).substr(9, 3), 10));
  while (true) {
    const std::optional<std::string> line = ReadLine();
    if (!line) {
      return {};
    }
    if (line->empty()) {
      break;
    }
    const size_t colon = line->find(':');
    answer.headers.emplace_back(line->substr(0, colon),
                                TrimWhitespace(std::string_view(*line).substr(colon + 1)));
  }
  if (to_head || answer.status < 200 || answer.status == 204 || answer.status == 304) {
    return answer;
  }
  if (answer.Header("transfer-encoding") == "chunked") {
    return ReadChunked(&answer.body) ? answer : ClientAnswer{};
  }
  const std::string length = answer.Header("content-length");
  std::optional<std::string> body =
      length.empty() ? ReadUntilClose() : ReadBytes(ParseSize(length, 10));
  if (!body) {
    return {};
  }
  answer.body = *std::move(body);
  return answer;
}

std::optional<std::string> RawClient::ReadUntilClose(int timeout_ms) {
  while (Receive(timeout_ms)) {
  }
  return is_ended_ ? std::optional(std::exchange(buffer_, {})) : std::nullopt;
}

void RawClient::ShutDownWriting() {
  shutdown(socket_, SHUT_WR);
}

void RawClient::Reset() {
  const linger at_once = {1, 0};
  setsockopt(socket_, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
  close(socket_);
  socket_ = -1;
}

bool WaitUntil(const std::function<bool()>& condition) {
  const auto deadline =
      std::chrono::steady_clock::now() + std::chrono::milliseconds(RawClient::kTimeoutMs);
  while (!condition()) {
    if (std::chrono::steady_clock::now() > deadline) {
      return false;
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  return true;
}

ClientAnswer Fetch(uint16_t port, std::string_view method, std::string_view target,
                   std::string_view body, std::string_view headers) {
  RawClient client(port);
  const std::string length = body.empty() ? "" : fmt::format("Content-Length: {}\r\n", body.size());
  // A server that refuses the head early may have closed before the body is sent: read all the
  // same.
  (void)(client.Send(fmt::format("{} {} HTTP/1.1\r\nHost: localhost\r\n{}{}\r\n", method, target,
                                 length, headers)) &&
         client.Send(body));
  return client.ReadAnswer(method == "HEAD");
}

}  // namespace tsdbd::http
