#pragma once
// Expressions as text, in Prometheus' own form: what is printed parses to the same tree again.

#include <string>

#include "query/ast.h"

namespace tsdbd::query {

// On one line: sum by (job) (rate(http_requests_total{code="500"}[5m] offset 1h)).
std::string Print(const Expr& expr);

// A label matcher as a selector has it: code=~"5.." or "http.code"="500".
std::string PrintMatcher(const model::Matcher& matcher);

}  // namespace tsdbd::query
