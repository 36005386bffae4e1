#pragma once
// Compensated summation (Kahan, with Neumaier's improvement): what a sum loses to rounding is kept
// beside it. The sums of PromQL are defined by it: 1e100 + 1 - 1e100 is 1.

#include <cmath>
#include <limits>

namespace tsdbd::query {

// What rounding took from `total` = a + b. Exact as long as `total` is finite; free of branches, so
// that loops over rows of sums vectorise (Knuth's TwoSum: the same error that comparing magnitudes
// first would find).
inline double RoundingError(double a, double b, double total) {
  const double b_part = total - a;
  const double a_part = total - b_part;
  return (a - a_part) + (b - b_part);
}

// An infinite sum has no error left to keep.
inline void KahanAdd(double value, double& sum, double& compensation) {
  const double total = sum + value;
  const double kept = compensation + RoundingError(sum, value, total);
  compensation = std::abs(total) > std::numeric_limits<double>::max() ? 0 : kept;
  sum = total;
}

struct KahanSum {
  double sum = 0;
  double compensation = 0;

  void Add(double value) { KahanAdd(value, sum, compensation); }
  // As if the other's values had been added here.
  void Merge(const KahanSum& other) {
    Add(other.sum);
    compensation += other.compensation;
  }
  double Result() const { return std::isinf(sum) ? sum : sum + compensation; }
};

}  // namespace tsdbd::query
