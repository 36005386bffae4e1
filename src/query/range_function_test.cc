#include "query/range_function.h"

#include <bit>
#include <cmath>
#include <functional>
#include <limits>
#include <map>
#include <random>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "query/functions.h"
#include "query/kahan.h"
#include "query/range_input_testing.h"

namespace tsdbd::query {
namespace {

using ::testing::ElementsAre;

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr double kMax = std::numeric_limits<double>::max();
constexpr int64_t kSecond = 1'000'000'000;
constexpr int64_t kMinute = 60 * kSecond;
constexpr model::Timestamp kStart = 1'000'000 * kSecond;

// Samples every 10 s from kStart on.
model::SampleColumns Every10Seconds(std::vector<double> values) {
  model::SampleColumns samples;
  for (size_t i = 0; i < values.size(); ++i) {
    samples.timestamps.push_back(kStart + static_cast<int64_t>(i) * 10 * kSecond);
  }
  samples.values = std::move(values);
  return samples;
}

// Of one window that ends with the last sample and holds all.
double OfAll(std::string_view function, std::vector<double> values,
             std::vector<double> parameters = {}) {
  model::SampleColumns samples = Every10Seconds(std::move(values));
  const StepGrid grid{.start = samples.timestamps.back()};
  WindowedSamples windows(std::move(samples), grid, 100'000 * kSecond);
  for (const double parameter : parameters) {
    windows.AddParameter(parameter);
  }
  return windows.Evaluate(function)[0];
}

TEST(RangeFunction, IsThereForEachFunctionOfARangeVectorButAbsentOverTime) {
  for (const FunctionSignature& signature : AllFunctions()) {
    bool takes_range = false;
    for (size_t i = 0; i < signature.declared; ++i) {
      takes_range = takes_range || signature.arguments[i] == ValueType::kMatrix;
    }
    EXPECT_EQ(FindRangeFunction(signature.name) != nullptr,
              takes_range && signature.name != "absent_over_time")
        << signature.name;
  }
  EXPECT_EQ(FindRangeFunction("nonsense"), nullptr);
}

TEST(RangeFunction, KeepsTheNameOnlyOfSamplesThatItReturnsAsTheyAre) {
  EXPECT_TRUE(RangeFunctionKeepsName("last_over_time"));
  EXPECT_TRUE(RangeFunctionKeepsName("first_over_time"));
  EXPECT_FALSE(RangeFunctionKeepsName("max_over_time"));
  EXPECT_FALSE(RangeFunctionKeepsName("rate"));
}

TEST(RangeFunction, IsAbsentWhereAWindowHasTooFewSamples) {
  const WindowedSamples windows(Every10Seconds({1, 2}),
                                {.start = kStart - kSecond, .step_ns = kSecond, .count = 3},
                                5 * kSecond);
  for (const char* name : {"sum_over_time", "last_over_time", "changes", "max_over_time",
                           "ts_of_max_over_time", "stddev_over_time"}) {
    const std::vector<double> row = windows.Evaluate(name);
    EXPECT_TRUE(IsAbsent(row[0])) << name;
    EXPECT_FALSE(IsAbsent(row[1])) << name;
  }
  for (const char* name : {"rate", "delta", "irate", "idelta", "deriv"}) {
    for (const double value : windows.Evaluate(name)) {
      EXPECT_TRUE(IsAbsent(value)) << name;
    }
  }
}

TEST(RangeFunction, OfNoStepsDoesNothing) {
  for (const FunctionSignature& signature : AllFunctions()) {
    if (const RangeFunction function = FindRangeFunction(signature.name)) {
      function({}, {});
    }
  }
}

// --- rate() and its like

TEST(Rate, ExtrapolatesToBothEndsOfTheRange) {
  // 10 a sample; sampled over 50 of 60 s.
  const WindowedSamples windows(Every10Seconds({0, 10, 20, 30, 40, 50, 60}),
                                {.start = kStart + kMinute}, kMinute);
  EXPECT_DOUBLE_EQ(windows.Evaluate("increase")[0], 60);
  EXPECT_DOUBLE_EQ(windows.Evaluate("rate")[0], 1);
  EXPECT_DOUBLE_EQ(windows.Evaluate("delta")[0], 60);
}

TEST(Rate, ExtrapolatesByHalfAnIntervalWhereTheSeriesEndsInTheRange) {
  const WindowedSamples windows(Every10Seconds({1000, 1010, 1020}),
                                {.start = kStart + 50 * kSecond}, 100 * kSecond);
  // 20 in 20 s, and 5 s to either side.
  EXPECT_DOUBLE_EQ(windows.Evaluate("increase")[0], 30);
}

TEST(Rate, DoesNotExtrapolateACounterBelowZero) {
  const WindowedSamples windows(Every10Seconds({2, 12, 22}), {.start = kStart + 20 * kSecond},
                                100 * kSecond);
  EXPECT_DOUBLE_EQ(windows.Evaluate("increase")[0], 22);
  EXPECT_DOUBLE_EQ(windows.Evaluate("delta")[0], 25);
}

TEST(Rate, TakesAFallOfACounterForAReset) {
  const WindowedSamples windows(Every10Seconds({100, 110, 5, 15}), {.start = kStart + 30 * kSecond},
                                31 * kSecond);
  // 10 to the reset, 5 and 10 after it; the range begins one second before the first sample.
  EXPECT_DOUBLE_EQ(windows.Evaluate("increase")[0], 25.0 * 31 / 30);
  EXPECT_DOUBLE_EQ(windows.Evaluate("delta")[0], -85.0 * 31 / 30);
  EXPECT_EQ(windows.Evaluate("resets")[0], 1);
  EXPECT_EQ(windows.Evaluate("changes")[0], 3);
}

TEST(Rate, LeavesTheSampleAtTheStartOfTheRangeOut) {
  const WindowedSamples windows(Every10Seconds({0, 1, 2}), {.start = kStart + 20 * kSecond},
                                20 * kSecond);
  EXPECT_EQ(windows.Evaluate("count_over_time")[0], 2);
}

TEST(Rate, OfTheLastTwoSamples) {
  EXPECT_DOUBLE_EQ(OfAll("irate", {50, 1, 21}), 2);
  EXPECT_DOUBLE_EQ(OfAll("irate", {50, 40}), 4);
  EXPECT_DOUBLE_EQ(OfAll("idelta", {1, 50, 40}), -10);
  EXPECT_TRUE(std::isnan(OfAll("irate", {50, kNan})));
}

TEST(Changes, CountsNaNAsOneValue) {
  EXPECT_EQ(OfAll("changes", {1, 1, kNan, kNan, 1, kInfinity, kInfinity, 0.0, -0.0}), 4);
  EXPECT_EQ(OfAll("resets", {1, 1, kNan, kNan, 1, kInfinity, kInfinity, 0.0, -0.0}), 1);
}

// --- sums

TEST(SumOverTime, LosesNothingToCancellation) {
  EXPECT_EQ(OfAll("sum_over_time", {1e100, 1, -1e100}), 1);
  EXPECT_EQ(OfAll("avg_over_time", {1e100, 1, -1e100, 3}), 1);
  std::vector<double> many(1000, 0.5);
  many[3] = 1e100;
  many[500] = -1e100;
  EXPECT_EQ(OfAll("sum_over_time", many), 499);
  EXPECT_EQ(OfAll("avg_over_time", many), 0.499);
}

TEST(SumOverTime, GoesOnFromInfinitiesAsDefined) {
  EXPECT_EQ(OfAll("sum_over_time", {1, kInfinity, 2}), kInfinity);
  EXPECT_TRUE(std::isnan(OfAll("sum_over_time", {kInfinity, -kInfinity, 2})));
  EXPECT_EQ(OfAll("avg_over_time", {1, -kInfinity, 2}), -kInfinity);
  EXPECT_TRUE(std::isnan(OfAll("avg_over_time", {1, kNan, 2})));
  std::vector<double> many(100, 2);
  many[50] = kInfinity;
  EXPECT_EQ(OfAll("sum_over_time", many), kInfinity);
  EXPECT_EQ(OfAll("avg_over_time", many), kInfinity);
}

TEST(AverageOverTime, DoesNotOverflow) {
  EXPECT_DOUBLE_EQ(OfAll("avg_over_time", {kMax, kMax, kMax}), kMax);
  EXPECT_DOUBLE_EQ(OfAll("avg_over_time", std::vector<double>(100, -kMax)), -kMax);
  EXPECT_EQ(OfAll("sum_over_time", std::vector<double>(100, -kMax)), -kInfinity);
}

TEST(VarianceOverTime, IsThatOfThePopulation) {
  EXPECT_DOUBLE_EQ(OfAll("stdvar_over_time", {0, 8, 8, 2, 3}), 10.56);
  EXPECT_DOUBLE_EQ(OfAll("stddev_over_time", {0, 8, 8, 2, 3}), std::sqrt(10.56));
  EXPECT_EQ(OfAll("stdvar_over_time", std::vector<double>(50, 1.5990505637277868)), 0);
  EXPECT_TRUE(std::isnan(OfAll("stdvar_over_time", {1, kInfinity})));
  EXPECT_TRUE(std::isnan(OfAll("stddev_over_time", {1, kNan, 3})));
}

// --- extremes

TEST(ExtremesOverTime, PassOverNaNUnlessThereIsNothingElse) {
  EXPECT_EQ(OfAll("max_over_time", {kNan, 1, kNan, 3, 2}), 3);
  EXPECT_EQ(OfAll("min_over_time", {kNan, 1, kNan, 3, 2}), 1);
  EXPECT_EQ(OfAll("max_over_time", {kNan, -kInfinity}), -kInfinity);
  EXPECT_TRUE(std::isnan(OfAll("max_over_time", {kNan, kNan})));
  EXPECT_TRUE(std::isnan(OfAll("min_over_time", std::vector<double>(40, kNan))));
}

TEST(ExtremesOverTime, TellTheTimeOfTheLastOfEqualValues) {
  const double start = static_cast<double>(kStart / kSecond);
  EXPECT_EQ(OfAll("ts_of_max_over_time", {1, 3, 3, 2}), start + 20);
  EXPECT_EQ(OfAll("ts_of_min_over_time", {1, 1, 3, 2}), start + 10);
  EXPECT_EQ(OfAll("ts_of_max_over_time", {kNan, 1, kNan}), start + 10);
  EXPECT_EQ(OfAll("ts_of_max_over_time", {kNan, kNan}), start + 10);
  EXPECT_EQ(OfAll("ts_of_first_over_time", {1, 2, 3}), start);
  EXPECT_EQ(OfAll("ts_of_last_over_time", {1, 2, 3}), start + 20);
}

// --- quantiles

TEST(QuantileOverTime, InterpolatesBetweenNeighbours) {
  EXPECT_EQ(OfAll("quantile_over_time", {4, 1, 3, 2}, {0.5}), 2.5);
  EXPECT_EQ(OfAll("quantile_over_time", {4, 1, 3, 2}, {1}), 4);
  EXPECT_EQ(OfAll("quantile_over_time", {4, 1, 3, 2}, {-0.1}), -kInfinity);
  EXPECT_EQ(OfAll("quantile_over_time", {4, 1, 3, 2}, {1.1}), kInfinity);
  EXPECT_TRUE(std::isnan(OfAll("quantile_over_time", {4, 1, 3, 2}, {kNan})));
}

TEST(MedianDeviationOverTime, IsTheMedianDistanceFromTheMedian) {
  EXPECT_EQ(OfAll("mad_over_time", {4, 6, 2, 1, 999, 1, 2}), 1);
  EXPECT_TRUE(std::isnan(OfAll("mad_over_time", {4, kNan, 2})));
}

// --- trends

TEST(Derivative, IsTheSlopePerSecond) {
  EXPECT_DOUBLE_EQ(OfAll("deriv", {1, 3, 5, 7}), 0.2);
  EXPECT_EQ(OfAll("deriv", {4.7, 4.7, 4.7}), 0);
  EXPECT_TRUE(std::isnan(OfAll("deriv", {kInfinity, kInfinity})));
}

TEST(PredictLinear, StartsFromTheTimeOfEvaluation) {
  const WindowedSamples windows = [] {
    WindowedSamples result(Every10Seconds({0, 1, 2, 3}), {.start = kStart + 30 * kSecond}, kMinute);
    result.AddParameter(60);
    return result;
  }();
  EXPECT_DOUBLE_EQ(windows.Evaluate("predict_linear")[0], 9);
  RangeInput input = windows.Input();
  input.first_time = kStart + 40 * kSecond;  // with an offset of 10 s
  double out = 0;
  FindRangeFunction("predict_linear")(input, {&out, 1});
  EXPECT_DOUBLE_EQ(out, 10);
}

TEST(DoubleExponentialSmoothing, FollowsATrend) {
  EXPECT_DOUBLE_EQ(OfAll("double_exponential_smoothing", {1, 2, 3, 4, 5}, {0.3, 0.7}), 5);
  EXPECT_TRUE(CheckSmoothingFactors(0.3, 0.7).ok());
  EXPECT_EQ(CheckSmoothingFactors(1, 0.7).message(),
            "invalid smoothing factor. Expected: 0 < sf < 1, got: 1.000000");
  EXPECT_EQ(CheckSmoothingFactors(0.1, kInfinity).message(),
            "invalid trend factor. Expected: 0 < tf < 1, got: +Inf");
}

// --- All ways to the result agree with the definition, computed window by window.

using Definition = std::function<double(std::span<const double>)>;

double DefinedSum(std::span<const double> values) {
  KahanSum sum;
  for (const double value : values) {
    sum.Add(value);
  }
  return sum.Result();
}

double DefinedAverage(std::span<const double> values) {
  KahanSum sum;
  KahanSum mean;
  bool overflowed = false;
  double count = 0;
  for (const double value : values) {
    ++count;
    KahanSum next = sum;
    next.Add(value);
    if (!overflowed && (count == 1 || !std::isinf(next.sum))) {
      sum = next;
      continue;
    }
    if (!overflowed) {
      overflowed = true;
      mean = {.sum = sum.sum / (count - 1), .compensation = sum.compensation / (count - 1)};
    }
    const double weight = (count - 1) / count;
    mean = {.sum = mean.sum * weight, .compensation = mean.compensation * weight};
    mean.Add(value / count);
  }
  return overflowed ? mean.sum + mean.compensation : sum.sum / count + sum.compensation / count;
}

double DefinedVariance(std::span<const double> values) {
  KahanSum mean;
  KahanSum squares;
  double count = 0;
  for (const double value : values) {
    const double delta = value - (mean.sum + mean.compensation);
    mean.Add(delta / ++count);
    squares.Add(delta * (value - (mean.sum + mean.compensation)));
  }
  return (squares.sum + squares.compensation) / count;
}

// The definition loses digits where the mean is large; what it should give is known better.
double ExactVariance(std::span<const double> values) {
  const auto count = static_cast<long double>(values.size());
  long double mean = 0;
  for (const double value : values) {
    mean += value / count;
  }
  long double squares = 0;
  for (const double value : values) {
    squares += (value - mean) * (value - mean);
  }
  const auto variance = static_cast<double>(squares / count);
  return std::isfinite(variance) ? variance : DefinedVariance(values);
}

double DefinedExtreme(std::span<const double> values, bool max) {
  double best = values[0];
  for (const double value : values) {
    if ((max ? value > best : value < best) || std::isnan(best)) {
      best = value;
    }
  }
  return best;
}

double CountWhere(std::span<const double> values, bool (*holds)(double, double)) {
  double count = 0;
  for (size_t i = 1; i < values.size(); ++i) {
    count += holds(values[i - 1], values[i]) ? 1 : 0;
  }
  return count;
}

double DefinedMedian(std::span<const double> values) {
  std::vector<double> sorted(values.begin(), values.end());
  std::ranges::sort(sorted,
                    [](double a, double b) { return std::isnan(a) ? !std::isnan(b) : a < b; });
  const double rank = 0.5 * static_cast<double>(sorted.size() - 1);
  const auto lower = static_cast<size_t>(rank);
  const double weight = rank - std::floor(rank);
  return sorted[lower] * (1 - weight) + sorted[std::min(lower + 1, sorted.size() - 1)] * weight;
}

const std::map<std::string, Definition>& Definitions() {
  static const std::map<std::string, Definition> definitions = {
      {"sum_over_time", DefinedSum},
      {"avg_over_time", DefinedAverage},
      {"stdvar_over_time", ExactVariance},
      {"max_over_time", [](auto values) { return DefinedExtreme(values, true); }},
      {"min_over_time", [](auto values) { return DefinedExtreme(values, false); }},
      {"quantile_over_time", DefinedMedian},
      {"resets",
       [](auto values) { return CountWhere(values, [](double a, double b) { return b < a; }); }},
      {"changes",
       [](auto values) {
         return CountWhere(values, [](double a, double b) {
           return a != b && !(std::isnan(a) && std::isnan(b));
         });
       }},
  };
  return definitions;
}

// By exact enough arithmetic: the definition loses digits where values are large.
double ExactSlope(std::span<const model::Timestamp> times, std::span<const double> values) {
  long double mean_x = 0;
  long double mean_y = 0;
  for (size_t i = 0; i < values.size(); ++i) {
    mean_x +=
        static_cast<long double>(times[i] - times[0]) / static_cast<long double>(values.size());
    mean_y += static_cast<long double>(values[i]) / static_cast<long double>(values.size());
  }
  long double covariance = 0;
  long double variance = 0;
  for (size_t i = 0; i < values.size(); ++i) {
    const long double x = static_cast<long double>(times[i] - times[0]) - mean_x;
    covariance += x * (values[i] - mean_y);
    variance += x * x;
  }
  return static_cast<double>(covariance / variance * 1e9L);
}

// Shapes of values that take different ways through the functions.
std::vector<double> RandomValues(const std::string& shape, size_t count, std::mt19937_64* random) {
  std::normal_distribution<double> normal;
  std::uniform_int_distribution<int> small(0, 9);
  std::vector<double> values;
  double level = 1e6;
  for (size_t i = 0; i < count; ++i) {
    const double noise = normal(*random);
    level += noise;
    if (shape == "gauge") {
      values.push_back(20 + noise);
    } else if (shape == "walk") {
      values.push_back(level);
    } else if (shape == "integers") {
      values.push_back(small(*random));
    } else if (shape == "zeros") {
      values.push_back(small(*random) == 0 ? -0.0 : 0.0);
    } else if (shape == "wide") {
      values.push_back(noise * std::pow(10, small(*random) * 10));
    } else {  // "special"
      const double specials[] = {kNan, kInfinity, -kInfinity, kMax, -kMax};
      const int which = small(*random) * 10 + small(*random);
      values.push_back(which < 5 ? specials[which] : noise);
    }
  }
  return values;
}

bool AboutEqual(double got, double want, double scale) {
  if (std::isnan(want) || std::isinf(want) || got == want) {
    return std::isnan(want) ? std::isnan(got) && !IsAbsent(got) : got == want;
  }
  return std::abs(got - want) <= 1e-13 * std::max(std::abs(want), scale);
}

// Sums of values that cancel each other are as exact as their size allows; so are variances.
double ScaleOf(const std::string& function, std::span<const double> values) {
  double scale = 0;
  if (function == "sum_over_time" || function == "avg_over_time") {
    for (const double value : values) {
      scale += std::abs(value) * 1e-16;  // kept by the compensation
    }
  }
  return scale;
}

void ExpectDefinedResults(const WindowedSamples& windows, const std::string& shape) {
  for (const auto& [function, definition] : Definitions()) {
    const std::vector<double> row = windows.Evaluate(function);
    for (size_t step = 0; step < row.size(); ++step) {
      const std::span<const double> values = windows.Window(step);
      if (values.empty()) {
        ASSERT_TRUE(IsAbsent(row[step]));
        continue;
      }
      const double want = definition(values);
      ASSERT_TRUE(AboutEqual(row[step], want, ScaleOf(function, values)))
          << function << " of " << shape << ", " << values.size() << " samples, step " << step
          << fmt::format(": {} instead of {}", row[step], want);
      if (function == "max_over_time" || function == "min_over_time") {
        ASSERT_EQ(std::signbit(row[step]) && !std::isnan(want),
                  std::signbit(want) && !std::isnan(want));
      }
    }
  }
}

TEST(RangeFunction, AgreesWithItsDefinitionHoweverTheWindowsLie) {
  const uint64_t seed = std::random_device{}();
  SCOPED_TRACE(fmt::format("seed {}", seed));
  std::mt19937_64 random(seed);
  for (const std::string shape : {"gauge", "walk", "integers", "zeros", "wide", "special"}) {
    for (int round = 0; round < 40; ++round) {
      model::SampleColumns samples;
      model::Timestamp time = kStart;
      const size_t count = random() % 600;
      for (size_t i = 0; i < count; ++i) {
        // Regular, with a gap now and then.
        time += random() % 50 == 0 ? 200 * kSecond : 10 * kSecond;
        samples.timestamps.push_back(time);
      }
      samples.values = RandomValues(shape, count, &random);
      const int64_t step_ns = (1 + static_cast<int64_t>(random() % 120)) * kSecond;
      const int64_t range_ns =
          (1 + static_cast<int64_t>(random() % (round < 20 ? 100 : 2000))) * kSecond;
      WindowedSamples windows(
          samples, {.start = kStart, .step_ns = step_ns, .count = 1 + random() % 100}, range_ns);
      windows.AddParameter(0.5);
      ASSERT_NO_FATAL_FAILURE(ExpectDefinedResults(windows, shape));
    }
  }
}

TEST(Derivative, OfOverlappingWindowsIsThatOfEach) {
  const uint64_t seed = std::random_device{}();
  SCOPED_TRACE(fmt::format("seed {}", seed));
  std::mt19937_64 random(seed);
  for (const std::string shape : {"gauge", "walk", "integers", "zeros"}) {
    for (int round = 0; round < 20; ++round) {
      WindowedSamples windows(Every10Seconds(RandomValues(shape, 500, &random)),
                              {.start = kStart + 7, .step_ns = 30 * kSecond, .count = 150},
                              static_cast<int64_t>(20 + random() % 1000) * kSecond);
      windows.AddParameter(600);
      const std::vector<double> slopes = windows.Evaluate("deriv");
      const std::vector<double> predictions = windows.Evaluate("predict_linear");
      const RangeInput input = windows.Input();
      for (size_t step = 0; step < slopes.size(); ++step) {
        const std::span<const double> values = windows.Window(step);
        if (values.size() < 2) {
          ASSERT_TRUE(IsAbsent(slopes[step]) && IsAbsent(predictions[step]));
          continue;
        }
        const auto times = input.timestamps.subspan(input.begins[step], values.size());
        const double slope = ExactSlope(times, values);
        ASSERT_NEAR(slopes[step], slope, 1e-9) << shape << " " << step;
        const double mean = DefinedAverage(values);
        const double mean_time =
            static_cast<double>(times.front() + (times.back() - times.front()) / 2 -
                                windows.Input().StepTime(step)) /
            1e9;
        ASSERT_NEAR(predictions[step], mean + slope * (600 - mean_time), 1e-6)
            << shape << " " << step;
      }
    }
  }
}

TEST(Derivative, OfOverlappingWindowsKnowsConstantsAndInfinities) {
  std::vector<double> values(200, 1e9 + 0.1);
  values[150] = kInfinity;
  const WindowedSamples windows(Every10Seconds(values),
                                {.start = kStart + kMinute, .step_ns = 10 * kSecond, .count = 190},
                                5 * kMinute);
  const std::vector<double> slopes = windows.Evaluate("deriv");
  EXPECT_EQ(slopes[100], 0);
  EXPECT_TRUE(std::isnan(slopes[145]));
  EXPECT_EQ(slopes[185], 0);
}

// The window's increase, as its definition adds it up.
TEST(Rate, FindsTheResetsOfEachWindow) {
  const uint64_t seed = std::random_device{}();
  SCOPED_TRACE(fmt::format("seed {}", seed));
  std::mt19937_64 random(seed);
  for (int round = 0; round < 50; ++round) {
    std::vector<double> values;
    double counter = 0;
    const uint64_t resets_every = 2 + random() % 100;
    for (int i = 0; i < 500; ++i) {
      counter = random() % resets_every == 0 ? 0 : counter + static_cast<double>(random() % 100);
      values.push_back(counter);
    }
    const WindowedSamples windows(Every10Seconds(values),
                                  {.start = kStart, .step_ns = kMinute, .count = 90},
                                  static_cast<int64_t>(1 + random() % 1000) * kSecond);
    const std::vector<double> increases = windows.Evaluate("increase");
    const std::vector<double> deltas = windows.Evaluate("delta");
    for (size_t step = 0; step < increases.size(); ++step) {
      const std::span<const double> window = windows.Window(step);
      if (window.size() < 2) {
        continue;
      }
      double increase = window.back() - window.front();
      for (size_t i = 1; i < window.size(); ++i) {
        increase += window[i] < window[i - 1] ? window[i - 1] : 0;
      }
      // The extrapolation makes it larger, but by no more than an interval to either side.
      EXPECT_GE(increases[step], increase * (1 - 1e-12));
      EXPECT_LE(increases[step],
                increase * (1 + 2.2 / static_cast<double>(window.size() - 1)) + 1e-9);
      EXPECT_EQ(increases[step] == 0, increase == 0);
    }
  }
}

}  // namespace
}  // namespace tsdbd::query
