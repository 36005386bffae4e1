#include "query/range_function.h"

#include <algorithm>
#include <cmath>
#include <string>

#include "query/range_kernels.h"

namespace tsdbd::query {
namespace {

void CountOverTime(const RangeInput& input, std::span<double> out) {
  ForEachWindow(input, 1, out, [&](size_t step, uint32_t begin, uint32_t end) {
    return static_cast<double>(input.CountBehind(begin, end - 1) + 1);
  });
}

void PresentOverTime(const RangeInput& input, std::span<double> out) {
  ForEachWindow(input, 1, out, [](size_t step, uint32_t begin, uint32_t end) { return 1.0; });
}

void FirstOverTime(const RangeInput& input, std::span<double> out) {
  ForEachWindow(input, 1, out,
                [&](size_t step, uint32_t begin, uint32_t end) { return input.values[begin]; });
}

void LastOverTime(const RangeInput& input, std::span<double> out) {
  ForEachWindow(input, 1, out,
                [&](size_t step, uint32_t begin, uint32_t end) { return input.values[end - 1]; });
}

void TimeOfFirstOverTime(const RangeInput& input, std::span<double> out) {
  ForEachWindow(input, 1, out, [&](size_t step, uint32_t begin, uint32_t end) {
    return ToSeconds(input.timestamps[begin]);
  });
}

void TimeOfLastOverTime(const RangeInput& input, std::span<double> out) {
  ForEachWindow(input, 1, out, [&](size_t step, uint32_t begin, uint32_t end) {
    return ToSeconds(input.timestamps[end - 1]);
  });
}

constexpr SamplesNeeded kEnds = SamplesNeeded::kEnds;
constexpr SamplesNeeded kEndsAndFalls = SamplesNeeded::kEndsAndFalls;

struct NamedFunction {
  std::string_view name;
  RangeFunction function;
  SamplesNeeded needed = SamplesNeeded::kAll;
};

// Sorted by name.
constexpr NamedFunction kFunctions[] = {
    {"avg_over_time", AverageOverTime},
    {"changes", Changes},
    {"count_over_time", CountOverTime, kEnds},
    {"delta", Delta, kEnds},
    {"deriv", Derivative},
    {"double_exponential_smoothing", SmoothDoubleExponential},
    {"first_over_time", FirstOverTime, kEnds},
    {"idelta", InstantDelta},
    {"increase", Increase, kEndsAndFalls},
    {"irate", InstantRate},
    {"last_over_time", LastOverTime, kEnds},
    {"mad_over_time", MedianDeviationOverTime},
    {"max_over_time", MaxOverTime},
    {"min_over_time", MinOverTime},
    {"predict_linear", PredictLinear},
    {"present_over_time", PresentOverTime, kEnds},
    {"quantile_over_time", QuantileOverTime},
    {"rate", Rate, kEndsAndFalls},
    {"resets", Resets, kEndsAndFalls},
    {"stddev_over_time", DeviationOverTime},
    {"stdvar_over_time", VarianceOverTime},
    {"sum_over_time", SumOverTime},
    {"ts_of_first_over_time", TimeOfFirstOverTime, kEnds},
    {"ts_of_last_over_time", TimeOfLastOverTime, kEnds},
    {"ts_of_max_over_time", TimeOfMaxOverTime},
    {"ts_of_min_over_time", TimeOfMinOverTime},
};

static_assert(std::ranges::is_sorted(kFunctions, {}, &NamedFunction::name));

// As Prometheus writes it in the messages that clients match on.
std::string WithSixDecimals(double value) {
  if (std::isinf(value)) {
    return value > 0 ? "+Inf" : "-Inf";
  }
  return std::isnan(value) ? "NaN" : fmt::format("{:f}", value);
}

bool IsOutside(double factor) {
  return factor <= 0 || factor >= 1;  // NaN passes and makes the result NaN
}

const NamedFunction* Find(std::string_view name) {
  const auto* found = std::ranges::lower_bound(kFunctions, name, {}, &NamedFunction::name);
  return found != std::end(kFunctions) && found->name == name ? found : nullptr;
}

}  // namespace

RangeFunction FindRangeFunction(std::string_view name) {
  const NamedFunction* found = Find(name);
  return found != nullptr ? found->function : nullptr;
}

SamplesNeeded SamplesNeededBy(std::string_view name) {
  const NamedFunction* found = Find(name);
  return found != nullptr ? found->needed : SamplesNeeded::kAll;
}

bool RangeFunctionKeepsName(std::string_view name) {
  return name == "first_over_time" || name == "last_over_time";
}

Status CheckSmoothingFactors(double smoothing_factor, double trend_factor) {
  if (IsOutside(smoothing_factor)) {
    return InvalidArgument("invalid smoothing factor. Expected: 0 < sf < 1, got: {}",
                           WithSixDecimals(smoothing_factor));
  }
  if (IsOutside(trend_factor)) {
    return InvalidArgument("invalid trend factor. Expected: 0 < tf < 1, got: {}",
                           WithSixDecimals(trend_factor));
  }
  return OkStatus();
}

}  // namespace tsdbd::query
