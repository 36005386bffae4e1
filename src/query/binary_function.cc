#include "query/binary_function.h"

#include <cmath>

#include "common/check.h"
#include "query/independent_loop.h"

namespace tsdbd::query {
namespace {

// Calls `use` with the operator as a callable of its own type: the loop over a row is compiled for
// each operator, with no switch inside.
template <typename Use>
void WithArithmetic(BinaryOp op, Use use) {
  switch (op) {
    case BinaryOp::kAdd:
      return use([](double a, double b) { return a + b; });
    case BinaryOp::kSubtract:
      return use([](double a, double b) { return a - b; });
    case BinaryOp::kMultiply:
      return use([](double a, double b) { return a * b; });
    case BinaryOp::kDivide:
      return use([](double a, double b) { return a / b; });
    // The special cases of C's functions are those of PromQL: the sign of the dividend, x % Inf is
    // x, 1 ^ NaN and NaN ^ 0 are 1.
    case BinaryOp::kModulo:
      return use([](double a, double b) { return std::fmod(a, b); });
    case BinaryOp::kPower:
      return use([](double a, double b) { return std::pow(a, b); });
    case BinaryOp::kAtan2:
      return use([](double a, double b) { return std::atan2(a, b); });
    default:
      CHECK(false);
  }
}

template <typename Use>
void WithComparison(BinaryOp op, Use use) {
  switch (op) {
    case BinaryOp::kEqual:
      return use([](double a, double b) { return a == b; });
    case BinaryOp::kNotEqual:
      return use([](double a, double b) { return a != b; });
    case BinaryOp::kLess:
      return use([](double a, double b) { return a < b; });
    case BinaryOp::kLessOrEqual:
      return use([](double a, double b) { return a <= b; });
    case BinaryOp::kGreater:
      return use([](double a, double b) { return a > b; });
    case BinaryOp::kGreaterOrEqual:
      return use([](double a, double b) { return a >= b; });
    default:
      CHECK(false);
  }
}

// The result is computed for absent operands too and thrown away: without a branch it vectorises.
template <typename Compute>
void FillRow(std::span<const double> left, std::span<const double> right, std::span<double> out,
             Compute compute) {
  const double* const a = left.data();
  const double* const b = right.data();
  double* const result = out.data();
  const size_t count = out.size();
  INDEPENDENT_TURNS
  for (size_t i = 0; i < count; ++i) {
    const double computed = compute(a[i], b[i]);
    const bool absent = IsAbsent(a[i]) || IsAbsent(b[i]);
    result[i] = absent ? kAbsent : computed;
  }
}

}  // namespace

double ApplyBinary(BinaryOp op, double a, double b) {
  double result = 0;
  if (IsComparison(op)) {
    WithComparison(op, [&](auto holds) { result = holds(a, b) ? 1 : 0; });
  } else {
    WithArithmetic(op, [&](auto compute) { result = compute(a, b); });
  }
  return result;
}

void ApplyBinaryRow(BinaryOp op, bool return_bool, bool keep_right, std::span<const double> left,
                    std::span<const double> right, std::span<double> out) {
  if (!IsComparison(op)) {
    WithArithmetic(op, [&](auto compute) { FillRow(left, right, out, compute); });
    return;
  }
  WithComparison(op, [&](auto holds) {
    if (return_bool) {
      FillRow(left, right, out, [&](double a, double b) { return holds(a, b) ? 1.0 : 0.0; });
    } else if (keep_right) {
      FillRow(left, right, out, [&](double a, double b) { return holds(a, b) ? b : kAbsent; });
    } else {
      FillRow(left, right, out, [&](double a, double b) { return holds(a, b) ? a : kAbsent; });
    }
  });
}

}  // namespace tsdbd::query
