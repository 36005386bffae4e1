#include "server/redis_text.h"

#include <cctype>
#include <charconv>
#include <cmath>
#include <cstdlib>

#include <fmt/format.h>

namespace tsdbd::server {
namespace {

// Longer numbers than anybody means.
constexpr size_t kMaxFloatText = 256;

char Lower(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c;
}

// Takes a set, [...], off the front of `pattern`; a missing ] ends with the pattern.
bool TakeSet(std::string_view* pattern, char c) {
  size_t at = 1;
  const bool is_negated = at < pattern->size() && (*pattern)[at] == '^';
  at += is_negated ? 1 : 0;
  bool is_in = false;
  for (; at < pattern->size() && (*pattern)[at] != ']'; ++at) {
    if ((*pattern)[at] == '\\' && at + 1 < pattern->size()) {
      ++at;
      is_in = is_in || (*pattern)[at] == c;
    } else if (at + 2 < pattern->size() && (*pattern)[at + 1] == '-') {
      auto low = static_cast<uint8_t>((*pattern)[at]);
      auto high = static_cast<uint8_t>((*pattern)[at + 2]);
      if (low > high) {
        std::swap(low, high);
      }
      is_in = is_in || (static_cast<uint8_t>(c) >= low && static_cast<uint8_t>(c) <= high);
      at += 2;
    } else {
      is_in = is_in || (*pattern)[at] == c;
    }
  }
  pattern->remove_prefix(std::min(at + 1, pattern->size()));
  return is_in != is_negated;
}

// Takes one element that is no star off the front of `pattern`.
bool TakeOne(std::string_view* pattern, char c) {
  switch ((*pattern)[0]) {
    case '?':
      pattern->remove_prefix(1);
      return true;
    case '[':
      return TakeSet(pattern, c);
    case '\\':
      if (pattern->size() > 1) {
        pattern->remove_prefix(1);
      }
      [[fallthrough]];
    default: {
      const bool is_equal = (*pattern)[0] == c;
      pattern->remove_prefix(1);
      return is_equal;
    }
  }
}

}  // namespace

bool ParseRedisInteger(std::string_view text, int64_t* value) {
  const std::string_view digits = text.substr(text.starts_with('-') ? 1 : 0);
  if (digits.empty() || (digits[0] == '0' && text.size() > 1)) {
    return false;
  }
  const char* const end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, *value);
  return error == std::errc() && stop == end;
}

bool ParseRedisFloat(std::string_view text, long double* value) {
  if (text.empty() || text.size() > kMaxFloatText ||
      std::isspace(static_cast<unsigned char>(text[0])) != 0) {
    return false;
  }
  const std::string copy(text);
  char* end = nullptr;
  errno = 0;
  *value = std::strtold(copy.c_str(), &end);
  const bool is_out_of_range = errno == ERANGE && (std::isinf(*value) || *value == 0);
  return end == copy.c_str() + copy.size() && !is_out_of_range && !std::isnan(*value);
}

std::string RedisFloatText(long double value) {
  std::string text = fmt::format("{:.17f}", value);
  text.erase(text.find_last_not_of('0') + 1);
  if (text.ends_with('.')) {
    text.pop_back();
  }
  return text == "-0" ? "0" : text;
}

bool MatchesGlob(std::string_view pattern, std::string_view text) {
  // Where to go on after a mismatch: the last star takes one byte more. Earlier stars need not be
  // tried again, so the time is bounded by the product of the lengths.
  std::string_view after_star;
  std::string_view star_text;
  bool has_star = false;
  while (true) {
    if (!pattern.empty() && pattern[0] == '*') {
      pattern.remove_prefix(1);
      after_star = pattern;
      star_text = text;
      has_star = true;
      continue;
    }
    if (text.empty() && pattern.empty()) {
      return true;
    }
    if (!text.empty() && !pattern.empty() && TakeOne(&pattern, text[0])) {
      text.remove_prefix(1);
      continue;
    }
    if (!has_star || star_text.empty()) {
      return false;
    }
    star_text.remove_prefix(1);
    text = star_text;
    pattern = after_star;
  }
}

std::string LowerCase(std::string_view text) {
  std::string lower(text);
  for (char& c : lower) {
    c = Lower(c);
  }
  return lower;
}

bool EqualsWord(std::string_view text, std::string_view word) {
  if (text.size() != word.size()) {
    return false;
  }
  for (size_t i = 0; i < text.size(); ++i) {
    if (Lower(text[i]) != word[i]) {
      return false;
    }
  }
  return true;
}

}  // namespace tsdbd::server
