#pragma once
// The PromQL parser: text to a type-checked tree (ast.h). Pure functions, thread-safe.
//
// The language is that of Prometheus 3.x. Every error is kInvalidArgument with the first mistake in
// Prometheus' form, `<line>:<column>: parse error: <message>` (1-based, columns in bytes).

#include <cstddef>
#include <memory>
#include <string_view>
#include <vector>

#include "common/status.h"
#include "model/matcher.h"
#include "query/ast.h"

namespace tsdbd::query {

// Parentheses, calls, signs and the like inside one another: bounds the parser's own stack.
inline constexpr int kMaxNesting = 250;

// What a query may use. The experimental parts of the language are those that Prometheus has behind
// a feature flag each.
struct ParserOptions {
  bool experimental_functions = false;  // and the aggregations limitk and limit_ratio
  bool duration_expressions = false;    // foo[5m * 2], offset step()
  bool extended_ranges = false;         // anchored, smoothed
  bool fill_modifiers = false;          // fill, fill_left, fill_right
  int max_nesting = kMaxNesting;        // at most kMaxNesting
};

// Longer than any query a dashboard sends; bounds the memory of its tree.
inline constexpr size_t kMaxQueryBytes = 256 << 10;
// Levels of the tree, which operators in a row deepen as well (a + b + c ...): bounds the stack of
// everything that walks a tree.
inline constexpr int kMaxTreeDepth = 2'000;
// All regexes of an expression together, in instructions of their programs: about a second to
// compile. "\pL{300}" is eight bytes long and takes 360,000; a list of 2,000 host names 60,000.
inline constexpr size_t kMaxRegexCost = 1'000'000;
// What even the smallest regex costs on top.
inline constexpr size_t kRegexBaseCost = 500;

StatusOr<ExprPtr> ParseExpression(std::string_view text, const ParserOptions& options = {});

// A `match[]` parameter: one vector selector, at least one matcher of which does not match "".
StatusOr<std::vector<model::Matcher>> ParseSeriesSelector(std::string_view text);

}  // namespace tsdbd::query
