#pragma once
// Planner: turns an expression into the operators that compute it. One planner serves one query.

#include <memory>
#include <unordered_map>
#include <vector>

#include "query/ast.h"
#include "query/extended_range.h"
#include "query/map_function.h"
#include "query/operator.h"
#include "query/range_operators.h"

namespace tsdbd::query {

// A range vector: what it reads, its windows, and the operator of its steps if it is a sub-query.
struct PlannedRange {
  std::unique_ptr<RangeSource> source;
  model::StepTimes windows;
  RangeExtension extension = RangeExtension::kNone;  // `source` reads that much more
  OperatorPtr steps;                                 // may be null
};

class Planner {
 public:
  // `execution` must outlive the plan, and so must the expressions planned.
  Planner(Execution* execution, const StepGrid& query_grid)
      : execution_(execution), query_grid_(query_grid) {}

  // Of a scalar or an instant vector.
  StatusOr<OperatorPtr> Plan(const Expr& expr) { return Plan(expr, query_grid_); }
  // Of a range vector, whose samples are the result.
  StatusOr<PlannedRange> PlanRange(const Expr& expr);

 private:
  using Operators = std::vector<OperatorPtr>;

  StatusOr<OperatorPtr> Plan(const Expr& expr, const StepGrid& grid);
  StatusOr<OperatorPtr> PlanNode(const Expr& expr, const StepGrid& grid);
  StatusOr<OperatorPtr> PlanSelector(const VectorSelector& selector, const StepGrid& grid,
                                     bool sample_times);
  StatusOr<OperatorPtr> PlanUnary(const UnaryExpr& unary, const StepGrid& grid);
  StatusOr<OperatorPtr> PlanBinary(const BinaryExpr& binary, const StepGrid& grid);
  StatusOr<OperatorPtr> PlanAggregate(const AggregateExpr& aggregate, const StepGrid& grid);
  StatusOr<PlannedRange> PlanRange(const Expr& expr, const StepGrid& grid);
  StatusOr<PlannedRange> PlanSubquery(const SubqueryExpr& subquery, const StepGrid& grid);

  // Calls, by kind of function (plan_calls.cc).
  StatusOr<OperatorPtr> PlanCall(const CallExpr& call, const StepGrid& grid);
  StatusOr<OperatorPtr> PlanScalarCall(const CallExpr& call, const StepGrid& grid);
  StatusOr<OperatorPtr> PlanRangeCall(const CallExpr& call, const StepGrid& grid);
  StatusOr<OperatorPtr> PlanAbsent(const CallExpr& call, const StepGrid& grid);
  StatusOr<OperatorPtr> PlanTimestamp(const CallExpr& call, const StepGrid& grid);
  StatusOr<OperatorPtr> PlanSort(const CallExpr& call, const StepGrid& grid);
  StatusOr<OperatorPtr> PlanRelabel(const CallExpr& call, const StepGrid& grid);
  StatusOr<OperatorPtr> PlanHistogram(const CallExpr& call, const StepGrid& grid);
  StatusOr<OperatorPtr> PlanStartTimestamp(const CallExpr& call, const StepGrid& grid);
  StatusOr<OperatorPtr> PlanMap(const CallExpr& call, MapFunction function, const StepGrid& grid);
  StatusOr<Operators> PlanArguments(const CallExpr& call, size_t first, const StepGrid& grid);

  // info() (plan_info.cc).
  StatusOr<OperatorPtr> PlanInfo(const CallExpr& call, const StepGrid& grid);
  StatusOr<model::StepTimes> ResolveInfoTimes(const Expr& argument, const StepGrid& grid) const;

  // Whether the value is the same at every step, because all selectors in it are pinned by @.
  bool IsStepInvariant(const Expr& expr);
  bool FindStepInvariance(const Expr& expr);

  StatusOr<int64_t> ResolveDuration(const Duration& duration, bool may_be_negative) const;
  StatusOr<double> EvaluateDuration(const DurationExpr& duration) const;
  StatusOr<model::StepTimes> ResolveTimes(const TimeShift& shift, const StepGrid& grid,
                                          int64_t window_ns) const;

  template <typename Made, typename... Args>
  OperatorPtr Make(const Expr& expr, Args&&... args);
  void Describe(const Expr& expr, Operator* made) const;

  Execution* const execution_;
  const StepGrid query_grid_;
  std::unordered_map<const Expr*, bool> step_invariant_;
};

// The expression inside all parentheses.
const Expr& WithoutParens(const Expr& expr);

// An operator made for `expr`.
template <typename Made, typename... Args>
OperatorPtr Planner::Make(const Expr& expr, Args&&... args) {
  auto made = std::make_shared<Made>(execution_, std::forward<Args>(args)...);
  Describe(expr, made.get());
  return made;
}

}  // namespace tsdbd::query
