#pragma once
// The type checks of a parsed expression: operands and arguments have the types they must, matching
// clauses make sense. Also completes what only the types tell: which binary operations match series
// (BinaryExpr::matching) and which are many-to-many.

#include <string_view>

#include "common/status.h"
#include "query/ast.h"

namespace tsdbd::query {

// The first mistake as a parse error in `query`, the text of `expr`.
Status CheckTypes(std::string_view query, Expr* expr);

}  // namespace tsdbd::query
