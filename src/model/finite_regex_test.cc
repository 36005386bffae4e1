#include "model/finite_regex.h"

#include <random>
#include <string>

#include <gtest/gtest.h>

#include "model/matcher.h"

namespace tsdbd::model {
namespace {

std::string Texts(std::string_view regex) {
  const auto texts = TextsOfFiniteRegex(regex);
  if (!texts) {
    return "not finite";
  }
  std::string joined;
  for (const std::string& text : *texts) {
    joined += (&text == texts->data() ? "" : ",") + text;
  }
  return joined;
}

TEST(FiniteRegex, ExpandsLiteralsGroupsAndAlternatives) {
  EXPECT_EQ(Texts("a"), "a");
  EXPECT_EQ(Texts(""), "");
  EXPECT_EQ(Texts("b|a|b"), "a,b");
  EXPECT_EQ(Texts("host_(1|2|17)"), "host_1,host_17,host_2");
  EXPECT_EQ(Texts("(?:a|b)(c|)d"), "acd,ad,bcd,bd");
  EXPECT_EQ(Texts("((a|b)x|c)"), "ax,bx,c");
  EXPECT_EQ(Texts(R"(10\.0\.0\.1:9100|a\-b)"), "10.0.0.1:9100,a-b");
  EXPECT_EQ(Texts("a|"), ",a");
}

TEST(FiniteRegex, LeavesEverythingElse) {
  for (const char* regex : {"a.", "a*", "a+", "ab?", "a{2}", "[ab]", "^a", "a$", "(a|b)*", "(?i)a",
                            "(?P<n>a)", R"(\d)", R"(\w)", R"(\x41)", "(a", "a)", "a|*", "\\"}) {
    EXPECT_EQ(Texts(regex), "not finite") << regex;
  }
  EXPECT_EQ(Texts("(0|1)(0|1)(0|1)(0|1)(0|1)(0|1)(0|1)(0|1)(0|1)"), "not finite") << "512 texts";
  EXPECT_EQ(Texts(std::string(20, '(') + "a" + std::string(20, ')')), "not finite");
}

TEST(FiniteRegex, AgreesWithRE2) {
  const uint64_t seed = std::random_device{}();
  SCOPED_TRACE(testing::Message() << "seed " << seed);
  std::mt19937_64 random(seed);
  const std::string_view pieces[] = {"a", "b", "|", "(", ")", "(?:", ".", "\\.", "+", ""};
  const std::string_view letters[] = {"a", "b", ".", "+"};
  for (int round = 0; round < 20'000; ++round) {
    std::string regex;
    for (size_t i = random() % 8; i > 0; --i) {
      regex += pieces[random() % std::size(pieces)];
    }
    const auto texts = TextsOfFiniteRegex(regex);
    const auto matcher = Matcher::Create(MatchType::kNotRegex, "l", regex);
    if (!texts || !matcher.ok()) {
      ASSERT_TRUE(!texts || matcher.ok()) << regex;
      continue;
    }
    for (int i = 0; i < 30; ++i) {
      std::string text;
      for (size_t k = random() % 4; k > 0; --k) {
        text += letters[random() % std::size(letters)];
      }
      const bool found = std::ranges::find(*texts, text) != texts->end();
      ASSERT_EQ(found, !matcher->Matches(text)) << regex << " and " << text;
    }
  }
}

}  // namespace
}  // namespace tsdbd::model
