#include "query/text.h"

#include <array>
#include <bit>
#include <charconv>
#include <cmath>
#include <limits>
#include <random>

#include <gtest/gtest.h>

#include "common/clock.h"

namespace tsdbd::query {
namespace {

constexpr int64_t kMinute = 60 * kNanosPerSecond;
constexpr int64_t kHour = 60 * kMinute;

// ---- UTF-8

TEST(Utf8, ReadsRunesOfEveryWidth) {
  EXPECT_EQ(DecodeRune("a").code, 'a');
  EXPECT_EQ(DecodeRune("é").code, 0xE9);
  EXPECT_EQ(DecodeRune("€").code, 0x20AC);
  EXPECT_EQ(DecodeRune("😀").code, 0x1F600);
  EXPECT_EQ(DecodeRune("😀").width, 4);
  EXPECT_EQ(DecodeRune("").width, 0);
}

TEST(Utf8, RefusesWhatIsNoUtf8) {
  // A lone continuation, an overlong slash, a cut rune, a surrogate, beyond U+10FFFF, 0xFF.
  for (const std::string_view bad :
       {"\x80", "\xC0\xAF", "\xE2\x82", "\xED\xA0\x80", "\xF4\x90\x80\x80", "\xFF"}) {
    EXPECT_FALSE(DecodeRune(bad).IsValid()) << Quote(bad);
    EXPECT_EQ(DecodeRune(bad).width, 1) << Quote(bad);
    EXPECT_FALSE(IsValidUtf8(bad));
  }
  EXPECT_TRUE(IsValidUtf8("plain, é, €, 😀 and \xEF\xBF\xBD"));
}

TEST(Utf8, WritesWhatItReads) {
  for (uint32_t code = 0; code < 0x110000; code += 97) {
    std::string text;
    AppendRune(code, &text);
    const bool surrogate = code >= 0xD800 && code < 0xE000;
    EXPECT_EQ(DecodeRune(text).code, surrogate ? kReplacementRune : code);
  }
}

// ---- Quoted strings

TEST(Quote, EscapesAsGoDoes) {
  EXPECT_EQ(Quote("plain"), R"("plain")");
  EXPECT_EQ(Quote("a\"b\\c"), R"("a\"b\\c")");
  EXPECT_EQ(Quote("\a\b\f\n\r\t\v"), R"("\a\b\f\n\r\t\v")");
  EXPECT_EQ(Quote(std::string_view("\0\x01\x7f", 3)), R"("\x00\x01\x7f")");
  EXPECT_EQ(Quote("é😀"), "\"é😀\"");
  EXPECT_EQ(Quote("\xff"), R"("\xff")");
  EXPECT_EQ(Quote("\u200b"), R"("\u200b")") << "no width, so not printable";
  EXPECT_EQ(Quote("\u00a0"), R"("\u00a0")") << "the only printable space is the ASCII one";
}

TEST(Quote, NamesSingleRunes) {
  EXPECT_EQ(QuoteRune('x'), "'x'");
  EXPECT_EQ(QuoteRune('\''), R"('\'')");
  EXPECT_EQ(QuoteRune('"'), R"('"')");
  EXPECT_EQ(QuoteRune('\n'), R"('\n')");
  EXPECT_EQ(DescribeRune('c'), "U+0063 'c'");
  EXPECT_EQ(DescribeRune('\n'), "U+000A");
}

TEST(Unquote, ReadsAllThreeKindsOfQuotes) {
  EXPECT_EQ(Unquote(R"("a'b`c")"), "a'b`c");
  EXPECT_EQ(Unquote(R"('a"b`c')"), "a\"b`c");
  EXPECT_EQ(Unquote("`a\\n\n\"b'`"), "a\\n\n\"b'");
  EXPECT_EQ(Unquote(R"("\"")"), "\"");
  EXPECT_EQ(Unquote(R"('\'')"), "'");
}

TEST(Unquote, ReadsEscapes) {
  EXPECT_EQ(Unquote(R"("\a\b\f\n\r\t\v\\")"), "\a\b\f\n\r\t\v\\");
  EXPECT_EQ(Unquote(R"("\x41\101\u00e9\U0001F600\xff")"), "AAé😀\xff");
}

TEST(Unquote, RefusesWhatIsNoLiteral) {
  for (const std::string_view bad :
       {"", "\"", "a", "\"a'", "\"a\"b\"", "\"\n\"", R"("\q")", R"("\'")", R"('\"')", R"("\x4")",
        R"("\8")", R"("\400")", R"("\ud800")", R"("\U00110000")", R"("\")", "`a`b`"}) {
    EXPECT_EQ(Unquote(bad), std::nullopt) << bad;
  }
}

TEST(Unquote, UndoesQuoteForAnyBytes) {
  std::mt19937_64 random(20240601);
  for (int round = 0; round < 2'000; ++round) {
    std::string bytes(random() % 12, '\0');
    for (char& c : bytes) {
      c = static_cast<char>(random());
    }
    EXPECT_EQ(Unquote(Quote(bytes)), bytes) << Quote(bytes);
  }
}

TEST(LabelName, IsPlainWithoutAnythingToQuote) {
  EXPECT_TRUE(IsPlainLabelName("job"));
  EXPECT_TRUE(IsPlainLabelName("__name__"));
  EXPECT_TRUE(IsPlainLabelName("a1_B"));
  for (const std::string_view other : {"", "1a", "a.b", "a:b", "é", "a b"}) {
    EXPECT_FALSE(IsPlainLabelName(other)) << other;
  }
}

// ---- Numbers

double Float(std::string_view text) {
  double value = 0;
  EXPECT_EQ(ParseFloat(text, &value), NumberError::kNone) << text;
  return value;
}

NumberError FloatError(std::string_view text) {
  double value = 0;
  return ParseFloat(text, &value);
}

TEST(ParseFloat, ReadsGosForms) {
  EXPECT_EQ(Float("1"), 1);
  EXPECT_EQ(Float("-1.5"), -1.5);
  EXPECT_EQ(Float("+.5"), 0.5);
  EXPECT_EQ(Float("5."), 5);
  EXPECT_EQ(Float("1e3"), 1000);
  EXPECT_EQ(Float("1E-3"), 0.001);
  EXPECT_EQ(Float("0x1p4"), 16);
  EXPECT_EQ(Float("0X1.8P1"), 3);
  EXPECT_EQ(Float("1_000.5"), 1000.5);
  EXPECT_EQ(Float("010"), 10);
  EXPECT_EQ(Float("Inf"), std::numeric_limits<double>::infinity());
  EXPECT_EQ(Float("-infinity"), -std::numeric_limits<double>::infinity());
  EXPECT_TRUE(std::isnan(Float("NaN")));
}

TEST(ParseFloat, TakesTooSmallAsZeroAndRefusesTooLarge) {
  EXPECT_EQ(Float("1e-400"), 0);
  EXPECT_EQ(Float("4.9e-324"), std::numeric_limits<double>::denorm_min());
  EXPECT_EQ(FloatError("1e400"), NumberError::kRange);
  EXPECT_EQ(FloatError("-1e400"), NumberError::kRange);
}

TEST(ParseFloat, RefusesWhatIsNoNumber) {
  for (const std::string_view bad :
       {"",   "-",    "+-1",  "1e",   "e5", ".",    "1.2.3", "1 ", " 1",  "_1",
        "1_", "1__0", "1_.5", "0x10", "0x", "-nan", "in",    "1h", "--1", "0x1p"}) {
    EXPECT_EQ(FloatError(bad), NumberError::kSyntax) << bad;
  }
}

TEST(ParseNumberLiteral, ReadsIntegersInGosBases) {
  EXPECT_EQ(*ParseNumberLiteral("0x1F"), 31);
  EXPECT_EQ(*ParseNumberLiteral("017"), 15);
  EXPECT_EQ(*ParseNumberLiteral("089"), 89) << "no octal number, so decimal";
  EXPECT_EQ(*ParseNumberLiteral("0"), 0);
  EXPECT_EQ(*ParseNumberLiteral("1_000"), 1000);
  EXPECT_EQ(*ParseNumberLiteral("9223372036854775808"), 9223372036854775808.0);
}

TEST(ParseNumberLiteral, SaysWhatIsWrong) {
  EXPECT_EQ(Message(ParseNumberLiteral("1e999").status()),
            "error parsing number: strconv.ParseFloat: parsing \"1e999\": value out of range");
  EXPECT_EQ(Message(ParseNumberLiteral("0xFFFFFFFFFFFFFFFF").status()),
            "error parsing number: strconv.ParseFloat: parsing \"0xFFFFFFFFFFFFFFFF\": invalid "
            "syntax");
}

TEST(FormatDecimal, WritesTheFewestDigitsWithoutExponent) {
  const struct {
    double value;
    std::string_view text;
  } cases[] = {
      {0, "0"},
      {-0.0, "-0"},
      {1, "1"},
      {-42, "-42"},
      {0.1, "0.1"},
      {1.5e-7, "0.00000015"},
      {123456789.125, "123456789.125"},
      {9007199254740991, "9007199254740991"},
      {9007199254740992, "9007199254740992"},
      {1e15, "1000000000000000"},
      {1234567890123456.75, "1234567890123456.8"},
      {1e21, "1000000000000000000000"},
      {1.5e22, "15000000000000000000000"},
      {1180591620717411303424.0, "1180591620717411300000"},  // 2^70: zeros behind the digits
      {-1e22, "-10000000000000000000000"},
      {std::numeric_limits<double>::infinity(), "+Inf"},
      {-std::numeric_limits<double>::infinity(), "-Inf"},
      {std::numeric_limits<double>::quiet_NaN(), "NaN"},
  };
  for (const auto& c : cases) {
    EXPECT_EQ(FormatDecimal(c.value), c.text);
  }
  EXPECT_EQ(FormatDecimal(1e308).size(), 309u);
  EXPECT_EQ(FormatDecimal(5e-324).size(), 326u);
}

TEST(FormatDecimal, ReadsBackTheSame) {
  std::mt19937_64 random(7);
  for (int round = 0; round < 20'000; ++round) {
    const auto value = std::bit_cast<double>(random());
    if (std::isfinite(value)) {
      EXPECT_EQ(Float(FormatDecimal(value)), value);
    }
  }
}

TEST(FormatDecimal, WritesDecimalsAsTheyAre) {
  std::mt19937_64 random(13);
  for (int round = 0; round < 20'000; ++round) {
    const auto count = static_cast<int64_t>(random() % (uint64_t{1} << (1 + round % 52)));
    int64_t unit = 1;
    for (int places = 0; places <= 8; ++places, unit *= 10) {
      const double value = -static_cast<double>(count) / static_cast<double>(unit);
      std::array<char, 64> shortest;
      const auto end =
          std::to_chars(shortest.begin(), shortest.end(), value, std::chars_format::fixed).ptr;
      EXPECT_EQ(FormatDecimal(value), std::string_view(shortest.begin(), end - shortest.begin()));
    }
  }
}

// ---- Durations

TEST(ParseDuration, AddsUnitsFromLargeToSmall) {
  EXPECT_EQ(*ParseDuration("0"), 0);
  EXPECT_EQ(*ParseDuration("5ms"), 5 * kNanosPerMilli);
  EXPECT_EQ(*ParseDuration("1h30m"), 90 * kMinute);
  EXPECT_EQ(*ParseDuration("1y2w3d4h5m6s7ms"), 382 * kNanosPerDay + 4 * kHour + 5 * kMinute +
                                                   6 * kNanosPerSecond + 7 * kNanosPerMilli);
  EXPECT_EQ(*ParseDuration("292y"), 292 * 365 * kNanosPerDay);
}

TEST(ParseDuration, SaysWhatIsWrong) {
  const struct {
    std::string_view text;
    std::string_view message;
  } cases[] = {
      {"", "empty duration string"},
      {"5", "not a valid duration string: \"5\""},
      {"m", "not a valid duration string: \"m\""},
      {"1m1h", "not a valid duration string: \"1m1h\""},
      {"1m1m", "not a valid duration string: \"1m1m\""},
      {"-1m", "not a valid duration string: \"-1m\""},
      {"99999999999999999999s", "not a valid duration string: \"99999999999999999999s\""},
      {"5hs", "unknown unit \"hs\" in duration \"5hs\""},
      {"1.5h", "unknown unit \".\" in duration \"1.5h\""},
      {"293y", "duration out of range"},
      {"292y300d", "duration out of range"},
      {"9999999999y", "duration out of range"},
  };
  for (const auto& c : cases) {
    const auto parsed = ParseDuration(c.text);
    ASSERT_FALSE(parsed.ok()) << c.text;
    EXPECT_EQ(Message(parsed.status()), c.message);
  }
}

TEST(FormatDuration, WritesUnitsAsPrometheusDoes) {
  EXPECT_EQ(FormatDuration(0), "0s");
  EXPECT_EQ(FormatDuration(90 * kMinute), "1h30m");
  EXPECT_EQ(FormatDuration(-5 * kMinute), "-5m");
  EXPECT_EQ(FormatDuration(90 * kNanosPerDay), "90d") << "not 12w6d";
  EXPECT_EQ(FormatDuration(14 * kNanosPerDay), "2w");
  EXPECT_EQ(FormatDuration(730 * kNanosPerDay), "2y");
  EXPECT_EQ(FormatDuration(1500 * kNanosPerMilli), "1s500ms");
  EXPECT_EQ(FormatDuration(500'000), "0.0005") << "finer than a millisecond";
}

TEST(FormatDuration, ReadsBackTheSame) {
  std::mt19937_64 random(11);
  for (int round = 0; round < 20'000; ++round) {
    const double seconds = std::ldexp(static_cast<double>(random() >> 11), -(round % 60) - 20);
    const int64_t nanos = SecondsToNanos(seconds);
    const std::string text = FormatDuration(nanos);
    const auto units = ParseDuration(text);
    EXPECT_EQ(units.ok() ? *units : SecondsToNanos(Float(text)), nanos) << text;
  }
}

TEST(SecondsToNanos, RoundsAndSaturates) {
  EXPECT_EQ(SecondsToNanos(1.5), 1'500'000'000);
  EXPECT_EQ(SecondsToNanos(-0.0000000014), -1);
  EXPECT_EQ(SecondsToNanos(31536000.0005), 31'536'000'001'000'000) << "milliseconds from 26 d on";
  EXPECT_GT(SecondsToNanos(1e300), 292 * 365 * kNanosPerDay);
  EXPECT_LT(SecondsToNanos(-1e300), -292 * 365 * kNanosPerDay);
}

}  // namespace
}  // namespace tsdbd::query
