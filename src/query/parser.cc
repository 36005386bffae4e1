#include "query/parser.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "common/clock.h"
#include "query/parse_error.h"
#include "query/parser_state.h"
#include "query/text.h"
#include "query/type_check.h"

namespace tsdbd::query {
StatusOr<ExprPtr> ParseExpression(std::string_view text, const ParserOptions& options) {
  ASSIGN_OR_RETURN(ExprPtr expr, Parser(text, options).ParseWhole());
  RETURN_IF_ERROR(CheckTypes(text, expr.get()));
  return expr;
}

StatusOr<std::vector<model::Matcher>> ParseSeriesSelector(std::string_view text) {
  ASSIGN_OR_RETURN(auto selector, Parser(text, ParserOptions()).ParseWholeSelector());
  const auto refuses_empty = [](const model::Matcher& m) { return !m.MatchesEmpty(); };
  if (std::ranges::none_of(selector->matchers, refuses_empty)) {
    return InvalidArgument("match[] must contain at least one non-empty matcher");
  }
  return std::move(selector->matchers);
}

StatusOr<ExprPtr> Parser::ParseWhole() {
  if (text_.size() > kMaxQueryBytes) {
    Fail(0, fmt::format("query of {} bytes is longer than the limit of {} bytes", text_.size(),
                        kMaxQueryBytes));
    return error_;
  }
  if (Peek().Is(TokenType::kEndOfInput)) {
    Fail(0, "no expression found in input");
    return error_;
  }
  ExprPtr expr = ParseBinary(0);
  if (expr != nullptr && !Peek().Is(TokenType::kEndOfInput)) {
    Unexpected();
  }
  if (failed()) {
    return error_;
  }
  return expr;
}

StatusOr<std::unique_ptr<VectorSelector>> Parser::ParseWholeSelector() {
  if (text_.size() > kMaxQueryBytes) {
    Fail(0, fmt::format("selector of {} bytes is longer than the limit of {} bytes", text_.size(),
                        kMaxQueryBytes));
    return error_;
  }
  ExprPtr expr;
  if (Peek().Is(TokenType::kLeftBrace)) {
    expr = ParseSelector(nullptr);
  } else if (IsMetricName(Peek())) {
    const Token name = Take();
    expr = ParseSelector(&name);
  }
  if (expr == nullptr || !Peek().Is(TokenType::kEndOfInput)) {
    Unexpected();
  }
  if (failed()) {
    return error_;
  }
  return std::unique_ptr<VectorSelector>(&As<VectorSelector>(*expr.release()));
}

// ---- Operators

ExprPtr Parser::ParseBinary(int min_precedence) {
  ExprPtr left = ParseSigned();
  while (left != nullptr && Peek().Is(TokenType::kBinaryOp) &&
         BinaryOpPrecedence(Peek().binary_op) >= min_precedence) {
    left = ParseRightSide(std::move(left), Take());
  }
  return left;
}

ExprPtr Parser::ParseRightSide(ExprPtr left, const Token& op) {
  const bool groups_right = op.Is(BinaryOp::kPower);
  std::optional<Nested> nested;
  if (groups_right) {
    nested.emplace(this);
    if (!nested->ok()) {
      return nullptr;
    }
  }
  VectorMatching matching;
  bool return_bool = false;
  if (!ParseBinaryModifiers(&return_bool, &matching)) {
    return nullptr;
  }
  ExprPtr right = ParseBinary(BinaryOpPrecedence(op.binary_op) + (groups_right ? 0 : 1));
  if (right == nullptr) {
    return nullptr;
  }
  const Span span{left->span.start, right->span.end};
  if (!options_.fill_modifiers && (matching.fill_left || matching.fill_right)) {
    Fail(span.start, "binop fill modifiers are experimental and not enabled");
    return nullptr;
  }
  const int depth = std::max(left->depth, right->depth);
  auto binary = std::make_unique<BinaryExpr>(op.binary_op, std::move(left), std::move(right));
  binary->op_span = {op.start, op.end()};
  binary->return_bool = return_bool;
  binary->matching = std::move(matching);
  return Finish(std::move(binary), span, depth);
}

// [bool] [on|ignoring (labels) [group_left|group_right [(labels)]]] [fill ...]
bool Parser::ParseBinaryModifiers(bool* return_bool, VectorMatching* matching) {
  if (Peek().Is(Keyword::kBool)) {
    Take();
    *return_bool = true;
  }
  if (Peek().Is(Keyword::kOn) || Peek().Is(Keyword::kIgnoring)) {
    matching->on = Take().Is(Keyword::kOn);
    if (!ParseGrouping(&matching->labels)) {
      return false;
    }
    if (Peek().Is(Keyword::kGroupLeft) || Peek().Is(Keyword::kGroupRight)) {
      matching->cardinality = Take().Is(Keyword::kGroupLeft) ? MatchCardinality::kManyToOne
                                                             : MatchCardinality::kOneToMany;
      if (Peek().Is(TokenType::kLeftParen) && !ParseGrouping(&matching->include)) {
        return false;
      }
    }
  }
  return ParseFill(matching);
}

// fill (number), or fill_left (number) and fill_right (number) in any order.
bool Parser::ParseFill(VectorMatching* matching) {
  double value = 0;
  if (Peek().Is(Keyword::kFill)) {
    Take();
    if (!ParseFillValue(&value)) {
      return false;
    }
    matching->fill_left = value;
    matching->fill_right = value;
    return true;
  }
  while (true) {
    const bool left = Peek().Is(Keyword::kFillLeft) && !matching->fill_left;
    const bool right = Peek().Is(Keyword::kFillRight) && !matching->fill_right;
    if (!left && !right) {
      return !failed();
    }
    Take();
    if (!ParseFillValue(&value)) {
      return false;
    }
    (left ? matching->fill_left : matching->fill_right) = value;
  }
}

bool Parser::ParseFillValue(double* value) {
  if (!Expect(TokenType::kLeftParen)) {
    return false;
  }
  const bool negative = Peek().Is(BinaryOp::kSubtract);
  if (Peek().IsSign()) {
    Take();
  }
  if (!IsNumberAhead()) {
    Unexpected();
    return false;
  }
  if (!NumberValue(Take(), value)) {
    return false;
  }
  *value = negative ? -*value : *value;
  return Expect(TokenType::kRightParen);
}

ExprPtr Parser::ParseSigned() {
  if (!Peek().IsSign()) {
    return ParsePostfix();
  }
  const Token sign = Take();
  const Nested nested(this);
  if (!nested.ok()) {
    return nullptr;
  }
  ExprPtr operand = ParseBinary(SignPrecedence() + 1);
  if (operand == nullptr) {
    return nullptr;
  }
  const bool negative = sign.Is(BinaryOp::kSubtract);
  if (operand->kind == ExprKind::kNumber) {
    auto& number = As<NumberLiteral>(*operand);
    number.value = negative ? -number.value : number.value;
    number.span.start = sign.start;
    return operand;
  }
  const Span span{sign.start, operand->span.end};
  const int depth = operand->depth;
  return Finish(std::make_unique<UnaryExpr>(negative, std::move(operand)), span, depth);
}

ExprPtr Parser::ParsePostfix() {
  ExprPtr expr = ParsePrimary();
  while (expr != nullptr) {
    const Token& next = Peek();
    if (next.Is(TokenType::kLeftBracket)) {
      expr = ParseBrackets(std::move(expr));
    } else if (next.Is(Keyword::kOffset)) {
      expr = ParseOffset(std::move(expr));
    } else if (next.Is(TokenType::kAt)) {
      expr = ParseAt(std::move(expr));
    } else if (next.Is(Keyword::kAnchored) || next.Is(Keyword::kSmoothed)) {
      expr = ParseExtendedRange(std::move(expr));
    } else {
      break;
    }
  }
  return expr;
}

// ---- What stands between operators

ExprPtr Parser::ParsePrimary() {
  switch (Peek().type) {
    case TokenType::kNumber:
    case TokenType::kDuration:
      return ParseNumber();
    case TokenType::kString:
      return ParseString();
    case TokenType::kLeftParen:
      return ParseParenthesized();
    case TokenType::kLeftBrace:
      return ParseSelector(nullptr);
    default:
      return ParseNamed();
  }
}

// A call, an aggregation or a selector with a metric name.
ExprPtr Parser::ParseNamed() {
  if (!IsMetricName(Peek())) {
    Unexpected();
    return nullptr;
  }
  const Token name = Take();
  const bool may_be_call = name.Is(TokenType::kIdentifier) ||
                           (name.Is(TokenType::kKeyword) && name.keyword >= Keyword::kStart);
  const bool parenthesis_follows = Peek().Is(TokenType::kLeftParen);
  if (may_be_call && parenthesis_follows) {
    return ParseCall(name);
  }
  const bool modifier_follows = Peek().Is(Keyword::kBy) || Peek().Is(Keyword::kWithout);
  if (name.Is(TokenType::kAggregate) && (parenthesis_follows || modifier_follows)) {
    return ParseAggregate(name);
  }
  return ParseSelector(&name);
}

ExprPtr Parser::ParseNumber() {
  const Token token = Take();
  auto number = std::make_unique<NumberLiteral>();
  if (!NumberValue(token, &number->value)) {
    return nullptr;
  }
  number->is_duration = token.Is(TokenType::kDuration);
  return Finish(std::move(number), {token.start, token.end()}, 0);
}

ExprPtr Parser::ParseString() {
  const Token token = Take();
  auto literal = std::make_unique<StringLiteral>();
  std::optional<std::string> value = Unquote(token.text);
  CHECK(value.has_value());  // the lexer has checked the same rules
  literal->value = *std::move(value);
  return Finish(std::move(literal), {token.start, token.end()}, 0);
}

ExprPtr Parser::ParseParenthesized() {
  const Token open = Take();
  const Nested nested(this);
  if (!nested.ok()) {
    return nullptr;
  }
  ExprPtr inner = ParseBinary(0);
  if (inner == nullptr || !Expect(TokenType::kRightParen)) {
    return nullptr;
  }
  const int depth = inner->depth;
  return Finish(std::make_unique<ParenExpr>(std::move(inner)), {open.start, last_end_}, depth);
}

// ---- Tokens, errors, nodes

const Token& Parser::Peek() {
  if (!has_next_) {
    next_ = lexer_.Next();
    has_next_ = true;
    if (next_.Is(TokenType::kError)) {
      Fail(next_.start, lexer_.error());
    }
  }
  return next_;
}

Token Parser::Take() {
  const Token token = Peek();
  has_next_ = false;
  last_end_ = token.end();
  return token;
}

bool Parser::TryTake(TokenType type) {
  if (!Peek().Is(type)) {
    return false;
  }
  Take();
  return true;
}

bool Parser::Expect(TokenType type) {
  if (TryTake(type)) {
    return true;
  }
  Unexpected();
  return false;
}

void Parser::Unexpected() {
  Unexpected(context_.where, context_.expected);
}

void Parser::Unexpected(std::string_view where, std::string_view expected) {
  std::string message = "unexpected " + Describe(Peek());
  if (!where.empty()) {
    message += fmt::format(" in {}", where);
  }
  if (!expected.empty()) {
    message += fmt::format(", expected {}", expected);
  }
  Fail(Peek().start, message);
}

void Parser::Fail(size_t position, std::string_view message) {
  if (!failed()) {
    error_ = ParseError(text_, position, message);
  }
}

bool Parser::NumberValue(const Token& token, double* value) {
  if (token.Is(TokenType::kDuration)) {
    const StatusOr<int64_t> nanos = ParseDuration(token.text);
    if (!nanos.ok()) {
      Fail(token.start, Message(nanos.status()));
      return false;
    }
    const int64_t millis = *nanos / kNanosPerMilli;
    *value = static_cast<double>(millis) / 1e3;
    return true;
  }
  const StatusOr<double> number = ParseNumberLiteral(token.text);
  if (!number.ok()) {
    Fail(token.start, Message(number.status()));
    return false;
  }
  *value = *number;
  return true;
}

bool Parser::IsNumberAhead() {
  return Peek().Is(TokenType::kNumber) || Peek().Is(TokenType::kDuration);
}

ExprPtr Parser::Finish(ExprPtr node, Span span, int depth_below) {
  node->span = span;
  node->depth = depth_below + 1;
  if (node->depth > kMaxTreeDepth) {
    Fail(span.start, fmt::format("expression is more than {} levels deep", kMaxTreeDepth));
    return nullptr;
  }
  return node;
}

Parser::Nested::Nested(Parser* parser) : parser_(parser) {
  const int max_nesting = parser->options_.max_nesting;
  if (++parser->nesting_ > max_nesting) {
    parser->Fail(parser->last_end_ - 1,
                 fmt::format("expression is nested more than {} levels deep", max_nesting));
  }
}

}  // namespace tsdbd::query
