#include "query/kahan.h"

#include <cmath>
#include <limits>
#include <random>

#include <fmt/format.h>
#include <gtest/gtest.h>

namespace tsdbd::query {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

TEST(KahanSum, KeepsWhatALargeValueHides) {
  KahanSum sum;
  for (const double value : {1e100, 1.0, -1e100}) {
    sum.Add(value);
  }
  EXPECT_EQ(sum.Result(), 1);
}

TEST(KahanSum, OfPartsIsThatOfTheWhole) {
  KahanSum first;
  first.Add(1e100);
  first.Add(1);
  KahanSum second;
  second.Add(2);
  second.Add(-1e100);
  first.Merge(second);
  EXPECT_EQ(first.Result(), 3);
}

TEST(KahanSum, BecomesInfiniteWithoutBecomingNaN) {
  KahanSum sum;
  for (const double value : {1.0, kInfinity, 2.0}) {
    sum.Add(value);
  }
  EXPECT_EQ(sum.Result(), kInfinity);
  sum.Add(-kInfinity);
  EXPECT_TRUE(std::isnan(sum.Result()));
}

// Comparing which of the two is larger, as Neumaier does it.
TEST(KahanSum, FindsTheSameErrorAsWithABranch) {
  const uint64_t seed = std::random_device{}();
  SCOPED_TRACE(fmt::format("seed {}", seed));
  std::mt19937_64 random(seed);
  std::normal_distribution<double> normal;
  for (int i = 0; i < 10'000; ++i) {
    const double a = normal(random) * std::pow(10, static_cast<double>(random() % 600) - 300);
    const double b = normal(random) * std::pow(10, static_cast<double>(random() % 600) - 300);
    const double total = a + b;
    const double error = std::abs(a) >= std::abs(b) ? (a - total) + b : (b - total) + a;
    ASSERT_EQ(RoundingError(a, b, total), error) << fmt::format("{} + {}", a, b);
  }
}

}  // namespace
}  // namespace tsdbd::query
