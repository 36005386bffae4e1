#pragma once
// Operators and sources at the leaves of a plan: what reads stored series.

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "model/matcher.h"
#include "model/series_source.h"
#include "query/extended_range.h"
#include "query/operator.h"

namespace tsdbd::query {

// The series that match, or null if no sample can lie in the windows of `times`.
StatusOr<std::shared_ptr<const model::SeriesSet>> SelectSeries(
    const Execution& execution, const std::vector<model::Matcher>& matchers,
    const model::StepTimes& times);

// An instant vector selector: at each step the latest sample of its window.
class SelectOperator : public Operator {
 public:
  // `times` has a moment for each step of the grid.
  SelectOperator(Execution* execution, const StepGrid& grid, std::vector<model::Matcher> matchers,
                 const model::StepTimes& times)
      : SelectOperator("select", execution, grid, std::move(matchers), times) {}

  void GetLabels(size_t series, model::LabelViews* labels) const override;
  void GetLabelValues(std::string_view name, size_t first, size_t count,
                      std::string_view* values) const override;

 protected:
  SelectOperator(std::string_view name, Execution* execution, const StepGrid& grid,
                 std::vector<model::Matcher> matchers, const model::StepTimes& times)
      : Operator(name, execution, grid), matchers_(std::move(matchers)), times_(times) {}

  Status DoPrepare() override;
  Status DoCompute(size_t first, size_t count, double* values) override;

  const model::SeriesSet& set() const { return *set_; }
  const model::StepTimes& times() const { return times_; }

 private:
  const std::vector<model::Matcher> matchers_;
  const model::StepTimes times_;
  std::shared_ptr<const model::SeriesSet> set_;
};

// timestamp() of an instant vector selector: the times of its samples, in seconds.
class SampleTimeOperator : public SelectOperator {
 public:
  SampleTimeOperator(Execution* execution, const StepGrid& grid,
                     std::vector<model::Matcher> matchers, const model::StepTimes& times)
      : SelectOperator("select times", execution, grid, std::move(matchers), times) {}
  bool DropsName(size_t /*series*/) const override { return true; }

 protected:
  Status DoCompute(size_t first, size_t count, double* values) override;
};

// An instant vector selector with `smoothed`: see SmoothSteps().
class SmoothedSelectOperator : public SelectOperator {
 public:
  SmoothedSelectOperator(Execution* execution, const StepGrid& grid,
                         std::vector<model::Matcher> matchers, const model::StepTimes& moments)
      : SelectOperator("select smoothed", execution, grid, std::move(matchers),
                       ExtendWindows(RangeExtension::kSmoothed, moments, moments.window_ns)),
        moments_(moments) {}

 protected:
  Status DoCompute(size_t first, size_t count, double* values) override;

 private:
  const model::StepTimes moments_;  // the window is the lookback
};

// The samples behind a range vector: those of a range selector, or the steps of a sub-query.
class RangeSource {
 public:
  virtual ~RangeSource() = default;

  virtual Status Prepare() = 0;
  virtual size_t series_count() const = 0;
  virtual void GetLabels(size_t series, model::LabelViews* labels) const = 0;
  virtual void GetLabelValues(std::string_view name, size_t first, size_t count,
                              std::string_view* values) const = 0;
  virtual bool DropsName(size_t series) const = 0;
  // Replaces *samples by all that lie in any window, without staleness markers. Thread-safe.
  virtual Status Read(size_t series, model::SampleColumns* samples) const = 0;
  // The same, but samples may be left out as model::SeriesSet::ReadEdges says.
  virtual Status ReadEdges(size_t series, bool with_falls, model::EdgeSamples* samples) const {
    samples->ordinals.clear();
    return Read(series, &samples->columns);
  }
};

// m[5m]
class StoredRanges : public RangeSource {
 public:
  StoredRanges(Execution* execution, std::vector<model::Matcher> matchers,
               const model::StepTimes& windows)
      : execution_(execution), matchers_(std::move(matchers)), windows_(windows) {}

  Status Prepare() override;
  size_t series_count() const override { return set_ == nullptr ? 0 : set_->size(); }
  void GetLabels(size_t series, model::LabelViews* labels) const override {
    set_->GetLabels(series, labels);
  }
  void GetLabelValues(std::string_view name, size_t first, size_t count,
                      std::string_view* values) const override {
    set_->GetLabelValues(name, first, count, values);
  }
  bool DropsName(size_t /*series*/) const override { return false; }
  Status Read(size_t series, model::SampleColumns* samples) const override;
  Status ReadEdges(size_t series, bool with_falls, model::EdgeSamples* samples) const override;

 private:
  Execution* const execution_;
  const std::vector<model::Matcher> matchers_;
  const model::StepTimes windows_;
  std::shared_ptr<const model::SeriesSet> set_;
};

// m[5m] anchored, m[5m] smoothed at one moment.
class ExtendedRanges : public RangeSource {
 public:
  // `input` gives the samples around `range` = [begin, end] too.
  ExtendedRanges(std::unique_ptr<RangeSource> input, RangeExtension extension,
                 const model::TimeRange& range)
      : input_(std::move(input)), extension_(extension), range_(range) {}

  Status Prepare() override { return input_->Prepare(); }
  size_t series_count() const override { return input_->series_count(); }
  void GetLabels(size_t series, model::LabelViews* labels) const override {
    input_->GetLabels(series, labels);
  }
  void GetLabelValues(std::string_view name, size_t first, size_t count,
                      std::string_view* values) const override {
    input_->GetLabelValues(name, first, count, values);
  }
  bool DropsName(size_t series) const override { return input_->DropsName(series); }
  Status Read(size_t series, model::SampleColumns* samples) const override {
    RETURN_IF_ERROR(input_->Read(series, samples));
    ExtendSamples(extension_, range_, samples);
    return OkStatus();
  }

 private:
  const std::unique_ptr<RangeSource> input_;
  const RangeExtension extension_;
  const model::TimeRange range_;
};

// expr[1h:5m]: `steps` gives the values at the sub-query's own grid.
class SubqueryRanges : public RangeSource {
 public:
  explicit SubqueryRanges(OperatorPtr steps) : steps_(std::move(steps)) {}

  Status Prepare() override { return steps_->Prepare(); }
  size_t series_count() const override { return steps_->series_count(); }
  void GetLabels(size_t series, model::LabelViews* labels) const override {
    steps_->GetLabels(series, labels);
  }
  void GetLabelValues(std::string_view name, size_t first, size_t count,
                      std::string_view* values) const override {
    steps_->GetLabelValues(name, first, count, values);
  }
  bool DropsName(size_t series) const override { return steps_->DropsName(series); }
  Status Read(size_t series, model::SampleColumns* samples) const override;

 private:
  const OperatorPtr steps_;
};

}  // namespace tsdbd::query
