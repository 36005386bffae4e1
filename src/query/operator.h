#pragma once
// Operator: a node of a query's plan. It gives rows of steps: one for each of its series, computed
// in batches when asked, so that what streams through a plan is a few rows at a time, whatever the
// number of series. A scalar is one series without labels.
//
// Use: Prepare() once, from one thread; then the rest, from many. Labels are not stored but made
// from the children's when asked; views live as long as the plan.

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "common/status.h"
#include "model/labels.h"
#include "query/execution.h"
#include "query/query_result.h"
#include "query/steps.h"

namespace tsdbd::query {

class Operator;
using OperatorPtr = std::shared_ptr<Operator>;

class Operator {
 public:
  Operator(std::string_view name, Execution* execution, const StepGrid& grid,
           std::vector<OperatorPtr> children = {})
      : name_(name), execution_(execution), grid_(grid), children_(std::move(children)) {}
  virtual ~Operator() = default;
  Operator(const Operator&) = delete;
  Operator& operator=(const Operator&) = delete;

  // Finds out which series there are, and computes what takes all of them. Prepares the children
  // first. Does nothing the second time: a plan may use an operator twice.
  Status Prepare();

  size_t series_count() const { return series_count_; }
  // Sorted by name. With the metric name, even if DropsName().
  virtual void GetLabels(size_t series, model::LabelViews* labels) const = 0;
  // The values that `count` series from `first` on have for one label; "" for none.
  virtual void GetLabelValues(std::string_view name, size_t first, size_t count,
                              std::string_view* values) const;
  // Whether the metric name goes away when the query is done (it may be matched until then:
  // Prometheus' delayed name removal).
  virtual bool DropsName(size_t /*series*/) const { return false; }
  // Whether the order of the series means something.
  virtual bool ordered() const { return false; }

  // Writes rows of grid().count steps for `count` series from `first` on, one after the other.
  Status Compute(size_t first, size_t count, double* values);

  const StepGrid& grid() const { return grid_; }
  OperatorStats Explain() const;
  void set_detail(std::string detail) { detail_ = std::move(detail); }

 protected:
  virtual Status DoPrepare() = 0;
  virtual Status DoCompute(size_t first, size_t count, double* values) = 0;

  void set_series_count(size_t count) { series_count_ = count; }
  Execution& execution() const { return *execution_; }
  Operator& child(size_t index = 0) const { return *children_[index]; }
  size_t steps() const { return grid_.count; }

 private:
  const std::string name_;
  std::string detail_;
  Execution* const execution_;
  const StepGrid grid_;
  const std::vector<OperatorPtr> children_;
  bool prepared_ = false;
  size_t series_count_ = 0;
  std::atomic<uint64_t> rows_ = 0;
  std::atomic<uint64_t> total_ns_ = 0;
};

// An operator whose series are those of its first child, with their labels.
class SameSeriesOperator : public Operator {
 public:
  using Operator::Operator;

  void GetLabels(size_t series, model::LabelViews* labels) const override {
    child().GetLabels(series, labels);
  }
  void GetLabelValues(std::string_view name, size_t first, size_t count,
                      std::string_view* values) const override {
    child().GetLabelValues(name, first, count, values);
  }
  bool DropsName(size_t series) const override { return child().DropsName(series); }
  bool ordered() const override { return child().ordered(); }

 protected:
  Status DoPrepare() override {
    set_series_count(child().series_count());
    return OkStatus();
  }
};

// One series without labels: a scalar.
class ScalarOperator : public Operator {
 public:
  using Operator::Operator;
  void GetLabels(size_t /*series*/, model::LabelViews* labels) const override { labels->clear(); }

 protected:
  Status DoPrepare() override {
    set_series_count(1);
    return OkStatus();
  }
};

// How many rows make a batch: as many as fit into half of a core's L2 cache, at least one.
size_t RowsPerBatch(size_t steps);

// Calls visit(first, count, values) for all rows of `input` in order, batch by batch.
template <typename Visit>
Status ForEachBatch(Operator& input, size_t first, size_t count, const Visit& visit) {
  const size_t batch = RowsPerBatch(input.grid().count);
  std::vector<double> values(std::min(batch, count) * input.grid().count);
  for (size_t begin = first; begin < first + count; begin += batch) {
    const size_t rows = std::min(batch, first + count - begin);
    RETURN_IF_ERROR(input.Compute(begin, rows, values.data()));
    visit(begin, rows, static_cast<const double*>(values.data()));
  }
  return OkStatus();
}

// The rows of all series of `input`, computed on all threads. Reserves their memory.
StatusOr<std::vector<double>> ComputeAll(Execution& execution, Operator& input);

// How many parts the work on `series` rows of `steps` should have: one if it is small. The same for
// the same query, so that sums that are merged part by part come out the same each time.
size_t PartCount(const Execution& execution, size_t series, size_t steps);

}  // namespace tsdbd::query
