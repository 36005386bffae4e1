#include "query/bucket_quantile.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>

namespace tsdbd::query {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

// Two counts whose difference is this small a part of their sum differ by rounding only. It takes
// 10^12 observations in a bucket for one more to go unnoticed.
constexpr double kCountTolerance = 1e-12;

bool EndsAtInfinity(std::span<const Bucket> buckets) {
  return !buckets.empty() && buckets.back().upper_bound == kInfinity;
}

// Buckets that say the same bound in different ways ("1", "1.0") are one.
std::span<Bucket> MergeEqualBounds(std::span<Bucket> buckets) {
  size_t last = 0;
  for (size_t i = 1; i < buckets.size(); ++i) {
    if (buckets[i].upper_bound == buckets[last].upper_bound) {
      buckets[last].count += buckets[i].count;
    } else {
      buckets[++last] = buckets[i];
    }
  }
  return buckets.first(last + 1);
}

bool DifferByRoundingOnly(double a, double b) {
  constexpr double kSmallestNormal = std::numeric_limits<double>::min();
  const double sum = std::abs(a) + std::abs(b);
  const double difference = std::abs(a - b);
  if (a == 0 || b == 0 || sum < kSmallestNormal) {
    return difference < kCountTolerance * kSmallestNormal;
  }
  return difference / std::min(sum, std::numeric_limits<double>::max()) < kCountTolerance;
}

// Differences by rounding are smoothed in silence, in both directions; falls are raised and
// reported.
void MakeMonotonic(std::span<Bucket> buckets, BucketQuantileResult* result) {
  result->min_upper_bound = kInfinity;
  result->max_upper_bound = -kInfinity;
  double highest = buckets[0].count;
  for (Bucket& bucket : buckets.subspan(1)) {
    const bool fell = bucket.count < highest;
    if (bucket.count == highest) {
      continue;
    }
    if (DifferByRoundingOnly(highest, bucket.count)) {
      bucket.count = highest;
    } else if (fell) {
      result->forced_monotonic = true;
      result->min_upper_bound = std::min(result->min_upper_bound, bucket.upper_bound);
      result->max_upper_bound = std::max(result->max_upper_bound, bucket.upper_bound);
      result->max_difference = std::max(result->max_difference, highest - bucket.count);
      bucket.count = highest;
    } else {
      highest = bucket.count;
    }
  }
}

// The first bucket that reaches the rank; the last one if none before it does.
size_t BucketOfRank(std::span<const Bucket> buckets, double rank) {
  size_t low = 0;
  size_t high = buckets.size() - 1;
  while (low < high) {
    const size_t middle = low + (high - low) / 2;
    if (buckets[middle].count >= rank) {
      high = middle;
    } else {
      low = middle + 1;
    }
  }
  return low;
}

double Interpolate(std::span<const Bucket> buckets, double rank) {
  const size_t index = BucketOfRank(buckets, rank);
  if (index == buckets.size() - 1) {
    return buckets[index - 1].upper_bound;  // nothing is known inside the bucket up to +Inf
  }
  if (index == 0 && buckets[0].upper_bound <= 0) {
    return buckets[0].upper_bound;  // this one begins at -Inf
  }
  double lower_bound = 0;
  double count = buckets[index].count;
  if (index > 0) {
    lower_bound = buckets[index - 1].upper_bound;
    count -= buckets[index - 1].count;
    rank -= buckets[index - 1].count;
  }
  return lower_bound + (buckets[index].upper_bound - lower_bound) * (rank / count);
}

// How many observations are at most `value`.
double RankOfValue(std::span<const Bucket> buckets, double value) {
  double lower_bound = buckets[0].upper_bound <= 0 ? -kInfinity : 0;
  double rank = 0;
  for (const Bucket& bucket : buckets) {
    if (lower_bound >= value) {
      return rank;
    }
    if (bucket.upper_bound > value) {
      if (lower_bound == -kInfinity) {
        return bucket.count;  // no interpolation in a bucket of infinite width
      }
      return rank +
             (bucket.count - rank) * (value - lower_bound) / (bucket.upper_bound - lower_bound);
    }
    lower_bound = bucket.upper_bound;
    rank = bucket.count;
  }
  return kInfinity;  // beyond all: the caller cuts it to the count
}

}  // namespace

BucketQuantileResult BucketQuantile(double q, std::span<Bucket> buckets) {
  if (std::isnan(q)) {
    return {.value = kNan};
  }
  if (q < 0 || q > 1) {
    return {.value = q < 0 ? -kInfinity : kInfinity};
  }
  if (!EndsAtInfinity(buckets)) {
    return {.value = kNan};
  }
  buckets = MergeEqualBounds(buckets);
  BucketQuantileResult result;
  MakeMonotonic(buckets, &result);
  const double observations = buckets.back().count;
  const bool known = buckets.size() >= 2 && observations != 0;
  result.value = known ? Interpolate(buckets, q * observations) : kNan;
  return result;
}

BucketQuantileResult BucketFraction(double lower, double upper, std::span<Bucket> buckets) {
  if (!EndsAtInfinity(buckets)) {
    return {.value = kNan};
  }
  buckets = MergeEqualBounds(buckets);
  const double observations = buckets.back().count;
  if (observations == 0 || std::isnan(lower) || std::isnan(upper)) {
    return {.value = kNan};
  }
  if (lower >= upper) {
    return {.value = 0};
  }
  const auto rank_of = [&](double value) {
    const double rank = RankOfValue(buckets, value);
    return rank > observations ? observations : rank;
  };
  return {.value = (rank_of(upper) - rank_of(lower)) / observations};
}

}  // namespace tsdbd::query
