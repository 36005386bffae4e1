#pragma once
// Operators over range vectors.

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "query/extended_range.h"
#include "query/range_function.h"
#include "query/select_operators.h"

namespace tsdbd::query {

// One function of a range vector.
struct RangeCall {
  RangeFunction function = nullptr;
  RangeExtension extension = RangeExtension::kNone;  // of the windows it looks at
  bool keeps_name = false;
  SamplesNeeded samples_needed = SamplesNeeded::kAll;
  bool slides = true;  // its cost does not grow with the overlap of the windows
  // rate() and increase() note metrics that do not look like counters: the argument; else null.
  const Expr* counter_argument = nullptr;
  // Looks at the scalar arguments ([argument][step]) if there is any series; may be empty.
  std::function<Status(const std::vector<std::vector<double>>& parameters)> check_parameters;
};

class RangeOperator : public Operator {
 public:
  // `windows` has one for each step of the grid. `children`: the operator under a sub-query, if
  // the source is one, then the scalar arguments, of which there are `parameter_count`.
  RangeOperator(Execution* execution, const StepGrid& grid, const RangeCall& call,
                std::unique_ptr<RangeSource> source, const model::StepTimes& windows,
                std::vector<OperatorPtr> children, size_t parameter_count)
      : Operator("range function", execution, grid, children),
        call_(call),
        source_(std::move(source)),
        windows_(windows),
        parameter_operators_(children.end() - static_cast<ptrdiff_t>(parameter_count),
                             children.end()) {}

  void GetLabels(size_t series, model::LabelViews* labels) const override {
    source_->GetLabels(series, labels);
  }
  void GetLabelValues(std::string_view name, size_t first, size_t count,
                      std::string_view* values) const override {
    source_->GetLabelValues(name, first, count, values);
  }
  bool DropsName(size_t series) const override {
    return !call_.keeps_name || source_->DropsName(series);
  }

 protected:
  Status DoPrepare() override;
  Status DoCompute(size_t first, size_t count, double* values) override;

 private:
  struct Scratch;
  Status ReadSamples(size_t series, model::EdgeSamples* samples) const;
  void FindWindows(Scratch* scratch) const;
  Status Apply(const Scratch& scratch, double* values) const;
  void NoteIfNoCounter(size_t series, const double* values, std::string_view* noted_name) const;

  const RangeCall call_;
  const std::unique_ptr<RangeSource> source_;
  const model::StepTimes windows_;
  const std::vector<OperatorPtr> parameter_operators_;
  std::vector<std::vector<double>> parameters_;
};

// absent_over_time(): 1 where no series has a sample in the window.
class AbsentOverTimeOperator : public Operator {
 public:
  AbsentOverTimeOperator(Execution* execution, const StepGrid& grid,
                         std::unique_ptr<RangeSource> source, const model::StepTimes& windows,
                         std::vector<OperatorPtr> children, model::Labels labels)
      : Operator("absent over time", execution, grid, std::move(children)),
        source_(std::move(source)),
        windows_(windows),
        labels_(std::move(labels)) {}

  void GetLabels(size_t series, model::LabelViews* labels) const override;
  bool DropsName(size_t /*series*/) const override { return true; }

 protected:
  Status DoPrepare() override;
  Status DoCompute(size_t first, size_t count, double* values) override;

 private:
  const std::unique_ptr<RangeSource> source_;
  const model::StepTimes windows_;
  const model::Labels labels_;
  std::vector<double> values_;
};

}  // namespace tsdbd::query
