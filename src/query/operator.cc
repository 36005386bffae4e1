#include "query/operator.h"

#include <algorithm>

#include "common/clock.h"

namespace tsdbd::query {
namespace {

// Half of a small L2 cache.
constexpr size_t kBatchBytes = size_t{128} << 10;
constexpr size_t kMaxBatchRows = 1024;
// Below this many values a second thread costs more than it saves: about 100 µs of work.
constexpr size_t kMinValuesPerPart = 32'768;

}  // namespace

size_t RowsPerBatch(size_t steps) {
  return std::clamp<size_t>(kBatchBytes / sizeof(double) / steps, 1, kMaxBatchRows);
}

size_t PartCount(const Execution& execution, size_t series, size_t steps) {
  // Rows may be cheap (a value) or dear (a range of samples): a row counts as many values.
  constexpr size_t kValuesPerRow = 256;
  const size_t work = series * (steps + kValuesPerRow);
  return std::clamp<size_t>(work / kMinValuesPerPart, 1,
                            std::min(execution.thread_count(), std::max<size_t>(series, 1)));
}

Status Operator::Prepare() {
  if (prepared_) {
    return OkStatus();
  }
  prepared_ = true;
  const int64_t start_ns = MonotonicNanos();
  for (const OperatorPtr& child : children_) {
    RETURN_IF_ERROR(child->Prepare());
  }
  RETURN_IF_ERROR(execution_->CheckAlive());
  RETURN_IF_ERROR(DoPrepare());
  total_ns_.fetch_add(MonotonicNanos() - start_ns, std::memory_order_relaxed);
  return OkStatus();
}

Status Operator::Compute(size_t first, size_t count, double* values) {
  RETURN_IF_ERROR(execution_->CheckAlive());
  const int64_t start_ns = MonotonicNanos();
  RETURN_IF_ERROR(DoCompute(first, count, values));
  total_ns_.fetch_add(MonotonicNanos() - start_ns, std::memory_order_relaxed);
  rows_.fetch_add(count, std::memory_order_relaxed);
  return OkStatus();
}

void Operator::GetLabelValues(std::string_view name, size_t first, size_t count,
                              std::string_view* values) const {
  model::LabelViews labels;
  for (size_t i = 0; i < count; ++i) {
    GetLabels(first + i, &labels);
    const auto found = std::ranges::lower_bound(labels, name, {}, &model::LabelView::name);
    values[i] = found != labels.end() && found->name == name ? found->value : std::string_view();
  }
}

OperatorStats Operator::Explain() const {
  OperatorStats stats{.name = name_,
                      .detail = detail_,
                      .series = series_count_,
                      .rows = rows_.load(),
                      .bytes = rows_.load() * grid_.count * sizeof(double),
                      .total_ns = total_ns_.load(),
                      .children = {}};
  for (const OperatorPtr& child : children_) {
    stats.children.push_back(child->Explain());
  }
  return stats;
}

StatusOr<std::vector<double>> ComputeAll(Execution& execution, Operator& input) {
  const size_t series = input.series_count();
  const size_t steps = input.grid().count;
  RETURN_IF_ERROR(execution.CheckSampleCount(series * steps));
  RETURN_IF_ERROR(execution.ReserveRows(series, steps));
  std::vector<double> values(series * steps);
  const size_t parts = PartCount(execution, series, steps);
  const size_t batch = RowsPerBatch(steps);
  RETURN_IF_ERROR(execution.ForEachPart(parts, [&](size_t part) -> Status {
    const size_t end = series * (part + 1) / parts;
    for (size_t first = series * part / parts; first < end; first += batch) {
      const size_t count = std::min(batch, end - first);
      RETURN_IF_ERROR(input.Compute(first, count, values.data() + first * steps));
    }
    return OkStatus();
  }));
  return values;
}

}  // namespace tsdbd::query
