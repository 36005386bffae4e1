#include "ingest/xor_chunk.h"

#include <bit>
#include <cmath>
#include <random>

#include <gtest/gtest.h>

#include "ingest/xor_chunk_testing.h"

namespace tsdbd::ingest {
namespace {

std::vector<uint64_t> BitsOf(const std::vector<double>& values) {
  std::vector<uint64_t> bits;
  for (const double value : values) {
    bits.push_back(std::bit_cast<uint64_t>(value));
  }
  return bits;
}

void ExpectReadBack(const model::SampleColumns& samples) {
  std::string chunk;
  AppendXorChunk(samples.timestamps, samples.values, &chunk);
  const auto decoded = DecodeXorChunk(chunk);
  ASSERT_TRUE(decoded.ok()) << decoded.status();
  EXPECT_EQ(decoded->timestamps, samples.timestamps);
  EXPECT_EQ(BitsOf(decoded->values), BitsOf(samples.values));
}

TEST(XorChunkTest, TheBytesAreThoseOfTheFormat) {
  model::SampleColumns samples;
  samples.timestamps = {1, 2, 3};
  samples.values = {1.0, 1.0, 2.0};
  std::string chunk;
  AppendXorChunk(samples.timestamps, samples.values, &chunk);
  // 3 samples; zig-zag 1; 1.0; delta 1; then bits: 0 (same value), 0 (same delta),
  // 1 1 (new window) 00001 (leading zeros) 001011 (11 bits) 11111111111.
  EXPECT_EQ(chunk, std::string("\x00\x03\x02\x3f\xf0\x00\x00\x00\x00\x00\x00\x01"
                               "\x30\x97\xff\xc0",
                               16));
}

TEST(XorChunkTest, SpecialValuesKeepTheirBits) {
  model::SampleColumns samples;
  constexpr double kInfinity = INFINITY;
  for (const double value :
       {0.0, -0.0, std::bit_cast<double>(uint64_t{0x7ff0000000000002}), std::nan("1"), kInfinity,
        -kInfinity, 5e-324, 1.7976931348623157e308, 0.1, 0.1}) {
    samples.timestamps.push_back(static_cast<int64_t>(samples.values.size()) * 15'000);
    samples.values.push_back(value);
  }
  ExpectReadBack(samples);
}

TEST(XorChunkTest, EveryLengthOfADeltaOfDeltaIsReadBack) {
  for (const int bits : {1, 8, 13, 14, 16, 17, 19, 20, 21, 40, 60}) {
    for (const int64_t off : {-1, 0, 1}) {
      for (const int64_t sign : {1, -1}) {
        const int64_t change = sign * ((int64_t{1} << (bits - 1)) + off);
        model::SampleColumns samples;
        const int64_t delta = int64_t{1} << 60;
        samples.timestamps = {0, delta, 2 * delta + change, 3 * delta + 2 * change};
        samples.values = {1, 2, 3, 4};
        SCOPED_TRACE(change);
        ExpectReadBack(samples);
      }
    }
  }
}

TEST(XorChunkTest, RandomSamplesAreReadBack) {
  const uint64_t seed = std::random_device()();
  SCOPED_TRACE(fmt::format("seed {}", seed));
  std::mt19937_64 random(seed);
  for (int run = 0; run < 2'000; ++run) {
    model::SampleColumns samples;
    const int kind = run % 4;
    int64_t time = static_cast<int64_t>(random() % 2'000'000'000'000);
    double value = 0;
    for (size_t i = 1 + random() % kMaxXorChunkSamples; i > 0; --i) {
      const auto jitter = static_cast<int64_t>(random() >> (random() % 2 == 0 ? 30 : 60));
      time += kind == 0 ? 15'000 : 1 + jitter;
      switch (kind) {
        case 0:
          value += static_cast<double>(random() % 10);
          break;
        case 1:
          value = std::bit_cast<double>(random());
          break;
        case 2:
          value = std::bit_cast<double>(std::bit_cast<uint64_t>(value) ^ (random() % 8)
                                                                             << (random() % 62));
          break;
        default:
          value = static_cast<double>(random() % 1'000) / 100;
      }
      samples.timestamps.push_back(time);
      samples.values.push_back(value);
    }
    ExpectReadBack(samples);
  }
}

}  // namespace
}  // namespace tsdbd::ingest
