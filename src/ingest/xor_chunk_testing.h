#pragma once
// For tests: the reader of XOR chunks, a bit at a time.

#include <string_view>

#include "common/status.h"
#include "model/sample.h"

namespace tsdbd::ingest {

// The samples of a chunk, times in milliseconds. kInvalidArgument if it is none.
StatusOr<model::SampleColumns> DecodeXorChunk(std::string_view chunk);

}  // namespace tsdbd::ingest
