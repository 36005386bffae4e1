#include "query/functions.h"

#include <algorithm>

#include <gtest/gtest.h>

namespace tsdbd::query {
namespace {

TEST(Functions, AreFoundByTheirExactName) {
  ASSERT_NE(FindFunction("rate"), nullptr);
  EXPECT_EQ(FindFunction("rate")->name, "rate");
  EXPECT_EQ(FindFunction("Rate"), nullptr);
  EXPECT_EQ(FindFunction(""), nullptr);
  EXPECT_EQ(FindFunction("zzz"), nullptr);
}

TEST(Functions, AreAllFound) {
  for (const FunctionSignature& function : AllFunctions()) {
    EXPECT_EQ(FindFunction(function.name), &function);
  }
}

TEST(Functions, ContainTheWholeStableLanguage) {
  EXPECT_EQ(std::ranges::count(AllFunctions(), false, &FunctionSignature::experimental), 73);
}

TEST(Functions, TellHowManyArgumentsTheyTake) {
  EXPECT_EQ(FindFunction("time")->min_arguments(), 0u);
  EXPECT_EQ(FindFunction("hour")->min_arguments(), 0u);
  EXPECT_EQ(FindFunction("round")->min_arguments(), 1u);
  EXPECT_EQ(FindFunction("clamp")->min_arguments(), 3u);
  EXPECT_EQ(FindFunction("label_join")->min_arguments(), 3u);
}

TEST(Functions, RepeatTheTypeOfTheirLastArgument) {
  const FunctionSignature& join = *FindFunction("label_join");
  EXPECT_EQ(join.ArgumentType(0), ValueType::kVector);
  EXPECT_EQ(join.ArgumentType(1), ValueType::kString);
  EXPECT_EQ(join.ArgumentType(100), ValueType::kString);
}

}  // namespace
}  // namespace tsdbd::query
