#include "query/binary_function.h"

#include <cmath>
#include <limits>
#include <vector>

#include <fmt/format.h>
#include <gtest/gtest.h>

namespace tsdbd::query {
namespace {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
constexpr double kInfinity = std::numeric_limits<double>::infinity();

constexpr BinaryOp kOps[] = {BinaryOp::kAdd,           BinaryOp::kSubtract,    BinaryOp::kMultiply,
                             BinaryOp::kDivide,        BinaryOp::kModulo,      BinaryOp::kPower,
                             BinaryOp::kAtan2,         BinaryOp::kEqual,       BinaryOp::kNotEqual,
                             BinaryOp::kLess,          BinaryOp::kLessOrEqual, BinaryOp::kGreater,
                             BinaryOp::kGreaterOrEqual};

bool Same(double a, double b) {
  return a == b || (std::isnan(a) && std::isnan(b) && IsAbsent(a) == IsAbsent(b));
}

TEST(BinaryFunction, ComputesWithTheSpecialCasesOfFloats) {
  struct Case {
    BinaryOp op;
    double a;
    double b;
    double result;
  };
  const Case cases[] = {
      {BinaryOp::kAdd, 1, 2, 3},
      {BinaryOp::kSubtract, kInfinity, kInfinity, kNan},
      {BinaryOp::kMultiply, 0, kInfinity, kNan},
      {BinaryOp::kDivide, 1, 0, kInfinity},
      {BinaryOp::kDivide, 0, 0, kNan},
      {BinaryOp::kModulo, -7, 3, -1},
      {BinaryOp::kModulo, 7, -3, 1},
      {BinaryOp::kModulo, 7, 0, kNan},
      {BinaryOp::kModulo, 7, kInfinity, 7},
      {BinaryOp::kModulo, kInfinity, 7, kNan},
      {BinaryOp::kPower, kNan, 0, 1},
      {BinaryOp::kPower, 1, kNan, 1},
      {BinaryOp::kPower, -1, kInfinity, 1},
      {BinaryOp::kPower, -8, 1.0 / 3, kNan},
      {BinaryOp::kPower, 0, -1, kInfinity},
      {BinaryOp::kAtan2, 0, -1, std::atan2(0.0, -1.0)},
      {BinaryOp::kEqual, kNan, kNan, 0},
      {BinaryOp::kNotEqual, kNan, kNan, 1},
      {BinaryOp::kLess, 1, 2, 1},
      {BinaryOp::kLessOrEqual, 2, 2, 1},
      {BinaryOp::kGreater, 1, 2, 0},
      {BinaryOp::kGreaterOrEqual, kInfinity, 2, 1},
  };
  for (const Case& c : cases) {
    const double got = ApplyBinary(c.op, c.a, c.b);
    EXPECT_TRUE(Same(got, c.result))
        << fmt::format("{} {} {} is {} instead of {}", c.a, BinaryOpName(c.op), c.b, got, c.result);
  }
  EXPECT_TRUE(std::signbit(ApplyBinary(BinaryOp::kModulo, -4, 2)));
}

TEST(BinaryFunction, OfRowsIsThatOfTheirValuesWhereBothAreThere) {
  const double values[] = {kAbsent, kNan, kInfinity, -kInfinity, 0, 1, -2.5, 1e300};
  std::vector<double> left;
  std::vector<double> right;
  for (const double a : values) {
    for (const double b : values) {
      left.push_back(a);
      right.push_back(b);
    }
  }
  for (const BinaryOp op : kOps) {
    std::vector<double> out(left.size());
    ApplyBinaryRow(op, true, false, left, right, out);
    std::vector<double> in_place = right;
    ApplyBinaryRow(op, true, false, left, in_place, in_place);
    for (size_t i = 0; i < out.size(); ++i) {
      const bool absent = IsAbsent(left[i]) || IsAbsent(right[i]);
      const double want = absent ? kAbsent : ApplyBinary(op, left[i], right[i]);
      ASSERT_TRUE(Same(out[i], want)) << BinaryOpName(op) << " " << i;
      ASSERT_TRUE(Same(in_place[i], want)) << BinaryOpName(op) << " " << i;
    }
  }
}

TEST(BinaryFunction, FiltersByComparison) {
  const std::vector<double> left = {1, 2, 3, kAbsent, 5, kNan};
  const std::vector<double> right = {2, 2, 2, 2, kAbsent, 2};
  std::vector<double> out(left.size());
  ApplyBinaryRow(BinaryOp::kGreaterOrEqual, false, false, left, right, out);
  const std::vector<double> kept_left = {kAbsent, 2, 3, kAbsent, kAbsent, kAbsent};
  for (size_t i = 0; i < out.size(); ++i) {
    EXPECT_TRUE(Same(out[i], kept_left[i])) << i;
  }
  ApplyBinaryRow(BinaryOp::kNotEqual, false, true, left, right, out);
  const std::vector<double> kept_right = {2, kAbsent, 2, kAbsent, kAbsent, 2};
  for (size_t i = 0; i < out.size(); ++i) {
    EXPECT_TRUE(Same(out[i], kept_right[i])) << i;
  }
}

}  // namespace
}  // namespace tsdbd::query
