#pragma once
// Samples as columns, and ranges of time.

#include <bit>
#include <cstdint>
#include <limits>
#include <vector>

namespace tsdbd::model {

// Nanoseconds since the Unix epoch. Years 1970 to 2262; one less than an int64 holds, so that the
// end of a range can be written as the timestamp after it.
using Timestamp = int64_t;
inline constexpr Timestamp kMinTimestamp = 0;
inline constexpr Timestamp kMaxTimestamp = std::numeric_limits<int64_t>::max() - 1;

// Both ends included.
struct TimeRange {
  Timestamp min = kMinTimestamp;
  Timestamp max = kMaxTimestamp;
  bool Contains(Timestamp t) const { return min <= t && t <= max; }
  bool Overlaps(const TimeRange& other) const { return min <= other.max && other.min <= max; }
};

// The one NaN, told from all others by its bits, that says that a series has ended here:
// Prometheus' own value, so that it survives remote write. Compare bits: it must not be computed
// with.
inline constexpr uint64_t kStaleMarkerBits = 0x7FF0000000000002;

inline double StaleMarker() {
  return std::bit_cast<double>(kStaleMarkerBits);
}
inline bool IsStaleMarker(double value) {
  return std::bit_cast<uint64_t>(value) == kStaleMarkerBits;
}

// Sample i is (timestamps[i], values[i]).
struct SampleColumns {
  std::vector<Timestamp> timestamps;
  std::vector<double> values;
  size_t size() const { return timestamps.size(); }
  void Clear() {
    timestamps.clear();
    values.clear();
  }
};

}  // namespace tsdbd::model
