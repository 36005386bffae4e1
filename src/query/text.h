#pragma once
// Text as PromQL and Prometheus' messages have it: UTF-8, Go's quoted strings, numbers and
// durations. Pure functions.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "common/status.h"

namespace tsdbd::query {

// ---- UTF-8

inline constexpr uint32_t kReplacementRune = 0xFFFD;

// One code point and how many bytes it takes. Bytes that are no UTF-8 are kReplacementRune with
// width 1; no bytes at all are width 0.
struct Rune {
  uint32_t code = 0;
  uint32_t width = 0;
  bool IsValid() const { return code != kReplacementRune || width == 3; }
};

Rune DecodeRune(std::string_view text);
void AppendRune(uint32_t code, std::string* text);
bool IsValidUtf8(std::string_view text);

// ---- Quoted strings

// "text" in double quotes, escaped as Go's %q does: what cannot be printed as \n, \xff, \u200b.
std::string Quote(std::string_view text);
void AppendQuoted(std::string_view text, std::string* out);
// 'r' in single quotes.
std::string QuoteRune(uint32_t code);
// U+0063 'c', the form of Go's %#U.
std::string DescribeRune(uint32_t code);

// The value of a literal in double, single or back quotes, quotes included. Nullopt if it is none.
std::optional<std::string> Unquote(std::string_view literal);

// [a-zA-Z_][a-zA-Z0-9_]*: needs no quotes where a label name is expected.
bool IsPlainLabelName(std::string_view name);

// ---- Numbers

enum class NumberError { kNone, kSyntax, kRange };

// A floating-point number in Go's grammar: decimal or hexadecimal, "_" between digits, inf, nan in
// any case. Too small is 0; too large is kRange.
NumberError ParseFloat(std::string_view text, double* value);
// A number in a query: like ParseFloat, but 0x1F and 017 are integers. The error is Go's.
StatusOr<double> ParseNumberLiteral(std::string_view text);

// The fewest digits that read back the same, without exponent: 0.000001, 1000000000000000000000,
// NaN, +Inf, -Inf.
void AppendDecimal(double value, std::string* out);
std::string FormatDecimal(double value);

// ---- Durations

// Nanoseconds of 1h30m, 5ms, 1y2w3d ... Years have 365 days. Units from large to small, each once.
StatusOr<int64_t> ParseDuration(std::string_view text);
// 1h30m. Exact: what is finer than a millisecond is written in seconds (0.0005).
std::string FormatDuration(int64_t nanos);
// Nanoseconds of a number of seconds in a query, nearest. From 26 days on, milliseconds: a double
// holds no more, and so FormatDuration reads back the same. Saturates.
int64_t SecondsToNanos(double seconds);

}  // namespace tsdbd::query
