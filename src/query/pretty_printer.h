#pragma once
// Expressions as text for people, as Prometheus' format_query writes them: what does not fit a line
// is broken up and indented. It parses to the same tree again. A pure function.

#include <cstddef>
#include <string>

#include "common/status.h"
#include "query/ast.h"

namespace tsdbd::query {

// Indentation makes a deep query a thousand times longer. Twice what the longest query has on one
// line, where 1e308 becomes 309 digits.
inline constexpr size_t kMaxPrettyBytes = size_t{32} << 20;

// Lines of at most 100 characters where breaking at parentheses and operators allows it, two spaces
// a level. kResourceExhausted if it were longer than kMaxPrettyBytes.
StatusOr<std::string> PrettyPrint(const Expr& expr);

}  // namespace tsdbd::query
