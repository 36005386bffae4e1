#include "query/extended_range.h"

#include <algorithm>
#include <vector>

#include "query/range_kernels.h"

namespace tsdbd::query {
namespace {

using model::SampleColumns;
using model::TimeRange;
using model::Timestamp;

// Some samples of a series; all that follows counts from its first one.
struct Samples {
  std::span<const Timestamp> timestamps;
  std::span<const double> values;

  size_t size() const { return timestamps.size(); }
};

// The samples that give the values at the ends of a range. `first` is the last one at or before the
// begin, if there is one; `last` is the last one in the range, or, smoothed, the first one at or
// behind the end, if there is one.
struct Bounds {
  size_t first;
  size_t last;
};

// There must be a sample.
Bounds FindBounds(RangeExtension extension, const Samples& samples, const TimeRange& range) {
  const auto all_but_last = samples.timestamps.first(samples.size() - 1);
  const size_t inside = std::ranges::upper_bound(all_but_last, range.min) - all_but_last.begin();
  Bounds bounds = {.first = inside == 0 ? 0 : inside - 1, .last = all_but_last.size()};
  if (extension == RangeExtension::kSmoothed) {
    bounds.last = std::ranges::lower_bound(all_but_last, range.max) - all_but_last.begin();
  }
  return bounds;
}

// As Prometheus counts time; exact for whole milliseconds.
double Milliseconds(int64_t duration_ns) {
  constexpr double kNanosPerMilli = 1e6;
  return static_cast<double>(duration_ns) / kNanosPerMilli;
}

// The value at `time` on the line from sample i to sample i + 1. A counter that was reset between
// them began at 0.
double Interpolate(const Samples& samples, size_t i, Timestamp time, bool is_counter) {
  const double next = samples.values[i + 1];
  double before = samples.values[i];
  if (is_counter && next < before) {
    before = 0;
  }
  return before + (next - before) * Milliseconds(time - samples.timestamps[i]) /
                      Milliseconds(samples.timestamps[i + 1] - samples.timestamps[i]);
}

struct EndValues {
  double left;
  double right;
};

EndValues ValuesAtEnds(RangeExtension extension, const Samples& samples, const Bounds& bounds,
                       const TimeRange& range, bool is_counter) {
  EndValues ends = {samples.values[bounds.first], samples.values[bounds.last]};
  if (extension == RangeExtension::kSmoothed) {
    if (samples.timestamps[bounds.first] < range.min) {
      ends.left = Interpolate(samples, bounds.first, range.min, is_counter);
    }
    if (bounds.last > 0 && samples.timestamps[bounds.last] > range.max) {
      ends.right = Interpolate(samples, bounds.last - 1, range.max, is_counter);
    }
  }
  return ends;
}

// The samples strictly inside the range.
std::span<const double> ValuesInside(const Samples& samples, const Bounds& bounds,
                                     const TimeRange& range) {
  const size_t begin = bounds.first + (samples.timestamps[bounds.first] <= range.min ? 1 : 0);
  const size_t end = bounds.last + (samples.timestamps[bounds.last] >= range.max ? 0 : 1);
  return begin < end ? samples.values.subspan(begin, end - begin) : std::span<const double>();
}

// What a counter had reached at each of its resets on the way.
double SumOfResets(const EndValues& ends, std::span<const double> between) {
  double sum = 0;
  double before = ends.left;
  for (const double value : between) {
    sum += value < before ? before : 0;
    before = value;
  }
  return ends.right < before ? sum + before : sum;
}

TimeRange RangeOf(const RangeInput& input, size_t step) {
  const Timestamp end = input.WindowEnd(step);
  return {.min = SaturatingSubtract(end, input.range_ns), .max = end};
}

// By how much the value changes from the begin of each range to its end.
template <RangeExtension kExtension, bool kIsCounter>
void Difference(const RangeInput& input, double divisor, std::span<double> out) {
  ForEachWindow(input, 1, out, [&](size_t step, uint32_t begin, uint32_t end) {
    const Samples samples = {input.timestamps.subspan(begin, end - begin),
                             input.values.subspan(begin, end - begin)};
    const TimeRange range = RangeOf(input, step);
    const Bounds bounds = FindBounds(kExtension, samples, range);
    if (samples.timestamps[bounds.last] <= range.min ||
        samples.timestamps[bounds.first] > range.max) {
      return kAbsent;
    }
    const EndValues ends = ValuesAtEnds(kExtension, samples, bounds, range, kIsCounter);
    double difference = ends.right - ends.left;
    if constexpr (kIsCounter) {
      difference += SumOfResets(ends, ValuesInside(samples, bounds, range));
    }
    return difference / divisor;
  });
}

template <RangeExtension kExtension>
void ExtendedRate(const RangeInput& input, std::span<double> out) {
  Difference<kExtension, true>(input, RangeSeconds(input.range_ns), out);
}

template <RangeExtension kExtension>
void ExtendedIncrease(const RangeInput& input, std::span<double> out) {
  Difference<kExtension, true>(input, 1, out);
}

template <RangeExtension kExtension>
void ExtendedDelta(const RangeInput& input, std::span<double> out) {
  Difference<kExtension, false>(input, 1, out);
}

// The function of the samples in each range and the last one before it.
template <RangeFunction kFunction>
void Anchored(const RangeInput& input, std::span<double> out) {
  std::vector<uint32_t> begins(input.begins.begin(), input.begins.end());
  for (size_t step = 0; step < input.step_count(); ++step) {
    const auto window =
        input.timestamps.subspan(begins[step], input.ends[step] - input.begins[step]);
    const Timestamp range_begin = RangeOf(input, step).min;
    const size_t inside = std::ranges::upper_bound(window, range_begin) - window.begin();
    begins[step] += static_cast<uint32_t>(inside == 0 ? 0 : inside - 1);
  }
  RangeInput anchored = input;
  anchored.begins = begins;
  kFunction(anchored, out);
  for (size_t step = 0; step < input.step_count(); ++step) {
    const uint32_t end = input.ends[step];
    if (end > 0 && input.timestamps[end - 1] <= RangeOf(input, step).min) {
      out[step] = kAbsent;
    }
  }
}

struct ExtendedFunctions {
  std::string_view name;
  RangeFunction anchored;
  RangeFunction smoothed;
};

constexpr ExtendedFunctions kFunctions[] = {
    {"changes", Anchored<Changes>, nullptr},
    {"delta", ExtendedDelta<RangeExtension::kAnchored>, ExtendedDelta<RangeExtension::kSmoothed>},
    {"increase", ExtendedIncrease<RangeExtension::kAnchored>,
     ExtendedIncrease<RangeExtension::kSmoothed>},
    {"rate", ExtendedRate<RangeExtension::kAnchored>, ExtendedRate<RangeExtension::kSmoothed>},
    {"resets", Anchored<Resets>, nullptr},
};

}  // namespace

std::string_view RangeExtensionName(RangeExtension extension) {
  switch (extension) {
    case RangeExtension::kNone:
      return "";
    case RangeExtension::kAnchored:
      return "anchored";
    case RangeExtension::kSmoothed:
      return "smoothed";
  }
  return "";
}

model::StepTimes ExtendWindows(RangeExtension extension, const model::StepTimes& windows,
                               int64_t lookback_ns) {
  model::StepTimes extended = windows;
  if (extension != RangeExtension::kNone) {
    extended.window_ns = SaturatingSubtract(extended.window_ns, -lookback_ns);
  }
  if (extension == RangeExtension::kSmoothed) {
    extended.first = SaturatingSubtract(extended.first, -lookback_ns);
    extended.window_ns = SaturatingSubtract(extended.window_ns, -lookback_ns);
  }
  return extended;
}

RangeFunction FindExtendedRangeFunction(RangeExtension extension, std::string_view name) {
  for (const ExtendedFunctions& functions : kFunctions) {
    if (functions.name == name) {
      return extension == RangeExtension::kAnchored ? functions.anchored : functions.smoothed;
    }
  }
  return nullptr;
}

std::string_view ExtendedRangeFunctionNames(RangeExtension extension) {
  return extension == RangeExtension::kAnchored ? "changes, delta, increase, rate, resets"
                                                : "delta, increase, rate";
}

void ExtendSamples(RangeExtension extension, const TimeRange& range, SampleColumns* samples) {
  if (samples->size() == 0) {
    return;
  }
  const Samples all = {samples->timestamps, samples->values};
  const Bounds bounds = FindBounds(extension, all, range);
  SampleColumns extended;
  if (all.timestamps[bounds.last] > range.min) {
    const EndValues ends = ValuesAtEnds(extension, all, bounds, range, /*is_counter=*/false);
    const std::span<const double> inside = ValuesInside(all, bounds, range);
    const auto first = inside.empty() ? 0 : inside.data() - all.values.data();
    const auto times = all.timestamps.subspan(first, inside.size());
    extended.timestamps.push_back(range.min);
    extended.timestamps.insert(extended.timestamps.end(), times.begin(), times.end());
    extended.timestamps.push_back(range.max);
    extended.values.push_back(ends.left);
    extended.values.insert(extended.values.end(), inside.begin(), inside.end());
    extended.values.push_back(ends.right);
  }
  *samples = std::move(extended);
}

void SmoothSteps(const SampleColumns& samples, const model::StepTimes& moments, int64_t lookback_ns,
                 std::span<double> out) {
  const Samples all = {samples.timestamps, samples.values};
  size_t next = 0;  // the first sample at or behind the moment
  for (size_t step = 0; step < out.size(); ++step) {
    const Timestamp moment = moments.At(step);
    while (next < all.size() && all.timestamps[next] < moment) {
      ++next;
    }
    const bool has_before =
        next > 0 && all.timestamps[next - 1] > SaturatingSubtract(moment, lookback_ns);
    const bool has_next =
        next < all.size() && all.timestamps[next] <= SaturatingSubtract(moment, -lookback_ns);
    if (has_next && all.timestamps[next] == moment) {
      out[step] = all.values[next];
    } else if (!has_before) {
      out[step] = kAbsent;
    } else {
      out[step] = has_next ? Interpolate(all, next - 1, moment, /*is_counter=*/false)
                           : all.values[next - 1];
    }
  }
}

}  // namespace tsdbd::query
