#pragma once
// Aggregations. Those that fold (sum, avg, …) stream: they hold a row of accumulators for each
// group, never the series. The others hold what their definition makes them hold.

#include <algorithm>
#include <string>
#include <vector>

#include "query/ast.h"
#include "query/grouping.h"
#include "query/operator.h"

namespace tsdbd::query {

// An operator whose rows are all computed when it is prepared.
class StoredRowsOperator : public Operator {
 public:
  using Operator::Operator;

 protected:
  Status DoCompute(size_t first, size_t count, double* values) override {
    std::copy_n(rows_.data() + first * steps(), count * steps(), values);
    return OkStatus();
  }

  std::vector<double> rows_;  // [series][step]
};

// One series for each group.
class GroupsOperator : public StoredRowsOperator {
 public:
  GroupsOperator(std::string_view name, Execution* execution, const StepGrid& grid,
                 Grouping grouping, std::vector<OperatorPtr> children)
      : StoredRowsOperator(name, execution, grid, std::move(children)),
        grouping_(std::move(grouping)) {}

  void GetLabels(size_t series, model::LabelViews* labels) const override {
    grouping_.GetLabels(series, labels);
  }
  bool DropsName(size_t series) const override { return grouping_.DropsName(series); }

 protected:
  Grouping grouping_;
};

// Some of the series of the first child.
class SelectionOperator : public StoredRowsOperator {
 public:
  SelectionOperator(std::string_view name, Execution* execution, const StepGrid& grid,
                    Grouping grouping, std::vector<OperatorPtr> children)
      : StoredRowsOperator(name, execution, grid, std::move(children)),
        grouping_(std::move(grouping)) {}

  void GetLabels(size_t series, model::LabelViews* labels) const override {
    child().GetLabels(selected_[series], labels);
  }
  bool DropsName(size_t series) const override { return child().DropsName(selected_[series]); }

 protected:
  Grouping grouping_;
  std::vector<uint32_t> selected_;  // series of the child
};

// sum, avg, min, max, count, group, stddev, stdvar.
class FoldOperator : public GroupsOperator {
 public:
  FoldOperator(Execution* execution, const StepGrid& grid, AggregateOp op, Grouping grouping,
               OperatorPtr input)
      : GroupsOperator("aggregate", execution, grid, std::move(grouping), {std::move(input)}),
        op_(op) {}

 protected:
  Status DoPrepare() override;

 private:
  Status RepairAverages(std::vector<uint32_t> cells);

  const AggregateOp op_;
};

// topk and bottomk.
class TopKOperator : public SelectionOperator {
 public:
  TopKOperator(Execution* execution, const StepGrid& grid, bool bottom, Grouping grouping,
               OperatorPtr input, OperatorPtr parameter)
      : SelectionOperator("select k", execution, grid, std::move(grouping),
                          {std::move(input), std::move(parameter)}),
        bottom_(bottom) {}
  bool ordered() const override { return steps() == 1; }

 protected:
  Status DoPrepare() override;

 private:
  class Heaps;
  Status MakeRows(const Heaps& heaps);

  const bool bottom_;
};

// limitk: the first k series of each group, in the order of their labels.
class LimitKOperator : public SelectionOperator {
 public:
  LimitKOperator(Execution* execution, const StepGrid& grid, Grouping grouping, OperatorPtr input,
                 OperatorPtr parameter)
      : SelectionOperator("limit k", execution, grid, std::move(grouping),
                          {std::move(input), std::move(parameter)}) {}

 protected:
  Status DoPrepare() override;
};

// limit_ratio: the share of the series that a hash of their labels picks; a negative ratio picks
// the others.
class LimitRatioOperator : public SameSeriesOperator {
 public:
  LimitRatioOperator(Execution* execution, const StepGrid& grid, const Expr* parameter_expr,
                     OperatorPtr input, OperatorPtr parameter)
      : SameSeriesOperator("limit ratio", execution, grid,
                           {std::move(input), std::move(parameter)}),
        parameter_expr_(parameter_expr) {}

 protected:
  Status DoPrepare() override;
  Status DoCompute(size_t first, size_t count, double* values) override;

 private:
  const Expr* const parameter_expr_;
  std::vector<double> ratios_;
};

// quantile
class QuantileOperator : public GroupsOperator {
 public:
  QuantileOperator(Execution* execution, const StepGrid& grid, Grouping grouping,
                   const Expr* parameter_expr, OperatorPtr input, OperatorPtr parameter)
      : GroupsOperator("quantile", execution, grid, std::move(grouping),
                       {std::move(input), std::move(parameter)}),
        parameter_expr_(parameter_expr) {}

 protected:
  Status DoPrepare() override;

 private:
  const Expr* const parameter_expr_;
};

// count_values: how many series of a group have each value. The value becomes a label.
class CountValuesOperator : public Operator {
 public:
  CountValuesOperator(Execution* execution, const StepGrid& grid, std::string label,
                      Grouping grouping, OperatorPtr input)
      : Operator("count values", execution, grid, {std::move(input)}),
        label_(std::move(label)),
        grouping_(std::move(grouping)) {}

  void GetLabels(size_t series, model::LabelViews* labels) const override;

 protected:
  Status DoPrepare() override;
  Status DoCompute(size_t first, size_t count, double* values) override;

 private:
  struct Result {
    uint32_t group = 0;
    std::string value;
    std::vector<double> counts;
  };
  const std::string label_;
  Grouping grouping_;
  std::vector<Result> results_;
};

}  // namespace tsdbd::query
