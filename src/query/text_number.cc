// Numbers and durations.

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <cstdlib>
#include <limits>

#include "common/clock.h"
#include "query/text.h"

namespace tsdbd::query {
namespace {

bool IsDigit(char c) {
  return c >= '0' && c <= '9';
}

char Lower(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c;
}

bool IsHexDigit(char c) {
  return IsDigit(c) || (Lower(c) >= 'a' && Lower(c) <= 'f');
}

bool EqualsIgnoringCase(std::string_view text, std::string_view lower) {
  return std::ranges::equal(text, lower, {}, Lower);
}

bool HasHexPrefix(std::string_view text) {
  return text.size() >= 2 && text[0] == '0' && Lower(text[1]) == 'x';
}

// Underscores may only stand between digits; a base prefix counts as one.
bool UnderscoresAreFine(std::string_view text) {
  char previous = '^';
  const bool hex = HasHexPrefix(text);
  if (hex) {
    previous = '0';
    text.remove_prefix(2);
  }
  for (const char c : text) {
    if (hex ? IsHexDigit(c) : IsDigit(c)) {
      previous = '0';
    } else if (c == '_') {
      if (previous != '0') {
        return false;
      }
      previous = '_';
    } else {
      if (previous == '_') {
        return false;
      }
      previous = '!';
    }
  }
  return previous != '_';
}

// Removes underscores. Nullopt if one stands where it must not.
std::optional<std::string> StripUnderscores(std::string_view text) {
  if (!UnderscoresAreFine(text)) {
    return std::nullopt;
  }
  std::string digits(text);
  std::erase(digits, '_');
  return digits;
}

// A number without sign and underscores, all of `text`.
NumberError ParseUnsigned(const std::string& text, std::chars_format format, double* value) {
  if (text.empty() || (!IsHexDigit(text[0]) && text[0] != '.')) {
    return NumberError::kSyntax;
  }
  const char* const end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, *value, format);
  if (stop != end || error == std::errc::invalid_argument) {
    return NumberError::kSyntax;
  }
  if (error == std::errc::result_out_of_range) {
    const bool hex = format == std::chars_format::hex;
    const double extreme = std::strtod((hex ? "0x" + text : text).c_str(), nullptr);
    *value = extreme > 1 ? std::numeric_limits<double>::infinity() : 0;
    return extreme > 1 ? NumberError::kRange : NumberError::kNone;
  }
  return NumberError::kNone;
}

// An integer as Go reads it: 0x1F is hexadecimal, 017 octal.
std::optional<int64_t> ParseInteger(std::string_view text) {
  const std::optional<std::string> stripped = StripUnderscores(text);
  if (!stripped || stripped->empty() || !IsDigit(stripped->front())) {
    return std::nullopt;
  }
  std::string_view digits = *stripped;
  int base = 10;
  if (HasHexPrefix(digits)) {
    base = 16;
    digits.remove_prefix(2);
  } else if (digits.size() > 1 && digits[0] == '0') {
    base = 8;
    digits.remove_prefix(1);
  }
  int64_t value = 0;
  const char* const end = digits.data() + digits.size();
  const auto [stop, error] = std::from_chars(digits.data(), end, value, base);
  if (error != std::errc() || stop != end) {
    return std::nullopt;
  }
  return value;
}

// Writes a value that is a whole number of millionths with at most 15 digits; false if it is none.
// Half the time of std::to_chars, and most values are like that: no two such decimals are the same
// double, so the one that gives `value` back has the fewest digits.
bool AppendShortDecimal(double value, std::string* out) {
  constexpr double kLargest = 1e15;
  for (const int places : {3, 6}) {
    const double unit = places == 3 ? 1e3 : 1e6;
    const double magnitude = std::abs(value) * unit;
    if (!(magnitude < kLargest)) {
      return false;
    }
    const auto count = static_cast<int64_t>(magnitude + 0.5);
    if (static_cast<double>(count) / unit != std::abs(value)) {
      continue;
    }
    std::array<char, 24> buffer;
    char* end = buffer.data();
    if (std::signbit(value)) {
      *end++ = '-';
    }
    const auto whole_unit = static_cast<int64_t>(unit);
    end = std::to_chars(end, buffer.end(), count / whole_unit).ptr;
    if (int64_t fraction = count % whole_unit; fraction != 0) {
      *end = '.';
      for (int place = places; place > 0; --place) {
        end[place] = static_cast<char>('0' + fraction % 10);
        fraction /= 10;
      }
      end += places + 1;
      while (end[-1] == '0') {
        --end;
      }
    }
    out->append(buffer.data(), end);
    return true;
  }
  return false;
}

struct DurationUnit {
  std::string_view name;
  int64_t nanos;
};

// From large to small.
constexpr std::array<DurationUnit, 7> kUnits = {{{"y", 365 * kNanosPerDay},
                                                 {"w", 7 * kNanosPerDay},
                                                 {"d", kNanosPerDay},
                                                 {"h", 3600 * kNanosPerSecond},
                                                 {"m", 60 * kNanosPerSecond},
                                                 {"s", kNanosPerSecond},
                                                 {"ms", kNanosPerMilli}}};

}  // namespace

