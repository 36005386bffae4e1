#pragma once
// Selectors with `anchored` and `smoothed`: they also look at the samples around a range, as far as
// the lookback, and so know a value at its very begin and end; nothing is extrapolated.
//   anchored: the last sample at or before the begin counts as the value there.
//   smoothed: values between two samples lie on the straight line between them.
// What they compute is defined by Prometheus 3 (feature promql-extended-range-selectors).
//
// Pure functions; may run at the same time.

#include <cstdint>
#include <span>
#include <string_view>

#include "model/sample.h"
#include "model/series_source.h"
#include "query/range_function.h"

namespace tsdbd::query {

enum class RangeExtension { kNone, kAnchored, kSmoothed };

std::string_view RangeExtensionName(RangeExtension extension);

// The samples that are looked at: `windows`, and more on the sides where the extension says so.
model::StepTimes ExtendWindows(RangeExtension extension, const model::StepTimes& windows,
                               int64_t lookback_ns);

// The function over extended ranges: RangeInput's range is the one that was asked for, and its
// begins and ends are of the extended windows. Null if the function has none.
RangeFunction FindExtendedRangeFunction(RangeExtension extension, std::string_view name);
// The names that it finds, sorted: "delta, increase, rate".
std::string_view ExtendedRangeFunctionNames(RangeExtension extension);

// The range itself, [begin, end]: cuts off the samples of the extended window outside, and adds the
// values at begin and end.
void ExtendSamples(RangeExtension extension, const model::TimeRange& range,
                   model::SampleColumns* samples);

// An instant selector with `smoothed`. `samples` are those of a series, without staleness markers,
// out[s] becomes the value at moments.At(s). Samples farther away than the lookback do not count.
void SmoothSteps(const model::SampleColumns& samples, const model::StepTimes& moments,
                 int64_t lookback_ns, std::span<double> out);

}  // namespace tsdbd::query
