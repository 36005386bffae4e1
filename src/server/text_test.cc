#include "server/text.h"

#include <gtest/gtest.h>

namespace tsdbd::server {
namespace {

TEST(TextTest, WholeNumbersAreReadAsGoReadsThem) {
  EXPECT_EQ(ParseWholeNumber("0").value(), 0);
  EXPECT_EQ(ParseWholeNumber("+7").value(), 7);
  EXPECT_EQ(ParseWholeNumber("-7").value(), -7);
  for (const char* bad : {"", "x", "1x", "1.5", "+-1", "++1", " 1", "0x10"}) {
    EXPECT_EQ(Message(ParseWholeNumber(bad).status()),
              fmt::format("strconv.Atoi: parsing \"{}\": invalid syntax", bad));
  }
  EXPECT_EQ(Message(ParseWholeNumber("9223372036854775808").status()),
            "strconv.Atoi: parsing \"9223372036854775808\": value out of range");
}

TEST(TextTest, TimesAreWrittenInUtcWithoutZerosAtTheEnd) {
  EXPECT_EQ(FormatRfc3339(0), "1970-01-01T00:00:00Z");
  EXPECT_EQ(FormatRfc3339(1'700'000'000'500'000'000), "2023-11-14T22:13:20.5Z");
  EXPECT_EQ(FormatRfc3339(1'700'000'000'000'000'001), "2023-11-14T22:13:20.000000001Z");
  EXPECT_EQ(FormatRfc3339(-1), "1969-12-31T23:59:59.999999999Z");
}

TEST(TextTest, EscapedLabelNamesAreReadBack) {
  const struct {
    std::string_view escaped;
    std::string_view name;
  } cases[] = {
      {"plain_name", "plain_name"},
      {"U__http_2e_status", "http.status"},
      {"U__a__b", "a_b"},
      {"U__gr_fc_n", "gr\u00fcn"},
      {"U___1f600_", "\U0001f600"},
      {"U__", ""},
      // What is not escaped well stays as it is.
      {"U__a_", "U__a_"},
      {"U__a_zz_", "U__a_zz_"},
      {"U__a_2e", "U__a_2e"},
      {"U__a_d800_", "U__a_d800_"},
      {"U__a_1000000_", "U__a_1000000_"},
      {"U__a_110000_", "U__a_110000_"},
  };
  for (const auto& c : cases) {
    EXPECT_EQ(UnescapeLabelName(c.escaped), c.name) << c.escaped;
  }
}

}  // namespace
}  // namespace tsdbd::server
