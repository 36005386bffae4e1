#pragma once
// What can be wrong with a line. Kept as a small value, because a hostile body may have millions of
// bad lines and only the first ones are told; it becomes text in Describe().

#include <cstdint>
#include <string>
#include <string_view>

namespace tsdbd::ingest {

enum class LineProblem : uint8_t {
  kNone,
  kMissingFields,
  kKeyTooLong,
  kLineTooLong,
  kTooManyFields,
  kInvalidFieldFormat,
  kMissingFieldKey,
  kMissingFieldValue,
  kFieldKeyControlCharacter,
  kFieldKeyInvalidUtf8,
  kFieldKeyTooLong,
  kInvalidNumber,
  kInvalidBoolean,
  kIntegerRange,
  kUnsignedRange,
  kFloatRange,
  kUnbalancedQuotes,
  kStringRefused,
  kBadTimestamp,
  kTimeRange,
  kTrailingText,
};

struct LineFailure {
  LineProblem problem = LineProblem::kNone;
  std::string_view text = {};   // the bytes of the line that are wrong; empty: nothing to point at
  std::string_view field = {};  // raw name of the field that has them; may be empty

  explicit operator bool() const { return problem != LineProblem::kNone; }
};

// "unable to parse '<line>': <reason>": what InfluxDB's clients look for. Long lines are cut.
std::string UnableToParse(std::string_view line, std::string_view reason);

// The reason with the text, its field and its place. `line` contains failure.text.
std::string Describe(const LineFailure& failure, std::string_view line);

}  // namespace tsdbd::ingest
