#include "query/quantile.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>

#include "query/lanes.h"

namespace tsdbd::query {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

// From here on one pass that counts and one that collects are faster than nth_element.
constexpr size_t kMinCountForHistogram = 128;
// 1 KiB of counters, and some 20 values in the chosen one for a window of thousands.
constexpr size_t kBucketCount = 256;

struct Extremes {
  DoublePair min{kInfinity, kInfinity};
  DoublePair max{-kInfinity, -kInfinity};
  DoublePair nan_probe{};  // NaN if a value is NaN or infinite

  void Add(DoublePair pair) {
    min = pair < min ? pair : min;
    max = pair > max ? pair : max;
    nan_probe += pair * 0.0;
  }
};

// Of the values at `lower` and, unless it is the last one, `lower` + 1. No NaN.
Neighbours SelectInPlace(std::span<double> values, size_t lower) {
  const auto nth = values.begin() + static_cast<ptrdiff_t>(lower);
  std::nth_element(values.begin(), nth, values.end());
  const auto next = std::min_element(nth + 1, values.end());
  return {.lower = *nth, .upper = next == values.end() ? *nth : *next};
}

// The same with NaN, which is put first: where sorting would put it.
Neighbours SelectByPartition(std::span<double> values, size_t lower) {
  const auto numbers =
      std::partition(values.begin(), values.end(), [](double value) { return std::isnan(value); });
  const auto nan_count = static_cast<size_t>(numbers - values.begin());
  if (lower < nan_count) {
    return {.lower = kNan, .upper = kNan};
  }
  return SelectInPlace(values.subspan(nan_count), lower - nan_count);
}

// Equal parts of [min, max]; never falls with the value.
struct Buckets {
  double min = 0;
  double scale = 0;

  size_t Of(double value) const {
    const auto index = static_cast<uint32_t>(static_cast<int32_t>((value - min) * scale));
    return std::min<size_t>(index, kBucketCount - 1);
  }
};

// Counts values by buckets, then looks only at those in the bucket of `lower` and, if that ends
// with it, the next one that is not empty. Of finite values.
Neighbours SelectByHistogram(std::span<const double> values, const Buckets& buckets, size_t lower,
                             std::vector<double>* scratch) {
  std::array<uint32_t, kBucketCount> counts{};
  for (const double value : values) {
    ++counts[buckets.Of(value)];
  }
  size_t before = 0;
  size_t first = 0;
  while (before + counts[first] <= lower) {
    before += counts[first++];
  }
  const size_t upper = std::min(lower + 1, values.size() - 1);
  size_t last = first;
  size_t through = before + counts[last];
  while (through <= upper) {
    through += counts[++last];
  }
  scratch->resize(through - before + 1);  // one more: the loop writes before it decides
  double* const collected = scratch->data();
  size_t count = 0;
  for (const double value : values) {
    collected[count] = value;
    const size_t bucket = buckets.Of(value);
    count += bucket >= first && bucket <= last ? 1 : 0;
  }
  return SelectInPlace({collected, count}, lower - before);
}

Neighbours Select(std::span<const double> values, size_t lower, std::vector<double>* scratch) {
  if (values.size() >= kMinCountForHistogram) {
    Extremes extremes;
    size_t i = 0;
    for (; i + kPairSize <= values.size(); i += kPairSize) {
      extremes.Add(LoadPair(&values[i]));
    }
    extremes.Add(LoadPair(&values[values.size() - kPairSize]));
    const double min = std::min(extremes.min[0], extremes.min[1]);
    const double max = std::max(extremes.max[0], extremes.max[1]);
    const double scale = static_cast<double>(kBucketCount) / (max - min);
    const bool finite = extremes.nan_probe[0] == 0 && extremes.nan_probe[1] == 0;
    if (finite && std::isfinite(scale) && scale > 0) {
      return SelectByHistogram(values, {.min = min, .scale = scale}, lower, scratch);
    }
  }
  scratch->assign(values.begin(), values.end());
  return SelectByPartition(*scratch, lower);
}

}  // namespace

double Quantile(double q, std::span<const double> values, std::vector<double>* scratch) {
  return InterpolateQuantile(q, values.size(),
                             [&](size_t lower) { return Select(values, lower, scratch); });
}

double Quantile(double q, std::span<double> values) {
  return InterpolateQuantile(q, values.size(),
                             [&](size_t lower) { return SelectByPartition(values, lower); });
}

}  // namespace tsdbd::query
