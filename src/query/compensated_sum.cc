#include "query/compensated_sum.h"

#include <algorithm>
#include <cstddef>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "query/compensated_sum.cc"
#include <hwy/foreach_target.h>
// After foreach_target.h.
#include <hwy/highway.h>

// What is the same for all targets.
#ifndef TSDBD_QUERY_COMPENSATED_SUM_ONCE
#define TSDBD_QUERY_COMPENSATED_SUM_ONCE
namespace tsdbd::query {

// Value i goes to sum i % kSumLanes, however many of them the CPU's vectors hold: so the results do
// not depend on that. As many as the widest have.
inline constexpr size_t kSumLanes = 8;

struct alignas(64) LaneSums {
  double sums[kSumLanes] = {};
  double compensations[kSumLanes] = {};
  double magnitudes[kSumLanes] = {};
};

}  // namespace tsdbd::query
#endif  // TSDBD_QUERY_COMPENSATED_SUM_ONCE

HWY_BEFORE_NAMESPACE();
namespace tsdbd::query::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// `count` is a multiple of kSumLanes. Narrower vectors pass over the values several times, which
// costs little: an addition waits for the one before it in the same lane longer than for loads.
void AddToLanes(const double* values, size_t count, LaneSums* lanes) {
  const hn::CappedTag<double, kSumLanes> d;
  for (size_t first = 0; first < kSumLanes; first += hn::Lanes(d)) {
    auto sum = hn::Zero(d);
    auto compensation = hn::Zero(d);
    auto magnitude = hn::Zero(d);
    for (size_t i = first; i < count; i += kSumLanes) {
      const auto value = hn::LoadU(d, values + i);
      const auto total = hn::Add(sum, value);
      // RoundingError() of kahan.h.
      const auto value_part = hn::Sub(total, sum);
      const auto sum_part = hn::Sub(total, value_part);
      const auto error = hn::Add(hn::Sub(sum, sum_part), hn::Sub(value, value_part));
      compensation = hn::Add(compensation, error);
      sum = total;
      magnitude = hn::Max(magnitude, hn::Abs(value));
    }
    hn::StoreU(sum, d, lanes->sums + first);
    hn::StoreU(compensation, d, lanes->compensations + first);
    hn::StoreU(magnitude, d, lanes->magnitudes + first);
  }
}

}  // namespace tsdbd::query::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace tsdbd::query {
namespace {

HWY_EXPORT(AddToLanes);

// Fewer are added up one by one: setting up and merging lanes would take longer.
constexpr size_t kMinCountForLanes = 2 * kSumLanes;

// Unlike KahanSum::Add, leaves NaN in the compensation where the sum becomes infinite.
void AddValue(double value, KahanSum* sum) {
  const double total = sum->sum + value;
  sum->compensation += RoundingError(sum->sum, value, total);
  sum->sum = total;
}

SumAndMagnitude MergeLanes(LaneSums* lanes) {
  for (size_t half = kSumLanes / 2; half > 0; half /= 2) {
    for (size_t i = 0; i < half; ++i) {
      KahanSum sum{.sum = lanes->sums[i], .compensation = lanes->compensations[i]};
      AddValue(lanes->sums[i + half], &sum);
      lanes->sums[i] = sum.sum;
      lanes->compensations[i] = sum.compensation + lanes->compensations[i + half];
      lanes->magnitudes[i] = std::max(lanes->magnitudes[i], lanes->magnitudes[i + half]);
    }
  }
  return {.sum = {.sum = lanes->sums[0], .compensation = lanes->compensations[0]},
          .magnitude = lanes->magnitudes[0]};
}

}  // namespace

SumAndMagnitude SumCompensated(std::span<const double> values) {
  SumAndMagnitude result;
  size_t i = 0;
  if (values.size() >= kMinCountForLanes) {
    i = values.size() / kSumLanes * kSumLanes;
    LaneSums lanes;
    HWY_DYNAMIC_DISPATCH(AddToLanes)(values.data(), i, &lanes);
    result = MergeLanes(&lanes);
  }
  for (; i < values.size(); ++i) {
    AddValue(values[i], &result.sum);
    result.magnitude = std::max(result.magnitude, std::abs(values[i]));
  }
  return result;
}

}  // namespace tsdbd::query
#endif  // HWY_ONCE
