// quantile_over_time() and mad_over_time().

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "query/ordered_window.h"
#include "query/quantile.h"
#include "query/range_kernels.h"

namespace tsdbd::query {
namespace {

// Whether sorting all samples once and selecting by bits is less work than a selection in each
// window.
bool WindowsOverlapEnoughToSort(const RangeInput& input) {
  // Measured, in nanoseconds: for a sample of a window, where small ones take longer; for one that
  // is sorted, comes and goes; and for a selection by bits.
  constexpr uint64_t kSmallWindow = 128;
  constexpr uint64_t kLookInSmallWindow = 10;
  constexpr uint64_t kLook = 3;
  constexpr uint64_t kSortCost = 30;
  constexpr uint64_t kSelectCost = 40;
  const uint64_t steps = input.step_count();
  if (steps == 0) {
    return false;
  }
  uint64_t samples_of_windows = 0;
  for (size_t step = 0; step < steps; ++step) {
    samples_of_windows += input.ends[step] - input.begins[step];
  }
  const bool small = samples_of_windows < kSmallWindow * steps;
  const uint64_t samples = input.ends.back() - input.begins.front();
  return samples_of_windows * (small ? kLookInSmallWindow : kLook) >
         samples * kSortCost + steps * kSelectCost;
}

void SlideQuantile(const RangeInput& input, std::span<double> out) {
  const uint32_t first = input.begins.front();
  OrderedWindow window(input.values.subspan(first, input.ends.back() - first));
  uint32_t from = first;
  uint32_t to = first;
  ForEachWindow(input, 1, out, [&](size_t step, uint32_t begin, uint32_t end) {
    for (; from < std::min(begin, to); ++from) {
      window.Remove(from - first);
    }
    from = begin;
    for (to = std::max(to, begin); to < end; ++to) {
      window.Add(to - first);
    }
    return InterpolateQuantile(input.parameters[0][step], end - begin,
                               [&](size_t n) { return window.Select(n); });
  });
}

}  // namespace

void QuantileOverTime(const RangeInput& input, std::span<double> out) {
  if (WindowsOverlapEnoughToSort(input)) {
    SlideQuantile(input, out);
    return;
  }
  std::vector<double> scratch;
  ForEachWindow(input, 1, out, [&](size_t step, uint32_t begin, uint32_t end) {
    return Quantile(input.parameters[0][step], input.values.subspan(begin, end - begin), &scratch);
  });
}

// The median of the distances from the median.
void MedianDeviationOverTime(const RangeInput& input, std::span<double> out) {
  std::vector<double> scratch;
  std::vector<double> distances;
  ForEachWindow(input, 1, out, [&](size_t step, uint32_t begin, uint32_t end) {
    const std::span<const double> values = input.values.subspan(begin, end - begin);
    if (std::ranges::any_of(values, [](double value) { return std::isnan(value); })) {
      return std::numeric_limits<double>::quiet_NaN();
    }
    const double median = Quantile(0.5, values, &scratch);
    distances.resize(values.size());
    for (size_t i = 0; i < values.size(); ++i) {
      distances[i] = std::abs(values[i] - median);
    }
    return Quantile(0.5, distances, &scratch);
  });
}

}  // namespace tsdbd::query
