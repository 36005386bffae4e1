#pragma once
// HeadScanner: finds the end of a request's head and refuses on the way what llhttp lets pass and
// other servers read differently: bare CR or LF, control characters, folded lines, white space in
// or after a header's name. What it passes, llhttp parses (request_parser.h).
//
// Threads: one thread at a time.

#include <cstddef>
#include <string_view>

namespace tsdbd::http {

class HeadScanner {
 public:
  enum class Result { kNeedMore, kComplete, kMalformed };

  // `bytes` is everything since the last request's end: at each call the same with more behind.
  // Looks only at what is new.
  Result Scan(std::string_view bytes);

  // After kComplete: where the head lies, its final empty line included.
  size_t head_begin() const { return head_begin_; }
  size_t head_end() const { return position_; }
  // After kMalformed.
  const char* error() const { return error_; }
  bool is_in_request_line() const { return line_count_ == 0; }
  size_t line_count() const { return line_count_; }

 private:
  bool EndLine(std::string_view line);
  bool Malformed(const char* reason) {
    error_ = reason;
    return false;
  }

  size_t position_ = 0;
  size_t line_begin_ = 0;
  size_t line_count_ = 0;  // request line and headers so far
  size_t head_begin_ = 0;
  const char* error_ = nullptr;
};

}  // namespace tsdbd::http
