// deriv() and predict_linear(): simple linear regression; double_exponential_smoothing().

#include <cmath>
#include <limits>

#include "query/kahan.h"
#include "query/range_kernels.h"

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

// The origin has no effect on the slope, but on its rounding: it lies near the samples.
void Derivative(const RangeInput& input, std::span<double> out) {
  ForEachWindow(input, 2, out, [&](size_t step, uint32_t begin, uint32_t end) {
    return FitWindow(input, begin, end, input.timestamps[begin]).slope;
  });
}

void PredictLinear(const RangeInput& input, std::span<double> out) {
  ForEachWindow(input, 2, out, [&](size_t step, uint32_t begin, uint32_t end) {
    const Line line = FitWindow(input, begin, end, input.StepTime(step));
    return line.slope * input.parameters[0][step] + line.intercept;
  });
}

void SmoothDoubleExponential(const RangeInput& input, std::span<double> out) {
  ForEachWindow(input, 2, out, [&](size_t step, uint32_t begin, uint32_t end) {
    return Smooth(input.values.subspan(begin, end - begin), input.parameters[0][step],
                  input.parameters[1][step]);
  });
}

}  // namespace tsdbd::query
