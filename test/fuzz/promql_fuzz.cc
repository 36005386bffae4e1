// PromQL: no text crashes the parser or the evaluator, and an expression that was printed and
// parsed again is the same expression.

#include <cstdint>
#include <cstdio>
#include <string_view>

#include "common/check.h"
#include "query/engine.h"
#include "query/memory_source_testing.h"
#include "query/parser.h"
#include "query/pretty_printer.h"
#include "query/printer.h"
#include "query/tree_writer.h"

namespace tsdbd::query {
namespace {

constexpr ParserOptions kEverything = {.experimental_functions = true,
                                       .duration_expressions = true,
                                       .extended_ranges = true,
                                       .fill_modifiers = true};

const MemorySource& Data() {
  static const MemorySource* const kSource = [] {
    auto* source = new MemorySource;
    source->Load(R"(
        up{job="a"} 10:1 20:2 30:stale 40:4
        up{job="b"} 15:1 25:NaN
        foo 10:1)");
    return source;
  }();
  return *kSource;
}

// The same over many lines; and the tree's JSON is written.
void CheckFormats(const Expr& expr, std::string_view printed) {
  const auto pretty = PrettyPrint(expr);
  if (!pretty.ok() || pretty->size() > kMaxQueryBytes) {
    return;
  }
  const auto again = ParseExpression(*pretty, kEverything);
  CHECK(again.ok());
  CHECK(Print(**again) == printed);
  CHECK(WriteTree(expr, [](std::string_view) { return true; }));
}

void CheckRoundTrip(std::string_view text) {
  const auto expr = ParseExpression(text, kEverything);
  if (!expr.ok()) {
    CHECK(expr.status().code() == StatusCode::kInvalidArgument);
    return;
  }
  CHECK((*expr)->depth <= kMaxTreeDepth);
  CHECK((*expr)->span.end <= text.size());
  const std::string printed = Print(**expr);
  if (printed.size() > kMaxQueryBytes) {
    return;  // 1e308 is a short way to write 309 digits
  }
  const auto again = ParseExpression(printed, kEverything);
  CHECK(again.ok());
  CHECK((*again)->type == (*expr)->type);
  CHECK(Print(**again) == printed);
  CheckFormats(**expr, printed);
}

void CheckEvaluation(std::string_view text) {
  QueryOptions options;
  options.max_samples = 1'000;
  options.parser = kEverything;
  const Engine engine(&Data());
  const auto instant = engine.Instant(text, 30 * kNanosPerSecond, options);
  const auto range = engine.Range(text, {0, 60 * kNanosPerSecond}, 10 * kNanosPerSecond, options);
  // What gives a vector at one moment gives one at many, unless it is too large.
  if (instant.ok() && instant->type == ValueType::kVector) {
    CHECK(range.ok() || range.status().code() == StatusCode::kResourceExhausted ||
          range.status().code() == StatusCode::kFailedPrecondition);
  }
}

}  // namespace
}  // namespace tsdbd::query

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  tsdbd::query::CheckRoundTrip(text);
  tsdbd::query::CheckEvaluation(text);
  (void)tsdbd::query::ParseSeriesSelector(text);
  return 0;
}
