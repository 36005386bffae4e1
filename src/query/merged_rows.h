#pragma once
// Rows that become one series because they have the same labels: each step may have a value in one
// of them only.

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "common/status.h"
#include "query/operator.h"

namespace tsdbd::query {

// Writes the labels of row `row` into the second argument.
using RowLabels = std::function<void(size_t row, model::LabelViews*)>;

// Which rows have the same labels.
class EqualLabels {
 public:
  // Of `count` rows; `labels_of` is called for each.
  Status Find(Execution* execution, size_t count, const RowLabels& labels_of);

  size_t series_count() const { return first_.empty() ? 0 : first_.size() - 1; }
  // In rising order; mostly one.
  std::span<const uint32_t> RowsOf(size_t series) const {
    return std::span(rows_).subspan(first_[series], first_[series + 1] - first_[series]);
  }
  bool AllDifferent() const { return series_count() == rows_.size(); }

 private:
  std::vector<uint32_t> rows_;   // those of one series beside each other
  std::vector<uint32_t> first_;  // series → index into rows_; one more at the end
};

// Adds the values of `row` to `*into`. False if both have a value at the same step.
bool MergeRow(std::span<const double> row, std::span<double> into);

// "vector cannot contain metrics with the same labelset"
Status SameLabelsError();

// An operator that merges the rows of its child that have the same labels.
class MergeOperator : public Operator {
 public:
  MergeOperator(Execution* execution, const StepGrid& grid, OperatorPtr input)
      : Operator("merge", execution, grid, {std::move(input)}) {}

  void GetLabels(size_t series, model::LabelViews* labels) const override {
    child().GetLabels(equal_.RowsOf(series)[0], labels);
  }
  bool DropsName(size_t series) const override {
    return child().DropsName(equal_.RowsOf(series)[0]);
  }
  bool ordered() const override { return child().ordered(); }

 protected:
  Status DoPrepare() override;
  Status DoCompute(size_t first, size_t count, double* values) override;

 private:
  EqualLabels equal_;
};

// The metric name and what else describes a metric, not a series: goes away where a name does.
bool IsMetadataLabel(std::string_view name);
void DropMetadataLabels(model::LabelViews* labels);

// {a="b", c="d"}: as Prometheus prints a set of labels in messages.
std::string MetricText(const model::LabelViews& labels);

}  // namespace tsdbd::query
