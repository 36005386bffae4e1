#include "index/series_index.h"

#include <algorithm>
#include <map>
#include <set>

#include <absl/container/flat_hash_set.h>

namespace tsdbd::index {
namespace {

// Sorted, unique, without the empty one.
std::vector<std::string> SortedStrings(std::vector<std::string_view> values) {
  std::ranges::sort(values);
  values.erase(std::unique(values.begin(), values.end()), values.end());
  const bool has_empty = !values.empty() && values[0].empty();
  return {values.begin() + (has_empty ? 1 : 0), values.end()};
}

}  // namespace

void SeriesIndex::Add(IndexedGroup* group) {
  MutexLock lock(&pending_mutex_);
  pending_.push_back(group);
  pending_count_.fetch_add(1, std::memory_order_release);
}

void SeriesIndex::ApplyPending() {
  MutexLock apply_lock(&apply_mutex_);
  std::vector<IndexedGroup*> taken;
  {
    MutexLock lock(&pending_mutex_);
    taken.swap(pending_);
  }
  for (size_t begin = 0; begin < taken.size(); begin += kApplyBatch) {
    const size_t end = std::min(begin + kApplyBatch, taken.size());
    WriterLock lock(&mutex_);
    for (size_t i = begin; i < end; ++i) {
      Apply(taken[i]);
    }
    pending_count_.fetch_sub(end - begin, std::memory_order_release);
  }
}

void SeriesIndex::Apply(IndexedGroup* group) {
  if (free_ids_.empty()) {
    group->id = static_cast<uint32_t>(groups_.size());
    groups_.push_back(group);
  } else {
    group->id = free_ids_.back();
    free_ids_.pop_back();
    groups_[group->id] = group;
  }
  group->schema->groups.Add(group->id);
  for (LabelPair* pair : group->label_span()) {
    if (pair->groups.empty()) {
      pair->place_in_name = static_cast<uint32_t>(pair->name->pairs.size());
      pair->name->pairs.push_back(pair);
    }
    pair->groups.Add(group->id);
  }
}

void SeriesIndex::Remove(IndexedGroup* group) {
  if (pending_count() > 0) {
    ApplyPending();
  }
  WriterLock lock(&mutex_);
  group->schema->groups.Remove(group->id);
  for (LabelPair* pair : group->label_span()) {
    pair->groups.Remove(group->id);
    if (pair->groups.empty()) {
      std::vector<LabelPair*>& pairs = pair->name->pairs;
      pairs[pair->place_in_name] = pairs.back();
      pairs[pair->place_in_name]->place_in_name = pair->place_in_name;
      pairs.pop_back();
    }
  }
  groups_[group->id] = nullptr;
  free_ids_.push_back(group->id);
}

SelectedGroups::Columns SeriesIndex::MatchColumns(const Schema& schema,
                                                  const std::vector<model::Matcher>& matchers) {
  SelectedGroups::Columns result;
  result.schema = &schema;
  for (uint32_t column = 0; column < schema.column_count(); ++column) {
    const bool all = std::ranges::all_of(matchers, [&](const model::Matcher& matcher) {
      return matcher.name() != schema.column_label || matcher.Matches(schema.column_values[column]);
    });
    if (all) {
      result.columns.push_back(column);
    }
  }
  return result;
}

void SeriesIndex::Narrow(const model::Matcher& matcher, Roaring* candidates) const {
  if (matcher.type() == model::MatchType::kEqual && !matcher.value().empty()) {
    const LabelPair* pair = labels_->FindPair(matcher.name(), matcher.value());
    if (pair == nullptr) {
      *candidates = Roaring();
    } else {
      pair->groups.IntersectInto(candidates);
    }
    return;
  }
  if (matcher.FiniteValues() != nullptr && !matcher.MatchesEmpty()) {
    Roaring listed;
    for (const std::string& value : *matcher.FiniteValues()) {
      if (const LabelPair* pair = labels_->FindPair(matcher.name(), value)) {
        pair->groups.UnionInto(&listed);
      }
    }
    *candidates &= listed;
    return;
  }
  // A matcher that accepts "" also accepts groups without the label, so for it the groups that
  // have a value which does not match are taken away; for the others those that match are kept.
  const LabelName* name = labels_->FindName(matcher.name());
  Roaring listed;
  if (name != nullptr) {
    for (const LabelPair* pair : name->pairs) {
      if (matcher.Matches(pair->value()) != matcher.MatchesEmpty()) {
        pair->groups.UnionInto(&listed);
      }
    }
  }
  if (matcher.MatchesEmpty()) {
    *candidates -= listed;
  } else {
    *candidates &= listed;
  }
}

SeriesIndex::Candidates SeriesIndex::FindCandidates(
    std::string_view column_label, const std::vector<const Schema*>& schemas,
    const std::vector<model::Matcher>& matchers) const {
  // An equality names few groups: begin with one, and leave the schemas to the caller. Without any,
  // begin with all groups of the schemas.
  const auto is_equality = [&](const model::Matcher& matcher) {
    return matcher.type() == model::MatchType::kEqual && !matcher.value().empty() &&
           matcher.name() != column_label;
  };
  const auto first = std::ranges::find_if(matchers, is_equality);
  Candidates candidates;
  candidates.may_have_other_schemas = first != matchers.end();
  if (candidates.may_have_other_schemas) {
    if (const LabelPair* pair = labels_->FindPair(first->name(), first->value())) {
      pair->groups.UnionInto(&candidates.groups);
    }
  } else {
    for (const Schema* schema : schemas) {
      schema->groups.UnionInto(&candidates.groups);
    }
  }
  for (auto matcher = matchers.begin(); matcher != matchers.end(); ++matcher) {
    if (matcher != first && matcher->name() != column_label) {
      Narrow(*matcher, &candidates.groups);
    }
  }
  return candidates;
}

void SeriesIndex::AppendMatches(std::string_view column_label,
                                const std::vector<const Schema*>& schemas,
                                const std::vector<model::Matcher>& matchers,
                                const ColumnsOfSchema& columns_of, SelectedGroups* result) const {
  const Candidates candidates = FindCandidates(column_label, schemas, matchers);
  std::vector<uint32_t> ids(candidates.groups.cardinality());
  candidates.groups.toUint32Array(ids.data());
  result->groups.reserve(result->groups.size() + ids.size());
  if (schemas.size() == 1 && !candidates.may_have_other_schemas) {
    // The commonest selector, of one metric, needs not look at its groups: they may be many.
    const uint32_t columns = columns_of.at(schemas[0]);
    for (const uint32_t id : ids) {
      result->groups.push_back({groups_[id], columns});
    }
    result->series_count += ids.size() * result->columns[columns].columns.size();
    return;
  }
  constexpr size_t kPrefetchDistance = 16;  // enough for the misses to overlap
  for (size_t i = 0; i < ids.size(); ++i) {
    if (i + kPrefetchDistance < ids.size()) {
      __builtin_prefetch(groups_[ids[i + kPrefetchDistance]]);
    }
    const Schema* schema = groups_[ids[i]]->schema;
    const auto columns = columns_of.find(schema);
    if (columns != columns_of.end() && schema->column_label == column_label) {
      result->groups.push_back({groups_[ids[i]], columns->second});
      result->series_count += result->columns[columns->second].columns.size();
    }
  }
}

StatusOr<SelectedGroups> SeriesIndex::Select(const std::vector<model::Matcher>& matchers,
                                             uint64_t max_series) {
  if (pending_count() > 0) {
    ApplyPending();
  }
  ReaderLock lock(&mutex_);
  SelectedGroups result;
  // A matcher's label can be the column label of some groups and an own label of others, so groups
  // are narrowed per column label (in practice __name__, and __field__ where that is configured).
  ColumnsOfSchema columns_of;
  std::map<std::string_view, std::vector<const Schema*>> schemas_by_label;
  labels_->ForEachSchema([&](const Schema* schema) NO_THREAD_SAFETY_ANALYSIS {
    SelectedGroups::Columns columns = MatchColumns(*schema, matchers);
    if (columns.columns.empty() || schema->groups.empty()) {
      return;
    }
    columns_of[schema] = static_cast<uint32_t>(result.columns.size());
    schemas_by_label[schema->column_label].push_back(schema);
    result.columns.push_back(std::move(columns));
  });
  for (const auto& [column_label, schemas] : schemas_by_label) {
    AppendMatches(column_label, schemas, matchers, columns_of, &result);
  }
  if (max_series != 0 && result.series_count > max_series) {
    return ResourceExhausted("the selector matches {} series, more than the limit of {}",
                             result.series_count, max_series);
  }
  return result;
}

StatusOr<std::vector<std::string>> SeriesIndex::LabelNames(
    const std::vector<model::Matcher>& matchers) {
  ASSIGN_OR_RETURN(const SelectedGroups selected, Select(matchers, /*max_series=*/0));
  std::set<std::string_view> names;
  for (const SelectedGroups::Columns& columns : selected.columns) {
    if (std::ranges::any_of(columns.columns, [&](uint32_t column) {
          return !columns.schema->column_values[column].empty();
        })) {
      names.insert(columns.schema->column_label);
    }
  }
  for (const SelectedGroups::Entry& entry : selected.groups) {
    for (const LabelPair* pair : entry.group->label_span()) {
      names.insert(pair->name->name);
    }
  }
  return std::vector<std::string>(names.begin(), names.end());
}

StatusOr<std::vector<std::string>> SeriesIndex::LabelValues(
    std::string_view name, const std::vector<model::Matcher>& matchers) {
  std::vector<std::string_view> values;
  if (matchers.empty()) {
    ApplyPending();
    ReaderLock lock(&mutex_);
    if (const LabelName* label = labels_->FindName(name)) {
      for (const LabelPair* pair : label->pairs) {
        values.push_back(pair->value());
      }
    }
    labels_->ForEachSchema([&](const Schema* schema) NO_THREAD_SAFETY_ANALYSIS {
      if (schema->column_label == name && !schema->groups.empty()) {
        values.insert(values.end(), schema->column_values.begin(), schema->column_values.end());
      }
    });
    return SortedStrings(std::move(values));
  }
  ASSIGN_OR_RETURN(const SelectedGroups selected, Select(matchers, /*max_series=*/0));
  std::vector<bool> schema_is_used(selected.columns.size());
  absl::flat_hash_set<const LabelPair*> pairs;
  for (const SelectedGroups::Entry& entry : selected.groups) {
    schema_is_used[entry.columns] = true;
    for (const LabelPair* pair : entry.group->label_span()) {
      if (pair->name->name == name) {
        pairs.insert(pair);
      }
    }
  }
  for (const LabelPair* pair : pairs) {
    values.push_back(pair->value());
  }
  for (size_t i = 0; i < selected.columns.size(); ++i) {
    const SelectedGroups::Columns& columns = selected.columns[i];
    if (schema_is_used[i] && columns.schema->column_label == name) {
      for (const uint32_t column : columns.columns) {
        values.push_back(columns.schema->column_values[column]);
      }
    }
  }
  return SortedStrings(std::move(values));
}

std::vector<IndexedGroup*> SeriesIndex::AllGroups() {
  ApplyPending();
  ReaderLock lock(&mutex_);
  std::vector<IndexedGroup*> all;
  all.reserve(groups_.size() - free_ids_.size());
  for (IndexedGroup* group : groups_) {
    if (group != nullptr) {
      all.push_back(group);
    }
  }
  return all;
}

uint64_t SeriesIndex::group_count() const {
  const size_t pending = pending_count();
  ReaderLock lock(&mutex_);
  return groups_.size() - free_ids_.size() + pending;
}

uint64_t SeriesIndex::MemoryBytes() const {
  ReaderLock lock(&mutex_);
  // Bitmaps are not walked for this: a few bytes for each of a group's labels is close.
  constexpr uint64_t kBytesPerGroup = sizeof(IndexedGroup*) + 32;
  return groups_.size() * kBytesPerGroup;
}

}  // namespace tsdbd::index
