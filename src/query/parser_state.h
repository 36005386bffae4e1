#pragma once
// The recursive-descent parser behind parser.h; only its own sources include this. One object
// parses one query.
//
// Every Parse method starts at the first token of what it is named after, leaves the cursor behind
// the last, and returns null (or false) once there is an error; the first error is the one that
// counts. A token is looked at only where the grammar needs it, because a mistake in it must not
// hide an earlier one in the tree.

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "query/ast.h"
#include "query/lexer.h"
#include "query/parser.h"

namespace tsdbd::query {

class Parser {
 public:
  // `text` must outlive the parser.
  Parser(std::string_view text, const ParserOptions& options)
      : text_(text), options_(options), lexer_(text) {}

  StatusOr<ExprPtr> ParseWhole();
  StatusOr<std::unique_ptr<VectorSelector>> ParseWholeSelector();

 private:
  // What a message about an unexpected token adds: " in <where>, expected <what>".
  struct Context {
    std::string_view where;
    std::string_view expected;
  };

  // Sets the context for a scope.
  class InContext {
   public:
    InContext(Parser* parser, Context context) : parser_(parser), outer_(parser->context_) {
      parser->context_ = context;
    }
    ~InContext() { parser_->context_ = outer_; }
    InContext(const InContext&) = delete;
    InContext& operator=(const InContext&) = delete;

   private:
    Parser* const parser_;
    const Context outer_;
  };

  // One more level of nesting for a scope; ok() is false, with the error set, beyond the bound.
  class Nested {
   public:
    explicit Nested(Parser* parser);
    ~Nested() { --parser_->nesting_; }
    Nested(const Nested&) = delete;
    Nested& operator=(const Nested&) = delete;
    bool ok() const { return parser_->nesting_ <= parser_->options_.max_nesting; }

   private:
    Parser* const parser_;
  };

  // parser.cc: operators and literals; also the methods below that deal with tokens and errors.
  ExprPtr ParseBinary(int min_precedence);
  ExprPtr ParseRightSide(ExprPtr left, const Token& op);
  bool ParseBinaryModifiers(bool* return_bool, VectorMatching* matching);
  bool ParseFill(VectorMatching* matching);
  bool ParseFillValue(double* value);
  ExprPtr ParseSigned();
  ExprPtr ParsePostfix();
  ExprPtr ParsePrimary();
  ExprPtr ParseNamed();
  ExprPtr ParseNumber();
  ExprPtr ParseString();
  ExprPtr ParseParenthesized();

  // parser_call.cc: calls, aggregations and lists of labels.
  ExprPtr ParseCall(const Token& name);
  ExprPtr ParseAggregate(const Token& op);
  bool ParseAggregateModifier(AggregateExpr* aggregate);
  bool ParseArguments(std::vector<ExprPtr>* arguments);
  bool ParseGrouping(std::vector<std::string>* labels);
  bool ParseGroupingLabel(std::vector<std::string>* labels);

  // parser_selector.cc: selectors with their matchers and modifiers.
  ExprPtr ParseSelector(const Token* name);
  bool ParseMatchers(VectorSelector* selector);
  bool ParseMatcher(VectorSelector* selector);
  bool AddMatcher(model::MatchType type, const Token& label, std::string value,
                  VectorSelector* selector);
  ExprPtr ParseAt(ExprPtr expr);
  bool ParseAtTime(size_t expr_start, TimeShift* parsed);
  ExprPtr ParseExtendedRange(ExprPtr expr);
  // Where the offset and @ of an expression go; null if it can have none.
  static TimeShift* ShiftOf(Expr* expr);

  // parser_duration.cc: ranges, sub-queries, offsets and the durations in them.
  ExprPtr ParseBrackets(ExprPtr expr);
  ExprPtr MakeMatrixSelector(ExprPtr expr, const Token& bracket, DurationExprPtr range);
  ExprPtr ParseSubquery(ExprPtr expr, DurationExprPtr range);
  ExprPtr ParseOffset(ExprPtr expr);
  DurationExprPtr ParseOffsetDuration();
  DurationExprPtr ParseSignedOffset();
  DurationExprPtr ParsePositiveDuration();
  DurationExprPtr ParseDurationBinary(int min_precedence);
  DurationExprPtr ParseDurationRest(DurationExprPtr left, int min_precedence);
  DurationExprPtr ParseDurationSigned();
  DurationExprPtr ParseDurationPrimary();
  DurationExprPtr ParseDurationNumber();
  DurationExprPtr ParseDurationFunction();
  DurationExprPtr ParseDurationParenthesized();
  DurationExprPtr MakeDurationBinary(const Token& op, DurationExprPtr left, DurationExprPtr right);
  DurationExprPtr ApplySign(const Token& sign, DurationExprPtr operand);
  DurationExprPtr MarkParenthesized(DurationExprPtr inner, Span span);
  bool CheckDurationExpressionsEnabled(Span span);
  DurationExprPtr FinishDuration(DurationExprPtr expr);
  // A plain number becomes nanoseconds, anything else stays an expression.
  static Duration ToDuration(DurationExprPtr expr);

  const Token& Peek();
  Token Take();
  bool TryTake(TokenType type);
  // Takes a token of `type`, or fails as Unexpected().
  bool Expect(TokenType type);
  // Records the error that the next token stands where it must not.
  void Unexpected();
  void Unexpected(std::string_view where, std::string_view expected);
  void Fail(size_t position, std::string_view message);
  bool failed() const { return !error_.ok(); }
  // The value of a number or duration token.
  bool NumberValue(const Token& token, double* value);
  bool IsNumberAhead();
  // Gives a node its place and depth. Null if the tree is too deep.
  ExprPtr Finish(ExprPtr node, Span span, int depth_below);

  const std::string_view text_;
  const ParserOptions options_;
  Lexer lexer_;
  Token next_;
  bool has_next_ = false;
  uint32_t last_end_ = 0;  // of the token taken last
  Status error_;
  Context context_;
  int nesting_ = 0;
  size_t regex_cost_ = 0;
};

}  // namespace tsdbd::query
