#include "query/time_parse.h"

#include <string>

#include <gtest/gtest.h>

#include "common/clock.h"

namespace tsdbd::query {
namespace {

constexpr int64_t kSecond = kNanosPerSecond;

TEST(ParseTime, ReadsSecondsToTheMillisecond) {
  EXPECT_EQ(*ParseTime("0"), 0);
  EXPECT_EQ(*ParseTime("1435781451"), 1435781451 * kSecond);
  EXPECT_EQ(*ParseTime("1435781451.781"), 1435781451781 * kNanosPerMilli);
  EXPECT_EQ(*ParseTime("1435781451.7814"), 1435781451781 * kNanosPerMilli);
  EXPECT_EQ(*ParseTime("1435781451.9996"), 1435781452 * kSecond);
  EXPECT_EQ(*ParseTime("1.435781451e9"), 1435781451 * kSecond);
  EXPECT_EQ(*ParseTime("-1.5"), -1500 * kNanosPerMilli);
  EXPECT_EQ(*ParseTime("9223372036"), 9223372036 * kSecond);
}

TEST(ParseTime, ReadsRfc3339ToTheNanosecond) {
  EXPECT_EQ(*ParseTime("1970-01-01T00:00:00Z"), 0);
  EXPECT_EQ(*ParseTime("2015-07-01T20:10:51.781Z"), 1435781451781 * kNanosPerMilli);
  EXPECT_EQ(*ParseTime("2015-07-01T20:10:51.123456789Z"), 1435781451123456789);
  EXPECT_EQ(*ParseTime("2015-07-01T20:10:51.1234567899Z"), 1435781451123456789);
  EXPECT_EQ(*ParseTime("2015-07-01T22:10:51+02:00"), 1435781451 * kSecond);
  EXPECT_EQ(*ParseTime("2015-07-01T14:40:51-05:30"), 1435781451 * kSecond);
  EXPECT_EQ(*ParseTime("1969-12-31T23:59:59.5Z"), -500 * kNanosPerMilli);
  EXPECT_EQ(*ParseTime("2016-02-29T00:00:00Z"), 1456704000 * kSecond);
}

TEST(ParseTime, TakesThePrometheusEndsOfTimeAsOurs) {
  for (const std::string_view text : {"-292273086-05-16T16:47:06Z", "-9223309901257974"}) {
    EXPECT_EQ(*ParseTime(text), model::kMinTimestamp) << text;
  }
  for (const std::string_view text :
       {"+292277025-08-18T07:12:54.999999999Z", "9223309901257974", "9223372036854775.807"}) {
    EXPECT_EQ(*ParseTime(text), model::kMaxTimestamp) << text;
  }
}

TEST(ParseTime, RefusesWhatIsNoTime) {
  for (const std::string_view bad : {"",
                                     "now",
                                     "NaN",
                                     "Inf",
                                     "-Inf",
                                     "1e300",
                                     "9223372037",
                                     "-9223372038",
                                     "1e12",
                                     "2015-07-01",
                                     "2015-07-01T20:10:51",
                                     "2015-07-01t20:10:51Z",
                                     "2015-07-01T20:10:51.Z",
                                     "2015-13-01T00:00:00Z",
                                     "2015-02-29T00:00:00Z",
                                     "2015-07-01T24:00:00Z",
                                     "2015-07-01T20:60:00Z",
                                     "2015-07-01T20:10:60Z",
                                     "2015-07-01T20:10:51+24:00",
                                     "2015-07-01T20:10:51+0200",
                                     "2015-07-01T20:10:51Zx",
                                     "2300-01-01T00:00:00Z",
                                     "1h"}) {
    const auto time = ParseTime(bad);
    ASSERT_FALSE(time.ok()) << bad << " is " << *time;
    EXPECT_EQ(Message(time.status()), fmt::format("cannot parse \"{}\" to a valid timestamp", bad));
    EXPECT_EQ(time.status().code(), StatusCode::kInvalidArgument);
  }
}

TEST(ParseDurationParameter, ReadsSecondsAndUnits) {
  EXPECT_EQ(*ParseDurationParameter("15"), 15 * kSecond);
  EXPECT_EQ(*ParseDurationParameter("0.25"), 250 * kNanosPerMilli);
  EXPECT_EQ(*ParseDurationParameter("1e3"), 1000 * kSecond);
  EXPECT_EQ(*ParseDurationParameter("1h30m"), 5400 * kSecond);
  EXPECT_EQ(*ParseDurationParameter("0"), 0);
  EXPECT_EQ(*ParseDurationParameter("-5"), -5 * kSecond);
}

TEST(ParseDurationParameter, RefusesWhatIsNoDuration) {
  for (const std::string_view bad : {"", "abc", "NaN", "5x", "-5m", "1m1h", "9999999999y"}) {
    const auto nanos = ParseDurationParameter(bad);
    ASSERT_FALSE(nanos.ok()) << bad;
    EXPECT_EQ(Message(nanos.status()), fmt::format("cannot parse \"{}\" to a valid duration", bad));
  }
  for (const std::string_view huge : {"1e10", "-1e10", "Inf", "-Inf", "9223372036.9"}) {
    EXPECT_EQ(Message(ParseDurationParameter(huge).status()),
              fmt::format("cannot parse \"{}\" to a valid duration. It overflows int64", huge));
  }
}

}  // namespace
}  // namespace tsdbd::query
