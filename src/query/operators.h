#pragma once
// The operators and aggregations of PromQL, with the properties that parser, type checks and
// evaluation share.

#include <string_view>

namespace tsdbd::query {

enum class BinaryOp {
  kAdd,
  kSubtract,
  kMultiply,
  kDivide,
  kModulo,
  kPower,
  kAtan2,
  kEqual,
  kNotEqual,
  kLess,
  kLessOrEqual,
  kGreater,
  kGreaterOrEqual,
  kAnd,
  kOr,
  kUnless,
  kTrimUpper,  // </ and >/ cut native histograms
  kTrimLower
};

std::string_view BinaryOpName(BinaryOp op);
// Larger binds tighter. kPower is the only one that groups to the right.
int BinaryOpPrecedence(BinaryOp op);
// A sign binds as tightly as a multiplication: -2 ^ 2 is -(2 ^ 2).
int SignPrecedence();
bool IsComparison(BinaryOp op);
bool IsSetOperator(BinaryOp op);

enum class AggregateOp {
  kAvg,
  kBottomk,
  kCount,
  kCountValues,
  kGroup,
  kLimitRatio,
  kLimitk,
  kMax,
  kMin,
  kQuantile,
  kStddev,
  kStdvar,
  kSum,
  kTopk
};

std::string_view AggregateOpName(AggregateOp op);
bool AggregateTakesParameter(AggregateOp op);
bool IsExperimental(AggregateOp op);

}  // namespace tsdbd::query
