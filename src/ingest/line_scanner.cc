#include "ingest/line_scanner.h"

#include "ingest/number.h"

namespace tsdbd::ingest {
namespace {

bool IsTrue(std::string_view text) {
  return text == "t" || text == "T" || text == "true" || text == "True" || text == "TRUE";
}

bool IsFalse(std::string_view text) {
  return text == "f" || text == "F" || text == "false" || text == "False" || text == "FALSE";
}

}  // namespace

const char* FindNameEnd(const char* p, const char* end) {
  const char* const name = p;
  for (;; ++p) {
    p = FindNameDelimiter(p, end);
    if (AtLineEnd(p, end)) {
      return p;
    }
    const bool delimits = *p == '=' || *p == ',' || *p == ' ';
    const bool escaped = p != name && p[-1] == '\\';
    if (delimits && !escaped) {
      return p;
    }
  }
}

const char* FindLineEnd(const char* line, const char* end) {
  const char* p = FindKeyEnd(line, end);
  while (!AtLineEnd(p, end)) {
    const bool opens_string = *p == '"' && p[-1] == '=' && p[-2] != '\\';
    if (opens_string) {
      p = FindClosingQuote(p + 1, end);
      if (p == end) {
        return end;
      }
    }
    ++p;
  }
  return p;
}

ScannedValue ScanScalar(const char* p, const char* end) {
  const char* stop = p;
  while (stop != end && !EndsValue(*stop)) {
    ++stop;
  }
  const std::string_view text = TextBetween(p, stop);
  if (IsTrue(text) || IsFalse(text)) {
    return {.stop = stop, .value = IsTrue(text) ? 1.0 : 0.0};
  }
  // What was meant to be one: 1, -1, .5, and what never is: +1, NaN, nan, Inf, inf.
  constexpr std::string_view kNumberStarts = "0123456789-.+NnIi";
  const bool is_number = !text.empty() && kNumberStarts.find(text[0]) != std::string_view::npos;
  if (!is_number) {
    return {.stop = stop, .problem = LineProblem::kInvalidBoolean};
  }
  const ParsedNumber number = ParseNumber(text);
  return {
      .stop = stop, .value = number.value, .problem = number.problem, .inexact = number.inexact};
}

ScannedValue ScanString(const char* p, const char* end) {
  const char* quote = FindClosingQuote(p + 1, end);
  if (quote == end) {
    return {.stop = end, .problem = LineProblem::kUnbalancedQuotes};
  }
  return {.stop = quote + 1};
}

}  // namespace tsdbd::ingest
