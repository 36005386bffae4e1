#include <gtest/gtest.h>

#include "model/labels.h"
#include "model/matcher.h"
#include "model/row_batch.h"

namespace tsdbd::model {
namespace {

Matcher Make(MatchType type, std::string value) {
  StatusOr<Matcher> matcher = Matcher::Create(type, "host", std::move(value));
  EXPECT_TRUE(matcher.ok()) << matcher.status();
  return *std::move(matcher);
}

TEST(MatcherTest, EqualityAndItsOpposite) {
  EXPECT_TRUE(Make(MatchType::kEqual, "a").Matches("a"));
  EXPECT_FALSE(Make(MatchType::kEqual, "a").Matches("ab"));
  EXPECT_FALSE(Make(MatchType::kNotEqual, "a").Matches("a"));
  EXPECT_TRUE(Make(MatchType::kNotEqual, "a").Matches(""));
}

TEST(MatcherTest, RegexesAreAnchoredAtBothEnds) {
  EXPECT_TRUE(Make(MatchType::kRegex, "a|b").Matches("b"));
  EXPECT_FALSE(Make(MatchType::kRegex, "a|b").Matches("ab"));
  EXPECT_FALSE(Make(MatchType::kRegex, "b.*").Matches("ab"));
  EXPECT_TRUE(Make(MatchType::kNotRegex, "b.*").Matches("ab"));
}

TEST(MatcherTest, ADotMatchesANewline) {
  EXPECT_TRUE(Make(MatchType::kRegex, "a.b").Matches("a\nb"));
}

TEST(MatcherTest, KnowsWhetherItMatchesALabelThatIsNotThere) {
  EXPECT_TRUE(Make(MatchType::kEqual, "").MatchesEmpty());
  EXPECT_TRUE(Make(MatchType::kRegex, ".*").MatchesEmpty());
  EXPECT_TRUE(Make(MatchType::kNotEqual, "a").MatchesEmpty());
  EXPECT_FALSE(Make(MatchType::kRegex, ".+").MatchesEmpty());
  EXPECT_FALSE(Make(MatchType::kNotEqual, "").MatchesEmpty());
}

TEST(MatcherTest, ABadRegexIsRefusedWithTheRegex) {
  const StatusOr<Matcher> matcher = Matcher::Create(MatchType::kRegex, "host", "a(b");
  EXPECT_EQ(matcher.status().code(), StatusCode::kInvalidArgument);
  EXPECT_NE(Message(matcher.status()).find("a(b"), std::string_view::npos);
}

TEST(MatcherTest, IsPrintedAsItStandsInASelector) {
  EXPECT_EQ(Make(MatchType::kNotRegex, "a\"\\\n").ToString(), "host!~\"a\\\"\\\\\\n\"");
}

TEST(LabelsTest, TheHashOfASetIsTheSumOfItsLabelsHashes) {
  const Labels both = {{"a", "1"}, {"b", "2"}};
  EXPECT_EQ(HashLabels(both), HashLabel("a", "1") + HashLabel("b", "2"));
  EXPECT_NE(HashLabel("a", "b"), HashLabel("b", "a"));
  EXPECT_NE(HashLabel("ab", "c"), HashLabel("a", "bc"));
}

TEST(RowBatchTest, TheHashOfFieldNamesKnowsTheirOrder) {
  EXPECT_NE(HashFieldNames({"a", "b"}), HashFieldNames({"b", "a"}));
  EXPECT_NE(HashFieldNames({"ab"}), HashFieldNames({"a", "b"}));
  EXPECT_EQ(HashFieldNames({"a", "b"}), HashFieldNames({"a", "b"}));
}

}  // namespace
}  // namespace tsdbd::model
