#pragma once
// Quantiles of plain values, by selection instead of sorting. NaN counts as the smallest value.
// Pure functions.

#include <cmath>
#include <cstddef>
#include <limits>
#include <span>
#include <vector>

namespace tsdbd::query {

// The q-quantile, interpolated linearly between the two values around it. NaN for q = NaN or no
// values, -Inf for q < 0, +Inf for q > 1. `scratch` is overwritten; keep it to save allocations.
double Quantile(double q, std::span<const double> values, std::vector<double>* scratch);

// The same for a few values. Reorders them.
double Quantile(double q, std::span<double> values);

// Neighbours in sorted order: the same value twice if the lower one is the last.
struct Neighbours {
  double lower = 0;
  double upper = 0;
};

// The same of `count` values, of which select(n) gives number n in sorted order and its neighbour.
template <typename Select>
double InterpolateQuantile(double q, size_t count, Select select) {
  if (count == 0 || std::isnan(q)) {
    return std::numeric_limits<double>::quiet_NaN();
  }
  if (q < 0 || q > 1) {
    return q < 0 ? -std::numeric_limits<double>::infinity()
                 : std::numeric_limits<double>::infinity();
  }
  const double rank = q * (static_cast<double>(count) - 1);
  const double lower = std::floor(rank);
  const double weight = rank - lower;
  const Neighbours found = select(static_cast<size_t>(lower));
  return found.lower * (1 - weight) + found.upper * weight;
}

}  // namespace tsdbd::query
