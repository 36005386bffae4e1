#pragma once
// Engine: evaluates PromQL over a SeriesSource. Thread-safe: queries run side by side, each on its
// caller's thread, and on idle threads of QueryOptions::helpers.
//
// The semantics are Prometheus 3's: a sample belongs to the step at `t` if it lies in
// (t - window, t], open on the left; a staleness marker ends its series at that moment; a metric
// name that a function takes away goes at the end of the query, so that until then it can be
// matched and grouped by. Times are nanoseconds.
//
// How: a plan of operators (operator.h) gives rows of steps, a batch of series at a time; see
// docs/architecture.md.

#include <cstdint>
#include <string_view>

#include "common/clock.h"
#include "common/status.h"
#include "common/thread_pool.h"
#include "model/sample.h"
#include "model/series_source.h"
#include "query/parser.h"
#include "query/query_result.h"

namespace tsdbd::query {

struct QueryOptions {
  // How far back an instant selector looks for a sample, more than 0; Prometheus' default.
  int64_t lookback_delta_ns = 300 * kNanosPerSecond;
  // The step of sub-queries that name none; Prometheus' default evaluation interval.
  int64_t default_subquery_step_ns = 60 * kNanosPerSecond;
  // Steps of a range query; Prometheus' own limit: a week of minutes, a year of hours.
  uint64_t max_points_per_series = 11'000;
  // Samples of one series, or steps of one sub-query, in memory at once.
  uint64_t max_samples = 50'000'000;
  // Series that one selector may match: twice the million active series we build for.
  uint64_t max_series = 2'000'000;
  // What one query holds in memory: rows, groups, results.
  uint64_t max_memory_bytes = uint64_t{256} << 20;
  // 0: no limit. Looked at between batches of series, every few ms.
  int64_t timeout_ns = 30 * kNanosPerSecond;
  const model::CancelToken* cancel = nullptr;  // may be null; looked at like the timeout
  ThreadPool* helpers = nullptr;               // may be null; its idle threads take a part
  bool explain = false;                        // fills QueryResult::explain
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
