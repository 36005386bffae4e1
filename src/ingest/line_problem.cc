#include "ingest/line_problem.h"

#include <fmt/format.h>

#include "ingest/text.h"

namespace tsdbd::ingest {
namespace {

// Enough to recognise a line and a value; a hundred of them are still a small answer.
constexpr size_t kMaxLineExcerptBytes = 256;
constexpr size_t kMaxTextExcerptBytes = 64;

// InfluxDB's words where it has any.
std::string_view Wording(LineProblem problem) {
  switch (problem) {
    case LineProblem::kNone:
      break;
    case LineProblem::kMissingFields:
      return "missing fields";
    case LineProblem::kKeyTooLong:
    case LineProblem::kFieldKeyTooLong:
      return "max key length exceeded: more than 65535 bytes";
    case LineProblem::kLineTooLong:
      return "max line length exceeded";
    case LineProblem::kTooManyFields:
      return "too many fields";
    case LineProblem::kInvalidFieldFormat:
      return "invalid field format";
    case LineProblem::kMissingFieldKey:
      return "missing field key";
    case LineProblem::kMissingFieldValue:
      return "missing field value";
    case LineProblem::kFieldKeyControlCharacter:
      return "control character in field key";
    case LineProblem::kFieldKeyInvalidUtf8:
      return "invalid UTF-8 in field key";
    case LineProblem::kInvalidNumber:
      return "invalid number";
    case LineProblem::kInvalidBoolean:
      return "invalid boolean";
    case LineProblem::kIntegerRange:
      return "unable to parse integer: value out of range";
    case LineProblem::kUnsignedRange:
      return "unable to parse unsigned: value out of range";
    case LineProblem::kFloatRange:
      return "invalid float: value out of range";
    case LineProblem::kUnbalancedQuotes:
      return "unbalanced quotes";
    case LineProblem::kStringRefused:
      return "string fields are not stored";
    case LineProblem::kBadTimestamp:
      return "bad timestamp";
    case LineProblem::kTimeRange:
      return "time outside range";
    case LineProblem::kTrailingText:
      return "point is invalid";
  }
  return "";
}

}  // namespace

std::string UnableToParse(std::string_view line, std::string_view reason) {
  return fmt::format("unable to parse '{}': {}", Excerpt(line, kMaxLineExcerptBytes), reason);
}

std::string Describe(const LineFailure& failure, std::string_view line) {
  std::string reason(Wording(failure.problem));
  if (!failure.text.empty()) {
    reason += fmt::format(" '{}'", Excerpt(failure.text, kMaxTextExcerptBytes));
  }
  if (!failure.field.empty()) {
    reason += fmt::format(" in field '{}'", Excerpt(failure.field, kMaxTextExcerptBytes));
  }
  if (failure.text.data() != nullptr) {
    reason += fmt::format(" at byte {}", failure.text.data() - line.data() + 1);
  }
  return reason;
}

}  // namespace tsdbd::ingest
