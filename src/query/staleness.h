#pragma once
// Staleness markers: the one NaN, told from all others by its bits, that says that a series has
// ended here. Prometheus' own value, so that it survives remote write.

#include <bit>
#include <cstdint>

namespace tsdbd::query {

inline constexpr uint64_t kStaleMarkerBits = 0x7FF0000000000002;

inline bool IsStaleMarker(double value) {
  return std::bit_cast<uint64_t>(value) == kStaleMarkerBits;
}

}  // namespace tsdbd::query
