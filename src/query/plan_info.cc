// How calls of info() are planned.

#include <algorithm>

#include "query/info_operator.h"
#include "query/merged_rows.h"
#include "query/planner.h"

namespace tsdbd::query {
namespace {

constexpr std::string_view kDefaultInfoMetric = "target_info";
// Of what a selector excludes only, this is the rest.
constexpr std::string_view kAnyInfoMetric = ".+_info";

std::vector<const Expr*> ChildrenOf(const Expr& expr) {
  switch (expr.kind) {
    case ExprKind::kNumber:
    case ExprKind::kString:
    case ExprKind::kVectorSelector:
      return {};
    case ExprKind::kMatrixSelector:
      return {As<MatrixSelector>(expr).selector.get()};
    case ExprKind::kSubquery:
      return {As<SubqueryExpr>(expr).expr.get()};
    case ExprKind::kParen:
      return {As<ParenExpr>(expr).expr.get()};
    case ExprKind::kUnary:
      return {As<UnaryExpr>(expr).expr.get()};
    case ExprKind::kBinary:
      return {As<BinaryExpr>(expr).left.get(), As<BinaryExpr>(expr).right.get()};
    case ExprKind::kAggregate: {
      const auto& aggregate = As<AggregateExpr>(expr);
      std::vector<const Expr*> children = {aggregate.expr.get()};
      if (aggregate.parameter != nullptr) {
        children.push_back(aggregate.parameter.get());
      }
      return children;
    }
    case ExprKind::kCall:
      break;
  }
  std::vector<const Expr*> children;
  for (const ExprPtr& argument : As<CallExpr>(expr).arguments) {
    children.push_back(argument.get());
  }
  return children;
}

// The shift of the first selector in `expr`, then those of the sub-queries around it, from inside
// to outside. Empty if there is no selector.
std::vector<const TimeShift*> ShiftsOfFirstSelector(const Expr& expr) {
  if (expr.kind == ExprKind::kVectorSelector) {
    return {&As<VectorSelector>(expr).shift};
  }
  for (const Expr* child : ChildrenOf(expr)) {
    std::vector<const TimeShift*> shifts = ShiftsOfFirstSelector(*child);
    if (!shifts.empty()) {
      if (expr.kind == ExprKind::kSubquery) {
        shifts.push_back(&As<SubqueryExpr>(expr).shift);
      }
      return shifts;
    }
  }
  return {};
}

StatusOr<InfoOptions> MatchersOf(const CallExpr& call) {
  InfoOptions options;
  if (call.arguments.size() > 1) {
    for (const model::Matcher& matcher : As<VectorSelector>(*call.arguments[1]).matchers) {
      const bool is_name = matcher.name() == model::kMetricName;
      (is_name ? options.name_matchers : options.data_matchers).push_back(matcher);
    }
  }
  const auto includes = [](const model::Matcher& matcher) {
    return matcher.type() == model::MatchType::kEqual || matcher.type() == model::MatchType::kRegex;
  };
  if (!std::ranges::any_of(options.name_matchers, includes)) {
    const bool is_default = options.name_matchers.empty();
    ASSIGN_OR_RETURN(
        model::Matcher matcher,
        model::Matcher::Create(is_default ? model::MatchType::kEqual : model::MatchType::kRegex,
                               std::string(model::kMetricName),
                               std::string(is_default ? kDefaultInfoMetric : kAnyInfoMetric)));
    options.name_matchers.push_back(std::move(matcher));
  }
  return options;
}

}  // namespace

// The info series are looked at when the first selector of the argument is: at its @, or that of
// the first sub-query around it that has one, and earlier by all offsets up to there.
StatusOr<model::StepTimes> Planner::ResolveInfoTimes(const Expr& argument,
                                                     const StepGrid& grid) const {
  const int64_t lookback_ns = execution_->options().lookback_delta_ns;
  const std::vector<const TimeShift*> shifts = ShiftsOfFirstSelector(argument);
  if (shifts.empty()) {
    return ResolveTimes(TimeShift(), grid, lookback_ns);
  }
  auto anchor = std::ranges::find_if(
      shifts, [](const TimeShift* shift) { return shift->at != AtAnchor::kNone; });
  anchor -= anchor == shifts.end() ? 1 : 0;
  ASSIGN_OR_RETURN(model::StepTimes times, ResolveTimes(**anchor, grid, lookback_ns));
  for (auto inner = shifts.begin(); inner != anchor; ++inner) {
    ASSIGN_OR_RETURN(const int64_t offset_ns, ResolveDuration((*inner)->offset, true));
    times.first = SaturatingSubtract(times.first, offset_ns);
  }
  return times;
}

StatusOr<OperatorPtr> Planner::PlanInfo(const CallExpr& call, const StepGrid& grid) {
  ASSIGN_OR_RETURN(InfoOptions options, MatchersOf(call));
  ASSIGN_OR_RETURN(options.times, ResolveInfoTimes(*call.arguments[0], grid));
  ASSIGN_OR_RETURN(OperatorPtr base, Plan(*call.arguments[0], grid));
  return Make<MergeOperator>(call, grid,
                             Make<InfoOperator>(call, grid, std::move(options), std::move(base)));
}

}  // namespace tsdbd::query
