#include "storage/decimal.h"

#include <bit>
#include <cmath>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include <gtest/gtest.h>
#include <hwy/targets.h>

#include "storage/column_generators_testing.h"

namespace tsdbd::storage {
namespace {

// What an encoder does: integers, and which values are exceptions. Then back.
struct RoundTrip {
  RoundTrip(const std::vector<double>& values, unsigned exponent)
      : integers(values.size()), exceptions(values.size()), decoded(values.size()) {
    exceptions.resize(ToIntegers(values, exponent, integers.data(), exceptions.data()));
    ToDoubles(integers.data(), integers.size(), /*base=*/0, exponent, decoded.data());
  }
  std::vector<uint64_t> integers;
  std::vector<uint16_t> exceptions;
  std::vector<double> decoded;
};

TEST(DecimalTest, ParsedDecimalsAreExactAtTheirNumberOfDigits) {
  std::mt19937_64 random(1);
  for (unsigned digits = 0; digits <= 9; ++digits) {
    std::vector<double> values;
    for (int i = 0; i < 1000; ++i) {
      const auto integer = static_cast<int64_t>(random() % 2'000'000) - 1'000'000;
      values.push_back(std::stod(std::to_string(integer) + "e-" + std::to_string(digits)));
      values.back() += 0.0;  // "-0" is not of interest here
    }
    const RoundTrip trip(values, digits);
    EXPECT_TRUE(trip.exceptions.empty()) << digits;
    EXPECT_EQ(trip.decoded, values);
  }
}

TEST(DecimalTest, DecodingDividesAsIfByADivision) {
  const uint64_t seed = std::random_device()();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937_64 random(seed);
  constexpr size_t kCount = 20'000;
  constexpr uint64_t kBase = 17;
  std::vector<uint64_t> integers(kCount);
  std::vector<double> decoded(kCount);
  double power = 1;
  for (unsigned exponent = 0; exponent <= kMaxDecimalExponent; ++exponent, power *= 10) {
    for (uint64_t& integer : integers) {
      // Of all lengths up to 51 bits, of both signs.
      const auto value = static_cast<int64_t>(random()) >> (13 + random() % 50);
      integer = static_cast<uint64_t>(value) - kBase;
    }
    ToDoubles(integers.data(), kCount, kBase, exponent, decoded.data());
    for (size_t i = 0; i < kCount; ++i) {
      const auto whole = static_cast<double>(static_cast<int64_t>(integers[i] + kBase));
      ASSERT_EQ(std::bit_cast<uint64_t>(decoded[i]), std::bit_cast<uint64_t>(whole / power))
          << whole << " / " << power;
    }
  }
}

TEST(DecimalTest, IntegersAreThoseOfTheDecimals) {
  const RoundTrip trip({12.34, -0.01, 0, 1e13}, 2);
  EXPECT_TRUE(trip.exceptions.empty());
  EXPECT_EQ(trip.integers,
            (std::vector<uint64_t>{1234, static_cast<uint64_t>(-1), 0, 1'000'000'000'000'000}));
}

TEST(DecimalTest, WhatDoesNotComeBackIsAnException) {
  const double infinity = std::numeric_limits<double>::infinity();
  const RoundTrip trip({1.5, -0.0, 0.123, std::nan(""), infinity, -infinity, 1e300,
                        std::numeric_limits<double>::denorm_min(), 2251799813685248.0, 2},
                       1);
  EXPECT_EQ(trip.exceptions, (std::vector<uint16_t>{1, 2, 3, 4, 5, 6, 7, 8}));
}

TEST(DecimalTest, ChoosesTheFewestDigitsThatTheSampleNeeds) {
  std::mt19937_64 random(2);
  for (unsigned digits = 0; digits <= 6; ++digits) {
    std::vector<double> values;
    for (int i = 0; i < 100; ++i) {
      values.push_back(static_cast<double>(random() % 100'000 * 10 + 1) / std::pow(10, digits));
    }
    unsigned exponent = 99;
    EXPECT_TRUE(ChooseExponent(values, &exponent));
    EXPECT_EQ(exponent, digits);
  }
}

TEST(DecimalTest, OneValueOfManyDigitsDoesNotWidenTheOthers) {
  std::vector<double> values(64, 20.5);
  values[0] = 1.23456789012;
  unsigned exponent = 99;
  EXPECT_TRUE(ChooseExponent(values, &exponent));
  EXPECT_EQ(exponent, 1u);
}

TEST(DecimalTest, RealsAreNoDecimals) {
  Random random(3);
  unsigned exponent = 0;
  EXPECT_FALSE(ChooseExponent(ValueShapeNamed("reals").generate(100, &random), &exponent));
  EXPECT_FALSE(ChooseExponent(ValueShapeNamed("random_bits").generate(100, &random), &exponent));
}

// Blocks move between machines: every vector width must give the same bits.
TEST(DecimalTest, AllInstructionSetsAgree) {
  Random random(4);
  for (const ValueShape& shape : ValueShapes()) {
    const std::vector<double> values = shape.generate(100, &random);
    for (const unsigned exponent : {0u, 2u, 7u, kMaxDecimalExponent}) {
      SCOPED_TRACE(shape.name + " at " + std::to_string(exponent));
      std::vector<uint16_t> exceptions;
      std::vector<uint64_t> bits;
      for (const int64_t target : hwy::SupportedAndGeneratedTargets()) {
        hwy::SetSupportedTargetsForTest(target);
        hwy::GetChosenTarget().Update(target);
        const RoundTrip trip(values, exponent);
        std::vector<uint64_t> target_bits;
        for (const double value : trip.decoded) {
          target_bits.push_back(std::bit_cast<uint64_t>(value));
        }
        if (bits.empty()) {
          exceptions = trip.exceptions;
          bits = target_bits;
        }
        EXPECT_EQ(trip.exceptions, exceptions) << hwy::TargetName(target);
        for (size_t i = 0; i < bits.size(); ++i) {
          const bool is_exception =
              std::find(exceptions.begin(), exceptions.end(), i) != exceptions.end();
          EXPECT_TRUE(is_exception || target_bits[i] == bits[i]) << hwy::TargetName(target);
        }
      }
      hwy::SetSupportedTargetsForTest(0);
      hwy::GetChosenTarget().DeInit();
    }
  }
}

}  // namespace
}  // namespace tsdbd::storage
