#include "query/bucket_quantile.h"

#include <cmath>
#include <limits>
#include <vector>

#include <gtest/gtest.h>

namespace tsdbd::query {
namespace {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
constexpr double kInfinity = std::numeric_limits<double>::infinity();

using Buckets = std::vector<Bucket>;

double QuantileOf(double q, Buckets buckets) {
  return BucketQuantile(q, buckets).value;
}

double FractionOf(double lower, double upper, Buckets buckets) {
  return BucketFraction(lower, upper, buckets).value;
}

const Buckets kPositive = {{1, 10}, {2, 30}, {4, 40}, {kInfinity, 50}};
const Buckets kNegative = {{-2, 10}, {0, 30}, {2, 40}, {kInfinity, 40}};

TEST(BucketQuantile, InterpolatesInsideABucket) {
  EXPECT_DOUBLE_EQ(QuantileOf(0.4, kPositive), 1.5);
  EXPECT_DOUBLE_EQ(QuantileOf(0.1, kPositive), 0.5);  // the lowest one begins at 0
  EXPECT_DOUBLE_EQ(QuantileOf(0.5, kNegative), -1);
}

TEST(BucketQuantile, KnowsNothingInsideInfiniteBuckets) {
  EXPECT_DOUBLE_EQ(QuantileOf(0.95, kPositive), 4);
  EXPECT_DOUBLE_EQ(QuantileOf(0.1, kNegative), -2);
}

TEST(BucketQuantile, HasNoValueWithoutWhatItNeeds) {
  EXPECT_TRUE(std::isnan(QuantileOf(kNan, kPositive)));
  EXPECT_EQ(QuantileOf(-0.1, kPositive), -kInfinity);
  EXPECT_EQ(QuantileOf(1.1, kPositive), kInfinity);
  EXPECT_TRUE(std::isnan(QuantileOf(0.5, {})));
  EXPECT_TRUE(std::isnan(QuantileOf(0.5, {{kInfinity, 10}})));
  EXPECT_TRUE(std::isnan(QuantileOf(0.5, {{1, 10}, {2, 10}})));
  EXPECT_TRUE(std::isnan(QuantileOf(0.5, {{1, 0}, {kInfinity, 0}})));
}

TEST(BucketQuantile, MergesBucketsOfOneBound) {
  EXPECT_DOUBLE_EQ(QuantileOf(0.5, {{1, 10}, {1, 10}, {kInfinity, 20}}), 0.5);
  EXPECT_TRUE(std::isnan(QuantileOf(0.5, {{kInfinity, 10}, {kInfinity, 10}})));
}

TEST(BucketQuantile, RaisesCountsThatFallAndSaysSo) {
  Buckets buckets = {{1, 10}, {2, 8}, {3, 9}, {4, 20}, {kInfinity, 20}};
  const BucketQuantileResult result = BucketQuantile(0.75, buckets);
  EXPECT_TRUE(result.forced_monotonic);
  EXPECT_EQ(result.min_upper_bound, 2);
  EXPECT_EQ(result.max_upper_bound, 3);
  EXPECT_EQ(result.max_difference, 2);
  EXPECT_DOUBLE_EQ(result.value, 3.5);
}

TEST(BucketQuantile, IgnoresDifferencesByRounding) {
  Buckets buckets = {{1, 10}, {2, 10 - 1e-13}, {3, 10 + 1e-13}, {kInfinity, 10}};
  const BucketQuantileResult result = BucketQuantile(1, buckets);
  EXPECT_FALSE(result.forced_monotonic);
  EXPECT_DOUBLE_EQ(result.value, 1);
}

TEST(BucketFraction, InterpolatesBothBounds) {
  EXPECT_DOUBLE_EQ(FractionOf(1, 2, kPositive), 0.4);
  EXPECT_DOUBLE_EQ(FractionOf(0.5, 1.5, kPositive), 0.3);
  EXPECT_DOUBLE_EQ(FractionOf(-kInfinity, kInfinity, kPositive), 1);
  EXPECT_DOUBLE_EQ(FractionOf(-5, 0, kPositive), 0);
  EXPECT_DOUBLE_EQ(FractionOf(-3, -1, kNegative), 0.25);
  EXPECT_DOUBLE_EQ(FractionOf(-kInfinity, -1, kNegative), 0.5);
  EXPECT_DOUBLE_EQ(FractionOf(3, 100, kPositive), 0.1);
}

TEST(BucketFraction, HasNoValueWithoutWhatItNeeds) {
  EXPECT_TRUE(std::isnan(FractionOf(kNan, 1, kPositive)));
  EXPECT_TRUE(std::isnan(FractionOf(0, kNan, kPositive)));
  EXPECT_TRUE(std::isnan(FractionOf(0, 1, {{1, 0}, {kInfinity, 0}})));
  EXPECT_TRUE(std::isnan(FractionOf(0, 1, {{1, 2}})));
  EXPECT_EQ(FractionOf(2, 1, kPositive), 0);
}

}  // namespace
}  // namespace tsdbd::query