NumberError ParseFloat(std::string_view text, double* value) {
  const bool negative = text.starts_with('-');
  std::string_view rest = text;
  if (negative || rest.starts_with('+')) {
    rest.remove_prefix(1);
  }
  NumberError error = NumberError::kNone;
  if (EqualsIgnoringCase(rest, "inf") || EqualsIgnoringCase(rest, "infinity")) {
    *value = std::numeric_limits<double>::infinity();
  } else if (EqualsIgnoringCase(rest, "nan")) {
    *value = std::numeric_limits<double>::quiet_NaN();
    return rest.size() == text.size() ? NumberError::kNone : NumberError::kSyntax;
  } else {
    const std::optional<std::string> digits = StripUnderscores(rest);
    if (!digits) {
      return NumberError::kSyntax;
    }
    if (!HasHexPrefix(*digits)) {
      error = ParseUnsigned(*digits, std::chars_format::general, value);
    } else if (digits->find_first_of("pP") == digits->npos) {
      error = NumberError::kSyntax;
    } else {
      error = ParseUnsigned(digits->substr(2), std::chars_format::hex, value);
    }
  }
  if (negative) {
    *value = -*value;
  }
  return error;
}

StatusOr<double> ParseNumberLiteral(std::string_view text) {
  if (const std::optional<int64_t> integer = ParseInteger(text)) {
    return static_cast<double>(*integer);
  }
  double value = 0;
  const NumberError error = ParseFloat(text, &value);
  if (error != NumberError::kNone) {
    return InvalidArgument("error parsing number: strconv.ParseFloat: parsing {}: {}", Quote(text),
                           error == NumberError::kRange ? "value out of range" : "invalid syntax");
  }
  return value;
}

void AppendDecimal(double value, std::string* out) {
  if (std::isnan(value)) {
    *out += "NaN";
    return;
  }
  if (std::isinf(value)) {
    *out += value > 0 ? "+Inf" : "-Inf";
    return;
  }
  // Below 2^53 the shortest form has digits down to the point at least; beyond, std::to_chars would
  // write the exact integer where zeros fill up.
  constexpr double kExactIntegers = 9007199254740992.0;
  std::array<char, 400> buffer;  // 309 digits, or "0." and 324 zeros and 17 digits
  if (std::abs(value) < kExactIntegers) {
    const auto integer = static_cast<int64_t>(value);
    if (static_cast<double>(integer) == value && (integer != 0 || !std::signbit(value))) {
      out->append(buffer.begin(), std::to_chars(buffer.begin(), buffer.end(), integer).ptr);
    } else if (!AppendShortDecimal(value, out)) {
      const auto fixed = std::chars_format::fixed;
      out->append(buffer.begin(), std::to_chars(buffer.begin(), buffer.end(), value, fixed).ptr);
    }
    return;
  }
  // d.ddde+XX: the digits, then as many zeros as the exponent asks for.
  const char* const end =
      std::to_chars(buffer.begin(), buffer.end(), value, std::chars_format::scientific).ptr;
  const std::string_view text(buffer.data(), end - buffer.data());
  const size_t e = text.find('e');
  int exponent = 0;
  std::from_chars(text.data() + e + 2, end, exponent);
  std::string digits(text.substr(0, e));
  std::erase(digits, '.');
  const size_t sign = digits[0] == '-' ? 1 : 0;
  digits.resize(std::max(digits.size(), sign + exponent + 1), '0');
  *out += digits;
}

