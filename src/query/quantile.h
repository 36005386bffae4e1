#pragma once
// Quantiles of plain values, by selection instead of sorting. NaN counts as the smallest value.
// Pure functions.

#include <span>
#include <vector>

namespace tsdbd::query {

// The q-quantile, interpolated linearly between the two values around it. NaN for q = NaN or no
// values, -Inf for q < 0, +Inf for q > 1. `scratch` is overwritten; keep it to save allocations.
double Quantile(double q, std::span<const double> values, std::vector<double>* scratch);

// The same for a few values. Reorders them.
double Quantile(double q, std::span<double> values);

}  // namespace tsdbd::query
