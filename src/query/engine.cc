#include "query/engine.h"

#include <utility>

#include "common/stages.h"
#include "query/execution.h"
#include "query/planner.h"
#include "query/query_error.h"
#include "query/result_builder.h"
#include "query/text.h"

namespace tsdbd::query {
namespace {

// 11000 as 11,000.
std::string GroupThousands(uint64_t value) {
  std::string text = fmt::format("{}", value);
  for (size_t from_end = 3; from_end < text.size(); from_end += 4) {
    text.insert(text.size() - from_end, 1, ',');
  }
  return text;
}

StatusOr<ExprPtr> Parse(std::string_view text, const QueryOptions& options) {
  const StageTimer timer(Stage::kQueryParse);
  StatusOr<ExprPtr> expr = ParseExpression(text, options.parser);
  return expr.ok() ? std::move(expr) : InvalidParameter("query", expr.status());
}

StatusOr<StepGrid> MakeGrid(const model::TimeRange& range, int64_t step_ns,
                            uint64_t max_points_per_series) {
  if (range.max < range.min) {
    return InvalidParameter("end", InvalidArgument("end timestamp must not be before start time"));
  }
  if (step_ns <= 0) {
    return InvalidParameter(
        "step", InvalidArgument("zero or negative query resolution step widths are not accepted. "
                                "Try a positive integer"));
  }
  const uint64_t steps =
      (static_cast<uint64_t>(range.max) - static_cast<uint64_t>(range.min)) / step_ns;
  if (steps > max_points_per_series) {
    return InvalidArgument(
        "exceeded maximum resolution of {} points per timeseries. Try decreasing the query "
        "resolution (?step=XX)",
        GroupThousands(max_points_per_series));
  }
  return StepGrid{.start = range.min, .end = range.max, .step_ns = step_ns, .count = steps + 1};
}

// What one query needs until its result has been read.
struct RunningQuery {
  RunningQuery(const model::SeriesSource* source, const QueryOptions& query_options,
               std::string_view text)
      : options(query_options), execution(source, &options, text) {}

  QueryOptions options;
  ExprPtr expr;
  Execution execution;
};

Status EvaluateVector(RunningQuery* query, const StepGrid& grid, bool instant,
                      QueryResult* result) {
  Execution& execution = query->execution;
  StageTimer timer(Stage::kQueryPlan);
  const int64_t start_ns = MonotonicNanos();
  ASSIGN_OR_RETURN(const OperatorPtr root, Planner(&execution, grid).Plan(*query->expr));
  timer.Next(Stage::kQueryEvaluate);
  RETURN_IF_ERROR(root->Prepare());
  result->stats.prepare_ns = MonotonicNanos() - start_ns;
  if (!instant) {
    RETURN_IF_ERROR(BuildMatrix(&execution, root, result));
  } else if (result->type == ValueType::kScalar) {
    RETURN_IF_ERROR(root->Compute(0, 1, &result->scalar));
  } else {
    RETURN_IF_ERROR(BuildVector(&execution, root, result));
  }
  timer.set_items(execution.samples_read());
  if (query->options.explain) {
    result->explain = root->Explain();
  }
  return OkStatus();
}

Status EvaluateRange(RunningQuery* query, const StepGrid& grid, QueryResult* result) {
  const StageTimer timer(Stage::kQueryEvaluate);
  auto range = std::make_shared<PlannedRange>();
  ASSIGN_OR_RETURN(*range, Planner(&query->execution, grid).PlanRange(*query->expr));
  RETURN_IF_ERROR(range->source->Prepare());
  return BuildSamples(&query->execution, std::move(range), result);
}

StatusOr<QueryResult> Evaluate(std::shared_ptr<RunningQuery> query, const StepGrid& grid,
                               bool instant) {
  const int64_t start_ns = MonotonicNanos();
  QueryResult result;
  result.type = query->expr->type;
  result.time = grid.start;
  result.pins.push_back(query);  // the plan points into it
  const Expr& inner = WithoutParens(*query->expr);
  if (inner.kind == ExprKind::kString) {
    result.text = As<StringLiteral>(inner).value;
  } else if (result.type == ValueType::kMatrix) {
    RETURN_IF_ERROR(EvaluateRange(query.get(), grid, &result));
  } else {
    RETURN_IF_ERROR(EvaluateVector(query.get(), grid, instant, &result));
  }
  if (!instant) {
    result.type = ValueType::kMatrix;
  }
  query->execution.annotations().Take(&result.warnings, &result.infos);
  result.stats.evaluate_ns = MonotonicNanos() - start_ns;
  result.stats.samples = query->execution.samples_read();
  result.stats.peak_memory_bytes = query->execution.peak_memory_bytes();
  return result;
}

}  // namespace

StatusOr<QueryResult> Engine::Instant(std::string_view text, model::Timestamp time,
                                      const QueryOptions& options) const {
  const int64_t start_ns = MonotonicNanos();
  auto query = std::make_shared<RunningQuery>(source_, options, text);
  ASSIGN_OR_RETURN(query->expr, Parse(text, options));
  const int64_t parse_ns = MonotonicNanos() - start_ns;
  ASSIGN_OR_RETURN(QueryResult result,
                   Evaluate(std::move(query), {.start = time, .end = time}, /*instant=*/true));
  result.stats.parse_ns = parse_ns;
  return result;
}

StatusOr<QueryResult> Engine::Range(std::string_view text, model::TimeRange range, int64_t step_ns,
                                    const QueryOptions& options) const {
  ASSIGN_OR_RETURN(const StepGrid grid, MakeGrid(range, step_ns, options.max_points_per_series));
  const int64_t start_ns = MonotonicNanos();
  auto query = std::make_shared<RunningQuery>(source_, options, text);
  ASSIGN_OR_RETURN(query->expr, Parse(text, options));
  const int64_t parse_ns = MonotonicNanos() - start_ns;
  const ValueType type = query->expr->type;
  if (type != ValueType::kScalar && type != ValueType::kVector) {
    return InvalidParameter(
        "query", InvalidArgument("invalid expression type {} for range query, must be Scalar or "
                                 "instant Vector",
                                 Quote(DocumentedTypeName(type))));
  }
  ASSIGN_OR_RETURN(QueryResult result, Evaluate(std::move(query), grid, /*instant=*/false));
  result.stats.parse_ns = parse_ns;
  return result;
}

}  // namespace tsdbd::query
