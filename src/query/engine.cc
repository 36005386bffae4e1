#include "query/engine.h"

#include <utility>

#include "common/stages.h"
#include "query/evaluator.h"
#include "query/query_error.h"
#include "query/result_labels.h"
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

// The same scalar at every step.
MatrixSeries RepeatScalar(double value, const StepGrid& grid) {
  MatrixSeries series;
  for (size_t step = 0; step < grid.count; ++step) {
    series.samples.timestamps.push_back(grid.start + static_cast<int64_t>(step) * grid.step_ns);
  }
  series.samples.values.assign(grid.count, value);
  return series;
}

}  // namespace

StatusOr<QueryResult> Engine::Instant(std::string_view text, model::Timestamp time,
                                      const QueryOptions& options) const {
  ASSIGN_OR_RETURN(const ExprPtr expr, Parse(text, options));
  const StepGrid grid{.start = time, .end = time, .instant = true};
  ASSIGN_OR_RETURN(QueryResult result, Evaluator(source_, &options, grid).Evaluate(*expr));
  result.time = time;
  return result;
}

StatusOr<QueryResult> Engine::Range(std::string_view text, model::TimeRange range, int64_t step_ns,
                                    const QueryOptions& options) const {
  ASSIGN_OR_RETURN(const StepGrid grid, MakeGrid(range, step_ns, options.max_points_per_series));
  ASSIGN_OR_RETURN(const ExprPtr expr, Parse(text, options));
  if (expr->type != ValueType::kScalar && expr->type != ValueType::kVector) {
    return InvalidParameter(
        "query", InvalidArgument("invalid expression type {} for range query, must be Scalar or "
                                 "instant Vector",
                                 Quote(DocumentedTypeName(expr->type))));
  }
  ASSIGN_OR_RETURN(QueryResult result, Evaluator(source_, &options, grid).Evaluate(*expr));
  if (result.type == ValueType::kScalar) {
    result.matrix.push_back(RepeatScalar(result.scalar, grid));
  }
  result.type = ValueType::kMatrix;
  return result;
}

}  // namespace tsdbd::query
