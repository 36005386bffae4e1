// quantile_over_time() and mad_over_time(): selection in each window.

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "query/quantile.h"
#include "query/range_kernels.h"

namespace tsdbd::query {

void QuantileOverTime(const RangeInput& input, std::span<double> out) {
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
