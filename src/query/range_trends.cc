// deriv() and predict_linear(): simple linear regression; double_exponential_smoothing().

#include <algorithm>
#include <cmath>
#include <limits>

#include "query/kahan.h"
#include "query/lanes.h"
#include "query/range_kernels.h"
#include "query/sliding_windows.h"

namespace tsdbd::query {
namespace {

struct Line {
  double slope = 0;
  double intercept = 0;
};

// y as a line over x, x being the seconds since `origin`. At least two samples.
Line FitLine(std::span<const model::Timestamp> timestamps, std::span<const double> values,
             model::Timestamp origin) {
  KahanSum sum_x;
  KahanSum sum_y;
  KahanSum sum_xy;
  KahanSum sum_xx;
  bool constant = true;
  for (size_t i = 0; i < values.size(); ++i) {
    constant = constant && (i == 0 || values[i] == values[0]);
    const double x = ToSeconds(timestamps[i] - origin);
    sum_x.Add(x);
    sum_y.Add(values[i]);
    sum_xy.Add(x * values[i]);
    sum_xx.Add(x * x);
  }
  if (constant) {  // exactly so, whatever rounding would have made of it
    constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
    return std::isinf(values[0]) ? Line{.slope = kNan, .intercept = kNan}
                                 : Line{.slope = 0, .intercept = values[0]};
  }
  const auto count = static_cast<double>(values.size());
  const double x = sum_x.sum + sum_x.compensation;
  const double y = sum_y.sum + sum_y.compensation;
  const double covariance = sum_xy.sum + sum_xy.compensation - x * y / count;
  const double variance = sum_xx.sum + sum_xx.compensation - x * x / count;
  const double slope = covariance / variance;
  return {.slope = slope, .intercept = y / count - slope * x / count};
}

Line FitWindow(const RangeInput& input, uint32_t begin, uint32_t end, model::Timestamp origin) {
  return FitLine(input.timestamps.subspan(begin, end - begin),
                 input.values.subspan(begin, end - begin), origin);
}

// What a line is fitted from, of one piece of a window: sums of x, y, xy and xx, where x is the
// distance in nanoseconds and y that in value from an origin near the samples. Sums far from their
// origin would cancel each other.
struct LineSums {
  KahanPair x_y;
  KahanPair xy_xx;
  double first_value = 0;
  bool constant = true;
};

// Fits a line to each of many overlapping windows. kFinish(input, step, line) is the result of a
// step; the line's intercept is its value at the step's time.
template <double (*kFinish)(const RangeInput& input, size_t step, const Line& line)>
struct LineOperation {
  using State = LineSums;
  const RangeInput& input;
  std::span<double> out;
  model::Timestamp origin_time = 0;
  double origin_value = 0;

