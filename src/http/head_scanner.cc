#include "http/head_scanner.h"

#include <array>
#include <cstdint>

#include "http/text.h"

namespace tsdbd::http {

namespace {

// Bytes that the scanner need not look at twice: neither control characters nor DEL. Tabs are
// looked at, since the request line must not have them.
constexpr std::array<bool, 256> kPlain = [] {
  std::array<bool, 256> table{};
  for (int c = 0x20; c < 256; ++c) {
    table[c] = c != 0x7F;
  }
  return table;
}();

}  // namespace

HeadScanner::Result HeadScanner::Scan(std::string_view bytes) {
  while (true) {
    while (position_ < bytes.size() && kPlain[static_cast<uint8_t>(bytes[position_])]) {
      ++position_;
    }
    if (position_ == bytes.size()) {
      return Result::kNeedMore;
    }
    const char c = bytes[position_];
    if (c == '\t' && line_count_ > 0) {
      ++position_;
      continue;
    }
    if (c != '\r') {
      Malformed(c == '\n' ? "line ends in LF without CR" : "control character in the head");
      return Result::kMalformed;
    }
    if (position_ + 1 == bytes.size()) {
      return Result::kNeedMore;
    }
    if (bytes[position_ + 1] != '\n') {
      Malformed("CR without LF in the head");
      return Result::kMalformed;
    }
    const std::string_view line = bytes.substr(line_begin_, position_ - line_begin_);
    position_ += 2;
    line_begin_ = position_;
    if (line.empty() && line_count_ > 0) {
      return Result::kComplete;
    }
    if (!EndLine(line)) {
      return Result::kMalformed;
    }
  }
}

bool HeadScanner::EndLine(std::string_view line) {
  if (line_count_ == 0) {
    if (line.empty()) {
      // Some old clients send one empty line after a body (RFC 9112, 2.2); nobody sends two.
      if (head_begin_ > 0) {
        return Malformed("empty lines before the request");
      }
      head_begin_ = position_;
      return true;
    }
    for (const char c : line) {
      if (static_cast<uint8_t>(c) >= 0x80) {
        return Malformed("request line is not ASCII");
      }
    }
    ++line_count_;
    return true;
  }
  if (line.front() == ' ' || line.front() == '\t') {
    return Malformed("folded header line");
  }
  size_t name_size = 0;
  while (name_size < line.size() && IsTokenCharacter(line[name_size])) {
    ++name_size;
  }
  if (name_size == 0 || name_size == line.size() || line[name_size] != ':') {
    return Malformed("header line without a valid name and colon");
  }
  ++line_count_;
  return true;
}

}  // namespace tsdbd::http
