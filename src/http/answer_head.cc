#include "http/answer_head.h"

#include <array>
#include <charconv>
#include <ctime>

#include <fmt/format.h>

#include "common/check.h"

namespace tsdbd::http {

namespace {

void AppendNumber(size_t number, std::string* out) {
  std::array<char, 20> digits;
  const char* begin = digits.data();
  const char* end = std::to_chars(digits.data(), digits.data() + digits.size(), number).ptr;
  out->append(begin, end);
}

void AppendClean(std::string_view text, std::string* out) {
  for (const char c : text) {
    out->push_back(static_cast<unsigned char>(c) < 0x20 || c == 0x7F ? ' ' : c);
  }
}

void AppendFraming(const Answer& answer, const AnswerHead& head, std::string* out) {
  if (HasNoBody(answer.status)) {
    return;
  }
  if (head.framing == AnswerFraming::kLength) {
    out->append("Content-Length: ");
    AppendNumber(head.length_bytes, out);
    out->append("\r\n");
  } else if (head.framing == AnswerFraming::kChunked) {
    out->append("Transfer-Encoding: chunked\r\n");
  }
}

}  // namespace

std::string_view StatusText(int status) {
  switch (status) {
    case 200:
      return "OK";
    case 201:
      return "Created";
    case 202:
      return "Accepted";
    case 204:
      return "No Content";
    case 206:
      return "Partial Content";
    case 301:
      return "Moved Permanently";
    case 302:
      return "Found";
    case 304:
      return "Not Modified";
    case 307:
      return "Temporary Redirect";
    case 308:
      return "Permanent Redirect";
    case 400:
      return "Bad Request";
    case 401:
      return "Unauthorized";
    case 403:
      return "Forbidden";
    case 404:
      return "Not Found";
    case 405:
      return "Method Not Allowed";
    case 406:
      return "Not Acceptable";
    case 408:
      return "Request Timeout";
    case 409:
      return "Conflict";
    case 411:
      return "Length Required";
    case 412:
      return "Precondition Failed";
    case 413:
      return "Content Too Large";
    case 414:
      return "URI Too Long";
    case 415:
      return "Unsupported Media Type";
    case 416:
      return "Range Not Satisfiable";
    case 417:
      return "Expectation Failed";
    case 422:
      return "Unprocessable Content";
    case 429:
      return "Too Many Requests";
    case 431:
      return "Request Header Fields Too Large";
    case 499:
      return "Client Closed Request";
    case 500:
      return "Internal Server Error";
    case 501:
      return "Not Implemented";
    case 503:
      return "Service Unavailable";
    case 504:
      return "Gateway Timeout";
    case 505:
      return "HTTP Version Not Supported";
    case 507:
      return "Insufficient Storage";
    default:
      return "";
  }
}

bool HasNoBody(int status) {
  return status < 200 || status == 204 || status == 304;
}

void AppendAnswerHead(const Answer& answer, const AnswerHead& head, std::string* out) {
  CHECK(answer.status >= 100 && answer.status < 600);
  out->append("HTTP/1.1 ");
  AppendNumber(static_cast<size_t>(answer.status), out);
  out->push_back(' ');
  out->append(StatusText(answer.status));
  out->append("\r\nDate: ");
  out->append(head.date);
  // Browsers must not guess that stored text is a script.
  out->append("\r\nX-Content-Type-Options: nosniff\r\n");
  if (!head.keep_alive) {
    out->append("Connection: close\r\n");
  } else if (head.is_http_1_0) {
    out->append("Connection: keep-alive\r\n");
  }
  if (!answer.content_type.empty()) {
    out->append("Content-Type: ");
    AppendClean(answer.content_type, out);
    out->append("\r\n");
  }
  for (const HeaderField& header : answer.headers) {
    AppendClean(header.name, out);
    out->append(": ");
    AppendClean(header.value, out);
    out->append("\r\n");
  }
  AppendFraming(answer, head, out);
  out->append("\r\n");
}

std::string HttpDate(int64_t unix_seconds) {
  static constexpr std::array kDays = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
  static constexpr std::array kMonths = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                         "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
  const std::time_t time = unix_seconds;
  std::tm utc = {};
  gmtime_r(&time, &utc);
  return fmt::format("{}, {:02} {} {} {:02}:{:02}:{:02} GMT", kDays[utc.tm_wday], utc.tm_mday,
                     kMonths[utc.tm_mon], utc.tm_year + 1900, utc.tm_hour, utc.tm_min, utc.tm_sec);
}

}  // namespace tsdbd::http
