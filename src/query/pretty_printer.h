#pragma once
// Expressions as text for people, as Prometheus' format_query writes them: what does not fit a line
// is broken up and indented. It parses to the same tree again. A pure function.

#include <string>

#include "query/ast.h"

namespace tsdbd::query {

// Lines of at most 100 characters where breaking at parentheses and operators allows it, two spaces
// a level.
std::string PrettyPrint(const Expr& expr);

}  // namespace tsdbd::query
