// How calls of functions are planned.

#include <algorithm>
#include <cmath>
#include <numbers>

#include "query/histogram_operator.h"
#include "query/merged_rows.h"
#include "query/planner.h"
#include "query/relabel_operators.h"
#include "query/row_operators.h"
#include "query/text.h"

namespace tsdbd::query {
namespace {

const std::string& StringOf(const ExprPtr& argument) {
  return As<StringLiteral>(WithoutParens(*argument)).value;
}

bool IsLabelName(std::string_view name) {
  return !name.empty() && IsValidUtf8(name);
}

// The labels that absent() and absent_over_time() give: those that the selector asks for with =.
// A label that is matched twice is left out.
model::Labels LabelsOfAbsent(const Expr& argument) {
  const Expr& inner = WithoutParens(argument);
  const VectorSelector* selector = nullptr;
  if (inner.kind == ExprKind::kVectorSelector) {
    selector = &As<VectorSelector>(inner);
  } else if (inner.kind == ExprKind::kMatrixSelector) {
    selector = As<MatrixSelector>(inner).selector.get();
  } else {
    return {};
  }
  model::Labels labels;
  std::vector<std::string_view> taken;
  for (const model::Matcher& matcher : selector->matchers) {
    if (matcher.name() == model::kMetricName) {
      continue;
    }
    const bool is_first = std::ranges::find(taken, matcher.name()) == taken.end();
    std::erase_if(labels, [&](const model::Label& l) { return l.name == matcher.name(); });
    if (is_first && matcher.type() == model::MatchType::kEqual) {
      taken.push_back(matcher.name());
      if (!matcher.value().empty()) {
        labels.push_back({matcher.name(), matcher.value()});
      }
    }
  }
  std::ranges::sort(labels);
  return labels;
}

Status CheckSmoothing(const std::vector<std::vector<double>>& parameters) {
  for (size_t step = 0; step < parameters[0].size(); ++step) {
    RETURN_IF_ERROR(CheckSmoothingFactors(parameters[0][step], parameters[1][step]));
  }
  return OkStatus();
}

}  // namespace

StatusOr<OperatorPtr> Planner::PlanCall(const CallExpr& call, const StepGrid& grid) {
  const std::string_view name = call.function->name;
  if (const MapFunction function = FindMapFunction(name)) {
    return PlanMap(call, function, grid);
  }
  if (name == "absent_over_time" || FindRangeFunction(name) != nullptr) {
    return PlanRangeCall(call, grid);
  }
  if (call.function->returns == ValueType::kScalar) {
    return PlanScalarCall(call, grid);
  }
  if (name == "vector") {
    return Plan(*call.arguments[0], grid);
  }
  if (name == "absent") {
    return PlanAbsent(call, grid);
  }
  if (name == "timestamp") {
    return PlanTimestamp(call, grid);
  }
  if (name.starts_with("sort")) {
    return PlanSort(call, grid);
  }
  if (name == "label_replace" || name == "label_join") {
    return PlanRelabel(call, grid);
  }
  if (name.starts_with("histogram_")) {
    return PlanHistogram(call, grid);
  }
  if (name == "info") {
    return PlanInfo(call, grid);
  }
  if (name == "start_timestamp") {
    return PlanStartTimestamp(call, grid);
  }
  return MakeStatus(StatusCode::kUnimplemented, "function {} is not supported", Quote(name));
}

StatusOr<Planner::Operators> Planner::PlanArguments(const CallExpr& call, size_t first,
                                                    const StepGrid& grid) {
  Operators operators;
  for (size_t i = first; i < call.arguments.size(); ++i) {
    ASSIGN_OR_RETURN(operators.emplace_back(), Plan(*call.arguments[i], grid));
  }
  return operators;
}

StatusOr<OperatorPtr> Planner::PlanScalarCall(const CallExpr& call, const StepGrid& grid) {
  const std::string_view name = call.function->name;
  ASSIGN_OR_RETURN(Operators arguments, PlanArguments(call, 0, grid));
  if (name == "time") {
    return Make<TimeOperator>(call, grid);
  }
  if (name == "scalar") {
    return Make<ScalarOfVectorOperator>(call, grid, std::move(arguments[0]));
  }
  if (name == "max_of" || name == "min_of") {
    return Make<ScalarChoiceOperator>(call, grid, name == "max_of", std::move(arguments[0]),
                                      std::move(arguments[1]));
  }
  double value = std::numbers::pi;
  if (name == "start") {
    value = ToSeconds(query_grid_.start);
  } else if (name == "end") {
    value = ToSeconds(query_grid_.end);
  } else if (name == "range") {
    value = ToSeconds(query_grid_.end - query_grid_.start);
  } else if (name == "step") {
    value = query_grid_.start == query_grid_.end ? 0 : ToSeconds(query_grid_.step_ns);
  }
  return Make<NumberOperator>(call, grid, value);
}

StatusOr<OperatorPtr> Planner::PlanMap(const CallExpr& call, MapFunction function,
                                       const StepGrid& grid) {
  ASSIGN_OR_RETURN(Operators children, PlanArguments(call, 0, grid));
  if (children.empty()) {  // hour() is hour(vector(time()))
    children.push_back(Make<TimeOperator>(call, grid));
  }
  return Make<MapOperator>(call, grid, function, std::move(children));
}

StatusOr<OperatorPtr> Planner::PlanRangeCall(const CallExpr& call, const StepGrid& grid) {
  const std::string_view name = call.function->name;
  const Expr* range = nullptr;
  std::vector<const Expr*> scalars;
  for (const ExprPtr& argument : call.arguments) {
    if (argument->type == ValueType::kMatrix) {
      range = argument.get();
    } else {
      scalars.push_back(argument.get());
    }
  }
  ASSIGN_OR_RETURN(PlannedRange planned, PlanRange(*range, grid));
  Operators children;
  if (planned.steps != nullptr) {
    children.push_back(planned.steps);
  }
  for (const Expr* scalar : scalars) {
    ASSIGN_OR_RETURN(children.emplace_back(), Plan(*scalar, grid));
  }
  if (planned.extension != RangeExtension::kNone &&
      FindExtendedRangeFunction(planned.extension, name) == nullptr) {
    return FailedPrecondition("{} modifier can only be used with: {} - not with {}",
                              RangeExtensionName(planned.extension),
                              ExtendedRangeFunctionNames(planned.extension), name);
  }
  if (name == "absent_over_time") {
    return Make<AbsentOverTimeOperator>(call, grid, std::move(planned.source), planned.windows,
                                        std::move(children), LabelsOfAbsent(*range));
  }
  RangeCall range_call{.function = planned.extension == RangeExtension::kNone
                                       ? FindRangeFunction(name)
                                       : FindExtendedRangeFunction(planned.extension, name),
                       .extension = planned.extension,
                       .keeps_name = RangeFunctionKeepsName(name),
                       .samples_needed = planned.extension == RangeExtension::kNone
                                             ? SamplesNeededBy(name)
                                             : SamplesNeeded::kAll,
                       .slides = name != "mad_over_time" && name != "double_exponential_smoothing",
                       .counter_argument = nullptr,
                       .check_parameters = {}};
  if (name == "rate" || name == "increase") {
    range_call.counter_argument = range;
  } else if (name == "double_exponential_smoothing") {
    range_call.check_parameters = CheckSmoothing;
  } else if (name == "quantile_over_time") {
    // The plan outlives the planner.
    range_call.check_parameters = [execution = execution_,
                                   where = scalars[0]](const auto& parameters) {
      for (const double quantile : parameters[0]) {
        WarnInvalidQuantile(quantile, *where, &execution->annotations());
      }
      return OkStatus();
    };
  }
  return Make<RangeOperator>(call, grid, range_call, std::move(planned.source), planned.windows,
                             std::move(children), scalars.size());
}

StatusOr<OperatorPtr> Planner::PlanAbsent(const CallExpr& call, const StepGrid& grid) {
  ASSIGN_OR_RETURN(OperatorPtr vector, Plan(*call.arguments[0], grid));
  return Make<AbsentOperator>(call, grid, std::move(vector), LabelsOfAbsent(*call.arguments[0]));
}

StatusOr<OperatorPtr> Planner::PlanTimestamp(const CallExpr& call, const StepGrid& grid) {
  const Expr& argument = WithoutParens(*call.arguments[0]);
  if (argument.kind == ExprKind::kVectorSelector) {
    return PlanSelector(As<VectorSelector>(argument), grid, /*sample_times=*/true);
  }
  ASSIGN_OR_RETURN(OperatorPtr vector, Plan(argument, grid));
  return Make<StepTimeOperator>(call, grid, std::move(vector));
}

// No sample here has a start timestamp, and those without are left out.
StatusOr<OperatorPtr> Planner::PlanStartTimestamp(const CallExpr& call, const StepGrid& grid) {
  ASSIGN_OR_RETURN(Operators arguments, PlanArguments(call, 0, grid));
  return Make<EmptyOperator>(call, grid, std::move(arguments));
}

StatusOr<OperatorPtr> Planner::PlanSort(const CallExpr& call, const StepGrid& grid) {
  ASSIGN_OR_RETURN(OperatorPtr vector, Plan(*call.arguments[0], grid));
  if (grid.count > 1) {
    execution_->annotations().Warn(
        "sort is ineffective for range queries since results are always ordered by labels", call);
    return vector;
  }
  const std::string_view name = call.function->name;
  std::optional<std::vector<std::string>> labels;
  if (name.starts_with("sort_by_label")) {
    labels.emplace();
    for (size_t i = 1; i < call.arguments.size(); ++i) {
      labels->push_back(StringOf(call.arguments[i]));
    }
  }
  return Make<SortOperator>(call, grid, std::move(vector), name.ends_with("_desc"),
                            std::move(labels));
}

StatusOr<OperatorPtr> Planner::PlanRelabel(const CallExpr& call, const StepGrid& grid) {
  const std::string_view name = call.function->name;
  const std::string& label = StringOf(call.arguments[1]);
  RelabelRule rule;
  if (name == "label_replace") {
    const std::string& regex = StringOf(call.arguments[4]);
    StatusOr<ReplaceRule> replace =
        ReplaceRule::Create(StringOf(call.arguments[3]), regex, StringOf(call.arguments[2]));
    if (!replace.ok()) {
      return FailedPrecondition("invalid regular expression in label_replace(): {}", regex);
    }
    rule = *std::move(replace);
  } else {
    std::vector<std::string> sources;
    for (size_t i = 3; i < call.arguments.size(); ++i) {
      sources.push_back(StringOf(call.arguments[i]));
      if (!IsLabelName(sources.back())) {
        return FailedPrecondition("invalid source label name in label_join(): {}", sources.back());
      }
    }
    rule = [sources = std::move(sources), separator = StringOf(call.arguments[2])](
               const Operator& input, size_t series) -> std::optional<std::string> {
      std::string joined;
      for (size_t i = 0; i < sources.size(); ++i) {
        std::string_view value;
        input.GetLabelValues(sources[i], series, 1, &value);
        joined += i == 0 ? "" : separator;
        joined += value;
      }
      return joined;
    };
  }
  if (!IsLabelName(label)) {
    return FailedPrecondition("invalid destination label name in {}(): {}", name, label);
  }
  ASSIGN_OR_RETURN(OperatorPtr vector, Plan(*call.arguments[0], grid));
  return Make<MergeOperator>(
      call, grid, Make<RelabelOperator>(call, grid, label, std::move(rule), std::move(vector)));
}

StatusOr<OperatorPtr> Planner::PlanHistogram(const CallExpr& call, const StepGrid& grid) {
  const std::string_view name = call.function->name;
  HistogramOperator::Options options;
  Operators scalars;
  OperatorPtr buckets;
  for (const ExprPtr& argument : call.arguments) {
    if (argument->type == ValueType::kString) {
      options.quantile_label = StringOf(argument);
      continue;
    }
    ASSIGN_OR_RETURN(OperatorPtr planned, Plan(*argument, grid));
    if (argument->type == ValueType::kVector) {
      options.buckets = argument.get();
      buckets = std::move(planned);
    } else {
      options.parameters.push_back(argument.get());
      scalars.push_back(std::move(planned));
    }
  }
  Operators children = {std::move(buckets)};
  children.insert(children.end(), scalars.begin(), scalars.end());
  if (name != "histogram_quantile" && name != "histogram_quantiles" &&
      name != "histogram_fraction") {
    return Make<EmptyOperator>(call, grid, std::move(children));
  }
  options.kind = name == "histogram_fraction" ? HistogramOperator::Kind::kFraction
                                              : HistogramOperator::Kind::kQuantile;
  return Make<HistogramOperator>(call, grid, std::move(options), std::move(children));
}

}  // namespace tsdbd::query
