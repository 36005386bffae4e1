// Selectors with their matchers, @, anchored and smoothed.

#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>
#include <utility>

#include "common/clock.h"
#include "model/labels.h"
#include "query/parser_state.h"
#include "query/text.h"

namespace tsdbd::query {
namespace {

std::optional<model::MatchType> MatchTypeOf(const Token& token) {
  if (token.Is(TokenType::kEqual)) {
    return model::MatchType::kEqual;
  }
  if (token.Is(BinaryOp::kNotEqual)) {
    return model::MatchType::kNotEqual;
  }
  if (token.Is(TokenType::kRegexEqual)) {
    return model::MatchType::kRegex;
  }
  if (token.Is(TokenType::kRegexNotEqual)) {
    return model::MatchType::kNotRegex;
  }
  return std::nullopt;
}

std::string NameOf(const Token& label) {
  return label.Is(TokenType::kString) ? Unquote(label.text).value_or("") : std::string(label.text);
}

// Milliseconds of an @ time in seconds, at most what nanoseconds can hold: no sample lies beyond.
int64_t AtMillis(double seconds) {
  constexpr int64_t kMaxNanos = std::numeric_limits<int64_t>::max();
  constexpr auto kMaxMillis = static_cast<double>(kMaxNanos) / kNanosPerMilli - 1;
  return static_cast<int64_t>(std::clamp(std::round(seconds * 1e3), -kMaxMillis, kMaxMillis));
}

// How Go's %f writes it.
std::string FormatSeconds(double seconds) {
  return std::isfinite(seconds) ? fmt::format("{:f}", seconds) : FormatDecimal(seconds);
}

}  // namespace

// [name] [{matchers}], the name already taken.
ExprPtr Parser::ParseSelector(const Token* name) {
  auto selector = std::make_unique<VectorSelector>();
  const uint32_t start = name != nullptr ? name->start : Peek().start;
  if (Peek().Is(TokenType::kLeftBrace) && !ParseMatchers(selector.get())) {
    return nullptr;
  }
  if (name != nullptr) {
    selector->name = name->text;
    auto matcher = model::Matcher::Create(model::MatchType::kEqual, std::string(model::kMetricName),
                                          selector->name);
    selector->matchers.push_back(*std::move(matcher));
  }
  return Finish(std::move(selector), {start, last_end_}, 0);
}

bool Parser::ParseMatchers(VectorSelector* selector) {
  Take();
  while (!TryTake(TokenType::kRightBrace)) {
    if (!ParseMatcher(selector)) {
      return false;
    }
    if (!TryTake(TokenType::kComma) && !Peek().Is(TokenType::kRightBrace)) {
      Unexpected("label matching", "\",\" or \"}\"");
      return false;
    }
  }
  return true;
}

// label="value", "label"="value" (and the other three operators), or "metric name".
bool Parser::ParseMatcher(VectorSelector* selector) {
  if (!Peek().Is(TokenType::kIdentifier) && !Peek().Is(TokenType::kString)) {
    Unexpected("label matching", "identifier or \"}\"");
    return false;
  }
  const Token label = Take();
  const std::optional<model::MatchType> type = MatchTypeOf(Peek());
  if (!type.has_value()) {
    if (!label.Is(TokenType::kString)) {
      Unexpected("label matching", "label matching operator");
      return false;
    }
    auto matcher = model::Matcher::Create(model::MatchType::kEqual, std::string(model::kMetricName),
                                          NameOf(label));
    selector->matchers.push_back(*std::move(matcher));
    return true;
  }
  Take();
  if (!Peek().Is(TokenType::kString)) {
    Unexpected("label matching", "string");
    return false;
  }
  return AddMatcher(*type, label, Unquote(Take().text).value_or(""), selector);
}

bool Parser::AddMatcher(model::MatchType type, const Token& label, std::string value,
                        VectorSelector* selector) {
  StatusOr<model::Matcher> matcher = model::Matcher::Create(type, NameOf(label), std::move(value));
  if (!matcher.ok()) {
    Fail(label.start, Message(matcher.status()));
    return false;
  }
  if (const size_t size = matcher->RegexSize(); size > 0) {
    regex_cost_ += size + kRegexBaseCost;
  }
  if (regex_cost_ > kMaxRegexCost) {
    Fail(label.start, "the regular expressions of the query are too large together");
    return false;
  }
  selector->matchers.push_back(*std::move(matcher));
  return true;
}

// ---- Modifiers

TimeShift* Parser::ShiftOf(Expr* expr) {
  switch (expr->kind) {
    case ExprKind::kVectorSelector:
      return &As<VectorSelector>(*expr).shift;
    case ExprKind::kMatrixSelector:
      return &As<MatrixSelector>(*expr).selector->shift;
    case ExprKind::kSubquery:
      return &As<SubqueryExpr>(*expr).shift;
    default:
      return nullptr;
  }
}

// @ time, @ start(), @ end()
ExprPtr Parser::ParseAt(ExprPtr expr) {
  Take();
  TimeShift parsed;
  {
    const InContext context(this, {"@", "timestamp"});
    if (!ParseAtTime(expr->span.start, &parsed)) {
      return nullptr;
    }
  }
  TimeShift* const shift = ShiftOf(expr.get());
  if (shift == nullptr) {
    Fail(expr->span.start,
         "@ modifier must be preceded by an instant vector selector or range vector selector or a "
         "subquery");
    return nullptr;
  }
  if (shift->at != AtAnchor::kNone) {
    Fail(expr->span.start, "@ <timestamp> may not be set multiple times");
    return nullptr;
  }
  shift->at = parsed.at;
  shift->at_ms = parsed.at_ms;
  expr->span.end = last_end_;
  return expr;
}

bool Parser::ParseAtTime(size_t expr_start, TimeShift* parsed) {
  if (Peek().Is(Keyword::kStart) || Peek().Is(Keyword::kEnd)) {
    parsed->at = Take().Is(Keyword::kStart) ? AtAnchor::kStart : AtAnchor::kEnd;
    return Expect(TokenType::kLeftParen) && Expect(TokenType::kRightParen);
  }
  const bool negative = Peek().Is(BinaryOp::kSubtract);
  if (Peek().IsSign()) {
    Take();
  }
  if (!IsNumberAhead()) {
    Unexpected();
    return false;
  }
  double seconds = 0;
  if (!NumberValue(Take(), &seconds)) {
    return false;
  }
  seconds = negative ? -seconds : seconds;
  constexpr double kMaxSeconds = 9223372036854775808.0;  // 2^63, Prometheus' bound
  if (!(std::abs(seconds) < kMaxSeconds)) {
    Fail(expr_start,
         fmt::format("timestamp out of bounds for @ modifier: {}", FormatSeconds(seconds)));
    return false;
  }
  parsed->at = AtAnchor::kTime;
  parsed->at_ms = AtMillis(seconds);
  return true;
}

// anchored, smoothed
ExprPtr Parser::ParseExtendedRange(ExprPtr expr) {
  const Token word = Take();
  const bool is_anchored = word.Is(Keyword::kAnchored);
  const std::string_view name = is_anchored ? "anchored" : "smoothed";
  VectorSelector* selector = nullptr;
  if (expr->kind == ExprKind::kVectorSelector) {
    selector = &As<VectorSelector>(*expr);
  } else if (expr->kind == ExprKind::kMatrixSelector) {
    selector = As<MatrixSelector>(*expr).selector.get();
  }
  std::string mistake;
  if (!options_.extended_ranges) {
    mistake = fmt::format("{} modifier is experimental and not enabled", name);
  } else if (selector == nullptr) {
    mistake = fmt::format(
        "{} modifier {}", name,
        expr->kind == ExprKind::kSubquery ? "is not supported for subqueries" : "not implemented");
  } else if (is_anchored ? selector->smoothed : selector->anchored) {
    mistake = "anchored and smoothed modifiers cannot be used together";
  }
  if (!mistake.empty()) {
    Fail(expr->span.start, mistake);
    return nullptr;
  }
  (is_anchored ? selector->anchored : selector->smoothed) = true;
  expr->span.end = last_end_;
  return expr;
}

}  // namespace tsdbd::query
