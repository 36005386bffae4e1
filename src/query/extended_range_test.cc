#include "query/extended_range.h"

#include <cmath>
#include <random>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "query/evaluation_testing.h"
#include "query/range_input_testing.h"

namespace tsdbd::query {
namespace {

// ---- Queries

class ExtendedRangeTest : public EvaluationTest {
 protected:
  ExtendedRangeTest() {
    options_.parser.extended_ranges = true;
    source_.Load("late 100:1");
  }
};

TEST_F(ExtendedRangeTest, CountsFromTheLastSampleBeforeAnAnchoredRange) {
  EXPECT_EQ(At(150, "increase(c_total[1m] anchored)"), "{host=a} 60");
  EXPECT_EQ(At(150, "rate(c_total[1m] anchored)"), "{host=a} 1");
  EXPECT_EQ(At(180, "increase(c_total[1m] anchored)"), "{host=a} 30");
  EXPECT_EQ(At(180, "delta(c_total[1m] anchored)"), "{host=a} -90");
  EXPECT_EQ(At(150, "changes(c_total[2m] anchored)"), "{host=a} 2");
  EXPECT_EQ(At(180, "resets(c_total[1m] anchored)"), "{host=a} 1");
  EXPECT_EQ(At(180, "resets(c_total[1m])"), "{host=a} 0");
  EXPECT_EQ(Range("increase(c_total[1m] anchored)"), "{host=a} 0 60 60");
}

TEST_F(ExtendedRangeTest, FindsTheValuesAtTheEndsOfASmoothedRange) {
  EXPECT_EQ(At(90, "increase(c_total[1m] smoothed)"), "{host=a} 60");
  EXPECT_EQ(At(90, "rate(c_total[1m] smoothed)"), "{host=a} 1");
  EXPECT_EQ(At(150, "increase(c_total[1m] smoothed)"), "{host=a} 45")
      << "90 to 120, and from 0 half way to 30";
  EXPECT_EQ(At(150, "delta(c_total[1m] smoothed)"), "{host=a} -15");
  EXPECT_EQ(At(30, "increase(c_total[1m] smoothed)"), "{host=a} 30") << "nothing is before it";
  EXPECT_EQ(At(210, "increase(c_total[1m] smoothed)"), "{host=a} 15") << "nothing is behind it";
  EXPECT_EQ(At(100, "increase(c_total[20s] smoothed)"), "{host=a} 20") << "no sample in the range";
  EXPECT_EQ(At(170, "increase(c_total[20s] smoothed)"), "{host=a} 10") << "all after the reset";
}

TEST_F(ExtendedRangeTest, NeedsASampleBehindTheBegin) {
  EXPECT_EQ(At(400, "increase(c_total[1m] anchored)"), "");
  EXPECT_EQ(At(400, "changes(c_total[1m] anchored)"), "");
  EXPECT_EQ(At(400, "increase(c_total[1m] smoothed)"), "");
  EXPECT_EQ(At(900, "changes(c_total[1m] anchored)"), "");
  EXPECT_EQ(At(240, "delta(c_total[1m] anchored)"), "") << "a sample at the begin is not enough";
  EXPECT_EQ(At(30, "delta(late[1m] smoothed)"), "") << "all behind the end";
  EXPECT_EQ(At(130, "delta(late[1m] smoothed)"), "{} 0");
  EXPECT_EQ(At(130, "delta(late[1m] anchored)"), "{} 0");
  EXPECT_EQ(At(130, "changes(late[1m] anchored)"), "{} 0");
}

TEST_F(ExtendedRangeTest, LooksNoFartherThanTheLookback) {
  options_.lookback_delta_ns = 10 * kNanosPerSecond;
  EXPECT_EQ(At(150, "increase(c_total[1m] anchored)"), "{host=a} 0");
  EXPECT_EQ(At(130, "increase(c_total[1m] anchored)"), "{host=a} 0") << "open at its begin";
  EXPECT_EQ(At(129, "increase(c_total[1m] anchored)"), "{host=a} 60");
  EXPECT_EQ(At(170, "delta(c_total[1m] smoothed)"), "{host=a} -75") << "closed at its end";
  EXPECT_EQ(At(169, "delta(c_total[1m] smoothed)"), "{host=a} 0");
}

TEST_F(ExtendedRangeTest, SmoothsInstantVectors) {
  EXPECT_EQ(At(120, "c_total smoothed"), "c_total{host=a} 120");
  EXPECT_EQ(At(150, "c_total smoothed"), "c_total{host=a} 75");
  EXPECT_EQ(At(479, "c_total smoothed"), "c_total{host=a} 30");
  EXPECT_EQ(At(480, "c_total smoothed"), "");
  EXPECT_EQ(At(-10, "c_total smoothed"), "");
  EXPECT_EQ(Range("m{host=\"c\"} smoothed"), "m{host=c,zone=y} 100 200 300")
      << "over the staleness marker";
  EXPECT_EQ(At(0, "c_total smoothed @ 90"), "c_total{host=a} 90");
  EXPECT_EQ(At(120, "c_total smoothed offset 30s"), "c_total{host=a} 90");
  EXPECT_EQ(Range("c_total smoothed offset 30s"), "c_total{host=a} _ 30 90");
  EXPECT_EQ(At(150, "timestamp(c_total smoothed)"), "{host=a} 120");
  EXPECT_EQ(At(150, "c_total anchored"), "c_total{host=a} 120");
  EXPECT_EQ(At(150, "sum_over_time((c_total smoothed)[30s:10s])"), "{host=a} 270");
}

TEST_F(ExtendedRangeTest, GivesTheExtendedSamplesThemselves) {
  EXPECT_EQ(At(150, "c_total[2m] anchored"), "c_total{host=a} 0 60 120 120");
  EXPECT_EQ(At(150, "c_total[2m] smoothed"), "c_total{host=a} 30 60 120 75");
  EXPECT_EQ(At(180, "c_total[2m] anchored"), "c_total{host=a} 60 120 30");
  EXPECT_EQ(At(100, "c_total[20s] smoothed"), "c_total{host=a} 80 100");
  EXPECT_EQ(At(400, "c_total[1m] anchored"), "");
  EXPECT_EQ(At(30, "late[1m] anchored"), "");
}

TEST_F(ExtendedRangeTest, IsForAFewFunctionsOnly) {
  EXPECT_EQ(At(0, "sum_over_time(c_total[1m] anchored)"),
            "anchored modifier can only be used with: changes, delta, increase, rate, resets - not "
            "with sum_over_time");
  EXPECT_EQ(At(0, "changes(c_total[1m] smoothed)"),
            "smoothed modifier can only be used with: delta, increase, rate - not with changes");
  EXPECT_EQ(At(0, "absent_over_time(nothing[1m] smoothed)"),
            "smoothed modifier can only be used with: delta, increase, rate - not with "
            "absent_over_time");
}

TEST_F(ExtendedRangeTest, ReachesBeyondTheEndsOfTime) {
  EXPECT_EQ(At(0, "delta(c_total[290y] smoothed @ -9e15)"), "");
  EXPECT_EQ(At(0, "delta(c_total[290y] anchored @ -9e15)"), "");
  EXPECT_EQ(At(0, "delta(c_total[290y] smoothed offset 290y)"), "");
  EXPECT_EQ(At(0, "delta(c_total[290y] smoothed offset -290y)"), "{host=a} 30");
  EXPECT_EQ(Range("c_total smoothed @ 9e15"), "");
  EXPECT_EQ(Range("c_total smoothed offset -290y"), "");
}

// ---- Against the definitions

// The values at begin and end of a range and those between, as drawn on paper.
std::vector<double> PointsOf(RangeExtension extension, const model::SampleColumns& samples,
                             const model::TimeRange& range, int64_t lookback_ns, bool is_counter) {
  const bool smoothed = extension == RangeExtension::kSmoothed;
  const model::Timestamp latest = range.max + (smoothed ? lookback_ns : 0);
  size_t before = samples.size();  // the last at or before the begin
  std::vector<size_t> inside;      // in (begin, end)
  std::vector<size_t> behind;      // at the end or behind it
  for (size_t i = 0; i < samples.size(); ++i) {
    const model::Timestamp time = samples.timestamps[i];
    if (time > range.min - lookback_ns && time <= range.min) {
      before = i;
    } else if (time > range.min && time <= latest) {
      (time < range.max ? inside : behind).push_back(i);
    }
  }
  const bool has_before = before < samples.size();
  if (inside.empty() && behind.empty()) {
    return {};
  }
  if (!has_before && inside.empty() && samples.timestamps[behind[0]] > range.max) {
    return {};
  }
  const auto line = [&](size_t a, size_t b, model::Timestamp time) {
    if (samples.timestamps[a] == time) {
      return samples.values[a];
    }
    const double from = is_counter && samples.values[b] < samples.values[a] ? 0 : samples.values[a];
    // Rounding would look like a reset if it went beyond: the product first, then the quotient.
    const auto passed = static_cast<double>(time - samples.timestamps[a]);
    const auto length = static_cast<double>(samples.timestamps[b] - samples.timestamps[a]);
    return from + (samples.values[b] - from) * passed / length;
  };
  const size_t after_begin = inside.empty() ? behind[0] : inside[0];
  std::vector<double> points;
  if (!has_before) {
    points.push_back(samples.values[after_begin]);
  } else {
    points.push_back(smoothed ? line(before, after_begin, range.min) : samples.values[before]);
  }
  for (const size_t i : inside) {
    points.push_back(samples.values[i]);
  }
  if (!behind.empty()) {
    const size_t before_end = inside.empty() ? before : inside.back();
    points.push_back(smoothed && before_end < samples.size()
                         ? line(before_end, behind[0], range.max)
                         : samples.values[behind[0]]);
  }
  return points;
}

double Increase(const std::vector<double>& points, bool is_counter) {
  double sum = 0;
  for (size_t i = 1; i < points.size(); ++i) {
    const bool is_reset = is_counter && points[i] < points[i - 1];
    sum += is_reset ? points[i] : points[i] - points[i - 1];
  }
  return points.empty() ? kAbsent : sum;
}

// Times and windows meet often: all are multiples of a second.
TEST(ExtendedRange, IsWhatItsDefinitionGives) {
  constexpr int64_t kSecond = 1'000'000'000;
  const uint64_t seed = std::random_device()();
  SCOPED_TRACE(fmt::format("seed {}", seed));
  std::mt19937_64 random(seed);
  const auto up_to = [&](int64_t most) { return static_cast<int64_t>(random() % (most + 1)); };
  for (int round = 0; round < 2000; ++round) {
    model::SampleColumns samples;
    for (int64_t second = up_to(10); second < 60; second += 1 + up_to(8)) {
      samples.timestamps.push_back(kTestStart + second * kSecond);
      samples.values.push_back(static_cast<double>(up_to(20)));
    }
    const int64_t lookback_ns = (1 + up_to(10)) * kSecond;
    const int64_t range_ns = (1 + up_to(20)) * kSecond;
    const StepGrid grid = {
        .start = kTestStart + up_to(5) * kSecond, .step_ns = (1 + up_to(5)) * kSecond, .count = 20};
    for (const auto extension : {RangeExtension::kAnchored, RangeExtension::kSmoothed}) {
      const model::StepTimes windows =
          ExtendWindows(extension, {grid.start, grid.step_ns, grid.count, range_ns}, lookback_ns);
      const WindowedSamples extended(
          samples, {.start = windows.first, .step_ns = windows.step_ns, .count = windows.count},
          windows.window_ns);
      RangeInput input = extended.Input();
      input.first_window_end = grid.start;
      input.range_ns = range_ns;
      for (const bool is_counter : {false, true}) {
        std::vector<double> results(grid.count);
        FindExtendedRangeFunction(extension, is_counter ? "increase" : "delta")(input, results);
        for (size_t step = 0; step < grid.count; ++step) {
          const model::Timestamp end = grid.TimeAt(step);
          const double expected =
              Increase(PointsOf(extension, samples, {end - range_ns, end}, lookback_ns, is_counter),
                       is_counter);
          ASSERT_EQ(IsAbsent(results[step]), IsAbsent(expected)) << round << " " << step;
          if (!IsAbsent(expected)) {
            ASSERT_NEAR(results[step], expected, 1e-9) << round << " " << step;
          }
        }
      }
    }
  }
}

}  // namespace
}  // namespace tsdbd::query
