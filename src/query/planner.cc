#include "query/planner.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "query/aggregate_operators.h"
#include "query/merged_rows.h"
#include "query/printer.h"
#include "query/row_operators.h"
#include "query/select_operators.h"
#include "query/text.h"
#include "query/vector_operators.h"

namespace tsdbd::query {
namespace {

using model::StepTimes;
using model::Timestamp;

// Functions whose value depends on the step even if their arguments do not.
constexpr std::string_view kStepFunctions[] = {
    "day_of_month", "day_of_week", "day_of_year", "days_in_month",  "end",
    "hour",         "minute",      "month",       "predict_linear", "range",
    "start",        "step",        "time",        "timestamp",      "year"};
static_assert(std::ranges::is_sorted(kStepFunctions));

Timestamp MillisToNanos(int64_t millis) {
  Timestamp nanos = 0;
  if (__builtin_mul_overflow(millis, kNanosPerMilli, &nanos)) {
    return millis < 0 ? std::numeric_limits<Timestamp>::min()
                      : std::numeric_limits<Timestamp>::max();
  }
  return nanos;
}

Status DurationError(const DurationExpr& duration, std::string_view problem) {
  return InvalidArgument("{}:{}: {}", duration.span.start, duration.span.end, problem);
}

}  // namespace

const Expr& WithoutParens(const Expr& expr) {
  const Expr* inner = &expr;
  while (inner->kind == ExprKind::kParen) {
    inner = As<ParenExpr>(*inner).expr.get();
  }
  return *inner;
}

void Planner::Describe(const Expr& expr, Operator* made) const {
  if (execution_->options().explain) {
    made->set_detail(Print(expr));
  }
}

// ---- Step invariance

bool Planner::IsStepInvariant(const Expr& expr) {
  const auto known = step_invariant_.find(&expr);
  if (known != step_invariant_.end()) {
    return known->second;
  }
  const bool invariant = FindStepInvariance(expr);
  step_invariant_.emplace(&expr, invariant);
  return invariant;
}

bool Planner::FindStepInvariance(const Expr& expr) {
  switch (expr.kind) {
    case ExprKind::kNumber:
    case ExprKind::kString:
      return true;
    case ExprKind::kVectorSelector:
      return As<VectorSelector>(expr).shift.at != AtAnchor::kNone;
    case ExprKind::kMatrixSelector:
      return IsStepInvariant(*As<MatrixSelector>(expr).selector);
    case ExprKind::kSubquery:
      return As<SubqueryExpr>(expr).shift.at != AtAnchor::kNone;
    case ExprKind::kParen:
      return IsStepInvariant(*As<ParenExpr>(expr).expr);
    case ExprKind::kUnary:
      return IsStepInvariant(*As<UnaryExpr>(expr).expr);
    case ExprKind::kBinary:
      return IsStepInvariant(*As<BinaryExpr>(expr).left) &&
             IsStepInvariant(*As<BinaryExpr>(expr).right);
    case ExprKind::kAggregate: {
      const auto& aggregate = As<AggregateExpr>(expr);
      return IsStepInvariant(*aggregate.expr) &&
             (aggregate.parameter == nullptr || IsStepInvariant(*aggregate.parameter));
    }
    case ExprKind::kCall:
      break;
  }
  const auto& call = As<CallExpr>(expr);
  const bool arguments_are = std::ranges::all_of(
      call.arguments, [this](const ExprPtr& argument) { return IsStepInvariant(*argument); });
  if (call.function->name == "timestamp" &&
      WithoutParens(*call.arguments[0]).kind == ExprKind::kVectorSelector) {
    return arguments_are;
  }
  return arguments_are && !std::ranges::binary_search(kStepFunctions, call.function->name);
}

// ---- Times

StatusOr<double> Planner::EvaluateDuration(const DurationExpr& duration) const {
  double left = 0;
  double right = 0;
  if (duration.left != nullptr) {
    ASSIGN_OR_RETURN(left, EvaluateDuration(*duration.left));
  }
  if (duration.right != nullptr) {
    ASSIGN_OR_RETURN(right, EvaluateDuration(*duration.right));
  }
  switch (duration.op) {
    case DurationOp::kNumber:
      return duration.seconds;
    case DurationOp::kAdd:
      return left + right;
    case DurationOp::kSubtract:
      return left - right;
    case DurationOp::kMultiply:
      return left * right;
    case DurationOp::kDivide:
      return right == 0 ? StatusOr<double>(DurationError(duration, "division by zero"))
                        : left / right;
    case DurationOp::kModulo:
      return right == 0 ? StatusOr<double>(DurationError(duration, "modulo by zero"))
                        : std::fmod(left, right);
    case DurationOp::kPower:
      return std::pow(left, right);
    case DurationOp::kStep:
      return ToSeconds(query_grid_.step_ns);
    case DurationOp::kRange:
      return ToSeconds(SaturatingSubtract(query_grid_.end, query_grid_.start));
    case DurationOp::kMinOf:
      return std::min(left, right);
    case DurationOp::kMaxOf:
      return std::max(left, right);
  }
  return 0;
}

StatusOr<int64_t> Planner::ResolveDuration(const Duration& duration, bool may_be_negative) const {
  if (duration.expr == nullptr) {
    return duration.nanos;
  }
  ASSIGN_OR_RETURN(const double seconds, EvaluateDuration(*duration.expr));
  if (!std::isfinite(seconds)) {
    return DurationError(*duration.expr, "duration is NaN or infinite");
  }
  if (seconds <= 0 && !may_be_negative) {
    return DurationError(*duration.expr, "duration must be greater than 0");
  }
  constexpr double kMaxSeconds = 9223372036.854775807;
  if (std::abs(seconds) > kMaxSeconds) {
    return DurationError(*duration.expr, "duration is out of range");
  }
  const int64_t nanos = SecondsToNanos(seconds);
  return nanos <= 0 && !may_be_negative ? 1 : nanos;
}

StatusOr<StepTimes> Planner::ResolveTimes(const TimeShift& shift, const StepGrid& grid,
                                          int64_t window_ns) const {
  ASSIGN_OR_RETURN(const int64_t offset_ns, ResolveDuration(shift.offset, true));
  StepTimes times{.first = grid.start, .step_ns = 0, .count = grid.count, .window_ns = window_ns};
  switch (shift.at) {
    case AtAnchor::kNone:
      times.step_ns = grid.step_ns;
      break;
    case AtAnchor::kTime:
      times.first = MillisToNanos(shift.at_ms);
      break;
    case AtAnchor::kStart:
      times.first = query_grid_.start;
      break;
    case AtAnchor::kEnd:
      times.first = query_grid_.end;
      break;
  }
  times.first = SaturatingSubtract(times.first, offset_ns);
  return times;
}

// ---- Nodes

StatusOr<OperatorPtr> Planner::Plan(const Expr& expr, const StepGrid& grid) {
  const bool literal = expr.kind == ExprKind::kNumber || expr.kind == ExprKind::kString;
  if (grid.count == 1 || literal || !IsStepInvariant(expr)) {
    return PlanNode(expr, grid);
  }
  ASSIGN_OR_RETURN(OperatorPtr once,
                   PlanNode(expr, {.start = grid.start, .end = grid.start, .count = 1}));
  return Make<RepeatOperator>(expr, grid, std::move(once));
}

StatusOr<OperatorPtr> Planner::PlanNode(const Expr& expr, const StepGrid& grid) {
  switch (expr.kind) {
    case ExprKind::kNumber:
      return Make<NumberOperator>(expr, grid, As<NumberLiteral>(expr).value);
    case ExprKind::kParen:
      return PlanNode(*As<ParenExpr>(expr).expr, grid);
    case ExprKind::kVectorSelector:
      return PlanSelector(As<VectorSelector>(expr), grid, /*sample_times=*/false);
    case ExprKind::kUnary:
      return PlanUnary(As<UnaryExpr>(expr), grid);
    case ExprKind::kBinary:
      return PlanBinary(As<BinaryExpr>(expr), grid);
    case ExprKind::kAggregate:
      return PlanAggregate(As<AggregateExpr>(expr), grid);
    case ExprKind::kCall:
      return PlanCall(As<CallExpr>(expr), grid);
    case ExprKind::kString:
    case ExprKind::kMatrixSelector:
    case ExprKind::kSubquery:
      break;
  }
  return MakeStatus(StatusCode::kInternal, "a {} cannot be planned as a vector",
                    DocumentedTypeName(expr.type));
}

StatusOr<OperatorPtr> Planner::PlanSelector(const VectorSelector& selector, const StepGrid& grid,
                                            bool sample_times) {
  const int64_t lookback_ns = execution_->options().lookback_delta_ns;
  ASSIGN_OR_RETURN(const StepTimes times, ResolveTimes(selector.shift, grid, lookback_ns));
  // The times of samples are not smoothed; and of one moment `anchored` says nothing.
  if (selector.smoothed && !sample_times) {
    return Make<SmoothedSelectOperator>(selector, grid, selector.matchers, times);
  }
  return sample_times ? Make<SampleTimeOperator>(selector, grid, selector.matchers, times)
                      : Make<SelectOperator>(selector, grid, selector.matchers, times);
}

StatusOr<OperatorPtr> Planner::PlanUnary(const UnaryExpr& unary, const StepGrid& grid) {
  ASSIGN_OR_RETURN(OperatorPtr operand, Plan(*unary.expr, grid));
  return unary.negative ? Make<NegateOperator>(unary, grid, std::move(operand))
                        : std::move(operand);
}

StatusOr<OperatorPtr> Planner::PlanBinary(const BinaryExpr& binary, const StepGrid& grid) {
  ASSIGN_OR_RETURN(OperatorPtr left, Plan(*binary.left, grid));
  ASSIGN_OR_RETURN(OperatorPtr right, Plan(*binary.right, grid));
  const bool left_is_scalar = binary.left->type == ValueType::kScalar;
  const bool right_is_scalar = binary.right->type == ValueType::kScalar;
  if (binary.op == BinaryOp::kTrimUpper || binary.op == BinaryOp::kTrimLower) {
    // They cut native histograms; other samples give nothing.
    return Make<EmptyOperator>(binary, grid, Operators{std::move(left), std::move(right)});
  }
  if (left_is_scalar && right_is_scalar) {
    return Make<ScalarBinaryOperator>(binary, grid, binary.op, std::move(left), std::move(right));
  }
  if (left_is_scalar || right_is_scalar) {
    const VectorScalarOptions options{
        .op = binary.op, .return_bool = binary.return_bool, .scalar_is_left = left_is_scalar};
    if (left_is_scalar) {
      std::swap(left, right);
    }
    return Make<VectorScalarOperator>(binary, grid, options, std::move(left), std::move(right));
  }
  switch (binary.op) {
    case BinaryOp::kAnd:
    case BinaryOp::kUnless:
      return Make<FilterBySignatureOperator>(binary, grid, binary.op == BinaryOp::kUnless,
                                             *binary.matching, std::move(left), std::move(right));
    case BinaryOp::kOr:
      return Make<MergeOperator>(
          binary, grid,
          Make<UnionOperator>(binary, grid, *binary.matching, std::move(left), std::move(right)));
    default:
      return Make<VectorBinaryOperator>(binary, grid, binary, std::move(left), std::move(right));
  }
}

StatusOr<OperatorPtr> Planner::PlanAggregate(const AggregateExpr& aggregate, const StepGrid& grid) {
  ASSIGN_OR_RETURN(OperatorPtr input, Plan(*aggregate.expr, grid));
  Grouping grouping(aggregate.without, aggregate.grouping);
  if (aggregate.op == AggregateOp::kCountValues) {
    const std::string& label = As<StringLiteral>(WithoutParens(*aggregate.parameter)).value;
    if (label.empty() || !IsValidUtf8(label)) {
      return FailedPrecondition("invalid label name {}", Quote(label));
    }
    return Make<CountValuesOperator>(aggregate, grid, label, std::move(grouping), std::move(input));
  }
  OperatorPtr parameter;
  if (aggregate.parameter != nullptr) {
    ASSIGN_OR_RETURN(parameter, Plan(*aggregate.parameter, grid));
  }
  switch (aggregate.op) {
    case AggregateOp::kTopk:
    case AggregateOp::kBottomk:
      return Make<TopKOperator>(aggregate, grid, aggregate.op == AggregateOp::kBottomk,
                                std::move(grouping), std::move(input), std::move(parameter));
    case AggregateOp::kLimitk:
      return Make<LimitKOperator>(aggregate, grid, std::move(grouping), std::move(input),
                                  std::move(parameter));
    case AggregateOp::kLimitRatio:
      return Make<LimitRatioOperator>(aggregate, grid, aggregate.parameter.get(), std::move(input),
                                      std::move(parameter));
    case AggregateOp::kQuantile:
      return Make<QuantileOperator>(aggregate, grid, std::move(grouping), aggregate.parameter.get(),
                                    std::move(input), std::move(parameter));
    default:
      return Make<FoldOperator>(aggregate, grid, aggregate.op, std::move(grouping),
                                std::move(input));
  }
}

// ---- Range vectors

StatusOr<PlannedRange> Planner::PlanRange(const Expr& expr, const StepGrid& grid) {
  const Expr& inner = WithoutParens(expr);
  if (inner.kind == ExprKind::kSubquery) {
    return PlanSubquery(As<SubqueryExpr>(inner), grid);
  }
  const auto& matrix = As<MatrixSelector>(inner);
  ASSIGN_OR_RETURN(const int64_t range_ns, ResolveDuration(matrix.range, false));
  PlannedRange planned;
  ASSIGN_OR_RETURN(planned.windows, ResolveTimes(matrix.selector->shift, grid, range_ns));
  planned.extension = matrix.selector->anchored   ? RangeExtension::kAnchored
                      : matrix.selector->smoothed ? RangeExtension::kSmoothed
                                                  : RangeExtension::kNone;
  planned.source = std::make_unique<StoredRanges>(
      execution_, matrix.selector->matchers,
      ExtendWindows(planned.extension, planned.windows, execution_->options().lookback_delta_ns));
  return planned;
}

StatusOr<PlannedRange> Planner::PlanRange(const Expr& expr) {
  ASSIGN_OR_RETURN(PlannedRange planned, PlanRange(expr, query_grid_));
  if (planned.extension != RangeExtension::kNone) {
    const Timestamp end = planned.windows.first;
    const model::TimeRange range = {SaturatingSubtract(end, planned.windows.window_ns), end};
    planned.source =
        std::make_unique<ExtendedRanges>(std::move(planned.source), planned.extension, range);
    // There is a value at the begin.
    planned.windows.window_ns = SaturatingSubtract(planned.windows.window_ns, -1);
  }
  return planned;
}

StatusOr<PlannedRange> Planner::PlanSubquery(const SubqueryExpr& subquery, const StepGrid& grid) {
  ASSIGN_OR_RETURN(const int64_t range_ns, ResolveDuration(subquery.range, false));
  int64_t step_ns = execution_->options().default_subquery_step_ns;
  if (subquery.step.IsSet()) {
    ASSIGN_OR_RETURN(step_ns, ResolveDuration(subquery.step, false));
  }
  PlannedRange planned;
  ASSIGN_OR_RETURN(planned.windows, ResolveTimes(subquery.shift, grid, range_ns));
  // The steps of a sub-query are multiples of its step, wherever the query begins.
  const Timestamp before_first = SaturatingSubtract(planned.windows.first, range_ns);
  const Timestamp last = planned.windows.At(grid.count - 1);
  Timestamp start = before_first / step_ns * step_ns;
  if (start <= before_first) {
    start = SaturatingSubtract(start, -step_ns);
  }
  if (start > last) {
    planned.steps =
        Make<EmptyOperator>(subquery, StepGrid{.start = last, .end = last}, Operators());
    planned.source = std::make_unique<SubqueryRanges>(planned.steps);
    return planned;
  }
  const uint64_t intervals =
      (static_cast<uint64_t>(last) - static_cast<uint64_t>(start)) / static_cast<uint64_t>(step_ns);
  RETURN_IF_ERROR(execution_->CheckSampleCount(intervals));
  RETURN_IF_ERROR(execution_->Reserve(intervals * (sizeof(Timestamp) + sizeof(double))));
  const StepGrid steps{
      .start = start, .end = last, .step_ns = step_ns, .count = static_cast<size_t>(intervals) + 1};
  ASSIGN_OR_RETURN(planned.steps, Plan(*subquery.expr, steps));
  planned.source = std::make_unique<SubqueryRanges>(planned.steps);
  return planned;
}

}  // namespace tsdbd::query
