#pragma once
// The one form of all messages about a query's text.

#include <cstddef>
#include <string_view>

#include "common/status.h"

namespace tsdbd::query {

// kInvalidArgument: "<line>:<column>: parse error: <message>" for byte `position` of `query`.
Status ParseError(std::string_view query, size_t position, std::string_view message);

}  // namespace tsdbd::query
