#include "query/info_operator.h"

#include <algorithm>
#include <array>
#include <cmath>

#include <re2/re2.h>

#include "query/merged_rows.h"

namespace tsdbd::query {
namespace {

// What tells which target a series is of.
const std::vector<std::string>& IdentifyingLabels() {
  static const auto* const kLabels = new std::vector<std::string>{"instance", "job"};
  return *kLabels;
}

// A matcher that lets all of `values` pass, and few others.
StatusOr<model::Matcher> MatcherOfValues(const std::string& label,
                                         const absl::flat_hash_set<std::string_view>& values) {
  // A larger regex takes longer to compile than it saves.
  constexpr size_t kMaxAlternatives = 64;
  if (values.size() == 1) {
    return model::Matcher::Create(model::MatchType::kEqual, label, std::string(*values.begin()));
  }
  if (values.size() > kMaxAlternatives) {
    return model::Matcher::Create(model::MatchType::kNotEqual, label, "");
  }
  std::string regex;
  for (const std::string_view value : values) {
    regex += regex.empty() ? "" : "|";
    regex += re2::RE2::QuoteMeta(re2::StringPiece(value.data(), value.size()));
  }
  return model::Matcher::Create(model::MatchType::kRegex, label, std::move(regex));
}

}  // namespace

InfoOperator::InfoOperator(Execution* execution, const StepGrid& grid, InfoOptions options,
                           OperatorPtr base)
    : Operator("info", execution, grid, {std::move(base)}),
      options_(std::move(options)),
      identifying_(/*all_but=*/false, IdentifyingLabels()),
      drops_unmatched_(
          !std::ranges::all_of(options_.data_matchers, &model::Matcher::MatchesEmpty)) {}

Status InfoOperator::DoPrepare() {
  RETURN_IF_ERROR(FindBaseGroups());
  RETURN_IF_ERROR(SelectInfos());
  if (infos_ != nullptr) {
    RETURN_IF_ERROR(GroupInfos());
  }
  RETURN_IF_ERROR(execution().Reserve(numbering_.size() * (sizeof(Group) + sizeof(Choice))));
  groups_.resize(numbering_.size());
  ties_.assign(steps(), false);
  for (Group& group : groups_) {
    RETURN_IF_ERROR(FindChoices(&group));
  }
  return MakeRows();
}

// ---- Which info series there are

bool InfoOperator::IsInfoMetric(std::string_view name) const {
  return std::ranges::all_of(options_.name_matchers,
                             [&](const model::Matcher& matcher) { return matcher.Matches(name); });
}

Status InfoOperator::FindBaseGroups() {
  const Operator& base = child();
  const size_t count = base.series_count();
  RETURN_IF_ERROR(execution().Reserve(count * sizeof(uint32_t)));
  group_of_.assign(count, kNone);
  known_values_.resize(identifying_.labels().size());
  std::array<uint64_t, LabelHasher::kMaxCount> hashes;
  std::array<std::string_view, LabelHasher::kMaxCount> values;
  for (size_t first = 0; first < count; first += hashes.size()) {
    RETURN_IF_ERROR(execution().CheckAlive());
    const size_t batch = std::min(hashes.size(), count - first);
    identifying_.Hash(base, first, batch, hashes.data());
    base.GetLabelValues(model::kMetricName, first, batch, values.data());
    for (size_t i = 0; i < batch; ++i) {
      if (!IsInfoMetric(values[i])) {
        numbering_.Number(hashes[i], &group_of_[first + i]);
      }
    }
    for (size_t label = 0; label < known_values_.size(); ++label) {
      base.GetLabelValues(identifying_.labels()[label], first, batch, values.data());
      for (size_t i = 0; i < batch; ++i) {
        if (group_of_[first + i] != kNone && !values[i].empty()) {
          known_values_[label].insert(values[i]);
        }
      }
    }
  }
  return OkStatus();
}

Status InfoOperator::SelectInfos() {
  if (std::ranges::all_of(known_values_, &Values::empty)) {
    return OkStatus();
  }
  std::vector<model::Matcher> matchers = options_.name_matchers;
  matchers.insert(matchers.end(), options_.data_matchers.begin(), options_.data_matchers.end());
  for (size_t label = 0; label < known_values_.size(); ++label) {
    const Values& values = known_values_[label];
    RETURN_IF_ERROR(execution().Reserve(values.capacity() * sizeof(std::string_view)));
    if (!values.empty()) {
      ASSIGN_OR_RETURN(model::Matcher matcher,
                       MatcherOfValues(identifying_.labels()[label], values));
      matchers.push_back(std::move(matcher));
    }
  }
  infos_ = std::make_shared<SampleTimeOperator>(&execution(), grid(), std::move(matchers),
                                                options_.times);
  return infos_->Prepare();
}

Status InfoOperator::GroupInfos() {
  const size_t count = infos_->series_count();
  RETURN_IF_ERROR(execution().Reserve(count * sizeof(uint32_t)));
  std::array<uint64_t, LabelHasher::kMaxCount> hashes;
  std::array<std::string_view, LabelHasher::kMaxCount> values;
  std::array<bool, LabelHasher::kMaxCount> is_known;
  for (size_t first = 0; first < count; first += hashes.size()) {
    RETURN_IF_ERROR(execution().CheckAlive());
    const size_t batch = std::min(hashes.size(), count - first);
    identifying_.Hash(*infos_, first, batch, hashes.data());
    is_known.fill(true);
    for (size_t label = 0; label < known_values_.size(); ++label) {
      const Values& known = known_values_[label];
      infos_->GetLabelValues(identifying_.labels()[label], first, batch, values.data());
      for (size_t i = 0; i < batch; ++i) {
        is_known[i] = is_known[i] && (known.empty() || known.contains(values[i]));
      }
    }
    for (size_t i = 0; i < batch; ++i) {
      if (is_known[i]) {
        uint32_t number = 0;
        numbering_.Number(hashes[i], &number);
        groups_.resize(numbering_.size());
        groups_[number].infos.push_back(static_cast<uint32_t>(first + i));
      }
    }
  }
  return OkStatus();
}

// ---- Which are the newest at each step

Status InfoOperator::FindChoices(Group* group) {
  if (group->infos.empty()) {
    return OkStatus();
  }
  ASSIGN_OR_RETURN(const std::vector<Choice> newest, FindNewest(*group));
  group->choices.clear();
  absl::flat_hash_map<Choice, uint32_t> numbers;
  std::vector<uint32_t> choice_at(steps());
  Choice choice;
  for (size_t step = 0; step < steps(); ++step) {
    choice.clear();
    for (const Choice& of_metric : newest) {
      if (of_metric[step] != kNone) {
        choice.push_back(of_metric[step]);
      }
    }
    const auto [entry, is_new] =
        numbers.emplace(choice, static_cast<uint32_t>(group->choices.size()));
    if (is_new) {
      RETURN_IF_ERROR(execution().Reserve(sizeof(Choice) + choice.size() * sizeof(uint32_t)));
      group->choices.push_back(choice);
    }
    choice_at[step] = entry->second;
  }
  execution().Release(newest.size() * steps() * sizeof(uint32_t));
  if (group->choices.size() > 1) {
    RETURN_IF_ERROR(execution().Reserve(steps() * sizeof(uint32_t)));
    group->choice_at = std::move(choice_at);
  }
  return OkStatus();
}

// For each info metric and step the info series with the newest sample, or kNone. Memory for them
// is reserved.
StatusOr<std::vector<InfoOperator::Choice>> InfoOperator::FindNewest(const Group& group) {
  std::vector<std::pair<std::string_view, uint32_t>> by_metric;
  for (const uint32_t info : group.infos) {
    std::string_view name;
    infos_->GetLabelValues(model::kMetricName, info, 1, &name);
    by_metric.emplace_back(name, info);
  }
  std::ranges::sort(by_metric);
  std::vector<Choice> newest;
  std::vector<double> times(steps());
  std::vector<double> newest_times(steps());
  std::vector<uint32_t> tied(steps());
  for (size_t i = 0; i < by_metric.size(); ++i) {
    const auto& [name, info] = by_metric[i];
    if (i == 0 || name != by_metric[i - 1].first) {
      RETURN_IF_ERROR(execution().Reserve(steps() * sizeof(uint32_t)));
      newest.emplace_back(steps(), kNone);
      tied.assign(steps(), kNone);
    }
    RETURN_IF_ERROR(infos_->Compute(info, 1, times.data()));
    for (size_t step = 0; step < steps(); ++step) {
      if (IsAbsent(times[step])) {
        continue;
      }
      uint32_t& chosen = newest.back()[step];
      if (chosen == kNone || times[step] > newest_times[step]) {
        chosen = info;
        newest_times[step] = times[step];
        tied[step] = kNone;
      } else if (times[step] == newest_times[step]) {
        tied[step] = info;
      }
    }
    const bool is_last = i + 1 == by_metric.size() || by_metric[i + 1].first != name;
    for (size_t step = 0; step < steps() && is_last; ++step) {
      if (tied[step] != kNone) {
        NoteTie(step, newest_times[step], newest.back()[step], tied[step]);
      }
    }
  }
  return newest;
}

void InfoOperator::NoteTie(size_t step, double time, uint32_t info_a, uint32_t info_b) {
  ties_[step] = true;
  if (!tie_error_.ok() && first_tie_ <= step) {
    return;
  }
  model::LabelViews labels_a;
  model::LabelViews labels_b;
  infos_->GetLabels(info_a, &labels_a);
  infos_->GetLabels(info_b, &labels_b);
  const int64_t time_ms = std::llround(time * 1e3);
  first_tie_ = step;
  tie_error_ =
      FailedPrecondition("found duplicate series for info metric: existing {} @ {}, new {} @ {}",
                         MetricText(labels_a), time_ms, MetricText(labels_b), time_ms);
}

// ---- Rows

Status InfoOperator::MakeRows() {
  for (uint32_t base = 0; base < group_of_.size(); ++base) {
    if (base % LabelHasher::kMaxCount == 0) {
      RETURN_IF_ERROR(execution().CheckAlive());
    }
    const uint32_t group = group_of_[base];
    const size_t choices = group == kNone ? 1 : groups_[group].choices.size();
    RETURN_IF_ERROR(execution().Reserve(choices * sizeof(Row)));
    for (uint32_t choice = 0; choice < choices; ++choice) {
      rows_.push_back({.base = base, .choice = choice});
      const std::string_view label = FindConflictingLabel(rows_.back());
      if (!label.empty()) {
        conflicts_.emplace(rows_.size() - 1, label);
      }
    }
  }
  set_series_count(rows_.size());
  return OkStatus();
}

const InfoOperator::Choice& InfoOperator::ChoiceOf(const Row& row) const {
  static const auto* const kNothing = new Choice;
  const uint32_t group = group_of_[row.base];
  return group == kNone ? *kNothing : groups_[group].choices[row.choice];
}

bool InfoOperator::TakesLabel(std::string_view name) const {
  const auto is_asked_for = [&](const model::Matcher& matcher) { return matcher.name() == name; };
  return name != model::kMetricName && (options_.data_matchers.empty() ||
                                        std::ranges::any_of(options_.data_matchers, is_asked_for));
}

std::string_view InfoOperator::FindConflictingLabel(const Row& row) const {
  const Choice& choice = ChoiceOf(row);
  if (choice.size() < 2) {
    return {};
  }
  model::LabelViews labels;
  model::LabelViews added;
  for (const uint32_t info : choice) {
    infos_->GetLabels(info, &labels);
    std::ranges::copy_if(labels, std::back_inserter(added),
                         [&](const model::LabelView& label) { return TakesLabel(label.name); });
  }
  std::ranges::sort(added);
  child().GetLabels(row.base, &labels);
  for (size_t i = 1; i < added.size(); ++i) {
    if (added[i].name == added[i - 1].name && added[i].value != added[i - 1].value &&
        !std::ranges::binary_search(labels, added[i].name, {}, &model::LabelView::name)) {
      return added[i].name;
    }
  }
  return {};
}

void InfoOperator::GetLabels(size_t row, model::LabelViews* labels) const {
  child().GetLabels(rows_[row].base, labels);
  model::LabelViews added;
  for (const uint32_t info : ChoiceOf(rows_[row])) {
    infos_->GetLabels(info, &added);
    std::ranges::copy_if(added, std::back_inserter(*labels),
                         [&](const model::LabelView& label) { return TakesLabel(label.name); });
  }
  // Of labels with the same name the first stays: the base series' own.
  std::ranges::stable_sort(*labels, {}, &model::LabelView::name);
  const auto is_same = [](const model::LabelView& a, const model::LabelView& b) {
    return a.name == b.name;
  };
  labels->erase(std::unique(labels->begin(), labels->end(), is_same), labels->end());
}

// ---- Values

Status InfoOperator::DoCompute(size_t first, size_t count, double* values) {
  const uint32_t first_base = rows_[first].base;
  const size_t bases = rows_[first + count - 1].base - first_base + 1;
  std::vector<double> base_values(bases * steps());
  RETURN_IF_ERROR(child().Compute(first_base, bases, base_values.data()));
  for (size_t row = first; row < first + count; ++row, values += steps()) {
    const size_t offset = (rows_[row].base - first_base) * steps();
    RETURN_IF_ERROR(
        FillRow(row, std::span(base_values).subspan(offset, steps()), {values, steps()}));
  }
  return OkStatus();
}

Status InfoOperator::FillRow(size_t row, std::span<const double> base,
                             std::span<double> out) const {
  const uint32_t group = group_of_[rows_[row].base];
  const bool is_dropped = group != kNone && drops_unmatched_ && ChoiceOf(rows_[row]).empty();
  const bool is_always = group == kNone || groups_[group].choice_at.empty();
  bool has_values = false;
  for (size_t step = 0; step < base.size(); ++step) {
    out[step] = kAbsent;
    if (IsAbsent(base[step])) {
      continue;
    }
    if (ties_[step]) {
      return tie_error_;
    }
    if (!is_dropped && (is_always || groups_[group].choice_at[step] == rows_[row].choice)) {
      out[step] = base[step];
      has_values = true;
    }
  }
  const auto conflict = conflicts_.find(row);
  return has_values && conflict != conflicts_.end()
             ? FailedPrecondition("conflicting label: {}", conflict->second)
             : OkStatus();
}

}  // namespace tsdbd::query
