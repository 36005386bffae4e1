#include "query/map_function.h"

#include <cmath>
#include <ctime>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <gtest/gtest.h>

namespace tsdbd::query {
namespace {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
constexpr double kInfinity = std::numeric_limits<double>::infinity();

// Of one value, between two absent ones that must stay so.
double Apply(std::string_view name, double value, std::vector<double> arguments = {}) {
  std::vector<double> row = {kAbsent, value, kAbsent};
  std::vector<std::vector<double>> columns;
  for (const double argument : arguments) {
    columns.emplace_back(row.size(), argument);
  }
  const std::vector<std::span<const double>> spans(columns.begin(), columns.end());
  FindMapFunction(name)(spans, row);
  EXPECT_TRUE(IsAbsent(row[0]) && IsAbsent(row[2])) << name;
  return row[1];
}

struct Case {
  const char* function;
  double value;
  double result;
  std::vector<double> arguments = {};
};

TEST(MapFunction, ComputesValueByValue) {
  const Case cases[] = {
      {"abs", -2.5, 2.5},
      {"ceil", 1.2, 2},
      {"floor", -1.2, -2},
      {"sqrt", 9, 3},
      {"sqrt", -1, kNan},
      {"exp", 0, 1},
      {"ln", 0, -kInfinity},
      {"ln", -1, kNan},
      {"log2", 8, 3},
      {"log10", 1000, 3},
      {"sgn", -3, -1},
      {"sgn", 0.5, 1},
      {"sgn", kNan, kNan},
      {"deg", std::numbers::pi, 180},
      {"rad", 180, std::numbers::pi},
      {"sin", 0, 0},
      {"cos", 0, 1},
      {"acosh", 1, 0},
      {"acosh", 0, kNan},
      {"atanh", 1, kInfinity},
      {"round", 2.5, 3},
      {"round", -2.5, -2},
      {"round", 5.515, 5.5, {0.5}},
      {"round", 1005, 1010, {10}},
      {"round", 1004, 1000, {10}},
      {"round", kInfinity, kInfinity},
      {"round", 1, kNan, {0}},
  };
  for (const Case& c : cases) {
    const double got = Apply(c.function, c.value, c.arguments);
    EXPECT_TRUE(got == c.result || (std::isnan(got) && std::isnan(c.result) && !IsAbsent(got)))
        << fmt::format("{}({}) is {} instead of {}", c.function, c.value, got, c.result);
  }
}

TEST(MapFunction, ClampsBetweenBounds) {
  const Case cases[] = {
      {"clamp", 5, 3, {1, 3}},
      {"clamp", 0, 1, {1, 3}},
      {"clamp", 2, 2, {1, 3}},
      {"clamp", kNan, kNan, {1, 3}},
      {"clamp", 2, kNan, {kNan, 3}},
      {"clamp", 2, kNan, {1, kNan}},
      {"clamp_min", -5, 0, {0}},
      {"clamp_min", kInfinity, kInfinity, {0}},
      {"clamp_min", kNan, kInfinity, {kInfinity}},
      {"clamp_max", 5, 0, {0}},
      {"clamp_max", -kInfinity, -kInfinity, {kNan}},
  };
  for (const Case& c : cases) {
    const double got = Apply(c.function, c.value, c.arguments);
    EXPECT_TRUE(got == c.result || (std::isnan(got) && std::isnan(c.result) && !IsAbsent(got)))
        << fmt::format("{}({}) is {} instead of {}", c.function, c.value, got, c.result);
  }
  EXPECT_TRUE(IsAbsent(Apply("clamp", 2, {3, 1})));
}

TEST(MapFunction, TellsDatesInUtc) {
  constexpr double kLeapDay = 1709210096;  // 2024-02-29T12:34:56Z, a Thursday
  EXPECT_EQ(Apply("year", kLeapDay), 2024);
  EXPECT_EQ(Apply("month", kLeapDay), 2);
  EXPECT_EQ(Apply("day_of_month", kLeapDay), 29);
  EXPECT_EQ(Apply("day_of_week", kLeapDay), 4);
  EXPECT_EQ(Apply("day_of_year", kLeapDay), 60);
  EXPECT_EQ(Apply("days_in_month", kLeapDay), 29);
  EXPECT_EQ(Apply("hour", kLeapDay), 12);
  EXPECT_EQ(Apply("minute", kLeapDay + 0.9), 34);
  EXPECT_EQ(Apply("year", -1), 1969);
  EXPECT_EQ(Apply("hour", -1), 23);
}

TEST(MapFunction, GivesADateForAnyValue) {
  for (const double value : {kNan, kInfinity, -kInfinity, 1e300, -1e300, 9.3e18}) {
    EXPECT_EQ(Apply("year", value), 292277026596);
    EXPECT_EQ(Apply("month", value), 12);
    EXPECT_EQ(Apply("day_of_month", value), 4);
    EXPECT_EQ(Apply("hour", value), 15);
    EXPECT_EQ(Apply("minute", value), 30);
  }
}

TEST(MapFunction, AgreesWithTheCalendarOfTheSystem) {
  const uint64_t seed = std::random_device{}();
  SCOPED_TRACE(fmt::format("seed {}", seed));
  std::mt19937_64 random(seed);
  std::uniform_int_distribution<int64_t> seconds(-200'000'000'000, 200'000'000'000);
  for (int i = 0; i < 10'000; ++i) {
    const std::time_t time = seconds(random);
    std::tm utc{};
    gmtime_r(&time, &utc);
    const auto value = static_cast<double>(time);
    ASSERT_EQ(Apply("year", value), utc.tm_year + 1900.0) << time;
    ASSERT_EQ(Apply("month", value), utc.tm_mon + 1) << time;
    ASSERT_EQ(Apply("day_of_month", value), utc.tm_mday) << time;
    ASSERT_EQ(Apply("day_of_year", value), utc.tm_yday + 1) << time;
    ASSERT_EQ(Apply("day_of_week", value), utc.tm_wday) << time;
    ASSERT_EQ(Apply("hour", value), utc.tm_hour) << time;
    ASSERT_EQ(Apply("minute", value), utc.tm_min) << time;
  }
}

TEST(MapFunction, IsNullForOtherFunctions) {
  EXPECT_EQ(FindMapFunction("rate"), nullptr);
  EXPECT_EQ(FindMapFunction("timestamp"), nullptr);
  EXPECT_EQ(FindMapFunction("zzz"), nullptr);
}

}  // namespace
}  // namespace tsdbd::query
