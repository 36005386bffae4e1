// Calls, aggregations and lists of labels.

#include <algorithm>
#include <utility>

#include "query/parser_state.h"
#include "query/text.h"

namespace tsdbd::query {

ExprPtr Parser::ParseCall(const Token& name) {
  std::vector<ExprPtr> arguments;
  if (!ParseArguments(&arguments)) {
    return nullptr;
  }
  const FunctionSignature* const function = FindFunction(name.text);
  if (function == nullptr) {
    Fail(name.start, "unknown function with name " + Quote(name.text));
    return nullptr;
  }
  if (function->experimental && !options_.experimental_functions) {
    Fail(name.start, fmt::format("function {} is not enabled", Quote(name.text)));
    return nullptr;
  }
  auto call = std::make_unique<CallExpr>(function);
  int depth = 0;
  for (const ExprPtr& argument : arguments) {
    depth = std::max(depth, argument->depth);
  }
  call->arguments = std::move(arguments);
  return Finish(std::move(call), {name.start, last_end_}, depth);
}

// ( [expr {, expr}] )
bool Parser::ParseArguments(std::vector<ExprPtr>* arguments) {
  const Nested nested(this);
  if (!nested.ok() || !Expect(TokenType::kLeftParen)) {
    return false;
  }
  if (TryTake(TokenType::kRightParen)) {
    return true;
  }
  while (true) {
    ExprPtr argument = ParseBinary(0);
    if (argument == nullptr) {
      return false;
    }
    arguments->push_back(std::move(argument));
    if (!Peek().Is(TokenType::kComma)) {
      return Expect(TokenType::kRightParen);
    }
    const Token comma = Take();
    if (!StartsExpression(Peek())) {
      Fail(comma.start, "trailing commas not allowed in function call args");
      return false;
    }
  }
}

// ---- Aggregations

ExprPtr Parser::ParseAggregate(const Token& op) {
  auto aggregate = std::make_unique<AggregateExpr>(op.aggregate);
  std::vector<ExprPtr> arguments;
  const bool modifier_first = !Peek().Is(TokenType::kLeftParen);
  {
    const InContext context(this, {"aggregation", ""});
    if ((modifier_first && !ParseAggregateModifier(aggregate.get())) ||
        !ParseArguments(&arguments)) {
      return nullptr;
    }
  }
  if (!modifier_first && (Peek().Is(Keyword::kBy) || Peek().Is(Keyword::kWithout)) &&
      !ParseAggregateModifier(aggregate.get())) {
    return nullptr;
  }
  if (arguments.empty()) {
    Fail(op.start, "no arguments for aggregate expression provided");
    return nullptr;
  }
  if (IsExperimental(op.aggregate) && !options_.experimental_functions) {
    Fail(op.start, fmt::format("{}() is experimental and must be enabled with "
                               "--enable-feature=promql-experimental-functions",
                               AggregateOpName(op.aggregate)));
    return nullptr;
  }
  const size_t wanted = AggregateTakesParameter(op.aggregate) ? 2 : 1;
  if (arguments.size() != wanted) {
    Fail(op.start, fmt::format("wrong number of arguments for aggregate expression provided, "
                               "expected {}, got {}",
                               wanted, arguments.size()));
    return nullptr;
  }
  int depth = arguments.back()->depth;
  aggregate->expr = std::move(arguments.back());
  if (wanted == 2) {
    depth = std::max(depth, arguments.front()->depth);
    aggregate->parameter = std::move(arguments.front());
  }
  return Finish(std::move(aggregate), {op.start, last_end_}, depth);
}

bool Parser::ParseAggregateModifier(AggregateExpr* aggregate) {
  aggregate->without = Take().Is(Keyword::kWithout);
  return ParseGrouping(&aggregate->grouping);
}

// ( [label {, label} [,]] )
bool Parser::ParseGrouping(std::vector<std::string>* labels) {
  if (!Peek().Is(TokenType::kLeftParen)) {
    Unexpected("grouping opts", "\"(\"");
    return false;
  }
  Take();
  while (!TryTake(TokenType::kRightParen)) {
    if (!ParseGroupingLabel(labels)) {
      return false;
    }
    if (!TryTake(TokenType::kComma) && !Peek().Is(TokenType::kRightParen)) {
      Unexpected("grouping opts", "\",\" or \")\"");
      return false;
    }
  }
  return true;
}

bool Parser::ParseGroupingLabel(std::vector<std::string>* labels) {
  const bool quoted = Peek().Is(TokenType::kString);
  if (!quoted && !IsGroupingLabel(Peek())) {
    Unexpected("grouping opts", "label");
    return false;
  }
  const Token token = Take();
  std::string label(quoted ? Unquote(token.text).value_or("") : token.text);
  if (label.empty() || !IsValidUtf8(label)) {
    Fail(token.start, "invalid label name for grouping: " + Quote(label));
    return false;
  }
  labels->push_back(std::move(label));
  return true;
}

}  // namespace tsdbd::query
