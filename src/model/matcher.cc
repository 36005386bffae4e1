#include "model/matcher.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>
#include <re2/re2.h>

#include "model/finite_regex.h"

namespace tsdbd::model {
namespace {

// Bounds the memory of one compiled regex; RE2's own default is 8 MiB.
constexpr int64_t kMaxRegexMemoryBytes = 8 << 20;

std::string_view Operator(MatchType type) {
  switch (type) {
    case MatchType::kEqual:
      return "=";
    case MatchType::kNotEqual:
      return "!=";
    case MatchType::kRegex:
      return "=~";
    case MatchType::kNotRegex:
      return "!~";
  }
  return "?";
}

std::string Quote(std::string_view text) {
  std::string quoted = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') {
      quoted += '\\';
    }
    if (c == '\n') {
      quoted += "\\n";
    } else {
      quoted += c;
    }
  }
  return quoted + '"';
}

}  // namespace

StatusOr<Matcher> Matcher::Create(MatchType type, std::string name, std::string value) {
  Matcher matcher;
  matcher.type_ = type;
  matcher.name_ = std::move(name);
  matcher.value_ = std::move(value);
  if (type == MatchType::kRegex || type == MatchType::kNotRegex) {
    re2::RE2::Options options;
    options.set_log_errors(false);
    options.set_dot_nl(true);
    options.set_max_mem(kMaxRegexMemoryBytes);
    auto regex = std::make_shared<const re2::RE2>(matcher.value_, options);
    if (!regex->ok()) {
      return InvalidArgument("error parsing regexp {}: {}", Quote(matcher.value_), regex->error());
    }
    matcher.regex_ = std::move(regex);
    auto values = TextsOfFiniteRegex(matcher.value_);
    if (type == MatchType::kRegex && values) {
      matcher.finite_values_ = std::make_shared<const std::vector<std::string>>(*std::move(values));
    }
  }
  matcher.matches_empty_ = matcher.Matches("");
  return matcher;
}

bool Matcher::Matches(std::string_view label_value) const {
  switch (type_) {
    case MatchType::kEqual:
      return label_value == value_;
    case MatchType::kNotEqual:
      return label_value != value_;
    case MatchType::kRegex:
    case MatchType::kNotRegex:
      break;
  }
  if (finite_values_ != nullptr) {
    return std::ranges::binary_search(*finite_values_, label_value);
  }
  const bool match =
      re2::RE2::FullMatch(re2::StringPiece(label_value.data(), label_value.size()), *regex_);
  return match == (type_ == MatchType::kRegex);
}

size_t Matcher::RegexSize() const {
  return regex_ == nullptr ? 0 : regex_->ProgramSize();
}

std::string Matcher::ToString() const {
  return fmt::format("{}{}{}", name_, Operator(type_), Quote(value_));
}

}  // namespace tsdbd::model
