#include "http/router.h"

#include <algorithm>
#include <utility>

#include "common/check.h"
#include "http/text.h"

namespace tsdbd::http {

namespace {

bool IsCapture(std::string_view segment) {
  return segment.size() > 2 && segment.front() == '{' && segment.back() == '}';
}

bool IsRestCapture(std::string_view segment) {
  return IsCapture(segment) && segment.ends_with("...}");
}

// "{name}" or "{name...}" without its frame.
std::string_view CaptureName(std::string_view segment) {
  segment = segment.substr(1, segment.size() - 2);
  return segment.ends_with("...") ? segment.substr(0, segment.size() - 3) : segment;
}

// Cuts "/segment" off the front of `path`, and the slash off it.
std::string_view NextSegment(std::string_view* path) {
  path->remove_prefix(1);
  const size_t size = std::min(path->find('/'), path->size());
  const std::string_view segment = path->substr(0, size);
  path->remove_prefix(size);
  return segment;
}

}  // namespace

void Router::Add(Method method, std::string_view pattern, Handler handler, RouteOptions options) {
  CHECK(pattern.starts_with('/'));
  Place* place = nullptr;
  if (pattern.find('{') == std::string_view::npos) {
    place = &exact_[std::string(pattern)];
  } else {
    auto found = std::find_if(patterns_.begin(), patterns_.end(),
                              [&](const Pattern& p) { return p.text == pattern; });
    if (found == patterns_.end()) {
      Pattern added{std::string(pattern), {}, {}};
      for (std::string_view rest = pattern; !rest.empty();) {
        added.segments.emplace_back(NextSegment(&rest));
      }
      found = patterns_.insert(patterns_.end(), std::move(added));
    }
    place = &found->place;
  }
  place->routes.push_back({method, std::move(handler), std::move(options)});
  place->allow += place->allow.empty() ? "" : ", ";
  place->allow += method == Method::kGet ? "GET, HEAD" : MethodName(method);
}

HeadDecision Router::Decide(Request* request) const {
  const std::string_view path = request->raw_path();
  if (const auto found = exact_.find(path); found != exact_.end()) {
    return Choose(found->second, request->method());
  }
  if (path == "*") {
    return {.status = 204, .headers = {{"Allow", "GET, HEAD, POST, PUT, DELETE, PATCH, OPTIONS"}}};
  }
  for (const Pattern& pattern : patterns_) {
    Parameters captured;
    if (Matches(pattern, path, &captured)) {
      for (const auto& [name, value] : captured.entries()) {
        request->AddPathParameter(name, value);
      }
      return Choose(pattern.place, request->method());
    }
  }
  // Escapes in an exact path are rare; those who send them mean the same place.
  if (const auto found = exact_.find(request->path()); found != exact_.end()) {
    return Choose(found->second, request->method());
  }
  return {.status = 404, .reason = "no such path"};
}

HeadDecision Router::Choose(const Place& place, Method method) {
  const Method wanted = method == Method::kHead ? Method::kGet : method;
  for (const Route& route : place.routes) {
    if (route.method == wanted || route.method == method) {
      return {.handler = &route.handler, .options = &route.options};
    }
  }
  if (method == Method::kOptions) {
    return {.status = 204, .headers = {{"Allow", place.allow}}};
  }
  return {.status = 405,
          .reason = "this path does not take this method",
          .headers = {{"Allow", place.allow}}};
}

bool Router::Matches(const Pattern& pattern, std::string_view raw_path, Parameters* captured) {
  for (const std::string& expected : pattern.segments) {
    std::string value;
    if (IsRestCapture(expected)) {
      if (!raw_path.empty()) {
        raw_path.remove_prefix(1);
      }
      AppendUnescaped(raw_path, /*is_form=*/false, &value);
      captured->Add(std::string(CaptureName(expected)), std::move(value));
      return true;
    }
    if (raw_path.empty()) {
      return false;
    }
    AppendUnescaped(NextSegment(&raw_path), /*is_form=*/false, &value);
    if (IsCapture(expected)) {
      if (value.empty()) {
        return false;
      }
      captured->Add(std::string(CaptureName(expected)), std::move(value));
    } else if (value != expected) {
      return false;
    }
  }
  return raw_path.empty();
}

}  // namespace tsdbd::http
