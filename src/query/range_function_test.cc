#include "query/range_function.h"

#include <cmath>
#include <limits>
#include <string_view>
#include <vector>

#include <gtest/gtest.h>

#include "query/functions.h"
#include "query/range_input_testing.h"

namespace tsdbd::query {
namespace {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr double kMax = std::numeric_limits<double>::max();
constexpr int64_t kSecond = 1'000'000'000;
constexpr int64_t kMinute = 60 * kSecond;
constexpr model::Timestamp kStart = kTestStart;

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

}  // namespace
}  // namespace tsdbd::query
