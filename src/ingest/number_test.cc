#include "ingest/number.h"

#include <bit>
#include <cmath>
#include <cstdlib>
#include <initializer_list>
#include <random>
#include <string>
#include <utility>

#include <fmt/format.h>
#include <gtest/gtest.h>

namespace tsdbd::ingest {
namespace {

constexpr uint64_t kSeed = 20'240'601;

std::string RandomDigits(std::mt19937_64* random, size_t max_count) {
  std::string digits((*random)() % (max_count + 1), '0');
  for (char& digit : digits) {
    digit = static_cast<char>('0' + (*random)() % 10);
  }
  return digits;
}

// Signs, points, exponents and lengths of every kind; always a number.
std::string RandomFloatText(std::mt19937_64* random) {
  std::string text = (*random)() % 2 == 0 ? "-" : "";
  const bool point_first = (*random)() % 16 == 0;
  text += point_first ? "" : "0" + RandomDigits(random, (*random)() % 24);
  if (!point_first && (*random)() % 2 == 0) {
    text.erase(text.find('0'), text.size() - text.find('0') > 1 ? 1 : 0);
  }
  if (point_first || (*random)() % 4 != 0) {
    text += "." + RandomDigits(random, (*random)() % 24) + (point_first ? "5" : "");
  }
  if ((*random)() % 8 == 0) {
    const char* const signs[] = {"", "+", "-"};
    text += fmt::format("e{}{}", signs[(*random)() % 3], (*random)() % 330);
  }
  return text;
}

// The bits, so that -0 is not 0.
::testing::AssertionResult SameDouble(double a, double b) {
  if (std::bit_cast<uint64_t>(a) == std::bit_cast<uint64_t>(b)) {
    return ::testing::AssertionSuccess();
  }
  return ::testing::AssertionFailure() << fmt::format("{} is not {}", a, b);
}

TEST(NumberTest, AgreesWithStrtodOnRandomText) {
  std::mt19937_64 random(kSeed);
  for (int i = 0; i < 2'000'000; ++i) {
    const std::string text = RandomFloatText(&random);
    const double expected = std::strtod(text.c_str(), nullptr);
    const ParsedNumber number = ParseNumber(text);
    if (std::isinf(expected)) {
      ASSERT_EQ(number.problem, LineProblem::kFloatRange) << text << ", seed " << kSeed;
      continue;
    }
    ASSERT_EQ(number.problem, LineProblem::kNone) << text << ", seed " << kSeed;
    ASSERT_TRUE(SameDouble(number.value, expected)) << text << ", seed " << kSeed;

    const std::string value = text + ",";
    double common = 0;
    if (ReadCommonNumber(value.data(), value.data() + value.size(), &common) != nullptr) {
      ASSERT_TRUE(SameDouble(common, expected)) << text << ", seed " << kSeed;
    }
  }
}

TEST(NumberTest, ReadsEveryDoubleThatWasPrinted) {
  std::mt19937_64 random(kSeed);
  for (int i = 0; i < 1'000'000; ++i) {
    const double value = std::bit_cast<double>(random());
    if (std::isfinite(value)) {
      const std::string text = fmt::format("{}", value);
      ASSERT_TRUE(SameDouble(ParseNumber(text).value, value)) << text << ", seed " << kSeed;
    }
  }
}

// What fits the forms of ReadCommonNumber is read there, and to its end.
TEST(NumberTest, ReadsCommonFormsQuickly) {
  std::mt19937_64 random(kSeed);
  for (int i = 0; i < 1'000'000; ++i) {
    const size_t whole_count = 1 + random() % Digits::kMax;
    std::string text = random() % 2 == 0 ? "-" : "";
    text += RandomDigits(&random, whole_count - 1) + "7";
    const size_t digit_count = text.size() - text.starts_with('-');
    if (random() % 4 != 0) {
      text += "." + RandomDigits(&random, Digits::kMax - digit_count);
    }
    const double expected = std::strtod(text.c_str(), nullptr);
    for (const char* const follower : {",x=1", " 123456789", "\n12345678", "\r\n"}) {
      const std::string value = text + follower;
      double number = 0;
      const char* stop = ReadCommonNumber(value.data(), value.data() + value.size(), &number);
      ASSERT_EQ(stop, value.data() + text.size()) << value << ", seed " << kSeed;
      ASSERT_TRUE(SameDouble(number, expected)) << value << ", seed " << kSeed;
    }
  }
}

TEST(NumberTest, RoundsHalvesToEvenWhenDividing) {
  // k + 1/2 units of the last place of a double, exactly and one unit of the mantissa beside it.
  EXPECT_EQ(DivideByPowerOfTen(90'071'992'547'409'935, 1), 9007199254740994.0);
  EXPECT_EQ(DivideByPowerOfTen(90'071'992'547'409'945, 1), 9007199254740994.0);
  EXPECT_EQ(DivideByPowerOfTen(9'007'199'254'740'993, 0), 9007199254740992.0);
  EXPECT_EQ(DivideByPowerOfTen(9'007'199'254'740'995, 0), 9007199254740996.0);
  EXPECT_EQ(DivideByPowerOfTen(4'503'599'627'370'497'500, 3), 4503599627370498.0 - 0.5);
  EXPECT_EQ(DivideByPowerOfTen(9'999'999'999'999'999'999u, 19), 1.0);
  EXPECT_EQ(DivideByPowerOfTen(9'007'199'254'740'993, 19), 9.007199254740993e-4);
}

TEST(NumberTest, ReadsCommonIntegersQuickly) {
  for (const auto& [text, expected] :
       std::initializer_list<std::pair<std::string, double>>{{"0i,", 0},
                                                             {"-0i,", 0},
                                                             {"7i\n", 7},
                                                             {"-12345678i ", -12345678},
                                                             {"999999999999999i,", 999999999999999},
                                                             {"42u,", 42}}) {
    double number = -1;
    EXPECT_NE(ReadCommonNumber(text.data(), text.data() + text.size(), &number), nullptr) << text;
    EXPECT_TRUE(SameDouble(number, expected)) << text;
  }
}

TEST(NumberTest, LeavesOtherFormsAlone) {
  for (const std::string text :
       {"", "-", "-,", ",", ".5,", "1e5,", "1.5e5,", "1.5i,", "-5u,", "5ix,", "5x", "t,", "+1,",
        "12345678901234567890,", "9007199254740993i,", "1.2345678901234567890,", "1.2.3,", "5\t"}) {
    double number = 0;
    EXPECT_EQ(ReadCommonNumber(text.data(), text.data() + text.size(), &number), nullptr) << text;
  }
}

TEST(NumberTest, LeavesANumberAtTheEndOfTheBytesAlone) {
  double number = 0;
  for (const std::string text : {"5", "5i", "5.5", "-5", "123456789", "5."}) {
    EXPECT_EQ(ReadCommonNumber(text.data(), text.data() + text.size(), &number), nullptr) << text;
  }
}

TEST(NumberTest, TakesTheNearestOfTwoDoubles) {
  // Halfway between two doubles and just beside it: more digits than any shortcut can hold.
  EXPECT_EQ(ParseNumber("9007199254740993").value, 9007199254740992.0);
  EXPECT_EQ(ParseNumber("9007199254740993.0000000000000000000000001").value, 9007199254740994.0);
  EXPECT_EQ(ParseNumber("2.2250738585072011e-308").value, 2.2250738585072011e-308);
  EXPECT_EQ(ParseNumber("0." + std::string(400, '0') + "1e401").value, 1.0);
  EXPECT_EQ(ParseNumber("1" + std::string(400, '0') + "e-400").value, 1.0);
}

TEST(NumberTest, ReadsUpToNineteenDigits) {
  std::mt19937_64 random(kSeed);
  for (int i = 0; i < 200'000; ++i) {
    const std::string text = RandomDigits(&random, 30);
    const std::string line = text + (random() % 2 == 0 ? "" : " x");
    const Digits digits = ReadDigits(line.data(), line.data() + line.size());
    if (text.size() > Digits::kMax) {
      ASSERT_EQ(digits.count, Digits::kTooMany) << line;
    } else {
      ASSERT_EQ(digits.count, text.size()) << line;
      ASSERT_EQ(digits.value, std::strtoull(text.c_str(), nullptr, 10)) << line;
    }
  }
}

}  // namespace
}  // namespace tsdbd::ingest
