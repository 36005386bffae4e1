#include "resp/reply_writer.h"

#include <charconv>
#include <cmath>
#include <iterator>

#include <fmt/format.h>

namespace tsdbd::resp {

namespace {

// 17 digits tell any two doubles apart; the shortest text that does is nicer.
std::string DoubleText(double value) {
  if (std::isinf(value)) {
    return value > 0 ? "inf" : "-inf";
  }
  return std::isnan(value) ? "nan" : fmt::format("{}", value);
}

}  // namespace

void ReplyWriter::Line(char type, std::string_view text) {
  out_->push_back(type);
  for (const char c : text) {
    out_->push_back(c == '\r' || c == '\n' ? ' ' : c);
  }
  out_->append("\r\n");
}

void ReplyWriter::Number(char type, int64_t value) {
  char text[24];
  text[0] = type;
  char* end = std::to_chars(text + 1, std::end(text) - 2, value).ptr;
  *end++ = '\r';
  *end++ = '\n';
  out_->append(text, end);
}

void ReplyWriter::Bulk(std::string_view bytes) {
  Number('$', static_cast<int64_t>(bytes.size()));
  out_->append(bytes);
  out_->append("\r\n");
}

void ReplyWriter::Null() {
  out_->append(is_resp3() ? "_\r\n" : "$-1\r\n");
}

void ReplyWriter::NullArray() {
  out_->append(is_resp3() ? "_\r\n" : "*-1\r\n");
}

void ReplyWriter::Double(double value) {
  if (is_resp3()) {
    Line(',', DoubleText(value));
  } else {
    Bulk(DoubleText(value));
  }
}

void ReplyWriter::Boolean(bool value) {
  if (is_resp3()) {
    out_->append(value ? "#t\r\n" : "#f\r\n");
  } else {
    Integer(value ? 1 : 0);
  }
}

void ReplyWriter::Verbatim(std::string_view format, std::string_view text) {
  if (!is_resp3()) {
    Bulk(text);
    return;
  }
  Number('=', static_cast<int64_t>(format.size() + 1 + text.size()));
  out_->append(format).append(":").append(text).append("\r\n");
}

}  // namespace tsdbd::resp
