#include "query/compensated_sum.h"

#include <bit>
#include <cstdint>
#include <functional>
#include <limits>
#include <random>
#include <vector>

#include <gtest/gtest.h>
#include <hwy/targets.h>

namespace tsdbd::query {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

// Runs `check` with the functions for each kind of CPU of which this one is capable.
void AtEveryTarget(const std::function<void()>& check) {
  for (const int64_t target : hwy::SupportedAndGeneratedTargets()) {
    hwy::SetSupportedTargetsForTest(target);
    hwy::GetChosenTarget().Update(hwy::SupportedTargets());
    SCOPED_TRACE(hwy::TargetName(target));
    check();
  }
  hwy::SetSupportedTargetsForTest(0);
  hwy::GetChosenTarget().Update(hwy::SupportedTargets());
}

std::vector<double> RandomValues(size_t count, std::mt19937_64* random) {
  std::vector<double> values(count);
  for (double& value : values) {
    // Of very different sizes, so that much is rounded away.
    value = std::ldexp(static_cast<double>(static_cast<int64_t>((*random)())),
                       static_cast<int>((*random)() % 64));
  }
  return values;
}

TEST(CompensatedSumTest, IsAsExactAsAddingValueByValueOnEveryCpu) {
  const uint64_t seed = std::random_device()();
  SCOPED_TRACE("seed " + std::to_string(seed));
  AtEveryTarget([&] {
    std::mt19937_64 random(seed);
    for (size_t count = 0; count < 200; ++count) {
      const std::vector<double> values = RandomValues(count, &random);
      KahanSum defined;
      double sizes = 0;
      for (const double value : values) {
        defined.Add(value);
        sizes += std::abs(value);
      }
      const SumAndMagnitude computed = SumCompensated(values);
      ASSERT_TRUE(computed.IsTame());
      // The parts are exact to about 2^-100 of the values, their sum to its last bit.
      ASSERT_NEAR(computed.sum.Result(), defined.Result(),
                  std::abs(defined.Result()) * 0x1p-52 + sizes * 0x1p-90);
    }
  });
}

TEST(CompensatedSumTest, EveryCpuHasTheSameResult) {
  const uint64_t seed = std::random_device()();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::vector<uint64_t> expected;
  AtEveryTarget([&] {
    std::mt19937_64 random(seed);
    std::vector<uint64_t> results;
    for (size_t count = 0; count < 200; ++count) {
      const SumAndMagnitude computed = SumCompensated(RandomValues(count, &random));
      for (const double part : {computed.sum.sum, computed.sum.compensation, computed.magnitude}) {
        results.push_back(std::bit_cast<uint64_t>(part));
      }
    }
    expected = expected.empty() ? results : expected;
    ASSERT_EQ(results, expected);
  });
}

TEST(CompensatedSumTest, SeesEveryValueThatIsNotTame) {
  AtEveryTarget([] {
    for (const size_t count : {1, 7, 15, 16, 17, 31, 64}) {
      for (size_t position = 0; position < count; ++position) {
        std::vector<double> values(count, 1.5);
        EXPECT_TRUE(SumCompensated(values).IsTame());
        for (const double wild : {kInfinity, -kInfinity, kNan, 1e308, -kTameLimit}) {
          values[position] = wild;
          EXPECT_FALSE(SumCompensated(values).IsTame())
              << wild << " at " << position << " of " << count;
        }
      }
    }
  });
}

TEST(CompensatedSumTest, KeepsWhatIsLostBesideTheLargest) {
  AtEveryTarget([] {
    std::vector<double> values(40, 1.0);
    values[3] = 1e100;
    values[38] = -1e100;
    EXPECT_EQ(SumCompensated(values).sum.Result(), 38);
  });
}

}  // namespace
}  // namespace tsdbd::query
