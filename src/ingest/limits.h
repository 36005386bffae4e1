#pragma once
// Bounds of line protocol that are not for configuration.

#include <cstddef>

namespace tsdbd::ingest {

// InfluxDB's limit for measurement and tags, and for a field's name.
inline constexpr size_t kMaxKeyBytes = 65'535;

}  // namespace tsdbd::ingest
