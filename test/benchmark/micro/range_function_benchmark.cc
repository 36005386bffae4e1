// Functions of a range vector over one series: nanoseconds per sample of the series, and per sample
// of all its windows. Each benchmark first checks some steps against the plain definition.

#include <algorithm>
#include <cmath>
#include <functional>
#include <random>
#include <string>
#include <vector>

#include <benchmark/benchmark.h>

#include "query/range_input_testing.h"

namespace tsdbd::query {
namespace {

constexpr int64_t kSecond = 1'000'000'000;
constexpr int64_t kMinute = 60 * kSecond;
constexpr int64_t kHour = 60 * kMinute;
constexpr int64_t kInterval = 10 * kSecond;
constexpr size_t kSamples = 8640;  // a day
constexpr uint64_t kSeed = 42;

using Definition = std::function<double(std::span<const double>)>;

struct Case {
  std::string name;
  std::string function;
  int64_t range_ns = 0;
  int64_t step_ns = 0;
  Definition definition;
  double parameter = 0;
};

double Sum(std::span<const double> values) {
  long double sum = 0;
  for (const double value : values) {
    sum += value;
  }
  return static_cast<double>(sum);
}

double Average(std::span<const double> values) {
  return Sum(values) / static_cast<double>(values.size());
}

double Variance(std::span<const double> values) {
  const double mean = Average(values);
  double squares = 0;
  for (const double value : values) {
    squares += (value - mean) * (value - mean);
  }
  return squares / static_cast<double>(values.size());
}

double Largest(std::span<const double> values) {
  return *std::ranges::max_element(values);
}

double NinthDecile(std::span<const double> values) {
  std::vector<double> sorted(values.begin(), values.end());
  std::ranges::sort(sorted);
  const double rank = 0.9 * static_cast<double>(sorted.size() - 1);
  const auto lower = static_cast<size_t>(rank);
  const double weight = rank - static_cast<double>(lower);
  return sorted[lower] * (1 - weight) + sorted[std::min(lower + 1, sorted.size() - 1)] * weight;
}

// The samples are a counter that is never reset and is sampled regularly, up to the end of each
// window.
Definition RateOver(int64_t range_ns) {
  return [=](std::span<const double> values) {
    const double sampled = static_cast<double>(values.size() - 1);
    return (values.back() - values.front()) / sampled * (sampled + 1) /
           (static_cast<double>(range_ns) / 1e9);
  };
}

double SlopePerSecond(std::span<const double> values) {
  const double middle = static_cast<double>(values.size() - 1) / 2;
  double covariance = 0;
  double variance = 0;
  for (size_t i = 0; i < values.size(); ++i) {
    const double x = static_cast<double>(i) - middle;
    covariance += x * values[i];
    variance += x * x;
  }
  return covariance / variance / (static_cast<double>(kInterval) / 1e9);
}

double ChangeCount(std::span<const double> values) {
  double count = 0;
  for (size_t i = 1; i < values.size(); ++i) {
    count += values[i] != values[i - 1] ? 1 : 0;
  }
  return count;
}

WindowedSamples MakeWindows(const Case& c) {
  std::mt19937_64 random(kSeed);
  std::uniform_real_distribution<double> increase(1, 100);
  std::normal_distribution<double> noise(50, 10);
  const bool is_counter = c.function == "rate";
  model::SampleColumns samples;
  double counter = 1e6;
  for (size_t i = 0; i < kSamples; ++i) {
    counter += increase(random);
    samples.timestamps.push_back(static_cast<int64_t>(i + 1) * kInterval);
    samples.values.push_back(is_counter ? counter : std::round(noise(random) * 100) / 100);
  }
  const int64_t end = static_cast<int64_t>(kSamples) * kInterval;
  const StepGrid grid{.start = c.range_ns,
                      .end = end,
                      .step_ns = c.step_ns,
                      .count = static_cast<size_t>((end - c.range_ns) / c.step_ns) + 1};
  WindowedSamples windows(std::move(samples), grid, c.range_ns);
  windows.AddParameter(c.parameter);
  return windows;
}

bool IsRight(const Case& c, const WindowedSamples& windows) {
  const std::vector<double> row = windows.Evaluate(c.function);
  for (size_t step = 0; step < row.size(); ++step) {
    const double want = c.definition(windows.Window(step));
    if (!(std::abs(row[step] - want) <= 1e-9 * std::abs(want))) {
      return false;
    }
  }
  return true;
}

void Run(benchmark::State& state, const Case& c) {
  const WindowedSamples windows = MakeWindows(c);
  if (!IsRight(c, windows)) {
    state.SkipWithError("wrong result");
    return;
  }
  const RangeInput input = windows.Input();
  const RangeFunction compute = FindRangeFunction(c.function);
  std::vector<double> out(input.step_count());
  for (auto _ : state) {
    compute(input, out);
    benchmark::DoNotOptimize(out.data());
    benchmark::ClobberMemory();
  }
  uint64_t in_windows = 0;
  for (size_t step = 0; step < input.step_count(); ++step) {
    in_windows += input.ends[step] - input.begins[step];
  }
  const auto time_per = [](uint64_t samples) {
    return benchmark::Counter(
        static_cast<double>(samples),
        benchmark::Counter::kIsIterationInvariantRate | benchmark::Counter::kInvert);
  };
  state.counters["per_sample"] = time_per(windows.sample_count());
  state.counters["per_window_sample"] = time_per(in_windows);
}

std::vector<Case> AllCases() {
  return {
      {"rate/5m/1m", "rate", 5 * kMinute, kMinute, RateOver(5 * kMinute)},
      {"avg_over_time/1h/1h", "avg_over_time", kHour, kHour, Average},
      {"avg_over_time/5m/1m", "avg_over_time", 5 * kMinute, kMinute, Average},
      {"avg_over_time/1m/1m", "avg_over_time", kMinute, kMinute, Average},
      {"sum_over_time/1h/1m", "sum_over_time", kHour, kMinute, Sum},
      {"max_over_time/1h/1m", "max_over_time", kHour, kMinute, Largest},
      {"max_over_time/1h/1h", "max_over_time", kHour, kHour, Largest},
      {"max_over_time/5m/1m", "max_over_time", 5 * kMinute, kMinute, Largest},
      {"stdvar_over_time/1h/1h", "stdvar_over_time", kHour, kHour, Variance},
      {"stdvar_over_time/1h/1m", "stdvar_over_time", kHour, kMinute, Variance},
      {"changes/1h/1m", "changes", kHour, kMinute, ChangeCount},
      {"deriv/5m/1m", "deriv", 5 * kMinute, kMinute, SlopePerSecond},
      {"deriv/1h/1m", "deriv", kHour, kMinute, SlopePerSecond},
      // 4,320 samples a window
      {"quantile_over_time/12h/12h", "quantile_over_time", 12 * kHour, 12 * kHour, NinthDecile,
       0.9},
      {"quantile_over_time/1h/1m", "quantile_over_time", kHour, kMinute, NinthDecile, 0.9},
      {"quantile_over_time/6h/1m", "quantile_over_time", 6 * kHour, kMinute, NinthDecile, 0.9},
      {"quantile_over_time/5m/1m", "quantile_over_time", 5 * kMinute, kMinute, NinthDecile, 0.9},
  };
}

}  // namespace
}  // namespace tsdbd::query

int main(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) {
    return 1;
  }
  for (const tsdbd::query::Case& c : tsdbd::query::AllCases()) {
    benchmark::RegisterBenchmark(c.name.c_str(),
                                 [=](benchmark::State& state) { tsdbd::query::Run(state, c); });
  }
  benchmark::RunSpecifiedBenchmarks();
}
