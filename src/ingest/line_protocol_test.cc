#include "ingest/line_protocol.h"

#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/hash.h"
#include "ingest/line_key_decoder.h"
#include "ingest/line_protocol_testing.h"

namespace tsdbd::ingest {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

constexpr model::Timestamp kNow = 1'700'000'000'123'456'789;

// A body and what DescribeOutcome says about it.
struct Case {
  std::string body;
  std::string outcome;
};

class LineProtocolTest : public ::testing::Test {
 protected:
  LineProtocolTest() {
    options_.decoder = &decoder_;
    options_.now = kNow;
  }

  void Parse(std::string_view body) {
    // A copy of exactly this size: the sanitizers see every byte read beyond it.
    body_ = std::make_unique<char[]>(body.size());
    std::copy(body.begin(), body.end(), body_.get());
    parser_->Parse({body_.get(), body.size()}, options_, &batch_, &report_);
  }

  std::string Outcome(std::string_view body) {
    Parse(body);
    return DescribeOutcome(batch_, report_);
  }

  // Each case three times: alone; after the parser has learned its layout; and in the middle of a
  // body, where words are read without looking for the end.
  void Check(const std::vector<Case>& cases) {
    for (const Case& c : cases) {
      SCOPED_TRACE(c.body);
      parser_.emplace();
      EXPECT_EQ(Outcome(c.body), c.outcome);
      EXPECT_EQ(Outcome(c.body), c.outcome);
      const std::string comment = "\n# " + std::string(100, '-');
      EXPECT_EQ(Outcome(c.body + comment), c.outcome);
      EXPECT_EQ(Outcome(c.body + comment), c.outcome);
    }
  }

  // Cases of one value: what stands after "m f=", and the value or the reason.
  void CheckValues(const std::vector<Case>& cases) {
    std::vector<Case> lines;
    for (const Case& c : cases) {
      const bool accepted = c.outcome[0] != '!';
      lines.push_back({fmt::format("m f={} 5", c.body),
                       accepted
                           ? fmt::format("1: m f={} @5\n", c.outcome)
                           : fmt::format("1{} '{}' in field 'f' at byte 5\n", c.outcome, c.body)});
    }
    Check(lines);
  }

