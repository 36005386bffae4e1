#include "query/merged_rows.h"

#include <algorithm>
#include <numeric>

#include "query/grouping.h"
#include "query/text.h"

namespace tsdbd::query {

Status SameLabelsError() {
  return FailedPrecondition("vector cannot contain metrics with the same labelset");
}

bool IsMetadataLabel(std::string_view name) {
  return name == model::kMetricName || name == "__type__" || name == "__unit__";
}

void DropMetadataLabels(model::LabelViews* labels) {
  std::erase_if(*labels, [](const model::LabelView& label) { return IsMetadataLabel(label.name); });
}

std::string MetricText(const model::LabelViews& labels) {
  std::string text = "{";
  for (const model::LabelView& label : labels) {
    text += fmt::format("{}{}={}", text.size() == 1 ? "" : ", ", label.name, Quote(label.value));
  }
  return text + '}';
}

Status EqualLabels::Find(Execution* execution, size_t count, const RowLabels& labels_of) {
  RETURN_IF_ERROR(execution->Reserve(2 * count * sizeof(uint32_t)));
  HashNumbering numbering;
  std::vector<uint32_t> series_of(count);
  model::LabelViews labels;
  for (size_t row = 0; row < count; ++row) {
    if (row % LabelHasher::kMaxCount == 0) {
      RETURN_IF_ERROR(execution->CheckAlive());
    }
    labels_of(row, &labels);
    numbering.Number(model::HashLabels(labels), &series_of[row]);
  }
  first_.assign(numbering.size() + 1, 0);
  for (const uint32_t series : series_of) {
    ++first_[series + 1];
  }
  std::partial_sum(first_.begin(), first_.end(), first_.begin());
  std::vector<uint32_t> next(first_.begin(), first_.end() - 1);
  rows_.resize(count);
  for (uint32_t row = 0; row < count; ++row) {
    rows_[next[series_of[row]]++] = row;
  }
  return OkStatus();
}

bool MergeRow(std::span<const double> row, std::span<double> into) {
  for (size_t step = 0; step < row.size(); ++step) {
    if (!IsAbsent(row[step])) {
      if (!IsAbsent(into[step])) {
        return false;
      }
      into[step] = row[step];
    }
  }
  return true;
}

Status MergeOperator::DoPrepare() {
  RETURN_IF_ERROR(equal_.Find(
      &execution(), child().series_count(),
      [this](size_t row, model::LabelViews* labels) { child().GetLabels(row, labels); }));
  set_series_count(equal_.series_count());
  return OkStatus();
}

Status MergeOperator::DoCompute(size_t first, size_t count, double* values) {
  if (equal_.AllDifferent()) {
    return child().Compute(first, count, values);
  }
  std::vector<double> row(steps());
  for (size_t i = 0; i < count; ++i, values += steps()) {
    std::fill_n(values, steps(), kAbsent);
    for (const uint32_t input : equal_.RowsOf(first + i)) {
      RETURN_IF_ERROR(child().Compute(input, 1, row.data()));
      if (!MergeRow(row, {values, steps()})) {
        return SameLabelsError();
      }
    }
  }
  return OkStatus();
}

}  // namespace tsdbd::query
