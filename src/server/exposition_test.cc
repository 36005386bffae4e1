#include "server/exposition.h"

#include <limits>

#include <gtest/gtest.h>

namespace tsdbd::server {
namespace {

constexpr model::Timestamp kTime = 1'700'000'000'123'456'789;
constexpr auto kUnderscores = NameEscaping::kUnderscores;
constexpr auto kUtf8 = NameEscaping::kAllowUtf8;

TEST(ExpositionTest, ASampleHasLabelsValueAndMilliseconds) {
  EXPECT_EQ(SampleLine("up", {{"__name__", "up"}, {"instance", "a:1"}, {"job", "x"}}, 1, kTime,
                       kUnderscores),
            "up{instance=\"a:1\",job=\"x\"} 1 1700000000123\n");
}

TEST(ExpositionTest, ASampleWithoutInstanceHasAnEmptyOne) {
  EXPECT_EQ(SampleLine("up", {{"__name__", "up"}}, 1, kTime, kUnderscores),
            "up{instance=\"\"} 1 1700000000123\n");
}

TEST(ExpositionTest, LabelValuesAreEscaped) {
  EXPECT_EQ(SampleLine("m", {{"instance", "a\"b\\c\nd"}}, 1, 0, kUnderscores),
            "m{instance=\"a\\\"b\\\\c\\nd\"} 1 0\n");
}

TEST(ExpositionTest, NamesThatAreNotPlainAreEscapedOrQuoted) {
  const model::LabelViews labels = {{"__name__", "http.time"}, {"a.b", "1"}, {"instance", "x"}};
  EXPECT_EQ(SampleLine("http.time", labels, 1, 0, kUnderscores),
            "http_time{a_b=\"1\",instance=\"x\"} 1 0\n");
  EXPECT_EQ(SampleLine("http.time", labels, 1, 0, kUtf8),
            "{\"http.time\",\"a.b\"=\"1\",instance=\"x\"} 1 0\n");
  EXPECT_EQ(TypeLine("http.time", "untyped", kUnderscores), "# TYPE http_time untyped\n");
  EXPECT_EQ(TypeLine("http.time", "gauge", kUtf8), "# TYPE \"http.time\" gauge\n");
  EXPECT_EQ(EscapedName("1\u00e4:\xff z", kUnderscores), "__:__z");
}

TEST(ExpositionTest, ValuesReadBackTheSame) {
  EXPECT_EQ(ExpositionValue(0), "0");
  EXPECT_EQ(ExpositionValue(-1.5), "-1.5");
  EXPECT_EQ(ExpositionValue(1e6), "1000000");
  EXPECT_EQ(ExpositionValue(1e21), "1e+21");
  EXPECT_EQ(ExpositionValue(1.25e-7), "1.25e-07");
  EXPECT_EQ(ExpositionValue(std::numeric_limits<double>::infinity()), "+Inf");
  EXPECT_EQ(ExpositionValue(-std::numeric_limits<double>::infinity()), "-Inf");
  EXPECT_EQ(ExpositionValue(std::numeric_limits<double>::quiet_NaN()), "NaN");
  for (const double value : {0.1, 1.0 / 3, 123456789.125, 9.999999999999999e20, 1e-4}) {
    EXPECT_EQ(std::stod(ExpositionValue(value)), value);
  }
}

}  // namespace
}  // namespace tsdbd::server
