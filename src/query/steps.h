#pragma once
// Steps: the moments a query asks about, and how a value that is not there is written.
//
// A row of steps is an array of doubles, one for each moment. The staleness marker stands where a
// series has no value: no arithmetic yields it (it is a signalling NaN, and what computes gives
// quiet ones), so it needs no second array beside the values. Whatever computes must look for it
// first: an absent operand makes an absent result, not a NaN.

#include <bit>
#include <cstddef>
#include <cstdint>
#include <limits>

#include "model/sample.h"
#include "query/staleness.h"

namespace tsdbd::query {

inline constexpr double kAbsent = std::bit_cast<double>(kStaleMarkerBits);

inline bool IsAbsent(double value) {
  return IsStaleMarker(value);
}

// start, start + step_ns, … `count` of them.
struct StepGrid {
  model::Timestamp start = 0;
  model::Timestamp end = 0;  // as asked for: @ end(), maybe behind the last step
  int64_t step_ns = 0;       // 0 if count is 1
  size_t count = 1;

  model::Timestamp TimeAt(size_t step) const {
    return start + static_cast<int64_t>(step) * step_ns;
  }
  model::Timestamp last() const { return TimeAt(count - 1); }
};

// a - b, at the end of time where it would go beyond.
inline model::Timestamp SaturatingSubtract(model::Timestamp a, int64_t b) {
  model::Timestamp difference = 0;
  if (__builtin_sub_overflow(a, b, &difference)) {
    return b > 0 ? std::numeric_limits<model::Timestamp>::min()
                 : std::numeric_limits<model::Timestamp>::max();
  }
  return difference;
}

// Prometheus' seconds: exactly ms / 1000 where the time is whole milliseconds.
inline double ToSeconds(model::Timestamp time) {
  constexpr int64_t kNanosPerMilli = 1'000'000;
  // Durations of up to 104 days are exact as doubles: one division rounds both forms alike.
  constexpr int64_t kLargestExact = int64_t{1} << 53;
  if ((time >= -kLargestExact && time <= kLargestExact) || time % kNanosPerMilli != 0) {
    return static_cast<double>(time) / 1e9;
  }
  return static_cast<double>(time / kNanosPerMilli) / 1e3;
}

}  // namespace tsdbd::query
