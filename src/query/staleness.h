#pragma once
// Staleness markers (model/sample.h) under the names that queries use.

#include "model/sample.h"

namespace tsdbd::query {

using model::IsStaleMarker;
using model::kStaleMarkerBits;

}  // namespace tsdbd::query
