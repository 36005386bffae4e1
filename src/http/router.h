#pragma once
// Router: which handler a request goes to, decided when its head is complete and before its body is
// read, so that what no route wants is refused early.
//
// Patterns: "/write" (exact), "/api/v1/label/{name}/values" (one segment), "/ui/{path...}" (the
// rest, slashes included, possibly empty). Exact paths win over patterns, earlier patterns over
// later ones. Escapes are resolved within segments: %2F never separates them. GET routes serve
// HEAD; OPTIONS is answered with Allow; a known path with another method is a 405 with Allow.
//
// Threads: Add before the server starts; Decide from any thread after that.

#include <cstddef>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "http/exchange.h"
#include "http/request.h"

namespace tsdbd::http {

struct RouteOptions {
  // Bound for the body, before and after inflating; 0 means the server's.
  size_t max_body_bytes = 0;
  // A Content-Encoding that the handler decodes itself, for example "snappy": bodies come as they
  // are, and one that names another gets 415. Empty: the server inflates gzip and deflate and
  // answers 415 to all others.
  std::string raw_content_encoding = {};
};

// What to do with a request whose head is complete.
struct HeadDecision {
  // Null: answer now with status and reason (as ServerOptions::error_answer renders them).
  const Handler* handler = nullptr;
  const RouteOptions* options = nullptr;

  int status = 404;
  std::string reason = {};
  std::vector<HeaderField> headers = {};
};

// May add path parameters to the request. Runs on loop threads; must not block.
using HeadHook = std::function<HeadDecision(Request*)>;

class Router {
 public:
  void Add(Method method, std::string_view pattern, Handler handler, RouteOptions options = {});

  HeadDecision Decide(Request* request) const;

 private:
  struct Route {
    Method method;
    Handler handler;
    RouteOptions options;
  };
  // All that lies at one path.
  struct Place {
    std::vector<Route> routes;
    std::string allow;  // value of the Allow header
  };
  struct Pattern {
    std::string text;
    std::vector<std::string> segments;
    Place place;
  };

  static HeadDecision Choose(const Place& place, Method method);
  static bool Matches(const Pattern& pattern, std::string_view raw_path, Parameters* parameters);

  std::map<std::string, Place, std::less<>> exact_;
  std::vector<Pattern> patterns_;
};

}  // namespace tsdbd::http
