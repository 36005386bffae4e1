#include "server/database_names.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace tsdbd::server {
namespace {

using ::testing::ElementsAre;

TEST(DatabaseNamesTest, NamesAreMergedAndSorted) {
  DatabaseNames names;
  ASSERT_TRUE(names.Add("b").ok());
  ASSERT_TRUE(names.Add("a").ok());
  ASSERT_TRUE(names.Add("b").ok());
  EXPECT_THAT(names.MergedWith({"c", "b"}), ElementsAre("a", "b", "c"));
}

TEST(DatabaseNamesTest, TheirNumberAndLengthAreBounded) {
  DatabaseNames names;
  EXPECT_FALSE(names.Add(std::string(DatabaseNames::kMaxNameBytes + 1, 'x')).ok());
  for (size_t i = 0; i < DatabaseNames::kMaxNames; ++i) {
    ASSERT_TRUE(names.Add(std::to_string(i)).ok());
  }
  EXPECT_FALSE(names.Add("one more").ok());
  EXPECT_TRUE(names.Add("5").ok());
}

}  // namespace
}  // namespace tsdbd::server
