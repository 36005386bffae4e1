#pragma once
// Operators that compute row by row: literals, functions of instant vectors, operators with a
// scalar, and what turns scalars into vectors and back.

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "query/binary_function.h"
#include "query/map_function.h"
#include "query/operator.h"

namespace tsdbd::query {

// The same number at each step.
class NumberOperator : public ScalarOperator {
 public:
  NumberOperator(Execution* execution, const StepGrid& grid, double value)
      : ScalarOperator("number", execution, grid), value_(value) {}

 protected:
  Status DoCompute(size_t first, size_t count, double* values) override;

 private:
  const double value_;
};

// time()
class TimeOperator : public ScalarOperator {
 public:
  TimeOperator(Execution* execution, const StepGrid& grid)
      : ScalarOperator("time", execution, grid) {}

 protected:
  Status DoCompute(size_t first, size_t count, double* values) override;
};

// scalar(): the value of the only series at the step, else NaN.
class ScalarOfVectorOperator : public ScalarOperator {
 public:
  ScalarOfVectorOperator(Execution* execution, const StepGrid& grid, OperatorPtr vector)
      : ScalarOperator("scalar", execution, grid, {std::move(vector)}) {}

 protected:
  Status DoPrepare() override;
  Status DoCompute(size_t first, size_t count, double* values) override;

 private:
  std::vector<double> values_;
};

// Scalar operator scalar.
class ScalarBinaryOperator : public ScalarOperator {
 public:
  ScalarBinaryOperator(Execution* execution, const StepGrid& grid, BinaryOp op, OperatorPtr left,
                       OperatorPtr right)
      : ScalarOperator("scalar operator", execution, grid, {std::move(left), std::move(right)}),
        op_(op) {}

 protected:
  Status DoCompute(size_t first, size_t count, double* values) override;

 private:
  const BinaryOp op_;
};

// max_of() and min_of() of two scalars.
class ScalarChoiceOperator : public ScalarOperator {
 public:
  ScalarChoiceOperator(Execution* execution, const StepGrid& grid, bool max, OperatorPtr left,
                       OperatorPtr right)
      : ScalarOperator("scalar choice", execution, grid, {std::move(left), std::move(right)}),
        max_(max) {}

 protected:
  Status DoCompute(size_t first, size_t count, double* values) override;

 private:
  const bool max_;
};

// A function that changes each value; the first child is the vector, the others are its scalar
// arguments. Also the minus sign.
class MapOperator : public SameSeriesOperator {
 public:
  MapOperator(Execution* execution, const StepGrid& grid, MapFunction function,
              std::vector<OperatorPtr> children)
      : SameSeriesOperator("map", execution, grid, children),
        function_(function),
        argument_count_(children.size() - 1) {}
  bool DropsName(size_t /*series*/) const override { return true; }

 protected:
  Status DoPrepare() override;
  Status DoCompute(size_t first, size_t count, double* values) override;

 private:
  const MapFunction function_;
  const size_t argument_count_;
  std::vector<std::vector<double>> argument_rows_;
  std::vector<std::span<const double>> arguments_;
};

// Changes the sign of a scalar or a vector; a vector's names go.
class NegateOperator : public SameSeriesOperator {
 public:
  NegateOperator(Execution* execution, const StepGrid& grid, OperatorPtr operand)
      : SameSeriesOperator("negate", execution, grid, {std::move(operand)}) {}
  bool DropsName(size_t /*series*/) const override { return true; }

 protected:
  Status DoCompute(size_t first, size_t count, double* values) override;
};

// timestamp() of anything that is not a selector: the step's time where there is a value.
class StepTimeOperator : public SameSeriesOperator {
 public:
  StepTimeOperator(Execution* execution, const StepGrid& grid, OperatorPtr vector)
      : SameSeriesOperator("step times", execution, grid, {std::move(vector)}) {}
  bool DropsName(size_t /*series*/) const override { return true; }

 protected:
  Status DoCompute(size_t first, size_t count, double* values) override;
};

struct VectorScalarOptions {
  BinaryOp op = BinaryOp::kAdd;
  bool return_bool = false;
  bool scalar_is_left = false;
};

// Vector operator scalar, or the other way round. First child: the vector.
class VectorScalarOperator : public SameSeriesOperator {
 public:
  VectorScalarOperator(Execution* execution, const StepGrid& grid,
                       const VectorScalarOptions& options, OperatorPtr vector, OperatorPtr scalar)
      : SameSeriesOperator("operator with scalar", execution, grid,
                           {std::move(vector), std::move(scalar)}),
        options_(options) {}
  bool DropsName(size_t series) const override {
    return !IsComparison(options_.op) || options_.return_bool || child().DropsName(series);
  }

 protected:
  Status DoPrepare() override;
  Status DoCompute(size_t first, size_t count, double* values) override;

 private:
  const VectorScalarOptions options_;
  std::vector<double> scalar_;
};

// What is the same at every step: computed for the first one.
class RepeatOperator : public SameSeriesOperator {
 public:
  // `once` has a grid of one step.
  RepeatOperator(Execution* execution, const StepGrid& grid, OperatorPtr once)
      : SameSeriesOperator("repeat", execution, grid, {std::move(once)}) {}

 protected:
  Status DoCompute(size_t first, size_t count, double* values) override;
};

// absent(): 1 where the vector is empty.
class AbsentOperator : public Operator {
 public:
  AbsentOperator(Execution* execution, const StepGrid& grid, OperatorPtr vector,
                 model::Labels labels)
      : Operator("absent", execution, grid, {std::move(vector)}), labels_(std::move(labels)) {}
  void GetLabels(size_t series, model::LabelViews* labels) const override;

 protected:
  Status DoPrepare() override;
  Status DoCompute(size_t first, size_t count, double* values) override;

 private:
  const model::Labels labels_;
  std::vector<double> values_;
};

// A vector without series: what functions of native histograms give for other samples.
class EmptyOperator : public Operator {
 public:
  EmptyOperator(Execution* execution, const StepGrid& grid, std::vector<OperatorPtr> children)
      : Operator("empty", execution, grid, std::move(children)) {}
  void GetLabels(size_t /*series*/, model::LabelViews* labels) const override { labels->clear(); }

 protected:
  Status DoPrepare() override { return OkStatus(); }
  Status DoCompute(size_t, size_t, double*) override { return OkStatus(); }
};

// sort() and its like at an instant: the series that have a value, in order.
class SortOperator : public Operator {
 public:
  // Labels: sort by their values in natural order ("a2" before "a10"); none: sort by value.
  SortOperator(Execution* execution, const StepGrid& grid, OperatorPtr vector, bool descending,
               std::optional<std::vector<std::string>> labels)
      : Operator("sort", execution, grid, {std::move(vector)}),
        descending_(descending),
        labels_(std::move(labels)) {}

  void GetLabels(size_t series, model::LabelViews* labels) const override {
    child().GetLabels(order_[series], labels);
  }
  bool DropsName(size_t series) const override { return child().DropsName(order_[series]); }
  bool ordered() const override { return true; }

 protected:
  Status DoPrepare() override;
  Status DoCompute(size_t first, size_t count, double* values) override;

 private:
  void SortByValue();
  void SortByLabels();

  const bool descending_;
  const std::optional<std::vector<std::string>> labels_;
  std::vector<uint32_t> order_;
  std::vector<double> values_;  // of the child's series
};

}  // namespace tsdbd::query
