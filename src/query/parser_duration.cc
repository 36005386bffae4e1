// Ranges, sub-queries, offsets, and the durations in them, which may be computed.

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "query/parser_state.h"
#include "query/text.h"

namespace tsdbd::query {
namespace {

constexpr std::string_view kDurationStart = "number, duration, step(), or range()";

bool IsStepOrRange(const Token& token) {
  return token.Is(Keyword::kStep) || token.Is(Keyword::kRange);
}

bool IsMinOrMax(const Token& token) {
  return token.Is(Keyword::kMinOf) || token.Is(Keyword::kMaxOf);
}

DurationOp FunctionOp(const Token& token) {
  switch (token.keyword) {
    case Keyword::kStep:
      return DurationOp::kStep;
    case Keyword::kRange:
      return DurationOp::kRange;
    case Keyword::kMinOf:
      return DurationOp::kMinOf;
    default:
      return DurationOp::kMaxOf;
  }
}

DurationOp ArithmeticOp(BinaryOp op) {
  switch (op) {
    case BinaryOp::kAdd:
      return DurationOp::kAdd;
    case BinaryOp::kSubtract:
      return DurationOp::kSubtract;
    case BinaryOp::kMultiply:
      return DurationOp::kMultiply;
    case BinaryOp::kDivide:
      return DurationOp::kDivide;
    case BinaryOp::kModulo:
      return DurationOp::kModulo;
    default:
      return DurationOp::kPower;
  }
}

bool IsArithmetic(const Token& token) {
  return token.Is(TokenType::kBinaryOp) && token.binary_op <= BinaryOp::kPower;
}

}  // namespace

// ---- Ranges and sub-queries

// [range] or [range:step], the cursor at the bracket.
ExprPtr Parser::ParseBrackets(ExprPtr expr) {
  const Token bracket = Take();
  DurationExprPtr range;
  {
    const InContext context(this, {"subquery or range selector", kDurationStart});
    range = ParsePositiveDuration();
  }
  if (range == nullptr) {
    return nullptr;
  }
  if (TryTake(TokenType::kColon)) {
    return ParseSubquery(std::move(expr), std::move(range));
  }
  if (!Peek().Is(TokenType::kRightBracket)) {
    Unexpected("subquery or range", "\":\" or \"]\"");
    return nullptr;
  }
  Take();
  return MakeMatrixSelector(std::move(expr), bracket, std::move(range));
}

ExprPtr Parser::MakeMatrixSelector(ExprPtr expr, const Token& bracket, DurationExprPtr range) {
  std::string_view mistake;
  if (expr->kind != ExprKind::kVectorSelector) {
    mistake = "ranges only allowed for vector selectors";
  } else if (As<VectorSelector>(*expr).shift.offset.IsSet()) {
    mistake = "no offset modifiers allowed before range";
  } else if (As<VectorSelector>(*expr).shift.at != AtAnchor::kNone) {
    mistake = "no @ modifiers allowed before range";
  }
  if (!mistake.empty()) {
    Fail(bracket.start, mistake);
    return nullptr;
  }
  const Span span{expr->span.start, last_end_};
  const int depth = expr->depth;
  auto matrix = std::make_unique<MatrixSelector>();
  matrix->selector.reset(&As<VectorSelector>(*expr.release()));
  matrix->range = ToDuration(std::move(range));
  return Finish(std::move(matrix), span, depth);
}

// What follows the colon of [range:step].
ExprPtr Parser::ParseSubquery(ExprPtr expr, DurationExprPtr range) {
  auto subquery = std::make_unique<SubqueryExpr>();
  subquery->range = ToDuration(std::move(range));
  if (!TryTake(TokenType::kRightBracket)) {
    DurationExprPtr step;
    {
      const InContext context(this,
                              {"subquery selector", "number, duration, step(), range(), or \"]\""});
      step = ParsePositiveDuration();
    }
    if (step == nullptr) {
      return nullptr;
    }
    if (!Peek().Is(TokenType::kRightBracket)) {
      Unexpected("subquery selector", "\"]\"");
      return nullptr;
    }
    Take();
    subquery->step = ToDuration(std::move(step));
  }
  const Span span{expr->span.start, last_end_};
  const int depth = expr->depth;
  subquery->expr = std::move(expr);
  return Finish(std::move(subquery), span, depth);
}

DurationExprPtr Parser::ParsePositiveDuration() {
  DurationExprPtr duration = ParseDurationBinary(0);
  if (duration != nullptr && duration->op == DurationOp::kNumber &&
      SecondsToNanos(duration->seconds) <= 0) {
    Peek();  // a mistake in the next token comes first
    Fail(duration->span.start, "duration must be greater than 0");
    return nullptr;
  }
  return duration;
}

Duration Parser::ToDuration(DurationExprPtr expr) {
  if (expr->op == DurationOp::kNumber) {
    return {.nanos = SecondsToNanos(expr->seconds), .expr = nullptr};
  }
  return {.nanos = 0, .expr = std::move(expr)};
}

// ---- Offsets

ExprPtr Parser::ParseOffset(ExprPtr expr) {
  Take();
  DurationExprPtr offset;
  {
    const InContext context(this, {"offset", kDurationStart});
    offset = ParseOffsetDuration();
  }
  if (offset == nullptr) {
    return nullptr;
  }
  TimeShift* const shift = ShiftOf(expr.get());
  if (shift == nullptr) {
    Fail(expr->span.start,
         "offset modifier must be preceded by an instant vector selector or range vector selector "
         "or a subquery");
    return nullptr;
  }
  if (shift->offset.IsSet()) {
    Fail(expr->span.start, "offset may not be set multiple times");
    return nullptr;
  }
  shift->offset = ToDuration(std::move(offset));
  expr->span.end = last_end_;
  return expr;
}

// Without parentheses an offset ends before the next operator: `foo offset 5m + bar` adds bar. Only
// what starts with a parenthesis, or with two signs, goes on as arithmetic on durations.
DurationExprPtr Parser::ParseOffsetDuration() {
  if (Peek().IsSign()) {
    return ParseSignedOffset();
  }
  return Peek().Is(TokenType::kLeftParen) ? ParseDurationBinary(0) : ParseDurationPrimary();
}

DurationExprPtr Parser::ParseSignedOffset() {
  const Token sign = Take();
  if (Peek().IsSign()) {
    const Nested nested(this);
    DurationExprPtr operand = nested.ok() ? ParseDurationBinary(SignPrecedence() + 1) : nullptr;
    DurationExprPtr left = ApplySign(sign, std::move(operand));
    return left == nullptr ? nullptr : ParseDurationRest(std::move(left), 0);
  }
  if (!Peek().Is(TokenType::kLeftParen)) {
    return ApplySign(sign, ParseDurationPrimary());
  }
  const Token open = Take();
  const Nested nested(this);
  DurationExprPtr inner = nested.ok() ? ParseDurationBinary(0) : nullptr;
  if (inner == nullptr || !Expect(TokenType::kRightParen)) {
    return nullptr;
  }
  return ApplySign(sign, MarkParenthesized(std::move(inner), {open.start, last_end_}));
}

// ---- Arithmetic on durations

DurationExprPtr Parser::ParseDurationBinary(int min_precedence) {
  DurationExprPtr left = ParseDurationSigned();
  return left == nullptr ? nullptr : ParseDurationRest(std::move(left), min_precedence);
}

DurationExprPtr Parser::ParseDurationRest(DurationExprPtr left, int min_precedence) {
  while (left != nullptr && IsArithmetic(Peek()) &&
         BinaryOpPrecedence(Peek().binary_op) >= min_precedence) {
    const Token op = Take();
    const bool groups_right = op.Is(BinaryOp::kPower);
    const Nested nested(this);
    if (!nested.ok()) {
      return nullptr;
    }
    DurationExprPtr right =
        ParseDurationBinary(BinaryOpPrecedence(op.binary_op) + (groups_right ? 0 : 1));
    if (right == nullptr) {
      return nullptr;
    }
    left = MakeDurationBinary(op, std::move(left), std::move(right));
  }
  return left;
}

DurationExprPtr Parser::MakeDurationBinary(const Token& op, DurationExprPtr left,
                                           DurationExprPtr right) {
  if (!CheckDurationExpressionsEnabled(left->span)) {
    return nullptr;
  }
  const bool divides = op.Is(BinaryOp::kDivide) || op.Is(BinaryOp::kModulo);
  if (divides && right->op == DurationOp::kNumber && right->seconds == 0) {
    Fail(op.start, op.Is(BinaryOp::kDivide) ? "division by zero" : "modulo by zero");
    return nullptr;
  }
  auto expr = std::make_unique<DurationExpr>();
  expr->op = ArithmeticOp(op.binary_op);
  expr->span = {left->span.start, right->span.end};
  expr->left = std::move(left);
  expr->right = std::move(right);
  return FinishDuration(std::move(expr));
}

DurationExprPtr Parser::ParseDurationSigned() {
  if (!Peek().IsSign()) {
    return ParseDurationPrimary();
  }
  const Token sign = Take();
  const Nested nested(this);
  return nested.ok() ? ApplySign(sign, ParseDurationBinary(SignPrecedence() + 1)) : nullptr;
}

// A sign in front of a number makes another number; a plus in front of anything else vanishes.
DurationExprPtr Parser::ApplySign(const Token& sign, DurationExprPtr operand) {
  if (operand == nullptr) {
    return nullptr;
  }
  const bool negative = sign.Is(BinaryOp::kSubtract);
  if (operand->op == DurationOp::kNumber) {
    operand->seconds = negative ? -operand->seconds : operand->seconds;
    operand->span.start = sign.start;
    return operand;
  }
  if (!negative) {
    return operand;
  }
  auto expr = std::make_unique<DurationExpr>();
  expr->op = DurationOp::kSubtract;
  expr->span = {sign.start, operand->span.end};
  expr->right = std::move(operand);
  return FinishDuration(std::move(expr));
}

DurationExprPtr Parser::ParseDurationPrimary() {
  if (IsNumberAhead()) {
    return ParseDurationNumber();
  }
  if (IsStepOrRange(Peek()) || IsMinOrMax(Peek())) {
    return ParseDurationFunction();
  }
  if (Peek().Is(TokenType::kLeftParen)) {
    return ParseDurationParenthesized();
  }
  Unexpected();
  return nullptr;
}

DurationExprPtr Parser::ParseDurationNumber() {
  const Token token = Take();
  auto expr = std::make_unique<DurationExpr>();
  if (!NumberValue(token, &expr->seconds)) {
    return nullptr;
  }
  constexpr double kMaxSeconds = 9223372036.854775807;  // int64 nanoseconds
  if (!(expr->seconds <= kMaxSeconds)) {
    Fail(token.start, "duration out of range");
    return nullptr;
  }
  expr->is_duration = token.Is(TokenType::kDuration);
  expr->span = {token.start, token.end()};
  return expr;
}

// step(), range(), min_of(a, b), max_of(a, b)
DurationExprPtr Parser::ParseDurationFunction() {
  const Token name = Take();
  auto expr = std::make_unique<DurationExpr>();
  expr->op = FunctionOp(name);
  if (!Expect(TokenType::kLeftParen)) {
    return nullptr;
  }
  if (IsMinOrMax(name)) {
    const Nested nested(this);
    expr->left = nested.ok() ? ParseDurationBinary(0) : nullptr;
    if (expr->left == nullptr || !Expect(TokenType::kComma)) {
      return nullptr;
    }
    expr->right = ParseDurationBinary(0);
    if (expr->right == nullptr) {
      return nullptr;
    }
  }
  if (!Expect(TokenType::kRightParen)) {
    return nullptr;
  }
  expr->span = {name.start, last_end_};
  return CheckDurationExpressionsEnabled(expr->span) ? FinishDuration(std::move(expr)) : nullptr;
}

DurationExprPtr Parser::ParseDurationParenthesized() {
  const Token open = Take();
  const Nested nested(this);
  DurationExprPtr inner = nested.ok() ? ParseDurationBinary(0) : nullptr;
  if (inner == nullptr || !Expect(TokenType::kRightParen) ||
      !CheckDurationExpressionsEnabled(inner->span)) {
    return nullptr;
  }
  return MarkParenthesized(std::move(inner), {open.start, last_end_});
}

// A number in parentheses is an expression, the parentheses of which a printer has to repeat: it
// becomes the right side of a plus sign.
DurationExprPtr Parser::MarkParenthesized(DurationExprPtr inner, Span span) {
  if (inner->op != DurationOp::kNumber) {
    inner->in_parentheses = true;
    return inner;
  }
  auto expr = std::make_unique<DurationExpr>();
  expr->op = DurationOp::kAdd;
  expr->in_parentheses = true;
  expr->span = span;
  expr->right = std::move(inner);
  return FinishDuration(std::move(expr));
}

bool Parser::CheckDurationExpressionsEnabled(Span span) {
  if (!options_.duration_expressions) {
    Fail(span.start, "experimental duration expression is not enabled");
  }
  return options_.duration_expressions;
}

DurationExprPtr Parser::FinishDuration(DurationExprPtr expr) {
  const int left = expr->left == nullptr ? 0 : expr->left->depth;
  const int right = expr->right == nullptr ? 0 : expr->right->depth;
  expr->depth = std::max(left, right) + 1;
  if (expr->depth > kMaxTreeDepth) {
    Fail(expr->span.start,
         fmt::format("duration expression is more than {} levels deep", kMaxTreeDepth));
    return nullptr;
  }
  return expr;
}

}  // namespace tsdbd::query
