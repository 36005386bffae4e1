#include "server/text.h"

#include <charconv>
#include <chrono>
#include <optional>

#include "common/clock.h"
#include "query/json_writer.h"
#include "query/text.h"

namespace tsdbd::server {
namespace {

// U+10FFFF.
constexpr size_t kMaxRuneDigits = 6;

// Reads "2e_" off the front of `rest`: the code point of a character.
std::optional<uint32_t> TakeEscapedRune(std::string_view* rest) {
  const size_t digits = rest->find('_');
  if (digits == 0 || digits == rest->npos || digits > kMaxRuneDigits) {
    return std::nullopt;
  }
  uint32_t code = 0;
  const char* end = rest->data() + digits;
  const auto [stop, error] = std::from_chars(rest->data(), end, code, 16);
  const bool is_surrogate = code >= 0xD800 && code <= 0xDFFF;
  if (error != std::errc() || stop != end || code > 0x10FFFF || is_surrogate) {
    return std::nullopt;
  }
  rest->remove_prefix(digits + 1);
  return code;
}

}  // namespace

std::string JsonText(std::string_view text) {
  std::string json;
  query::JsonStream stream([&json](std::string_view piece) {
    json += piece;
    return true;
  });
  stream.String(text);
  stream.Flush();
  return json;
}

StatusOr<int64_t> ParseWholeNumber(std::string_view text) {
  std::string_view digits = text;
  if (digits.starts_with('+') && !digits.starts_with("+-")) {
    digits.remove_prefix(1);
  }
  int64_t number = 0;
  const char* end = digits.data() + digits.size();
  const auto [stop, error] = std::from_chars(digits.data(), end, number);
  if (stop != end || error == std::errc::invalid_argument) {
    return InvalidArgument("strconv.Atoi: parsing {}: invalid syntax", query::Quote(text));
  }
  if (error != std::errc()) {
    return InvalidArgument("strconv.Atoi: parsing {}: value out of range", query::Quote(text));
  }
  return number;
}

std::string FormatRfc3339(model::Timestamp time) {
  const std::chrono::sys_time<std::chrono::nanoseconds> moment{std::chrono::nanoseconds(time)};
  const auto day = std::chrono::floor<std::chrono::days>(moment);
  const std::chrono::year_month_day date(day);
  const std::chrono::hh_mm_ss clock(moment - day);
  std::string text =
      fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}", static_cast<int>(date.year()),
                  static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()),
                  clock.hours().count(), clock.minutes().count(), clock.seconds().count());
  if (const int64_t nanos = clock.subseconds().count(); nanos != 0) {
    text += fmt::format(".{:09}", nanos);
    text.erase(text.find_last_not_of('0') + 1);
  }
  return text + 'Z';
}

std::string UnescapeLabelName(std::string_view escaped) {
  constexpr std::string_view kMark = "U__";
  if (!escaped.starts_with(kMark)) {
    return std::string(escaped);
  }
  std::string name;
  std::string_view rest = escaped.substr(kMark.size());
  while (!rest.empty()) {
    const char c = rest.front();
    rest.remove_prefix(1);
    if (c != '_') {
      name += c;
    } else if (rest.starts_with('_')) {
      name += '_';
      rest.remove_prefix(1);
    } else if (const auto rune = TakeEscapedRune(&rest)) {
      query::AppendRune(*rune, &name);
    } else {
      return std::string(escaped);
    }
  }
  return name;
}

std::string Join(const std::vector<std::string>& parts, std::string_view separator) {
  std::string joined;
  for (const std::string& part : parts) {
    joined.append(&part == &parts.front() ? "" : separator).append(part);
  }
  return joined;
}

}  // namespace tsdbd::server
