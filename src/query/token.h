#pragma once
// The tokens of PromQL.

#include <cstdint>
#include <string>
#include <string_view>

#include "query/operators.h"

namespace tsdbd::query {

enum class TokenType {
  kEndOfInput,
  kError,
  kIdentifier,
  kMetricIdentifier,  // with a colon, so never a label name
  kNumber,
  kDuration,
  kString,         // with its quotes
  kBinaryOp,       // Token::binary_op; "!=" in braces as well
  kRegexEqual,     // =~
  kRegexNotEqual,  // !~
  kAt,
  kAggregate,  // Token::aggregate
  kKeyword,    // Token::keyword
  kEqual,
  kComma,
  kColon,
  kLeftParen,
  kRightParen,
  kLeftBrace,
  kRightBrace,
  kLeftBracket,
  kRightBracket
};

enum class Keyword {
  kBool,
  kBy,
  kWithout,
  kOn,
  kIgnoring,
  kGroupLeft,
  kGroupRight,
  kFill,
  kFillLeft,
  kFillRight,
  kOffset,
  kAnchored,
  kSmoothed,
  // Those that are functions as well, from here.
  kStart,
  kEnd,
  kStep,
  kRange,
  kMaxOf,
  kMinOf
};

struct Token {
  TokenType type = TokenType::kEndOfInput;
  uint32_t start = 0;          // byte offset in the query
  std::string_view text = {};  // as written
  BinaryOp binary_op = BinaryOp::kAdd;
  AggregateOp aggregate = AggregateOp::kSum;
  Keyword keyword = Keyword::kBool;

  uint32_t end() const { return start + static_cast<uint32_t>(text.size()); }
  bool Is(TokenType wanted) const { return type == wanted; }
  bool Is(Keyword wanted) const { return type == TokenType::kKeyword && keyword == wanted; }
  bool Is(BinaryOp wanted) const { return type == TokenType::kBinaryOp && binary_op == wanted; }
  bool IsSign() const { return Is(BinaryOp::kAdd) || Is(BinaryOp::kSubtract); }
};

// Gives *token the type of a word that is a keyword, operator, aggregation or number (inf, nan) in
// any case; kIdentifier or kMetricIdentifier otherwise.
void ClassifyWord(Token* token);

// Whether a label may stand unquoted in by (...), on (...) and the like. Most keywords may.
bool IsGroupingLabel(const Token& token);

// Whether a metric may be called so where an expression must stand: most keywords and aggregations
// and the set operators may.
bool IsMetricName(const Token& token);

bool StartsExpression(const Token& token);

// How messages name a token: end of input, identifier "foo", <op:+>, <aggr:sum>, <by>, "(".
std::string Describe(const Token& token);

}  // namespace tsdbd::query
