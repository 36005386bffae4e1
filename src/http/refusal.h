#pragma once
// Refusal: why the server itself turns a request down, as a status code and a sentence for the
// client.

namespace tsdbd::http {

struct Refusal {
  int status = 0;  // 0: not refused
  const char* reason = "";

  explicit operator bool() const { return status != 0; }
};

// The bodies of all requests hold as much as they may.
inline constexpr Refusal kOutOfBodyMemory = {503, "too many bodies in memory, try again"};

}  // namespace tsdbd::http