  const LineKeyDecoder decoder_{{}};
  ParseOptions options_;
  std::optional<LineProtocolParser> parser_{std::in_place};
  std::unique_ptr<char[]> body_;
  model::RowBatch batch_;
  ParseReport report_;
};

TEST_F(LineProtocolTest, ReadsTheFormsOfALine) {
  Check({
      {"cpu,host=a usage=1 1000", "1: cpu,host=a usage=1 @1000\n"},
      {"cpu usage=1 1000", "1: cpu usage=1 @1000\n"},
      {"cpu,host=a,region=b usage=1,idle=2.5,nice=-3i 1000",
       "1: cpu,host=a,region=b usage=1,idle=2.5,nice=-3 @1000\n"},
      {"cpu usage=1", fmt::format("1: cpu usage=1 @{}\n", kNow)},
      {"cpu usage=1 ", fmt::format("1: cpu usage=1 @{}\n", kNow)},
      {"a f=1 1\nb f=2 2", "1: a f=1 @1\n2: b f=2 @2\n"},
      {"a f=1 1\nb f=2 2\n", "1: a f=1 @1\n2: b f=2 @2\n"},
      {"a f=1 1\na g=2 2\na f=3 3\n", "1: a f=1 @1\n2: a g=2 @2\n3: a f=3 @3\n"},
      {"a f=1,g=2 1\na f=3 2\na f=4,g=5,h=6 3\n",
       "1: a f=1,g=2 @1\n2: a f=3 @2\n3: a f=4,g=5,h=6 @3\n"},
  });
}

TEST_F(LineProtocolTest, HasNothingToSayAboutEmptyBodies) {
  Check({{"", ""}, {"\n", ""}, {"\r\n\r\n", ""}, {"   \n\t\n", ""}, {"  ", ""}, {"\r", ""}});
  EXPECT_EQ(report_.line_count, 0u);
}

TEST_F(LineProtocolTest, SkipsComments) {
  Check({
      {"# a comment", ""},
      {"#\n", ""},
      {"  # f=\"\nm f=1 1", "2: m f=1 @1\n"},
      {"m f=1 1\n#m f=2 2\r\nm f=3 3", "1: m f=1 @1\n3: m f=3 @3\n"},
      {"m#,t#=# f#=1 1", "1: m#,t#=# f#=1 @1\n"},
  });
}

TEST_F(LineProtocolTest, EndsLinesAtCrLf) {
  Check({
      {"m f=1 1\r\nm f=2 2\r\n", "1: m f=1 @1\n2: m f=2 @2\n"},
      {"m f=1\r\nm f=2i\r\n", fmt::format("1: m f=1 @{0}\n2: m f=2 @{0}\n", kNow)},
      {"m f=1 1\r", "1: m f=1 @1\n"},
      {"m f=t\r\nm f=1 1 \r\n", fmt::format("1: m f=1 @{}\n2: m f=1 @1\n", kNow)},
      {"m\r\nm f=\r\nm f\r\nm f=1 1\r\n",
       "1! missing fields\n2! missing field value in field 'f' at byte 5\n"
       "3! invalid field format 'f' at byte 3\n4: m f=1 @1\n"},
      {"m f=1\r 1", "1! invalid field format at byte 6\n"},
  });
}

TEST_F(LineProtocolTest, AcceptsSeveralBlanks) {
  Check({
      {"  m f=1 1", "1: m f=1 @1\n"},
      {"\tm f=1 1", "1: m f=1 @1\n"},
      {"m   f=1 1", "1: m f=1 @1\n"},
      {"m f=1    1", "1: m f=1 @1\n"},
      {"m f=1 1   ", "1: m f=1 @1\n"},
      {"m f=1   \n  m f=2 2 \n", fmt::format("1: m f=1 @{}\n2: m f=2 @2\n", kNow)},
  });
}

TEST_F(LineProtocolTest, KeepsKeysAsTheyStand) {
  Check({
      {R"(my\ cpu,ho\=st=a\,b\ c f=1 1)", "1: my\\ cpu,ho\\=st=a\\,b\\ c f=1 @1\n"},
      {R"(m,path=C:\dir\ x f=1 1)", "1: m,path=C:\\dir\\ x f=1 @1\n"},
      // The byte before decides: two backslashes escape a blank as well as one.
      {R"(m,path=C:\\ f=1 1)", "1! invalid field format '1' at byte 17\n"},
      {R"(m\\ n f=1 1)", "1: m\\\\ n f=1 @1\n"},
      {R"(m,q="x" f=1 1)", "1: m,q=\"x\" f=1 @1\n"},
      {"m,größe=ü f=1 1", "1: m,größe=ü f=1 @1\n"},
      // For the decoder to refuse.
      {",a=1 f=1 1", "1: ,a=1 f=1 @1\n"},
      {"m,a= f=1 1", "1: m,a= f=1 @1\n"},
  });
}

TEST_F(LineProtocolTest, UnescapesFieldNames) {
  Check({
      {R"(m a\ b=1 1)", "1: m a\\ b=1 @1\n"},
      {R"(m a\,b=1,c\=d=2 1)", "1: m a\\,b=1,c\\=d=2 @1\n"},
      {R"(m a\b=1 1)", "1: m a\\b=1 @1\n"},
      {R"(m "f"=1 1)", "1: m \"f\"=1 @1\n"},
      {"m température=1 1", "1: m température=1 @1\n"},
  });
  Parse(R"(m a\ b\,c\=d\e=1 1)");
  EXPECT_EQ(batch_.field_lists[0].names, std::vector<std::string>{R"(a b,c=d\e)"});
}

TEST_F(LineProtocolTest, ReadsNumbers) {
  CheckValues({
      {"0", "0"},
      {"-0", "-0"},
      {"-0i", "0"},
      {"1", "1"},
      {"007", "7"},
      {"12345678", "12345678"},
      {"123456789012345", "123456789012345"},
      {"9007199254740992", "9007199254740992"},
      {"12345678901234567890", "1.2345678901234567e+19"},
      {"1.", "1"},
      {".5", "0.5"},
      {"-.5", "-0.5"},
      {"0.1", "0.1"},
      {"-12.375", "-12.375"},
      {"98.12345678901234", "98.12345678901234"},
      {"1e3", "1000"},
      {"1E+3", "1000"},
      {"-1.5e-3", "-0.0015"},
      {"1e-400", "0"},
      {"-1e-400", "-0"},
      {"1.7976931348623157e308", "1.7976931348623157e+308"},
      {"5e-324", "5e-324"},
      {"58i", "58"},
      {"-58i", "-58"},
      {"58u", "58"},
      {"007i", "7"},
      {"9007199254740992i", "9007199254740992"},
  });
}

TEST_F(LineProtocolTest, ReadsBooleans) {
  for (const std::string text : {"t", "T", "true", "True", "TRUE"}) {
    CheckValues({{text, "1"}});
  }
  for (const std::string text : {"f", "F", "false", "False", "FALSE"}) {
    CheckValues({{text, "0"}});
  }
}

TEST_F(LineProtocolTest, CountsIntegersThatADoubleMayRound) {
  Check({
      {"m f=9007199254740993i 1", "1: m f=9007199254740992 @1\ninexact=1\n"},
      {"m f=-9223372036854775808i 1", "1: m f=-9.223372036854776e+18 @1\ninexact=1\n"},
      {"m f=9223372036854775807i,g=18446744073709551615u 1",
       "1: m f=9.223372036854776e+18,g=1.8446744073709552e+19 @1\ninexact=2\n"},
      {"m f=9223372036854775807i x", "1! bad timestamp 'x' at byte 26\n"},
  });
}

TEST_F(LineProtocolTest, RefusesWhatIsNoNumber) {
  CheckValues({
      {"1x", "! invalid number"},   {"0x10", "! invalid number"},  {"+1", "! invalid number"},
      {"--1", "! invalid number"},  {"-", "! invalid number"},     {".", "! invalid number"},
      {"-.", "! invalid number"},   {"1.2.3", "! invalid number"}, {"1e", "! invalid number"},
      {"1e+", "! invalid number"},  {"e1", "! invalid boolean"},   {"1_000", "! invalid number"},
      {"NaN", "! invalid number"},  {"nan", "! invalid number"},   {"-nan", "! invalid number"},
      {"Inf", "! invalid number"},  {"-inf", "! invalid number"},  {"+Inf", "! invalid number"},
      {"i", "! invalid number"},    {"u", "! invalid boolean"},    {"1.5i", "! invalid number"},
      {"1e3i", "! invalid number"}, {"5ii", "! invalid number"},   {"5iu", "! invalid number"},
      {"-5u", "! invalid number"},  {"5.0u", "! invalid number"},
  });
}

TEST_F(LineProtocolTest, RefusesNumbersOutOfRange) {
  CheckValues({
      {"9223372036854775808i", "! unable to parse integer: value out of range"},
      {"-9223372036854775809i", "! unable to parse integer: value out of range"},
      {"99999999999999999999999i", "! unable to parse integer: value out of range"},
      {"18446744073709551616u", "! unable to parse unsigned: value out of range"},
      {"1e309", "! invalid float: value out of range"},
      {"-1e309", "! invalid float: value out of range"},
      {"1e99999999999999999999", "! invalid float: value out of range"},
  });
}

TEST_F(LineProtocolTest, RefusesWhatIsNoBoolean) {
  CheckValues({
      {"tru", "! invalid boolean"},
      {"tRUE", "! invalid boolean"},
      {"truee", "! invalid boolean"},
      {"yes", "! invalid boolean"},
      {"a\"b\"", "! invalid boolean"},
      {"\\\"x\\\"", "! invalid boolean"},
  });
}

TEST_F(LineProtocolTest, RefusesFieldsThatAreNone) {
  Check({
      {"m", "1! missing fields\n"},
      {"m,host=a", "1! missing fields\n"},
      {"m ", "1! missing fields\n"},
      {"m   \n", "1! missing fields\n"},
      {"m f", "1! invalid field format 'f' at byte 3\n"},
      {"m 1000", "1! invalid field format '1000' at byte 3\n"},
      {"m f 1000", "1! invalid field format 'f' at byte 3\n"},
      {"m f=1,", "1! invalid field format at byte 7\n"},
      {"m f=1,g", "1! invalid field format 'g' at byte 7\n"},
      {"m f=1,,g=2", "1! invalid field format at byte 7\n"},
      {"m f=1, g=2", "1! invalid field format at byte 7\n"},
      {"m =1", "1! missing field key at byte 3\n"},
      {"m f=1,=2", "1! missing field key at byte 7\n"},
      {"m f=", "1! missing field value in field 'f' at byte 5\n"},
      {"m f= 1", "1! missing field value in field 'f' at byte 5\n"},
      {"m f=,g=1", "1! missing field value in field 'f' at byte 5\n"},
      {"m f==1", "1! invalid boolean '=1' in field 'f' at byte 5\n"},
      {"m f=1=2", "1! invalid number '1=2' in field 'f' at byte 5\n"},
      {"m f=5\t1", "1! invalid number '5\\x091' in field 'f' at byte 5\n"},
      {"m f\x01=1 1", "1! control character in field key 'f\\x01' at byte 3\n"},
      {"m f\t=1 1", "1! control character in field key 'f\\x09' at byte 3\n"},
      {"m f\x7F=1 1", "1! control character in field key 'f\\x7f' at byte 3\n"},
      {"m \xFF=1 1", "1! invalid UTF-8 in field key '\\xff' at byte 3\n"},
      {"m \xC3=1 1", "1! invalid UTF-8 in field key '\\xc3' at byte 3\n"},
  });
}

TEST_F(LineProtocolTest, LetsTheLastOfTwoEqualFieldsWin) {
  Check({
      {"m f=1,f=2 5", "1: m f=2 @5\n"},
      {"m a=1,b=2,a=3,c=4,b=5 5", "1: m a=3,b=5,c=4 @5\n"},
      {R"(m a\x=1,a\x=2 5)", "1: m a\\x=2 @5\n"},
      {"m f=1,f=2 5\nm f=3,f=4 6\nm f=7 7", "1: m f=2 @5\n2: m f=4 @6\n3: m f=7 @7\n"},
      {R"(m f=1,f="x" 5)", "1: m f=1 @5\ndropped=1\n"},
  });
}

TEST_F(LineProtocolTest, DropsStringsAndCountsThem) {
  Check({
      {R"(m s="x",f=1 5)", "1: m f=1 @5\ndropped=1\n"},
      {R"(m f=1,s="a, b=c d" 5)", "1: m f=1 @5\ndropped=1\n"},
      {R"(m s="say \"hi\"",f=1 5)", "1: m f=1 @5\ndropped=1\n"},
      {R"(m s="ends with \\",f=1 5)", "1: m f=1 @5\ndropped=1\n"},
      {R"(m s="",f=1,t="" 5)", "1: m f=1 @5\ndropped=2\n"},
      {R"(m s="x" 5)", "dropped=1\nempty=1\n"},
      {"m s=\"x\" 5\nm f=1 6\nm s=\"y\" 7\n", "2: m f=1 @6\ndropped=2\nempty=2\n"},
      {"m s=\"a\nb\",f=1 5\nm f=2 6\n", "1: m f=1 @5\n3: m f=2 @6\ndropped=1\n"},
      {"m s=\"\xFF\x01\",f=1 5", "1: m f=1 @5\ndropped=1\n"},
      {R"(m v="1" 1)"
       "\nm v=1 1",
       "2: m v=1 @1\ndropped=1\nempty=1\n"},
  });
}

TEST_F(LineProtocolTest, RefusesStringsIfToldTo) {
  const std::string body = "m s=\"a\nb\",f=1 5\nm f=1 6";
  EXPECT_EQ(Outcome(body), "1: m f=1 @5\n3: m f=1 @6\ndropped=1\n");
  options_.string_fields = StringFieldPolicy::kRefuse;
  const std::string refused =
      "1! string fields are not stored '\"a\\x0ab\"' in field 's' at byte 5\n3: m f=1 @6\n";
  EXPECT_EQ(Outcome(body), refused);
  EXPECT_EQ(Outcome(body), refused);
}

TEST_F(LineProtocolTest, RefusesBrokenStrings) {
  Check({
      {R"(m s="x"y 5)", "1! invalid field format 'y' at byte 8\n"},
      {R"(m s="x"y,f=1 5)", "1! invalid field format 'y,f=1' at byte 8\n"},
  });
}

TEST_F(LineProtocolTest, RefusesTheRestOfTheBodyAfterAnUnclosedQuote) {
  const std::string place = " in field 's' at byte 5\n";
  const std::vector<Case> cases = {
      {"m s=\"x 5\nm f=1 6\n", R"('"x 5\x0am f=1 6\x0a')"},
      {R"(m s=")", R"('"')"},
      {R"(m s="\)", R"('"\')"},
      {R"(m s="\")", R"('"\"')"},
      {R"(m s="\\\")", R"('"\\\"')"},
  };
  for (const Case& c : cases) {
    EXPECT_EQ(Outcome("m f=1 1\n" + c.body),
              "1: m f=1 @1\n2! unbalanced quotes " + c.outcome + place);
  }
}

TEST_F(LineProtocolTest, NeverTakesTheInsideOfAStringForALine) {
  Check({
      {"m bad=x,s=\"a\nevil f=1 1\n\" 5\nm f=1 6",
       "1! invalid boolean 'x' in field 'bad' at byte 7\n4: m f=1 @6\n"},
      {"m s=\"a\nevil f=1 1\n\",bad=x 5\nm f=1 6",
       "1! invalid boolean 'x' in field 'bad' at byte 25\n4: m f=1 @6\n"},
      {"m s=\"a\nevil f=1 1\n\" bad\nm f=1 6", "1! bad timestamp 'bad' at byte 21\n4: m f=1 @6\n"},
      {"m =1,s=\"\\\"\nevil f=1 1\n\" 5\nm f=1 6", "1! missing field key at byte 3\n4: m f=1 @6\n"},
  });
}

TEST_F(LineProtocolTest, GoesOnAfterBadLines) {
  Check({
      {"m\nm f=1 1\nm f=x 2\n\nm f=3 3\nm f=4 x\n",
       "1! missing fields\n2: m f=1 @1\n3! invalid boolean 'x' in field 'f' at byte 5\n"
       "5: m f=3 @3\n6! bad timestamp 'x' at byte 7\n"},
      {"m\\\nm f=1 1", "1! missing fields\n2: m f=1 @1\n"},
  });
  EXPECT_EQ(report_.line_count, 2u);
  EXPECT_EQ(report_.error_count, 1u);
}

TEST_F(LineProtocolTest, RefusesBadTimestamps) {
  options_.time_range.max = 2'000'000'000'000'000'000;
  const std::string range = ", must be 0 to 2000000000000000000 ns\n";
  Check({
      {"m f=1 0", "1: m f=1 @0\n"},
      {"m f=1 2000000000000000000", "1: m f=1 @2000000000000000000\n"},
      {"m f=1 2000000000000000001",
       "1! time outside range '2000000000000000001' at byte 7" + range},
      {"m f=1 -1", "1! time outside range '-1' at byte 7" + range},
      {"m f=1 9223372036854775808",
       "1! time outside range '9223372036854775808' at byte 7" + range},
      {"m f=1 99999999999999999999999",
       "1! time outside range '99999999999999999999999' at byte 7" + range},
      {"m f=1 1x", "1! bad timestamp '1x' at byte 7\n"},
      {"m f=1 x", "1! bad timestamp 'x' at byte 7\n"},
      {"m f=1 -", "1! bad timestamp '-' at byte 7\n"},
      {"m f=1 +1", "1! bad timestamp '+1' at byte 7\n"},
      {"m f=1 1.5", "1! bad timestamp '1.5' at byte 7\n"},
      {"m f=1 1e9", "1! bad timestamp '1e9' at byte 7\n"},
      {"m f=1 1465839830100400200i", "1! bad timestamp '1465839830100400200i' at byte 7\n"},
      {"m f=1 1 2", "1! point is invalid '2' at byte 9\n"},
      {"m f=1 1 g=2", "1! point is invalid 'g=2' at byte 9\n"},
  });
}

TEST_F(LineProtocolTest, ReadsTimestampsOfEveryLength) {
  std::string digits;
  for (const char digit : std::string("1234567890123456789")) {
    digits += digit;
    Check({{"m f=1 " + digits, "1: m f=1 @" + digits + "\n"}});
  }
}

TEST_F(LineProtocolTest, MultipliesTimestampsByThePrecision) {
  struct PrecisionCase {
    const char* name;
    int64_t unit;
    int64_t now;
  };
  const PrecisionCase cases[] = {
      {"ns", 1, 1'700'000'000'123'456'789},
      {"u", 1'000, 1'700'000'000'123'456'000},
      {"ms", 1'000'000, 1'700'000'000'123'000'000},
      {"s", 1'000'000'000, 1'700'000'000'000'000'000},
      {"m", 60'000'000'000, 1'699'999'980'000'000'000},
      {"h", 3'600'000'000'000, 1'699'999'200'000'000'000},
  };
  for (const PrecisionCase& c : cases) {
    SCOPED_TRACE(c.name);
    options_.precision = *ParsePrecision(c.name);
    EXPECT_EQ(Outcome("m f=1 3"), fmt::format("1: m f=1 @{}\n", 3 * c.unit));
    EXPECT_EQ(Outcome("m f=1"), fmt::format("1: m f=1 @{}\n", c.now));
    const int64_t largest = model::kMaxTimestamp / c.unit;
    EXPECT_EQ(Outcome(fmt::format("m f=1 {}", largest)),
              fmt::format("1: m f=1 @{}\n", largest * c.unit));
    EXPECT_THAT(Outcome(fmt::format("m f=1 {}", largest + 1)), StartsWith("1! time outside range"));
  }
}

TEST(PrecisionTest, TakesTheNamesOfInfluxDb) {
  for (const auto& [name, nanos] :
       std::vector<std::pair<const char*, int64_t>>{{"", 1},
                                                    {"n", 1},
                                                    {"ns", 1},
                                                    {"u", 1'000},
                                                    {"us", 1'000},
                                                    {"µ", 1'000},
                                                    {"ms", 1'000'000},
                                                    {"s", 1'000'000'000},
                                                    {"m", 60'000'000'000},
                                                    {"h", 3'600'000'000'000}}) {
    ASSERT_TRUE(ParsePrecision(name).ok()) << name;
    EXPECT_EQ(NanosPerUnit(*ParsePrecision(name)), nanos) << name;
  }
  EXPECT_EQ(Message(ParsePrecision("d").status()),
            "invalid precision 'd': expected ns, u, ms, s, m or h");
}

TEST_F(LineProtocolTest, SaysUnableToParseAsInfluxDbDoes) {
  Parse("cpu,host=a\n");
  ASSERT_EQ(report_.errors.size(), 1u);
  EXPECT_EQ(report_.errors[0].reason, "unable to parse 'cpu,host=a': missing fields");
}

TEST_F(LineProtocolTest, QuotesBadLinesAsShortPrintableText) {
  Parse("m\x01\xFF," + std::string(1000, 'x'));
  EXPECT_THAT(report_.errors[0].reason, StartsWith("unable to parse 'm\\x01\\xff,xxx"));
  EXPECT_THAT(report_.errors[0].reason, HasSubstr("xxx...': missing fields"));
  EXPECT_LT(report_.errors[0].reason.size(), 320u);
}

TEST_F(LineProtocolTest, TellsTheFirstHundredErrorsAndCountsAll) {
  std::string body;
  for (int i = 0; i < 250; ++i) {
    body += "m f=1 1\nm\n";
  }
  Parse(body);
  EXPECT_EQ(report_.error_count, 250u);
  EXPECT_EQ(report_.line_count, 500u);
  EXPECT_EQ(batch_.rows.size(), 250u);
  ASSERT_EQ(report_.errors.size(), kMaxReportedErrors);
  EXPECT_EQ(report_.errors.back().line, 200u);
}

TEST_F(LineProtocolTest, BoundsTheKey) {
  const std::string name(65'535 - 4, 'x');
  Parse("m,t=" + name + " f=1 1");
  EXPECT_EQ(report_.error_count, 0u);
  EXPECT_EQ(Outcome("m,t=" + name + "x f=1 1\nm f=1 2"),
            "1! max key length exceeded: more than 65535 bytes\n2: m f=1 @2\n");
  EXPECT_THAT(Outcome("m " + name + "xxxxx=1 1\nm f=1 2"),
              StartsWith("1! max key length exceeded: more than 65535 bytes 'xxxx"));
}

TEST_F(LineProtocolTest, BoundsTheFields) {
  options_.max_fields = 3;
  EXPECT_EQ(Outcome("m a=1,b=2,c=3 1\nm a=1,b=2,c=3,d=4 1"),
            "1: m a=1,b=2,c=3 @1\n2! too many fields at byte 15\n");
  options_.max_fields = 2;
  EXPECT_EQ(Outcome("m a=1,b=2,c=3 1\nm a=1,b=2 1"),
            "1! too many fields at byte 11\n2: m a=1,b=2 @1\n");
}

TEST_F(LineProtocolTest, BoundsTheLine) {
  options_.max_line_bytes = 29;
  EXPECT_EQ(Outcome("m f=1,s=\"0123456789\" 123456789\nm f=1,s=\"0123456789\" 12345678\n"),
            "1! max line length exceeded\n2: m f=1 @12345678\ndropped=1\n");
}

TEST_F(LineProtocolTest, SharesFieldListsWithinABatch) {
  Parse("a f=1,g=2 1\nb f=3,g=4 2\na f=5 3\nb f=6,g=7 4\n");
  ASSERT_EQ(batch_.field_lists.size(), 2u);
  EXPECT_EQ(batch_.field_lists[0].names, (std::vector<std::string>{"f", "g"}));
  EXPECT_EQ(batch_.field_lists[1].names, std::vector<std::string>{"f"});
  EXPECT_EQ(batch_.field_lists[0].hash, model::HashFieldNames({"f", "g"}));
  EXPECT_EQ(batch_.rows[3].field_list, 0u);
  EXPECT_EQ(batch_.rows[3].first_value, 5u);
  EXPECT_EQ(batch_.values, (std::vector<double>{1, 2, 3, 4, 5, 6, 7}));
}

TEST_F(LineProtocolTest, PointsIntoTheBodyAndHashesKeys) {
  Parse("cpu,host=a f=1 1\n");
  ASSERT_EQ(batch_.rows.size(), 1u);
  EXPECT_EQ(batch_.rows[0].key.data(), body_.get());
  EXPECT_EQ(batch_.rows[0].key_hash, HashTo128("cpu,host=a"));
  EXPECT_EQ(batch_.decoder, &decoder_);
}

TEST_F(LineProtocolTest, StartsEveryBatchAnew) {
  Parse("m a=1,b=2 1\nm\n");
  EXPECT_EQ(Outcome("m b=1 7\nm a=3,b=4 8\n"), "1: m b=1 @7\n2: m a=3,b=4 @8\n");
  EXPECT_EQ(report_.line_count, 2u);
  EXPECT_EQ(batch_.values.size(), 3u);
  EXPECT_EQ(batch_.field_lists.size(), 2u);
}

TEST_F(LineProtocolTest, KeepsReadingWhenItForgetsLayouts) {
  // More layouts than it remembers, each on two lines in a row, and all of them twice.
  constexpr int kLayouts = 3000;
  std::string body;
  std::string expected;
  for (int i = 0; i < 4 * kLayouts; ++i) {
    const int layout = i / 2 % kLayouts;
    const std::string fields = fmt::format("m field_{0}={0},common=1", layout);
    body += fmt::format("{} {}\n", fields, i);
    expected += fmt::format("{}: {} @{}\n", i + 1, fields, i);
  }
  EXPECT_EQ(Outcome(body), expected);
}

TEST_F(LineProtocolTest, ReadsLinesWithLongNamesAndManyFields) {
  std::string fields;
  for (int i = 0; i < 500; ++i) {
    const std::string field = fmt::format("{}_{}={}", std::string(i % 70 + 1, 'n'), i, i);
    fields += (i == 0 ? "" : ",") + field;
  }
  const std::string line = "m " + fields + " 1";
  Check({{line, "1: " + std::string(line, 0, line.size() - 1) + "@1\n"}});
}

TEST_F(LineProtocolTest, TellsFieldNamesApartThatShareAPrefix) {
  // Both orders, so that each is once what the parser expects and once what it meets.
  for (size_t length = 1; length < 40; ++length) {
    const std::string name(length, 'x');
    const std::string changed_end = name.substr(1) + "y";
    const std::string longer = name + "x";
    for (const std::string& other : {changed_end, longer}) {
      Check({{fmt::format("m {0}=1 1\nm {1}=2 2\nm {0}=3 3\n", name, other),
              fmt::format("1: m {0}=1 @1\n2: m {1}=2 @2\n3: m {0}=3 @3\n", name, other)}});
    }
  }
}

}  // namespace
}  // namespace tsdbd::ingest
