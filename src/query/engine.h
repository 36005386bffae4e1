#pragma once
// Engine: evaluates PromQL over a SeriesSource. Thread-safe: queries run side by side, each on its
// caller's thread.
//
// Times are nanoseconds. A sample belongs to the step at `t` if it lies in (t - window, t]: open on
// the left, as Prometheus 3 has it. A staleness marker ends its series at that moment.
//
// This evaluator knows literals, parentheses, signs, instant vector selectors, and range selectors
// at one instant, with offset and @. The parser knows the whole language; what it accepts and this
// evaluator does not compute is answered with kUnimplemented.

#include <cstdint>
#include <string_view>

#include "common/clock.h"
#include "common/status.h"
#include "model/sample.h"
#include "model/series_source.h"
#include "query/parser.h"
#include "query/query_result.h"

namespace tsdbd::query {

struct QueryOptions {
  // How far back an instant selector looks for a sample, more than 0; Prometheus' default.
  int64_t lookback_delta_ns = 300 * kNanosPerSecond;
  // Steps of a range query; Prometheus' own limit: a week of minutes, a year of hours.
  uint64_t max_points_per_series = 11'000;
  // Samples held in memory at once: 16 bytes each, so 800 MB at the most.
  uint64_t max_samples = 50'000'000;
  // Series that one selector may match: twice the million active series we build for.
  uint64_t max_series = 2'000'000;
  // 0: no limit. Looked at between series.
  int64_t timeout_ns = 30 * kNanosPerSecond;
  const model::CancelToken* cancel = nullptr;  // may be null; looked at between series
  ParserOptions parser;
};

class Engine {
 public:
  // `source` must outlive the engine.
  explicit Engine(const model::SeriesSource* source) : source_(source) {}

  // `text` at one moment: a scalar, string, vector or matrix. Errors have the codes of
  // query_error.h and Prometheus' wording, down to `invalid parameter "query": `.
  StatusOr<QueryResult> Instant(std::string_view text, model::Timestamp time,
                                const QueryOptions& options) const;

  // `text` at start, start + step, ... up to `end`: always a matrix. `step_ns` > 0, start <= end.
  StatusOr<QueryResult> Range(std::string_view text, model::TimeRange range, int64_t step_ns,
                              const QueryOptions& options) const;

 private:
  const model::SeriesSource* const source_;
};

}  // namespace tsdbd::query
