#pragma once
// The tree of a PromQL expression, as the parser builds it and everything after it reads it.
//
// Invariants of a tree that the parser gave out:
//   1. it passed the type checks (type_check.h): operands and arguments have the types they must;
//   2. `depth` of a node is one more than its deepest child's and at most kMaxTreeDepth;
//   3. BinaryExpr::matching is set exactly if both sides are vectors.
// Immutable once parsed; may be read from many threads.

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/check.h"
#include "model/matcher.h"
#include "query/functions.h"
#include "query/operators.h"
#include "query/value_type.h"

namespace tsdbd::query {

// Bytes [start, end) of the query's text.
struct Span {
  uint32_t start = 0;
  uint32_t end = 0;
};

enum class ExprKind {
  kNumber,
  kString,
  kVectorSelector,
  kMatrixSelector,
  kSubquery,
  kParen,
  kUnary,
  kBinary,
  kAggregate,
  kCall
};

struct Expr {
  const ExprKind kind;
  ValueType type;  // of what it evaluates to
  Span span;
  int depth = 1;

  virtual ~Expr() = default;

 protected:
  Expr(ExprKind kind_of_node, ValueType type_of_value) : kind(kind_of_node), type(type_of_value) {}
};

using ExprPtr = std::unique_ptr<Expr>;

// The node as what its kind says it is: As<CallExpr>(expr).
template <typename Node>
Node& As(Expr& expr) {
  DCHECK(expr.kind == Node::kKind);
  return static_cast<Node&>(expr);
}
template <typename Node>
const Node& As(const Expr& expr) {
  DCHECK(expr.kind == Node::kKind);
  return static_cast<const Node&>(expr);
}

struct NumberLiteral : Expr {
  static constexpr ExprKind kKind = ExprKind::kNumber;
  NumberLiteral() : Expr(kKind, ValueType::kScalar) {}

  double value = 0;
  bool is_duration = false;  // written as 5m; the value is in seconds
};

struct StringLiteral : Expr {
  static constexpr ExprKind kKind = ExprKind::kString;
  StringLiteral() : Expr(kKind, ValueType::kString) {}

  std::string value;
};

// A duration that is computed: step() * 2, max_of(5m, range()). kNumber is a leaf; a sign has only
// a right side.
enum class DurationOp {
  kNumber,
  kAdd,
  kSubtract,
  kMultiply,
  kDivide,
  kModulo,
  kPower,
  kStep,
  kRange,
  kMinOf,
  kMaxOf
};

struct DurationExpr {
  DurationOp op = DurationOp::kNumber;
  double seconds = 0;        // kNumber
  bool is_duration = false;  // kNumber: written as 5m
  bool in_parentheses = false;
  std::unique_ptr<DurationExpr> left;
  std::unique_ptr<DurationExpr> right;
  Span span;
  int depth = 1;
};

using DurationExprPtr = std::unique_ptr<DurationExpr>;

// A duration in nanoseconds, or the expression that gives it.
struct Duration {
  int64_t nanos = 0;
  DurationExprPtr expr;  // not null: `nanos` is 0

  bool IsSet() const { return nanos != 0 || expr != nullptr; }
};

enum class AtAnchor { kNone, kTime, kStart, kEnd };

// `offset` and `@` of a selector or sub-query.
struct TimeShift {
  Duration offset;
  AtAnchor at = AtAnchor::kNone;
  int64_t at_ms = 0;  // AtAnchor::kTime
};

struct VectorSelector : Expr {
  static constexpr ExprKind kKind = ExprKind::kVectorSelector;
  VectorSelector() : Expr(kKind, ValueType::kVector) {}

  std::string name;  // as written before the braces, or empty
  // All of them; if `name` is set, the last one is __name__="<name>".
  std::vector<model::Matcher> matchers;
  TimeShift shift;
  bool anchored = false;
  bool smoothed = false;
  // The second argument of info() may match everything.
  bool may_match_all = false;
};

// foo[5m]. Offset and @ are those of `selector`.
struct MatrixSelector : Expr {
  static constexpr ExprKind kKind = ExprKind::kMatrixSelector;
  MatrixSelector() : Expr(kKind, ValueType::kMatrix) {}

  std::unique_ptr<VectorSelector> selector;
  Duration range;
};

// expr[1h:5m]. No step: the default step.
struct SubqueryExpr : Expr {
  static constexpr ExprKind kKind = ExprKind::kSubquery;
  SubqueryExpr() : Expr(kKind, ValueType::kMatrix) {}

  ExprPtr expr;
  Duration range;
  Duration step;
  TimeShift shift;
};

struct ParenExpr : Expr {
  static constexpr ExprKind kKind = ExprKind::kParen;
  explicit ParenExpr(ExprPtr inner) : Expr(kKind, inner->type), expr(std::move(inner)) {}

  ExprPtr expr;
};

struct UnaryExpr : Expr {
  static constexpr ExprKind kKind = ExprKind::kUnary;
  UnaryExpr(bool minus, ExprPtr operand)
      : Expr(kKind, operand->type), negative(minus), expr(std::move(operand)) {}

  bool negative;  // otherwise a plus sign
  ExprPtr expr;
};

enum class MatchCardinality { kOneToOne, kManyToOne, kOneToMany, kManyToMany };

// How the series of two vectors find each other.
struct VectorMatching {
  MatchCardinality cardinality = MatchCardinality::kOneToOne;
  bool on = false;                   // match on `labels`; otherwise on all but `labels`
  std::vector<std::string> labels;   // on (...), ignoring (...)
  std::vector<std::string> include;  // group_left (...), group_right (...)
  std::optional<double> fill_left;   // value of a left side that is missing
  std::optional<double> fill_right;  // value of a right side that is missing
};

struct BinaryExpr : Expr {
  static constexpr ExprKind kKind = ExprKind::kBinary;
  BinaryExpr(BinaryOp operation, ExprPtr lhs, ExprPtr rhs);

  BinaryOp op;
  Span op_span;
  bool return_bool = false;
  std::optional<VectorMatching> matching;
  ExprPtr left;
  ExprPtr right;
};

struct AggregateExpr : Expr {
  static constexpr ExprKind kKind = ExprKind::kAggregate;
  explicit AggregateExpr(AggregateOp operation) : Expr(kKind, ValueType::kVector), op(operation) {}

  AggregateOp op;
  bool without = false;  // drop the labels of `grouping`; otherwise keep only them
  std::vector<std::string> grouping;
  ExprPtr parameter;  // null unless AggregateTakesParameter(op)
  ExprPtr expr;
};

struct CallExpr : Expr {
  static constexpr ExprKind kKind = ExprKind::kCall;
  explicit CallExpr(const FunctionSignature* signature)
      : Expr(kKind, signature->returns), function(signature) {}

  const FunctionSignature* const function;
  std::vector<ExprPtr> arguments;
};

}  // namespace tsdbd::query
