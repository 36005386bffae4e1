#include "query/quantile.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>
#include <vector>

#include <fmt/format.h>
#include <gtest/gtest.h>

namespace tsdbd::query {
namespace {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
constexpr double kInfinity = std::numeric_limits<double>::infinity();

double BySorting(double q, std::vector<double> values) {
  std::ranges::sort(values,
                    [](double a, double b) { return std::isnan(a) ? !std::isnan(b) : a < b; });
  const double rank = q * static_cast<double>(values.size() - 1);
  const auto lower = static_cast<size_t>(rank);
  const double weight = rank - std::floor(rank);
  return values[lower] * (1 - weight) + values[std::min(lower + 1, values.size() - 1)] * weight;
}

TEST(Quantile, HasNoValueOfNothing) {
  std::vector<double> scratch;
  EXPECT_TRUE(std::isnan(Quantile(0.5, {}, &scratch)));
}

TEST(Quantile, IsThatOfTheSortedValues) {
  const uint64_t seed = std::random_device{}();
  SCOPED_TRACE(fmt::format("seed {}", seed));
  std::mt19937_64 random(seed);
  std::normal_distribution<double> normal;
  std::vector<double> scratch;
  for (int round = 0; round < 3000; ++round) {
    std::vector<double> values(1 + random() % (round % 2 == 0 ? 30 : 1000));
    for (double& value : values) {
      const double noise = normal(random);
      const double shapes[] = {noise,
                               std::round(noise),
                               std::exp(20 * noise),
                               5,
                               noise * 1e308,
                               random() % 50 == 0 ? kNan : noise,
                               random() % 50 == 0 ? -kInfinity : noise,
                               noise * 1e-310};
      value = shapes[round % 8];
    }
    for (const double q : {0.0, 0.01, 0.5, 0.9, 0.99, 1.0}) {
      const double got = Quantile(q, values, &scratch);
      const double want = BySorting(q, values);
      std::vector<double> reordered = values;
      const double in_place = Quantile(q, std::span<double>(reordered));
      ASSERT_TRUE(in_place == got || (std::isnan(in_place) && std::isnan(got)));
      ASSERT_TRUE(got == want || (std::isnan(got) && std::isnan(want))) << fmt::format(
          "{} of {} values, round {}: {} instead of {}", q, values.size(), round, got, want);
    }
  }
}

}  // namespace
}  // namespace tsdbd::query
