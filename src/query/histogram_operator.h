#pragma once
// histogram_quantile() and its like over classic histograms: series that differ in `le` only are
// the buckets of one histogram.

#include <optional>
#include <string>
#include <vector>

#include "query/ast.h"
#include "query/bucket_quantile.h"
#include "query/operator.h"

namespace tsdbd::query {

class HistogramOperator : public Operator {
 public:
  enum class Kind { kQuantile, kFraction };

  struct Options {
    Kind kind = Kind::kQuantile;
    const Expr* buckets = nullptr;              // the argument, for messages
    std::vector<const Expr*> parameters;        // the arguments of the scalars, for messages
    std::optional<std::string> quantile_label;  // histogram_quantiles(): one series for each
  };

  // `children`: the buckets, then the scalars: quantiles, or lower and upper bound.
  HistogramOperator(Execution* execution, const StepGrid& grid, Options options,
                    std::vector<OperatorPtr> children)
      : Operator("histogram", execution, grid, std::move(children)), options_(std::move(options)) {}

  void GetLabels(size_t series, model::LabelViews* labels) const override;
  bool DropsName(size_t /*series*/) const override { return true; }

 protected:
  Status DoPrepare() override;
  Status DoCompute(size_t first, size_t count, double* values) override;

 private:
  struct BucketSeries {
    double upper_bound = 0;
    uint32_t series = 0;  // of the child
  };
  struct Histogram {
    std::vector<BucketSeries> buckets;  // by upper bound
  };

  Status FindHistograms();
  Status ReadParameters();
  Status WarnOfBadBucket(uint32_t series);
  Status ComputeHistogram(const Histogram& histogram, size_t parameter, std::span<double> row);
  size_t results_per_histogram() const {
    return options_.quantile_label ? options_.parameters.size() : 1;
  }

  const Options options_;
  std::vector<Histogram> histograms_;
  std::vector<std::vector<double>> parameters_;  // [parameter][step]
  std::vector<std::string> quantile_texts_;
};

}  // namespace tsdbd::query
