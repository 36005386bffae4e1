#pragma once
// The range functions by name, for the table in range_function.cc: each file range_*.cc has a
// family of them. Internal to them; callers use FindRangeFunction().

#include <cstddef>
#include <cstdint>
#include <span>

#include "query/range_function.h"

namespace tsdbd::query {

// range_rate.cc
void Rate(const RangeInput& input, std::span<double> out);
void Increase(const RangeInput& input, std::span<double> out);
void Delta(const RangeInput& input, std::span<double> out);
void InstantRate(const RangeInput& input, std::span<double> out);
void InstantDelta(const RangeInput& input, std::span<double> out);
void Changes(const RangeInput& input, std::span<double> out);
void Resets(const RangeInput& input, std::span<double> out);

// range_sums.cc
void SumOverTime(const RangeInput& input, std::span<double> out);
void AverageOverTime(const RangeInput& input, std::span<double> out);
void DeviationOverTime(const RangeInput& input, std::span<double> out);
void VarianceOverTime(const RangeInput& input, std::span<double> out);

// range_extremes.cc
void MinOverTime(const RangeInput& input, std::span<double> out);
void MaxOverTime(const RangeInput& input, std::span<double> out);
void TimeOfMinOverTime(const RangeInput& input, std::span<double> out);
void TimeOfMaxOverTime(const RangeInput& input, std::span<double> out);

// range_quantiles.cc
void QuantileOverTime(const RangeInput& input, std::span<double> out);
void MedianDeviationOverTime(const RangeInput& input, std::span<double> out);

// range_trends.cc
void Derivative(const RangeInput& input, std::span<double> out);
void PredictLinear(const RangeInput& input, std::span<double> out);
void SmoothDoubleExponential(const RangeInput& input, std::span<double> out);

// A range as Go turns a duration into seconds: not quite range_ns / 1e9 if it is no whole number.
double RangeSeconds(int64_t range_ns);

// Calls compute(step, begin, end) for a value where the window has at least `min_samples`; the
// other steps are absent.
template <typename Compute>
void ForEachWindow(const RangeInput& input, size_t min_samples, std::span<double> out,
                   Compute compute) {
  for (size_t step = 0; step < input.step_count(); ++step) {
    const uint32_t begin = input.begins[step];
    const uint32_t end = input.ends[step];
    out[step] = end - begin < min_samples ? kAbsent : compute(step, begin, end);
  }
}

}  // namespace tsdbd::query
