#include "query/operators.h"

#include <cstddef>

namespace tsdbd::query {
namespace {

constexpr int kMultiplicationPrecedence = 5;

struct BinaryOpTraits {
  std::string_view name;
  int precedence;
};

// In the order of BinaryOp.
constexpr BinaryOpTraits kBinaryOps[] = {
    {"+", 4},
    {"-", 4},
    {"*", kMultiplicationPrecedence},
    {"/", kMultiplicationPrecedence},
    {"%", kMultiplicationPrecedence},
    {"^", 6},
    {"atan2", kMultiplicationPrecedence},
    {"==", 3},
    {"!=", 3},
    {"<", 3},
    {"<=", 3},
    {">", 3},
    {">=", 3},
    {"and", 2},
    {"or", 1},
    {"unless", 2},
    {"</", 3},
    {">/", 3},
};

// In the order of AggregateOp.
constexpr std::string_view kAggregateOps[] = {
    "avg", "bottomk", "count",    "count_values", "group",  "limit_ratio", "limitk",
    "max", "min",     "quantile", "stddev",       "stdvar", "sum",         "topk"};

}  // namespace

std::string_view BinaryOpName(BinaryOp op) {
  return kBinaryOps[static_cast<size_t>(op)].name;
}

int BinaryOpPrecedence(BinaryOp op) {
  return kBinaryOps[static_cast<size_t>(op)].precedence;
}

int SignPrecedence() {
  return kMultiplicationPrecedence;
}

bool IsComparison(BinaryOp op) {
  return op >= BinaryOp::kEqual && op <= BinaryOp::kGreaterOrEqual;
}

bool IsSetOperator(BinaryOp op) {
  return op >= BinaryOp::kAnd && op <= BinaryOp::kUnless;
}

std::string_view AggregateOpName(AggregateOp op) {
  return kAggregateOps[static_cast<size_t>(op)];
}

bool AggregateTakesParameter(AggregateOp op) {
  switch (op) {
    case AggregateOp::kBottomk:
    case AggregateOp::kCountValues:
    case AggregateOp::kLimitRatio:
    case AggregateOp::kLimitk:
    case AggregateOp::kQuantile:
    case AggregateOp::kTopk:
      return true;
    default:
      return false;
  }
}

bool IsExperimental(AggregateOp op) {
  return op == AggregateOp::kLimitk || op == AggregateOp::kLimitRatio;
}

}  // namespace tsdbd::query
