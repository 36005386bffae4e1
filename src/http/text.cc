#include "http/text.h"

#include <algorithm>

namespace tsdbd::http {

namespace {

char ToLower(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c;
}

// -1 if `c` is no hexadecimal digit.
int HexValue(char c) {
  if (c >= '0' && c <= '9') {
    return c - '0';
  }
  const char lower = ToLower(c);
  return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

bool StartsWithIgnoringCase(std::string_view text, std::string_view prefix) {
  return EqualsIgnoringCase(text.substr(0, prefix.size()), prefix);
}

// Cuts the next element off a list, without the white space around it.
std::string_view NextElement(std::string_view* list, char separator) {
  const size_t end = std::min(list->find(separator), list->size());
  const std::string_view element = TrimWhitespace(list->substr(0, end));
  list->remove_prefix(std::min(end + 1, list->size()));
  return element;
}

// "q=0", "q=0.0", ...: never. `parameters` is what follows a coding's name.
bool HasZeroQuality(std::string_view parameters) {
  while (!parameters.empty()) {
    const std::string_view parameter = NextElement(&parameters, ';');
    if (StartsWithIgnoringCase(parameter, "q=")) {
      return parameter.substr(2).find_first_not_of("0.") == std::string_view::npos;
    }
  }
  return false;
}

}  // namespace

bool EqualsIgnoringCase(std::string_view a, std::string_view b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [](char x, char y) { return ToLower(x) == ToLower(y); });
}

std::string_view TrimWhitespace(std::string_view text) {
  const size_t begin = text.find_first_not_of(" \t");
  if (begin == std::string_view::npos) {
    return {};
  }
  return text.substr(begin, text.find_last_not_of(" \t") - begin + 1);
}

bool AppendUnescaped(std::string_view escaped, bool is_form, std::string* out) {
  for (size_t i = 0; i < escaped.size(); ++i) {
    if (escaped[i] == '%') {
      if (escaped.size() - i < 3) {
        return false;
      }
      const int high = HexValue(escaped[i + 1]);
      const int low = HexValue(escaped[i + 2]);
      if (high < 0 || low < 0) {
        return false;
      }
      out->push_back(static_cast<char>(high * 16 + low));
      i += 2;
    } else {
      out->push_back(is_form && escaped[i] == '+' ? ' ' : escaped[i]);
    }
  }
  return true;
}

std::optional<Target> SplitTarget(std::string_view target) {
  if (target == "*") {
    return Target{target, {}};
  }
  // A fragment is the client's own; whoever sends one confuses somebody.
  if (target.empty() || target.find('#') != std::string_view::npos) {
    return std::nullopt;
  }
  if (target.front() != '/') {
    const bool is_http = StartsWithIgnoringCase(target, "http://");
    if (!is_http && !StartsWithIgnoringCase(target, "https://")) {
      return std::nullopt;
    }
    target.remove_prefix(is_http ? 7 : 8);
    const size_t authority_size = std::min(target.find_first_of("/?"), target.size());
    if (!IsValidHost(target.substr(0, authority_size)) || authority_size == 0) {
      return std::nullopt;
    }
    target.remove_prefix(authority_size);
  }
  const size_t path_size = std::min(target.find('?'), target.size());
  const std::string_view path = target.substr(0, path_size);
  return Target{path.empty() ? "/" : path, target.substr(std::min(path_size + 1, target.size()))};
}

bool IsValidHost(std::string_view host) {
  return std::all_of(host.begin(), host.end(), [](char c) {
    return (c >= '0' && c <= '9') || (ToLower(c) >= 'a' && ToLower(c) <= 'z') ||
           std::string_view("-._~:[]%!$&'()*+;=").find(c) != std::string_view::npos;
  });
}

bool AcceptsGzip(std::string_view accept_encoding) {
  bool any_accepted = false;
  while (!accept_encoding.empty()) {
    std::string_view element = NextElement(&accept_encoding, ',');
    const std::string_view coding = NextElement(&element, ';');
    if (EqualsIgnoringCase(coding, "gzip") || EqualsIgnoringCase(coding, "x-gzip")) {
      return !HasZeroQuality(element);
    }
    any_accepted |= coding == "*" && !HasZeroQuality(element);
  }
  return any_accepted;
}

bool IsCompressibleType(std::string_view content_type) {
  const std::string_view type = NextElement(&content_type, ';');
  return StartsWithIgnoringCase(type, "text/") || type.find("json") != std::string_view::npos ||
         type.find("javascript") != std::string_view::npos ||
         type.find("xml") != std::string_view::npos;
}

}  // namespace tsdbd::http
