#include "server/units.h"

#include <gtest/gtest.h>

#include "common/clock.h"

namespace tsdbd::server {
namespace {

TEST(DurationTest, UnitsAddUp) {
  EXPECT_EQ(*ParseDuration("0"), 0);
  EXPECT_EQ(*ParseDuration("500ms"), 500 * kNanosPerMilli);
  EXPECT_EQ(*ParseDuration("10s"), 10 * kNanosPerSecond);
  EXPECT_EQ(*ParseDuration("1h30m"), 5'400 * kNanosPerSecond);
  EXPECT_EQ(*ParseDuration("1.5d"), 36 * 3'600 * kNanosPerSecond);
  EXPECT_EQ(*ParseDuration("1y"), 365 * kNanosPerDay);
  EXPECT_EQ(*ParseDuration("7ns"), 7);
}

TEST(DurationTest, EverythingElseIsRefusedAndNamed) {
  for (const char* text : {"", "10", "s", "-1s", "-0s", "10x", "1h30", "1 0s", "1e3s", "nan", "inf",
                           "0x10s", "+1s", "1s ", "300000y"}) {
    const auto duration = ParseDuration(text);
    EXPECT_FALSE(duration.ok()) << text;
    EXPECT_NE(Message(duration.status()).find(text), std::string_view::npos);
  }
}

TEST(DurationTest, FormattingGivesWhatParses) {
  for (const char* text : {"0", "1ns", "999ms", "1s", "75s", "2m", "1h30m", "1d", "365d"}) {
    const int64_t nanos = *ParseDuration(text);
    EXPECT_EQ(*ParseDuration(FormatDuration(nanos)), nanos) << text;
  }
  EXPECT_EQ(FormatDuration(75 * kNanosPerSecond), "1m15s");
  EXPECT_EQ(FormatDuration(365 * kNanosPerDay), "365d");
}

TEST(SizeTest, UnitsAreBinaryOrDecimal) {
  EXPECT_EQ(*ParseSize("4096"), 4'096U);
  EXPECT_EQ(*ParseSize("64MiB"), 64U << 20);
  EXPECT_EQ(*ParseSize("1.5 GiB"), 3ULL << 29);
  EXPECT_EQ(*ParseSize("2MB"), 2'000'000U);
  EXPECT_EQ(*ParseSize("0"), 0U);
}

TEST(SizeTest, EverythingElseIsRefusedAndNamed) {
  for (const char* text : {"", "MiB", "-1", "1 MiB x", "1M", "64mib", "1e9", "9000000TiB"}) {
    const auto size = ParseSize(text);
    EXPECT_FALSE(size.ok()) << text;
    EXPECT_NE(Message(size.status()).find(text), std::string_view::npos);
  }
}

TEST(SizeTest, FormattingPicksTheLargestWholeBinaryUnit) {
  EXPECT_EQ(FormatSize(64U << 20), "64MiB");
  EXPECT_EQ(FormatSize(1'000'000), "1000000B");
  EXPECT_EQ(FormatSize(0), "0");
}

}  // namespace
}  // namespace tsdbd::server
