#pragma once
// Functions of a range vector: rate(), avg_over_time() and their like, each as one pass over the
// samples of one series for all steps. What they compute is defined by Prometheus 3
// (https://prometheus.io/docs/prometheus/latest/querying/functions/).
//
// Pure functions; may run at the same time.

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "common/status.h"
#include "model/sample.h"
#include "query/steps.h"

namespace tsdbd::query {

// One series and the windows over it. The window of step s holds the samples begins[s] ..
// ends[s] - 1: those in (WindowEnd(s) - range_ns, WindowEnd(s)], and more if it is extended
// (extended_range.h).
struct RangeInput {
  std::span<const model::Timestamp> timestamps;  // strictly rising
  std::span<const double> values;                // no staleness markers; NaN and Inf may be
  std::span<const uint32_t> begins;              // one for each step; never fall
  std::span<const uint32_t> ends;                // one for each step; never fall; >= begins
  model::Timestamp first_window_end = 0;
  int64_t step_ns = 0;
  int64_t range_ns = 0;
  // The moments the query asks about: where windows end, if there is no offset and no @. They are
  // the now of predict_linear().
  model::Timestamp first_time = 0;
  int64_t grid_step_ns = 0;
  // If samples are left out: how many come before each, those among them. Else empty.
  std::span<const uint32_t> ordinals = {};
  // The scalar arguments in their order, one value for each step. Empty where there are none.
  std::span<const double> parameters[2] = {};

  size_t step_count() const { return begins.size(); }
  // How many samples lie behind sample `first` up to sample `last`.
  uint32_t CountBehind(uint32_t first, uint32_t last) const {
    return ordinals.empty() ? last - first : ordinals[last] - ordinals[first];
  }
  model::Timestamp WindowEnd(size_t step) const {
    return SaturatingSubtract(first_window_end, -static_cast<int64_t>(step) * step_ns);
  }
  model::Timestamp StepTime(size_t step) const {
    return first_time + static_cast<int64_t>(step) * grid_step_ns;
  }
};

// Writes a value, or kAbsent, for each step. A step is absent where its window has too few samples:
// none, or one where the function needs two.
using RangeFunction = void (*)(const RangeInput& input, std::span<double> out);

// Null if it is no function of one range vector and at most two scalars, or if it is
// absent_over_time, which is not computed series by series.
RangeFunction FindRangeFunction(std::string_view name);

// Which samples a function looks at, beyond how many there are (RangeInput::ordinals): so much may
// be left out.
enum class SamplesNeeded : uint8_t {
  kAll,
  kEnds,          // the first and the last of each window
  kEndsAndFalls,  // and any that is less than the one before it, and that one
};
SamplesNeeded SamplesNeededBy(std::string_view name);

// Whether its results keep the metric name.
bool RangeFunctionKeepsName(std::string_view name);

// double_exponential_smoothing() of other factors is an error of the query. The function itself
// does not look; its caller asks here for each step in which a series has samples.
Status CheckSmoothingFactors(double smoothing_factor, double trend_factor);

}  // namespace tsdbd::query
