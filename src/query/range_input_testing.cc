#include "query/range_input_testing.h"

#include <algorithm>
#include <utility>

#include "common/check.h"

namespace tsdbd::query {

model::SampleColumns Every10Seconds(std::vector<double> values) {
  constexpr int64_t kInterval = 10'000'000'000;
  model::SampleColumns samples;
  for (size_t i = 0; i < values.size(); ++i) {
    samples.timestamps.push_back(kTestStart + static_cast<int64_t>(i) * kInterval);
  }
  samples.values = std::move(values);
  return samples;
}

WindowedSamples::WindowedSamples(model::SampleColumns samples, const StepGrid& grid,
                                 int64_t range_ns)
    : samples_(std::move(samples)), grid_(grid), range_ns_(range_ns) {
  const auto count_until = [&](model::Timestamp time) {
    const auto& timestamps = samples_.timestamps;
    return static_cast<uint32_t>(std::ranges::upper_bound(timestamps, time) - timestamps.begin());
  };
  for (size_t step = 0; step < grid.count; ++step) {
    begins_.push_back(count_until(grid.TimeAt(step) - range_ns));
    ends_.push_back(count_until(grid.TimeAt(step)));
  }
}

RangeInput WindowedSamples::Input() const {
  RangeInput input{.timestamps = samples_.timestamps,
                   .values = samples_.values,
                   .begins = begins_,
                   .ends = ends_,
                   .first_window_end = grid_.start,
                   .step_ns = grid_.step_ns,
                   .range_ns = range_ns_,
                   .first_time = grid_.start,
                   .grid_step_ns = grid_.step_ns};
  for (size_t i = 0; i < parameters_.size(); ++i) {
    input.parameters[i] = parameters_[i];
  }
  return input;
}

std::span<const double> WindowedSamples::Window(size_t step) const {
  return std::span(samples_.values).subspan(begins_[step], ends_[step] - begins_[step]);
}

void WindowedSamples::AddParameter(double value) {
  parameters_.emplace_back(grid_.count, value);
}

std::vector<double> WindowedSamples::Evaluate(std::string_view function) const {
  const RangeFunction compute = FindRangeFunction(function);
  CHECK(compute != nullptr);
  std::vector<double> out(grid_.count);
  compute(Input(), out);
  return out;
}

}  // namespace tsdbd::query
