#pragma once
// The compensated sum (kahan.h) of many values at once, in the widest vectors that the CPU has. The
// result is the same on every CPU, but not always that of adding value after value: the same up to
// the rounding of the compensation, and quite another where a sum overflows on the way.

#include <cmath>
#include <span>

#include "query/kahan.h"

namespace tsdbd::query {

// Times 2^32 samples it is far below the largest double.
inline constexpr double kTameLimit = 0x1p960;

struct SumAndMagnitude {
  KahanSum sum;
  double magnitude = 0;  // the largest absolute value, NaN left aside

  // Whether no sum of the values can overflow, in whatever order, and none is Inf or NaN: a NaN
  // that was added stays in the compensation.
  bool IsTame() const { return magnitude < kTameLimit && !std::isnan(sum.compensation); }
};

SumAndMagnitude SumCompensated(std::span<const double> values);

}  // namespace tsdbd::query
