#include "ingest/text.h"

#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace tsdbd::ingest {
namespace {

std::string Unescaped(std::string_view text) {
  std::string result;
  AppendUnescaped(text, &result);
  return result;
}

TEST(TextTest, FindsBlanksAndControlCharactersAtEveryPlace) {
  for (size_t size = 0; size < 40; ++size) {
    const std::string text(size, '\xFF');
    EXPECT_EQ(FindBlankOrControl(text.data(), text.data() + size), text.data() + size);
    for (size_t place = 0; place < size; ++place) {
      for (const char c : {' ', '\n', '\0', '\x1F'}) {
        std::string with = text;
        with[place] = c;
        EXPECT_EQ(FindBlankOrControl(with.data(), with.data() + size), with.data() + place);
      }
    }
  }
}

TEST(TextTest, FindsTheFirstNameDelimiter) {
  for (const std::string delimiter : {" ", "\n", ",", "="}) {
    const std::string text = "a_rather_long_name_of_a_field" + delimiter + " =,";
    EXPECT_EQ(FindNameDelimiter(text.data(), text.data() + text.size()) - text.data(), 29);
  }
}

TEST(TextTest, FindsTheClosingQuote) {
  const std::vector<std::pair<std::string, size_t>> cases = {
      {R"(")", 0},
      {R"(abc")", 3},
      {R"(a\"b")", 4},
      {R"(a\\")", 3},
      {R"(a\\\"b")", 6},
      {R"(a\xb")", 4},
      {R"()", 0},
      {R"(abc)", 3},
      {R"(abc\)", 4},
      {R"(abc\")", 5},
      {R"(abc\\)", 5},
      {R"(abc\"d)", 6},
      {R"(0123456789abcdef\"0123456789abcdef")", 34},
  };
  for (const auto& [text, place] : cases) {
    EXPECT_EQ(FindClosingQuote(text.data(), text.data() + text.size()) - text.data(),
              static_cast<ptrdiff_t>(place))
        << text;
  }
}

TEST(TextTest, AcceptsUtf8) {
  for (const std::string text :
       {"", "plain", "12345678 and more than eight", "größe", "温度", "😀", "\xC2\x80", "\xDF\xBF",
        "\xE0\xA0\x80", "\xED\x9F\xBF", "\xEE\x80\x80", "\xEF\xBF\xBF", "\xF0\x90\x80\x80",
        "\xF4\x8F\xBF\xBF"}) {
    EXPECT_EQ(CheckText(text), TextProblem::kNone) << text;
  }
}

TEST(TextTest, RefusesWhatIsNotUtf8) {
  for (const std::string bad :
       {"\x80", "\xBF", "\xC0\x80", "\xC1\xBF", "\xC2", "\xC2\x41", "\xE0\x9F\xBF", "\xE0\xA0",
        "\xED\xA0\x80", "\xF0\x8F\xBF\xBF", "\xF0\x90\x80", "\xF4\x90\x80\x80", "\xF5\x80\x80\x80",
        "\xFE", "\xFF"}) {
    for (size_t before = 0; before < 10; ++before) {
      EXPECT_EQ(CheckText(std::string(before, 'x') + bad), TextProblem::kInvalidUtf8) << bad;
      EXPECT_EQ(CheckText(std::string(before, 'x') + bad + "xxxxxxxx"), TextProblem::kInvalidUtf8);
    }
  }
}

TEST(TextTest, RefusesControlCharactersAtEveryPlace) {
  for (int c = 0; c < 256; ++c) {
    const bool control = c < 0x20 || c == 0x7F;
    for (size_t place = 0; place < 20 && c < 0x80; ++place) {
      std::string text(20, '~');
      text[place] = static_cast<char>(c);
      EXPECT_EQ(CheckText(text), control ? TextProblem::kControlCharacter : TextProblem::kNone)
          << c << " at " << place;
    }
  }
}

TEST(TextTest, UnescapesDelimitersOnly) {
  EXPECT_EQ(Unescaped("plain"), "plain");
  EXPECT_EQ(Unescaped(R"(a\ b\,c\=d)"), "a b,c=d");
  EXPECT_EQ(Unescaped(R"(C:\dir\\x)"), R"(C:\dir\\x)");
  EXPECT_EQ(Unescaped(R"(a\\ b)"), R"(a\ b)");
  EXPECT_EQ(Unescaped(R"(end\)"), R"(end\)");
}

TEST(TextTest, ExcerptsArePrintableAndShort) {
  EXPECT_EQ(Excerpt("größe", 100), "größe");
  EXPECT_EQ(Excerpt("a\n\x7F\xFF", 100), "a\\x0a\\x7f\\xff");
  EXPECT_EQ(Excerpt("12345", 5), "12345");
  EXPECT_EQ(Excerpt("123456", 5), "12345...");
  EXPECT_EQ(Excerpt("ö", 1), "\\xc3...");
}

}  // namespace
}  // namespace tsdbd::ingest
