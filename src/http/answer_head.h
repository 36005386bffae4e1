#pragma once
// The head of an answer as bytes. Pure functions.

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "http/exchange.h"

namespace tsdbd::http {

enum class AnswerFraming : uint8_t {
  kLength,      // Content-Length
  kChunked,     // Transfer-Encoding: chunked
  kUntilClose,  // neither: the end of the connection is the end of the answer
};

struct AnswerHead {
  AnswerFraming framing = AnswerFraming::kLength;
  size_t length_bytes = 0;  // for kLength
  bool is_http_1_0 = false;
  bool keep_alive = true;
  std::string_view date = {};  // as HttpDate renders it
};

// "OK", "Not Found", ...; empty for codes without a common name.
std::string_view StatusText(int status);

// 1xx, 204 and 304 have no body and no length.
bool HasNoBody(int status);

// Appends the whole head. Control characters in values that handlers gave become blanks, so that no
// value can add a line.
void AppendAnswerHead(const Answer& answer, const AnswerHead& head, std::string* out);

// "Sun, 06 Nov 1994 08:49:37 GMT".
std::string HttpDate(int64_t unix_seconds);

}  // namespace tsdbd::http