  void StartGroup(uint32_t begin, uint32_t pivot) {
    const uint32_t middle = begin + (pivot - begin) / 2;
    origin_time = input.timestamps[middle];
    origin_value = input.values[middle];
  }
  LineSums Summarize(uint32_t begin, uint32_t end) const {
    LineSums sums{.first_value = input.values[begin]};
    for (uint32_t i = begin; i < end; ++i) {
      const auto x = static_cast<double>(input.timestamps[i] - origin_time);
      const double y = input.values[i] - origin_value;
      sums.constant &= input.values[i] == sums.first_value || i == begin;
      sums.x_y.Add(DoublePair{x, y});
      sums.xy_xx.Add(DoublePair{x * y, x * x});
    }
    return sums;
  }
  static LineSums Merge(LineSums earlier, const LineSums& later) {
    earlier.x_y.Merge(later.x_y);
    earlier.xy_xx.Merge(later.xy_xx);
    earlier.constant =
        earlier.constant && later.constant && earlier.first_value == later.first_value;
    return earlier;
  }
  void Emit(size_t step, const LineSums& sums) {
    const uint32_t begin = input.begins[step];
    const uint32_t end = input.ends[step];
    if (end - begin < 2) {
      return;
    }
    const Line line = LineFrom(sums, end - begin, input.StepTime(step));
    // A constant and what is not finite come out as they are defined, and what is so small beside
    // the origin that its digits were lost: the origin may be a spike outside of this window.
    const bool as_defined = sums.constant || !std::isfinite(line.slope + line.intercept) ||
                            IsSmallBesideOrigin(sums, end - begin);
    out[step] = kFinish(input, step,
                        as_defined ? FitWindow(input, begin, end, input.StepTime(step)) : line);
  }
  // Whether the samples are, on the average, less than a thousandth of their origin: so many of the
  // 16 digits remain that it does not matter above that.
  bool IsSmallBesideOrigin(const LineSums& sums, size_t samples) const {
    const double sum = sums.x_y.sum[1] + sums.x_y.compensation[1];
    const double mean = origin_value + sum / static_cast<double>(samples);
    return std::abs(mean) * 1000 < std::abs(origin_value);
  }
  Line LineFrom(const LineSums& sums, size_t samples, model::Timestamp now) const {
    const auto count = static_cast<double>(samples);
    const DoublePair x_y = sums.x_y.sum + sums.x_y.compensation;
    const DoublePair xy_xx = sums.xy_xx.sum + sums.xy_xx.compensation;
    const DoublePair mean = x_y / count;
    const double covariance = xy_xx[0] - x_y[1] * mean[0];
    const double variance = xy_xx[1] - x_y[0] * mean[0];
    const double slope = covariance / variance;
    const double distance = static_cast<double>(now - origin_time) - mean[0];
    return {.slope = slope * 1e9, .intercept = origin_value + (mean[1] + slope * distance)};
  }
};

double SlopeOf(const RangeInput& input, size_t step, const Line& line) {
  return line.slope;
}

double Predict(const RangeInput& input, size_t step, const Line& line) {
  return line.slope * input.parameters[0][step] + line.intercept;
}

double Smooth(std::span<const double> values, double smoothing, double trend_factor) {
  double before = 0;
  double smoothed = values[0];
  double trend = values[1] - values[0];
  for (size_t i = 1; i < values.size(); ++i) {
    if (i > 1) {
      trend = trend_factor * (smoothed - before) + (1 - trend_factor) * trend;
    }
    before = smoothed;
    smoothed = smoothing * values[i] + (1 - smoothing) * (smoothed + trend);
  }
  return smoothed;
}

}  // namespace

void Derivative(const RangeInput& input, std::span<double> out) {
  if (WindowsOverlapMuch(input)) {
    std::fill(out.begin(), out.end(), kAbsent);
    LineOperation<SlopeOf> operation{.input = input, .out = out};
    SlideWindows(input, operation);
    return;
  }
  // The origin has no effect on the slope, but on its rounding: it lies near the samples.
  ForEachWindow(input, 2, out, [&](size_t step, uint32_t begin, uint32_t end) {
    return FitWindow(input, begin, end, input.timestamps[begin]).slope;
  });
}

void PredictLinear(const RangeInput& input, std::span<double> out) {
  if (WindowsOverlapMuch(input)) {
    std::fill(out.begin(), out.end(), kAbsent);
    LineOperation<Predict> operation{.input = input, .out = out};
    SlideWindows(input, operation);
    return;
  }
  ForEachWindow(input, 2, out, [&](size_t step, uint32_t begin, uint32_t end) {
    return Predict(input, step, FitWindow(input, begin, end, input.StepTime(step)));
  });
}

void SmoothDoubleExponential(const RangeInput& input, std::span<double> out) {
  ForEachWindow(input, 2, out, [&](size_t step, uint32_t begin, uint32_t end) {
    return Smooth(input.values.subspan(begin, end - begin), input.parameters[0][step],
                  input.parameters[1][step]);
  });
}

}  // namespace tsdbd::query
