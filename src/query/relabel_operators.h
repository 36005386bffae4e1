#pragma once
// label_replace() and label_join(): series that get another value for one label.

#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <absl/container/flat_hash_map.h>

#include "query/operator.h"

namespace re2 {
class RE2;
}

namespace tsdbd::query {

// The new value of the label for a series, or nullopt to leave it.
using RelabelRule = std::function<std::optional<std::string>(const Operator& input, size_t series)>;

// A regex and what becomes of what it matches: $1 and ${name} stand for its groups, $$ for $.
class ReplaceRule {
 public:
  // kInvalidArgument if `regex` is none.
  static StatusOr<ReplaceRule> Create(std::string source_label, std::string_view regex,
                                      std::string replacement);

  std::optional<std::string> operator()(const Operator& input, size_t series) const;

 private:
  std::optional<std::string> Replace(std::string_view text) const;

  std::string source_label_;
  std::string replacement_;
  std::shared_ptr<const re2::RE2> regex_;
};

// Two of its series may then have the same labels: see MergeOperator.
class RelabelOperator : public SameSeriesOperator {
 public:
  RelabelOperator(Execution* execution, const StepGrid& grid, std::string label, RelabelRule rule,
                  OperatorPtr input)
      : SameSeriesOperator("relabel", execution, grid, {std::move(input)}),
        label_(std::move(label)),
        rule_(std::move(rule)) {}

  void GetLabels(size_t series, model::LabelViews* labels) const override;
  void GetLabelValues(std::string_view name, size_t first, size_t count,
                      std::string_view* values) const override;
  bool DropsName(size_t series) const override {
    return (label_ != model::kMetricName || value_of_[series] == kLeft) &&
           SameSeriesOperator::DropsName(series);
  }

 protected:
  Status DoPrepare() override;
  Status DoCompute(size_t first, size_t count, double* values) override {
    return child().Compute(first, count, values);
  }

 private:
  static constexpr uint32_t kLeft = ~uint32_t{0};

  const std::string label_;
  const RelabelRule rule_;
  std::deque<std::string> values_;  // each once
  std::vector<uint32_t> value_of_;  // series → index into values_, or kLeft
};

}  // namespace tsdbd::query
