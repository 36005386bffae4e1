#pragma once
// info(): adds to each series the labels of info series (target_info and the like: the facts are in
// the labels, the value is 1) that have the same instance and job. Which info series those are, and
// so the labels, may change from step to step: there is one row for each base series and each
// choice of info series, and rows may have the same labels (see MergeOperator).

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <absl/container/flat_hash_map.h>
#include <absl/container/flat_hash_set.h>

#include "query/grouping.h"
#include "query/select_operators.h"

namespace tsdbd::query {

struct InfoOptions {
  // Which metrics are info metrics. Base series that match them are left as they are.
  std::vector<model::Matcher> name_matchers;
  // Which info series, and which labels of theirs; none: all. If one does not match "", base series
  // for which no info series is found are left out.
  std::vector<model::Matcher> data_matchers;
  // When the info series are looked at: a moment for each step.
  model::StepTimes times;
};

class InfoOperator : public Operator {
 public:
  InfoOperator(Execution* execution, const StepGrid& grid, InfoOptions options, OperatorPtr base);

  void GetLabels(size_t row, model::LabelViews* labels) const override;
  bool DropsName(size_t row) const override { return child().DropsName(rows_[row].base); }

 protected:
  Status DoPrepare() override;
  Status DoCompute(size_t first, size_t count, double* values) override;

 private:
  static constexpr uint32_t kNone = HashNumbering::kNone;

  // Info series that belong together: the newest one of each metric.
  using Choice = std::vector<uint32_t>;
  // What there is about one instance and job.
  struct Group {
    std::vector<uint32_t> infos;
    std::vector<Choice> choices = {{}};  // different ones; at least one
    std::vector<uint32_t> choice_at;     // step → index into choices; empty: always the first
  };
  struct Row {
    uint32_t base;
    uint32_t choice;
  };
  using Values = absl::flat_hash_set<std::string_view>;

  Status FindBaseGroups();
  bool IsInfoMetric(std::string_view name) const;
  Status SelectInfos();
  Status GroupInfos();
  Status FindChoices(Group* group);
  StatusOr<std::vector<Choice>> FindNewest(const Group& group);
  void NoteTie(size_t step, double time, uint32_t info_a, uint32_t info_b);
  Status MakeRows();
  std::string_view FindConflictingLabel(const Row& row) const;
  bool TakesLabel(std::string_view name) const;

  const Choice& ChoiceOf(const Row& row) const;
  Status FillRow(size_t row, std::span<const double> base, std::span<double> out) const;

  const InfoOptions options_;
  const LabelHasher identifying_;
  bool drops_unmatched_ = false;

  // Since Prepare:
  HashNumbering numbering_;           // instance and job → index into groups_
  std::vector<uint32_t> group_of_;    // base series → index into groups_; kNone: leave it
  std::vector<Values> known_values_;  // of each identifying label, in the base series
  OperatorPtr infos_;                 // the times of the samples of info series; null: none
  std::vector<Group> groups_;
  std::vector<Row> rows_;  // those of one base series beside each other; each has at least one
  // Steps at which it is not known which info series is the newest, and what to say of the first.
  std::vector<bool> ties_;
  size_t first_tie_ = 0;
  Status tie_error_;
  // Rows with a label for which two info metrics have different values → that label.
  absl::flat_hash_map<size_t, std::string_view> conflicts_;
};

}  // namespace tsdbd::query
