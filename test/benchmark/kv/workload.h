#pragma once
// Keys and values of the key-value benchmarks: deterministic, so that every answer can be checked
// without keeping a second copy of the data.

#include <cstdint>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "common/clock.h"
#include "engine.h"

namespace tsdbd::benchmark {

enum class KeyOrder { kSequential, kRandom };

// Key number `index` of a data set; all below 2^63, because SQLite's keys are signed.
uint64_t KeyAt(KeyOrder order, uint64_t index);

[[noreturn]] void EndWithWrongValue(uint64_t key);

// The bytes under a key: `version` tells one write from the next.
class Values {
 public:
  // Sizes are spread evenly over [min_bytes, max_bytes]; at least 24.
  Values(size_t min_bytes, size_t max_bytes);

  // Valid until the next call.
  std::string_view Make(uint64_t key, uint32_t version);
  // Whether `value` is what Make gave for this key and some version: looks at its size, its first
  // sixteen bytes and its last eight.
  bool IsRight(uint64_t key, std::string_view value) const;
  uint32_t VersionOf(std::string_view value) const;
  double mean_bytes() const;

 private:
  size_t SizeOf(uint64_t key) const;

  const size_t min_bytes_;
  const size_t max_bytes_;
  std::string buffer_;
};

// Ends the program unless Values::IsRight.
inline void RequireRight(const Values& values, uint64_t key, std::string_view value) {
  if (!values.IsRight(key, value)) [[unlikely]] {
    EndWithWrongValue(key);
  }
}

// Zipf-distributed numbers in [0, count), exponent 0.99, the popular ones spread over the range
// (Gray et al., "Quickly generating billion-record synthetic databases", SIGMOD 1994; the scramble
// and the exponent as in YCSB).
class Zipf {
 public:
  explicit Zipf(uint64_t count);
  uint64_t Next(std::mt19937_64* random) const;

 private:
  const uint64_t count_;
  double zeta_ = 0;
  double eta_ = 0;
  double half_power_ = 0;
};

// Numbers of keys to ask for, drawn ahead so that drawing costs nothing while the clock runs.
std::vector<uint32_t> UniformIndexes(uint64_t count, size_t draws, uint64_t seed);
std::vector<uint32_t> ZipfIndexes(uint64_t count, size_t draws, uint64_t seed);

// Nanoseconds per call of `work(i)` for i in [0, count).
template <typename Work>
double NanosEach(uint64_t count, const Work& work) {
  const int64_t start_ns = MonotonicNanos();
  for (uint64_t i = 0; i < count; ++i) {
    work(i);
  }
  return static_cast<double>(MonotonicNanos() - start_ns) / static_cast<double>(count);
}

// Puts version 0 of keys 0 to count-1, in the order that `order` gives them.
double Load(Engine* engine, KeyOrder order, uint64_t count, Values* values);

uint64_t DiskBytes(const std::string& folder);

}  // namespace tsdbd::benchmark
