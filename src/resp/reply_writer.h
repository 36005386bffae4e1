#pragma once
// ReplyWriter: replies as RESP2 or RESP3 has them. What RESP2 has no type for becomes what Redis
// sends such clients: maps are arrays of twice the length, truth is 1 or 0, numbers are text.
//
// Threads: one at a time. Pure: appends to a string.

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace tsdbd::resp {

enum class Protocol : uint8_t { kResp2 = 2, kResp3 = 3 };

class ReplyWriter {
 public:
  ReplyWriter(std::string* out, Protocol protocol) : out_(out), protocol_(protocol) {}

  void Ok() { out_->append("+OK\r\n"); }
  // Line ends in `text` become blanks.
  void Simple(std::string_view text) { Line('+', text); }
  // `text` begins with the kind of error: "ERR no such key".
  void Error(std::string_view text) { Line('-', text); }
  void Integer(int64_t value) { Number(':', value); }
  void Bulk(std::string_view bytes);
  void Null();
  // Where RESP2 clients expect an array.
  void NullArray();
  void Double(double value);
  void Boolean(bool value);
  // Text for people; `format` has three letters ("txt").
  void Verbatim(std::string_view format, std::string_view text);

  // Followed by as many replies; in a map by a key and a value each.
  void BeginArray(size_t count) { Number('*', static_cast<int64_t>(count)); }
  void BeginSet(size_t count) { Number(is_resp3() ? '~' : '*', static_cast<int64_t>(count)); }
  void BeginMap(size_t count) {
    Number(is_resp3() ? '%' : '*', static_cast<int64_t>(is_resp3() ? count : 2 * count));
  }

  bool is_resp3() const { return protocol_ == Protocol::kResp3; }
  Protocol protocol() const { return protocol_; }
  std::string* out() { return out_; }

 private:
  void Line(char type, std::string_view text);
  void Number(char type, int64_t value);

  std::string* const out_;
  const Protocol protocol_;
};

}  // namespace tsdbd::resp
