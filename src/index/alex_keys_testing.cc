#include "index/alex_keys_testing.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <random>
#include <unordered_set>

#include "common/check.h"

namespace tsdbd::index {
namespace {

constexpr uint64_t kFirstTimestamp = 1'700'000'000'000'000'000;
constexpr uint64_t kInterval = 10'000'000;

std::vector<uint64_t> Timestamps(size_t count, std::mt19937_64* random) {
  std::vector<uint64_t> keys(count);
  for (size_t i = 0; i < count; ++i) {
    keys[i] = kFirstTimestamp + i * kInterval + (*random)() % (kInterval / 2);
  }
  return keys;
}

std::vector<uint64_t> LateTimestamps(size_t count, std::mt19937_64* random) {
  std::vector<uint64_t> keys = Timestamps(count, random);
  constexpr size_t kLatest = 1000;
  for (size_t i = 0; i + kLatest < count; ++i) {
    if ((*random)() % 100 == 0) {
      const auto from = keys.begin() + static_cast<int64_t>(i);
      std::rotate(from, from + 1, from + 1 + static_cast<int64_t>((*random)() % kLatest));
    }
  }
  return keys;
}

// Distinct numbers from `draw`, in ascending order.
template <typename Draw>
std::vector<uint64_t> Distinct(size_t count, Draw draw) {
  std::vector<uint64_t> keys;
  while (keys.size() < count) {
    while (keys.size() < count + count / 50) {
      keys.push_back(draw());
    }
    std::sort(keys.begin(), keys.end());
    keys.erase(std::unique(keys.begin(), keys.end()), keys.end());
  }
  keys.resize(count);
  return keys;
}

// A thousand series at most, each with its own start and interval.
std::vector<uint64_t> Clusters(size_t count, std::mt19937_64* random) {
  std::vector<uint64_t> keys;
  const size_t series_count = std::max<size_t>(1, std::min<size_t>(1000, count / 100));
  for (uint64_t series = 0; series < series_count; ++series) {
    const size_t size = count * (series + 1) / series_count - count * series / series_count;
    uint64_t time = 1'700'000'000 + (*random)() % 100'000;
    const uint64_t interval = 1 + (*random)() % 60;
    for (size_t i = 0; i < size; ++i) {
      keys.push_back((series + 1) << 40 | time);
      time += interval + (*random)() % 3;
    }
  }
  return keys;
}

// A Cantor dust: whatever one looks at closely has gaps of all sizes.
std::vector<uint64_t> Fractal(size_t count) {
  std::vector<uint64_t> keys;
  uint64_t key = 1;
  for (uint64_t i = 1; i <= count; ++i) {
    keys.push_back(key);
    key += uint64_t{1} << (2 * std::countr_zero(i));
  }
  return keys;
}

std::vector<uint64_t> Exponential(size_t count) {
  std::vector<uint64_t> keys;
  // Up to 2^62, or where neighbours would be the same a step of one.
  const double factor = std::exp2(62.0 / static_cast<double>(count));
  double value = 1;
  uint64_t key = 0;
  for (size_t i = 0; i < count; ++i) {
    key = std::max(key + 1, static_cast<uint64_t>(value));
    keys.push_back(key);
    value *= factor;
  }
  return keys;
}

}  // namespace

std::string_view NameOf(KeySet set) {
  switch (set) {
    case KeySet::kSequential:
      return "sequential";
    case KeySet::kTimestamps:
      return "timestamps";
    case KeySet::kLate:
      return "late";
    case KeySet::kUniform:
      return "uniform";
    case KeySet::kLognormal:
      return "lognormal";
    case KeySet::kClusters:
      return "clusters";
    case KeySet::kFractal:
      return "fractal";
    case KeySet::kExponential:
      return "exponential";
    case KeySet::kPrefix:
      return "prefix";
    case KeySet::kDescending:
      return "descending";
  }
  return "";
}

std::vector<uint64_t> MakeKeys(KeySet set, size_t count, uint64_t seed) {
  std::mt19937_64 random(seed);
  std::vector<uint64_t> keys;
  switch (set) {
    case KeySet::kSequential:
      for (uint64_t key = 1; key <= count; ++key) {
        keys.push_back(key);
      }
      break;
    case KeySet::kTimestamps:
      keys = Timestamps(count, &random);
      break;
    case KeySet::kLate:
      keys = LateTimestamps(count, &random);
      break;
    case KeySet::kUniform:
      keys = Distinct(count, [&] { return random() >> 1; });
      break;
    case KeySet::kLognormal: {
      std::lognormal_distribution<double> lognormal(0, 2);
      keys = Distinct(count, [&] { return static_cast<uint64_t>(lognormal(random) * 1e12); });
      break;
    }
    case KeySet::kClusters:
      keys = Clusters(count, &random);
      break;
    case KeySet::kFractal:
      keys = Fractal(count);
      break;
    case KeySet::kExponential:
      keys = Exponential(count);
      break;
    case KeySet::kPrefix:
      keys = Distinct(count, [&] { return 0xABCDEF0123000000u + random() % (3 * count); });
      break;
    case KeySet::kDescending:
      keys = Timestamps(count, &random);
      std::reverse(keys.begin(), keys.end());
      break;
  }
  CHECK(keys.size() == count);
  return keys;
}

}  // namespace tsdbd::index
