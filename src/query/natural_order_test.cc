#include "query/natural_order.h"

#include <gtest/gtest.h>

namespace tsdbd::query {
namespace {

TEST(NaturalOrder, ComparesNumbersAsNumbers) {
  const char* const sorted[] = {"", "10", "a", "a1", "a2", "a02b", "a10", "a10b2", "a10b10", "b"};
  for (size_t i = 0; i < std::size(sorted); ++i) {
    for (size_t j = 0; j < std::size(sorted); ++j) {
      EXPECT_EQ(NaturallyLess(sorted[i], sorted[j]), i < j) << sorted[i] << " and " << sorted[j];
    }
  }
}

TEST(NaturalOrder, ComparesEqualNumbersAsBytes) {
  EXPECT_TRUE(NaturallyLess("a01", "a1"));
  EXPECT_FALSE(NaturallyLess("a1", "a01"));
  EXPECT_FALSE(NaturallyLess("a1", "a1"));
}

TEST(NaturalOrder, TakesNumbersOfAnyLength) {
  EXPECT_TRUE(NaturallyLess("99999999999999999998", "99999999999999999999"));
  EXPECT_TRUE(NaturallyLess("9", "100000000000000000000000000000"));
}

}  // namespace
}  // namespace tsdbd::query
