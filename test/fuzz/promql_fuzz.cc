// PromQL: no text crashes the parser or the evaluator, and an expression that was printed and
// parsed again is the same expression.

#include <cmath>
#include <cstdint>
#include <cstdio>
#include <map>
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
        up{job="a",instance="1"} 0:-Inf 10:1e308 20:+Inf 30:-1e308 40:0 50:-0
        foo 10:1
        bar_total{job="a",instance="1"} 0:0 10:10 20:5 30:stale 40:7
        bar_total{job="a",instance="2"} 30:9007199254740993
        h_bucket{job="a",le="1"} 0:1 30:2
        h_bucket{job="a",le="2.5"} 0:3 30:1
        h_bucket{job="a",le="+Inf"} 0:4 30:5
        h_bucket{job="a",le="odd"} 0:4
        target_info{job="a",instance="1",v="1"} 0:1 20:stale
        target_info{job="a",instance="1",v="2"} 20:1
        build_info{job="a",instance="1",v="2",w="3"} 0:1)");
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

bool IsSameValue(double a, double b) {
  return a == b || (std::isnan(a) && std::isnan(b));
}

// A range of one step is the same as an instant.
void CheckSame(const QueryResult& instant, const QueryResult& range) {
  CHECK(range.type == ValueType::kMatrix);
  if (instant.type == ValueType::kScalar) {
    CHECK(range.matrix.size() == 1 && IsSameValue(range.matrix[0].row[0], instant.scalar));
    return;
  }
  std::map<model::LabelViews, double> samples;
  for (const VectorSample& sample : instant.vector) {
    CHECK(samples.emplace(sample.labels, sample.value).second);
  }
  CHECK(range.matrix.size() == samples.size());
  for (const MatrixSeries& series : range.matrix) {
    const auto same = samples.find(series.labels);
    CHECK(same != samples.end() && IsSameValue(series.row[0], same->second));
  }
}

void CheckEvaluation(std::string_view text) {
  constexpr model::Timestamp kMoment = 30 * kNanosPerSecond;
  constexpr int64_t kStepNs = 10 * kNanosPerSecond;
  QueryOptions options;
  options.max_samples = 1'000;
  options.max_series = 100;
  options.max_memory_bytes = uint64_t{1} << 20;
  options.parser = kEverything;
  const Engine engine(&Data());
  const auto instant = engine.Instant(text, kMoment, options);
  const auto range = engine.Range(text, {0, 60 * kNanosPerSecond}, kStepNs, options);
  const auto one_step = engine.Range(text, {kMoment, kMoment}, kStepNs, options);
  const bool is_instant =
      instant.ok() && (instant->type == ValueType::kVector || instant->type == ValueType::kScalar);
  // What gives a vector at one moment gives one at many, unless it is too large.
  if (is_instant) {
    CHECK(range.ok() || range.status().code() == StatusCode::kResourceExhausted ||
          range.status().code() == StatusCode::kFailedPrecondition);
  }
  const bool is_too_large = instant.status().code() == StatusCode::kResourceExhausted ||
                            one_step.status().code() == StatusCode::kResourceExhausted;
  // A duration may depend on the step, which an instant does not have.
  if (!is_too_large && text.find("step") == text.npos) {
    CHECK(one_step.ok() == is_instant);
    if (is_instant) {
      CheckSame(*instant, *one_step);
    }
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
