#pragma once
// Small text of HTTP: token characters, comparisons without case, percent-encoding, lists of
// codings. Pure functions.

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace tsdbd::http {

// A character of a token (RFC 9110, 5.6.2): what methods and header names are made of.
inline constexpr std::array<bool, 256> kTokenCharacters = [] {
  std::array<bool, 256> table{};
  for (const char c : std::string_view("!#$%&'*+-.^_`|~0123456789"
                                       "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz")) {
    table[static_cast<uint8_t>(c)] = true;
  }
  return table;
}();

inline bool IsTokenCharacter(char c) {
  return kTokenCharacters[static_cast<uint8_t>(c)];
}

// ASCII only, whatever the locale.
bool EqualsIgnoringCase(std::string_view a, std::string_view b);
std::string_view TrimWhitespace(std::string_view text);

// Appends `escaped` with its %XX resolved; '+' becomes a blank if `is_form`. False at an escape
// that is not one.
bool AppendUnescaped(std::string_view escaped, bool is_form, std::string* out);

// A request target taken apart. Both parts are still escaped.
struct Target {
  std::string_view path;  // starts with '/', or is "*"
  std::string_view query;
};

// Origin form, absolute form with http(s), and "*"; nothing else.
std::optional<Target> SplitTarget(std::string_view target);

// uri-host [":" port]: characters that cannot lead two readers to two different hosts.
bool IsValidHost(std::string_view host);

// Whether an Accept-Encoding allows gzip.
bool AcceptsGzip(std::string_view accept_encoding);

// Whether bodies of this type shrink: text, JSON, XML, scripts.
bool IsCompressibleType(std::string_view content_type);

}  // namespace tsdbd::http