std::string FormatDecimal(double value) {
  std::string text;
  AppendDecimal(value, &text);
  return text;
}

StatusOr<int64_t> ParseDuration(std::string_view text) {
  if (text == "0") {
    return 0;
  }
  if (text.empty()) {
    return InvalidArgument("empty duration string");
  }
  const auto invalid = [&] {
    return InvalidArgument("not a valid duration string: {}", Quote(text));
  };
  uint64_t total = 0;
  size_t next_unit = 0;
  for (std::string_view rest = text; !rest.empty();) {
    const size_t digits = std::min(rest.find_first_not_of("0123456789"), rest.size());
    uint64_t count = 0;
    const auto parsed = std::from_chars(rest.data(), rest.data() + digits, count);
    if (digits == 0 || digits == rest.size() || parsed.ec != std::errc()) {
      return invalid();
    }
    rest.remove_prefix(digits);
    const std::string_view name = rest.substr(0, rest.find_first_of("0123456789"));
    rest.remove_prefix(name.size());
    const auto* const unit = std::ranges::find(kUnits, name, &DurationUnit::name);
    if (unit == kUnits.end()) {
      return InvalidArgument("unknown unit {} in duration {}", Quote(name), Quote(text));
    }
    const size_t position = unit - kUnits.begin();
    if (position < next_unit) {
      return invalid();
    }
    next_unit = position + 1;
    constexpr uint64_t kMax = std::numeric_limits<int64_t>::max();
    if (count > kMax / unit->nanos || count * unit->nanos > kMax - total) {
      return InvalidArgument("duration out of range");
    }
    total += count * unit->nanos;
  }
  return static_cast<int64_t>(total);
}

std::string FormatDuration(int64_t nanos) {
  if (nanos == 0) {
    return "0s";
  }
  if (nanos % kNanosPerMilli != 0) {
    return FormatDecimal(static_cast<double>(nanos) / kNanosPerSecond);
  }
  std::string text;
  uint64_t rest = nanos;
  if (nanos < 0) {
    text = "-";
    rest = -rest;
  }
  for (const DurationUnit& unit : kUnits) {
    // 90d reads better than 12w6d.
    const bool only_if_exact = unit.name == "y" || unit.name == "w";
    if (only_if_exact && rest % unit.nanos != 0) {
      continue;
    }
    if (const uint64_t count = rest / unit.nanos; count > 0) {
      text += fmt::format("{}{}", count, unit.name);
      rest -= count * unit.nanos;
    }
  }
  return text;
}

int64_t SecondsToNanos(double seconds) {
  // 2^51 ns: below, seconds as a double and back is off by less than half a nanosecond.
  constexpr double kExactSeconds = 2.251799813685248e6;
  // The largest double below 2^63.
  constexpr double kMaxNanos = 9223372036854774784.0;
  double nanos = std::round(seconds * kNanosPerSecond);
  if (std::abs(seconds) >= kExactSeconds) {
    const double millis = std::round(seconds * 1e3);
    if (std::abs(millis) >= kMaxNanos / kNanosPerMilli) {
      return millis > 0 ? std::numeric_limits<int64_t>::max() / kNanosPerMilli * kNanosPerMilli
                        : std::numeric_limits<int64_t>::min() / kNanosPerMilli * kNanosPerMilli;
    }
    return static_cast<int64_t>(millis) * kNanosPerMilli;
  }
  return static_cast<int64_t>(nanos);
}

}  // namespace tsdbd::query
