#pragma once
// Samples with windows over them, for tests and benchmarks of range functions.

#include <string_view>
#include <vector>

#include "query/range_function.h"

namespace tsdbd::query {

inline constexpr model::Timestamp kTestStart = 1'000'000'000'000'000;

// From kTestStart on.
model::SampleColumns Every10Seconds(std::vector<double> values);

class WindowedSamples {
 public:
  // The windows end at `grid`'s steps and are range_ns long.
  WindowedSamples(model::SampleColumns samples, const StepGrid& grid, int64_t range_ns);

  // Valid as long as this is.
  RangeInput Input() const;
  // The values of one window.
  std::span<const double> Window(size_t step) const;
  size_t sample_count() const { return samples_.size(); }
  // One value for each step. At most twice.
  void AddParameter(double value);

  // For each step.
  std::vector<double> Evaluate(std::string_view function) const;

 private:
  model::SampleColumns samples_;
  StepGrid grid_;
  int64_t range_ns_;
  std::vector<uint32_t> begins_;
  std::vector<uint32_t> ends_;
  std::vector<std::vector<double>> parameters_;
};

}  // namespace tsdbd::query
