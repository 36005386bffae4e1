#include "query/evaluator.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "common/stages.h"
#include "query/result_labels.h"
#include "query/staleness.h"

namespace tsdbd::query {
namespace {

using model::SampleColumns;
using model::TimeRange;
using model::Timestamp;

// a - b, at the end of time where it would go beyond.
Timestamp SaturatingSubtract(Timestamp a, int64_t b) {
  Timestamp difference = 0;
  if (__builtin_sub_overflow(a, b, &difference)) {
    return b > 0 ? std::numeric_limits<Timestamp>::min() : std::numeric_limits<Timestamp>::max();
  }
  return difference;
}

// The samples in (end - window, end].
TimeRange LeftOpen(Timestamp end, int64_t window_ns) {
  return {.min = SaturatingSubtract(end, window_ns - 1), .max = end};
}

// The part of `range` in which samples can lie; min > max if there is none.
TimeRange Storable(const TimeRange& range) {
  return {.min = std::max(range.min, model::kMinTimestamp),
          .max = std::min(range.max, model::kMaxTimestamp)};
}

SampleColumns WithoutStaleMarkers(const SampleColumns& samples) {
  SampleColumns kept;
  for (size_t i = 0; i < samples.size(); ++i) {
    if (!IsStaleMarker(samples.values[i])) {
      kept.timestamps.push_back(samples.timestamps[i]);
      kept.values.push_back(samples.values[i]);
    }
  }
  return kept;
}

// The one place that tells what the language has and this evaluator does not.
Status NotSupported(const Expr& expr) {
  std::string what;
  switch (expr.kind) {
    case ExprKind::kBinary:
      what = fmt::format("operator \"{}\"", BinaryOpName(As<BinaryExpr>(expr).op));
      break;
    case ExprKind::kAggregate:
      what = fmt::format("aggregation \"{}\"", AggregateOpName(As<AggregateExpr>(expr).op));
      break;
    case ExprKind::kCall:
      what = fmt::format("function \"{}\"", As<CallExpr>(expr).function->name);
      break;
    case ExprKind::kSubquery:
      what = "subquery";
      break;
    case ExprKind::kVectorSelector:
    case ExprKind::kMatrixSelector:
      what = "duration expression, anchored or smoothed modifier";
      break;
    default:
      what = "expression";
      break;
  }
  return MakeStatus(StatusCode::kUnimplemented, "{} is not supported by this evaluator", what);
}

Status TooManySamples() {
  return ResourceExhausted(
      "query processing would load too many samples into memory in query execution");
}

}  // namespace

StatusOr<QueryResult> Evaluator::Evaluate(const Expr& expr) {
  QueryResult result;
  result.type = expr.type;
  switch (expr.kind) {
    case ExprKind::kNumber:
      result.scalar = As<NumberLiteral>(expr).value;
      return result;
    case ExprKind::kString:
      result.text = As<StringLiteral>(expr).value;
      return result;
    case ExprKind::kParen:
      return Evaluate(*As<ParenExpr>(expr).expr);
    case ExprKind::kUnary:
      return EvaluateSigned(As<UnaryExpr>(expr));
    case ExprKind::kVectorSelector:
      return EvaluateVectorSelector(As<VectorSelector>(expr));
    case ExprKind::kMatrixSelector:
      return EvaluateMatrixSelector(As<MatrixSelector>(expr));
    default:
      return NotSupported(expr);
  }
}

StatusOr<QueryResult> Evaluator::EvaluateSigned(const UnaryExpr& unary) {
  ASSIGN_OR_RETURN(QueryResult result, Evaluate(*unary.expr));
  if (!unary.negative) {
    return result;
  }
  result.scalar = -result.scalar;
  for (VectorSample& sample : result.vector) {
    sample.value = -sample.value;
  }
  for (MatrixSeries& series : result.matrix) {
    std::ranges::transform(series.samples.values, series.samples.values.begin(), std::negate<>());
  }
  RETURN_IF_ERROR(DropMetricNames(&result));
  return result;
}

// ---- Selectors

StatusOr<QueryResult> Evaluator::EvaluateVectorSelector(const VectorSelector& selector) {
  ASSIGN_OR_RETURN(const LookTimes times, Resolve(selector));
  TimeRange range = LeftOpen(times.first, options_->lookback_delta_ns);
  range.max = times.last;
  QueryResult result;
  result.type = ValueType::kVector;
  ASSIGN_OR_RETURN(const auto set, Select(selector, range));
  if (set == nullptr) {
    return result;
  }
  result.pins.push_back(set);
  StageTimer timer(
      Stage::kQueryEvaluate);  // each series is read as it is needed, decoding included
  SampleColumns samples;
  SampleColumns values;
  for (size_t i = 0; i < set->size(); ++i) {
    RETURN_IF_ERROR(Read(*set, i, range, &samples));
    values.Clear();
    Walk(samples, times, &values);
    if (values.size() == 0) {
      continue;
    }
    RETURN_IF_ERROR(Keep(values.size()));
    model::LabelViews labels;
    set->GetLabels(i, &labels);
    if (grid_.instant) {
      result.vector.push_back({.labels = std::move(labels), .value = values.values[0]});
    } else {
      result.matrix.push_back({.labels = std::move(labels), .samples = values});
    }
  }
  std::ranges::sort(result.matrix, {}, &MatrixSeries::labels);
  timer.set_items(kept_samples_);
  return result;
}

StatusOr<QueryResult> Evaluator::EvaluateMatrixSelector(const MatrixSelector& matrix) {
  CHECK(grid_.instant);  // a range query of a range vector is refused before
  if (matrix.range.expr != nullptr) {
    return NotSupported(matrix);
  }
  ASSIGN_OR_RETURN(const LookTimes times, Resolve(*matrix.selector));
  const TimeRange range = LeftOpen(times.first, matrix.range.nanos);
  QueryResult result;
  result.type = ValueType::kMatrix;
  ASSIGN_OR_RETURN(const auto set, Select(*matrix.selector, range));
  if (set == nullptr) {
    return result;
  }
  result.pins.push_back(set);
  StageTimer timer(Stage::kQueryEvaluate);
  SampleColumns samples;
  for (size_t i = 0; i < set->size(); ++i) {
    RETURN_IF_ERROR(Read(*set, i, range, &samples));
    MatrixSeries series{.labels = {}, .samples = WithoutStaleMarkers(samples)};
    if (series.samples.size() == 0) {
      continue;
    }
    RETURN_IF_ERROR(Keep(series.samples.size()));
    set->GetLabels(i, &series.labels);
    result.matrix.push_back(std::move(series));
  }
  SortByLabels(&result);
  timer.set_items(kept_samples_);
  return result;
}

StatusOr<Evaluator::LookTimes> Evaluator::Resolve(const VectorSelector& selector) const {
  const TimeShift& shift = selector.shift;
  if (selector.anchored || selector.smoothed || shift.offset.expr != nullptr) {
    return NotSupported(selector);
  }
  LookTimes times;
  times.fixed = shift.at != AtAnchor::kNone;
  times.first = grid_.start;
  times.last = grid_.start + static_cast<int64_t>(grid_.count - 1) * grid_.step_ns;
  if (times.fixed) {
    times.first = shift.at == AtAnchor::kTime    ? shift.at_ms * kNanosPerMilli
                  : shift.at == AtAnchor::kStart ? grid_.start
                                                 : grid_.end;
    times.last = times.first;
  }
  times.first = SaturatingSubtract(times.first, shift.offset.nanos);
  times.last = SaturatingSubtract(times.last, shift.offset.nanos);
  return times;
}

StatusOr<std::shared_ptr<const model::SeriesSet>> Evaluator::Select(const VectorSelector& selector,
                                                                    const TimeRange& range) {
  model::SelectRequest request;
  request.range = Storable(range);
  if (request.range.min > request.range.max) {
    return nullptr;
  }
  RETURN_IF_ERROR(interrupt_.Check());
  request.matchers = selector.matchers;
  request.max_series = options_->max_series;
  request.cancel = options_->cancel;
  StageTimer timer(Stage::kQuerySelect);
  StatusOr<std::unique_ptr<model::SeriesSet>> set = source_->Select(request);
  if (set.ok()) {
    timer.set_items((*set)->size());
    return std::shared_ptr<const model::SeriesSet>(std::move(*set));
  }
  if (set.status().code() == StatusCode::kCancelled) {
    return interrupt_.Reason();
  }
  return MakeStatus(set.status().code(), "expanding series: {}", Message(set.status()));
}

Status Evaluator::Read(const model::SeriesSet& set, size_t series, const TimeRange& range,
                       SampleColumns* samples) {
  RETURN_IF_ERROR(interrupt_.Check());
  RETURN_IF_ERROR(set.Read(series, Storable(range), samples));
  return kept_samples_ + samples->size() > options_->max_samples ? TooManySamples() : OkStatus();
}

Status Evaluator::Keep(size_t samples) {
  kept_samples_ += samples;
  return kept_samples_ > options_->max_samples ? TooManySamples() : OkStatus();
}

void Evaluator::Walk(const SampleColumns& samples, const LookTimes& times,
                     SampleColumns* out) const {
  size_t next = 0;  // the first sample behind the moment
  for (size_t step = 0; step < grid_.count; ++step) {
    const int64_t passed_ns = static_cast<int64_t>(step) * grid_.step_ns;
    const Timestamp look = times.fixed ? times.first : SaturatingSubtract(times.first, -passed_ns);
    while (next < samples.size() && samples.timestamps[next] <= look) {
      ++next;
    }
    if (next == 0 ||
        samples.timestamps[next - 1] < LeftOpen(look, options_->lookback_delta_ns).min ||
        IsStaleMarker(samples.values[next - 1])) {
      continue;
    }
    out->timestamps.push_back(grid_.start + passed_ns);
    out->values.push_back(samples.values[next - 1]);
  }
}

}  // namespace tsdbd::query
