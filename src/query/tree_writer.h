#pragma once
// The tree of an expression as JSON, in the shape of Prometheus' parse_query, which tools show and
// walk: {"type":"call","func":{...},"args":[...]}. Durations in milliseconds. A pure function.

#include "query/ast.h"
#include "query/json_writer.h"

namespace tsdbd::query {

// The answer of parse_query. False if the sink refused a piece.
bool WriteTree(const Expr& expr, const JsonSink& sink);

}  // namespace tsdbd::query
