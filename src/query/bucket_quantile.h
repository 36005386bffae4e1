#pragma once
// Classic histograms: quantiles and fractions over cumulative buckets, as Prometheus interpolates
// them (https://prometheus.io/docs/prometheus/latest/querying/functions/#histogram_quantile).
// Pure functions.

#include <span>

namespace tsdbd::query {

struct Bucket {
  double upper_bound = 0;  // of `le`
  double count = 0;        // cumulative
};

struct BucketQuantileResult {
  double value = 0;
  // Counts fell from a bucket to a higher one by more than rounding, and were raised: the caller
  // notes it as an info.
  bool forced_monotonic = false;
  double min_upper_bound = 0;  // of the buckets raised, and by how much at the most
  double max_upper_bound = 0;
  double max_difference = 0;
};

// `buckets` sorted by upper bound; it is changed (equal bounds merged, counts made monotonic). NaN
// without a +Inf bucket, with fewer than two buckets, without observations or for NaN; -Inf for
// q < 0 and +Inf for q > 1.
BucketQuantileResult BucketQuantile(double q, std::span<Bucket> buckets);

// The fraction of observations in (lower, upper]. `buckets` as above.
BucketQuantileResult BucketFraction(double lower, double upper, std::span<Bucket> buckets);

}  // namespace tsdbd::query
