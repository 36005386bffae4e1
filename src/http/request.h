#pragma once
// Request: one HTTP request, complete and checked: head parsed, target decoded, body without its
// chunks and its gzip. How the bytes are turned into one is request_parser.h.
//
// Threads: built on a loop thread; from the moment the handler sees it, read-only and free to read
// from any thread. Views live as long as the Request (the body until Exchange::ReleaseBody).

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "http/body_buffer.h"

namespace tsdbd::http {

// The methods that a route can have. The parser answers 501 to all others.
enum class Method : uint8_t { kGet, kHead, kPost, kPut, kDelete, kPatch, kOptions };

std::string_view MethodName(Method method);

// One header line of a request: views into its head.
struct HeaderView {
  std::string_view name;
  std::string_view value;  // without the white space around it
};

// Names and values in the order they came; a name may come more than once.
class Parameters {
 public:
  using Entry = std::pair<std::string, std::string>;

  // A form of "a&a&a..." takes thirty times its size in memory. A query names some hundred matchers
  // at most.
  static constexpr size_t kMaxEntries = 10'000;

  // Adds `encoded` ("a=1&b=x%20y+z"): the text after '?' or a form body. False, adding nothing, if
  // an escape is not %XX or there are more than kMaxEntries.
  bool AddEncoded(std::string_view encoded);
  void Add(std::string name, std::string value) {
    entries_.emplace_back(std::move(name), std::move(value));
  }

  // The first value of `name`.
  std::optional<std::string_view> Find(std::string_view name) const;
  std::string_view Get(std::string_view name, std::string_view fallback = {}) const {
    return Find(name).value_or(fallback);
  }
  // All values of `name`, for parameters like match[].
  std::vector<std::string_view> FindAll(std::string_view name) const;
  const std::vector<Entry>& entries() const { return entries_; }

 private:
  std::vector<Entry> entries_;
};

class Request {
 public:
  Request() = default;
  Request(const Request&) = delete;
  Request& operator=(const Request&) = delete;

  Method method() const { return method_; }
  // True for GET and HEAD, which a route must answer without changing anything.
  bool is_read() const { return method_ == Method::kGet || method_ == Method::kHead; }
  bool is_http_1_0() const { return is_http_1_0_; }

  // The path as it came, still escaped ("/api/v1/label/a%2Fb/values"), without query; "*" for
  // OPTIONS *. Routes match on it segment by segment.
  std::string_view raw_path() const { return raw_path_; }
  // The same with its escapes resolved.
  std::string_view path() const { return path_; }
  // The decoded parameters of the query string.
  const Parameters& query() const { return query_; }
  // The query string's parameters, then those of a form-encoded POST or PUT body. False if the body
  // says it is a form and is not.
  bool MergedParameters(Parameters* merged) const;

  // What a {name} in the route's pattern matched, decoded; empty if the pattern has none.
  std::string_view PathParameter(std::string_view name) const { return path_parameters_.Get(name); }

  // The value of the first header called `name`, in any case.
  std::optional<std::string_view> FindHeader(std::string_view name) const;
  std::string_view Header(std::string_view name) const { return FindHeader(name).value_or(""); }
  const std::vector<HeaderView>& headers() const { return headers_; }

  std::string_view body() const { return body_.view(); }

  // Monotonic clock: when the first byte of the head was read, and the last of the body.
  int64_t arrived_nanos() const { return arrived_nanos_; }
  int64_t complete_nanos() const { return complete_nanos_; }

  // For routers, before the handler sees the request.
  void AddPathParameter(std::string name, std::string value) {
    path_parameters_.Add(std::move(name), std::move(value));
  }

 private:
  friend class RequestParser;
  friend class Exchange;
  friend class Connection;

  std::string head_;  // the bytes that the views point into
  std::vector<HeaderView> headers_;
  Method method_ = Method::kGet;
  bool is_http_1_0_ = false;
  bool keep_alive_ = false;  // the client's wish, by version and Connection header
  std::string_view raw_path_;
  std::string path_;
  Parameters query_;
  Parameters path_parameters_;
  BodyBuffer body_;
  int64_t arrived_nanos_ = 0;
  int64_t complete_nanos_ = 0;
};

}  // namespace tsdbd::http
