#pragma once
// Expressions as text, in Prometheus' own form: what is printed parses to the same tree again.

#include <string>

#include "query/ast.h"

namespace tsdbd::query {

// On one line: sum by (job) (rate(http_requests_total{code="500"}[5m] offset 1h)).
std::string Print(const Expr& expr);

// ---- Pieces of it, for those who break lines (pretty_printer.h)

// What comes before an aggregation's parenthesis: "sum", "sum by (job) ".
std::string PrintAggregateHead(const AggregateExpr& aggregate);
// What stands between the sides of an operation: "+", "> bool on (job) group_left ()".
std::string PrintOperator(const BinaryExpr& binary);
// What follows a sub-query's expression: "[1h:5m] @ end() offset 1d".
std::string PrintSubqueryWindow(const SubqueryExpr& subquery);
// Whether `expr` ends in an offset with parentheses around it, `a offset (5m)`, after which an
// arithmetic operator reads as a part of the duration, unless a sign stands before them.
bool EndsInOpenOffset(const Expr& expr);

// A label matcher as a selector has it: code=~"5.." or "http.code"="500".
std::string PrintMatcher(const model::Matcher& matcher);

}  // namespace tsdbd::query
