#include "storage/block_select.h"

#include <algorithm>
#include <numeric>

#include "storage/roaring_check.h"

namespace tsdbd::storage {
namespace {

using model::Matcher;
using model::MatchType;

void SortUnique(std::vector<std::string_view>* strings) {
  if (!std::is_sorted(strings->begin(), strings->end())) {  // values of one label are
    std::sort(strings->begin(), strings->end());
  }
  strings->erase(std::unique(strings->begin(), strings->end()), strings->end());
}

// Narrows to one value, so is worth doing first.
bool IsSelective(const Matcher& matcher) {
  return matcher.type() == MatchType::kEqual && !matcher.MatchesEmpty();
}

}  // namespace

StatusOr<BlockSelection> BlockSelector::Select(std::span<const Matcher> matchers) const {
  std::vector<Matcher> selective_first(matchers.begin(), matchers.end());
  std::stable_partition(selective_first.begin(), selective_first.end(), IsSelective);
  BlockSelection selection;
  for (const SchemaClass& schema_class : MatchSchemas(matchers, &selection.column_sets)) {
    ASSIGN_OR_RETURN(const Roaring groups, MatchingGroups(schema_class, selective_first));
    for (const uint32_t group : groups) {
      selection.groups.push_back({group, block_.SchemaOf(group)});
    }
  }
  std::ranges::sort(selection.groups, {}, &SelectedGroup::group);
  return selection;
}

StatusOr<Roaring> BlockSelector::MatchingGroups(const SchemaClass& schema_class,
                                                std::span<const Matcher> matchers) const {
  ASSIGN_OR_RETURN(Roaring groups, GroupsOf(schema_class));
  for (const Matcher& matcher : matchers) {
    if (matcher.name() != schema_class.column_label) {
      RETURN_IF_ERROR(Narrow(matcher, &groups));
    }
  }
  return groups;
}

std::vector<uint32_t> BlockSelector::MatchingColumns(const SchemaRecord& schema,
                                                     std::span<const Matcher> matchers) const {
  const std::string_view label = block_.StringAt(schema.column_label);
  std::vector<uint32_t> columns(schema.column_count);
  std::iota(columns.begin(), columns.end(), 0);
  for (const Matcher& matcher : matchers) {
    if (matcher.name() == label) {
      std::erase_if(columns, [&](uint32_t column) {
        return !matcher.Matches(
            block_.StringAt(block_.schema_columns_[schema.first_column + column]));
      });
    }
  }
  return columns;
}

std::vector<BlockSelector::SchemaClass> BlockSelector::MatchSchemas(
    std::span<const Matcher> matchers, ColumnSets* column_sets) const {
  std::vector<SchemaClass> classes;
  column_sets->resize(block_.schemas_.size());
  for (uint32_t schema = 0; schema < block_.schemas_.size(); ++schema) {
    std::vector<uint32_t>& columns = (*column_sets)[schema];
    columns = MatchingColumns(block_.schemas_[schema], matchers);
    if (columns.empty()) {
      continue;
    }
    const std::string_view label = block_.StringAt(block_.schemas_[schema].column_label);
    auto found = std::ranges::find(classes, label, &SchemaClass::column_label);
    if (found == classes.end()) {
      found = classes.insert(found, {label, {}});
    }
    found->schemas.push_back(schema);
  }
  return classes;
}

StatusOr<Roaring> BlockSelector::GroupsOf(const SchemaClass& schema_class) const {
  Roaring groups;
  if (schema_class.schemas.size() == block_.schemas_.size()) {
    groups.addRange(0, block_.group_count());
    return groups;
  }
  for (const uint32_t schema : schema_class.schemas) {
    RETURN_IF_ERROR(AddPostings(block_.schemas_[schema].groups, &groups));
  }
  return groups;
}

Status BlockSelector::Narrow(const Matcher& matcher, Roaring* groups) const {
  const NameRecord* name = FindName(matcher.name());
  if (name == nullptr) {  // the label is empty in every group
    if (!matcher.MatchesEmpty()) {
      *groups = Roaring();
    }
    return OkStatus();
  }
  if (IsSelective(matcher)) {
    const PairRecord* pair = FindPair(*name, matcher.value());
    Roaring matching;
    RETURN_IF_ERROR(pair == nullptr ? OkStatus() : AddPostings(pair->groups, &matching));
    *groups &= matching;
    return OkStatus();
  }
  if (matcher.FiniteValues() != nullptr && !matcher.MatchesEmpty()) {
    Roaring matching;
    for (const std::string& value : *matcher.FiniteValues()) {
      const PairRecord* pair = FindPair(*name, value);
      RETURN_IF_ERROR(pair == nullptr ? OkStatus() : AddPostings(pair->groups, &matching));
    }
    *groups &= matching;
    return OkStatus();
  }
  // Whichever looks at fewer values.
  if (groups->cardinality() < name->pair_count) {
    NarrowByLabels(matcher, *name, groups);
    return OkStatus();
  }
  return NarrowByPostings(matcher, *name, groups);
}

Status BlockSelector::NarrowByPostings(const Matcher& matcher, const NameRecord& name,
                                       Roaring* groups) const {
  // Groups without the label are in no postings. So if the empty value matches, find those that
  // do not match and take them out.
  Roaring found;
  for (const PairRecord& pair : block_.pairs_.subspan(name.first_pair, name.pair_count)) {
    const bool is_wanted = matcher.Matches(block_.PairValue(pair)) != matcher.MatchesEmpty();
    RETURN_IF_ERROR(is_wanted ? AddPostings(pair.groups, &found) : OkStatus());
  }
  if (matcher.MatchesEmpty()) {
    *groups -= found;
  } else {
    *groups &= found;
  }
  return OkStatus();
}

void BlockSelector::NarrowByLabels(const Matcher& matcher, const NameRecord& name,
                                   Roaring* groups) const {
  Roaring matching;
  for (const uint32_t group : *groups) {
    const PairRecord* label = LabelOf(group, name);
    if (label == nullptr ? matcher.MatchesEmpty() : matcher.Matches(block_.PairValue(*label))) {
      matching.add(group);
    }
  }
  *groups = std::move(matching);
}

StatusOr<std::vector<std::string_view>> BlockSelector::LabelNames(
    std::span<const Matcher> matchers) const {
  ASSIGN_OR_RETURN(const BlockSelection selection, Select(matchers));
  std::vector<bool> has_name(block_.names_.size());
  std::vector<bool> has_schema(block_.schemas_.size());
  for (const SelectedGroup& selected : selection.groups) {
    const GroupRecord& group = block_.groups_[selected.group];
    has_schema[group.schema] = true;
    for (const uint32_t pair : block_.group_labels_.subspan(group.first_label, group.label_count)) {
      has_name[block_.pairs_[pair].name] = true;
    }
  }
  std::vector<std::string_view> names;
  for (size_t i = 0; i < has_name.size(); ++i) {
    if (has_name[i]) {
      names.push_back(block_.StringAt(block_.names_[i].name));
    }
  }
  for (size_t i = 0; i < has_schema.size(); ++i) {
    const SchemaRecord& schema = block_.schemas_[i];
    const auto is_named = [&](uint32_t column) {
      return block_.schema_columns_[schema.first_column + column].size > 0;
    };
    if (has_schema[i] && std::ranges::any_of(selection.column_sets[i], is_named)) {
      names.push_back(block_.StringAt(schema.column_label));
    }
  }
  SortUnique(&names);
  return names;
}

StatusOr<std::vector<std::string_view>> BlockSelector::LabelValues(
    std::string_view name, std::span<const Matcher> matchers) const {
  ASSIGN_OR_RETURN(const BlockSelection selection, Select(matchers));
  std::vector<std::string_view> values;
  const NameRecord* record = FindName(name);
  if (record != nullptr && matchers.empty()) {
    for (const PairRecord& pair : block_.pairs_.subspan(record->first_pair, record->pair_count)) {
      values.push_back(block_.PairValue(pair));
    }
  }
  std::vector<bool> has_schema(block_.schemas_.size());
  for (const SelectedGroup& selected : selection.groups) {
    has_schema[block_.SchemaOf(selected.group)] = true;
    const PairRecord* label =
        record == nullptr || matchers.empty() ? nullptr : LabelOf(selected.group, *record);
    if (label != nullptr) {
      values.push_back(block_.PairValue(*label));
    }
  }
  for (size_t i = 0; i < has_schema.size(); ++i) {
    const SchemaRecord& schema = block_.schemas_[i];
    if (!has_schema[i] || block_.StringAt(schema.column_label) != name) {
      continue;
    }
    for (const uint32_t column : selection.column_sets[i]) {
      values.push_back(block_.StringAt(block_.schema_columns_[schema.first_column + column]));
    }
  }
  std::erase(values, std::string_view());
  SortUnique(&values);
  return values;
}

const NameRecord* BlockSelector::FindName(std::string_view name) const {
  const auto found = std::ranges::lower_bound(
      block_.names_, name, {},
      [&](const NameRecord& record) { return block_.StringAt(record.name); });
  return found != block_.names_.end() && block_.StringAt(found->name) == name ? &*found : nullptr;
}

const PairRecord* BlockSelector::FindPair(const NameRecord& name, std::string_view value) const {
  const auto pairs = block_.pairs_.subspan(name.first_pair, name.pair_count);
  const auto found = std::ranges::lower_bound(
      pairs, value, {}, [&](const PairRecord& pair) { return block_.PairValue(pair); });
  return found != pairs.end() && block_.PairValue(*found) == value ? &*found : nullptr;
}

const PairRecord* BlockSelector::LabelOf(uint32_t group, const NameRecord& name) const {
  const GroupRecord& record = block_.groups_[group];
  const auto index_of_name = static_cast<uint32_t>(&name - block_.names_.data());
  for (const uint32_t pair : block_.group_labels_.subspan(record.first_label, record.label_count)) {
    if (block_.pairs_[pair].name == index_of_name) {
      return &block_.pairs_[pair];
    }
  }
  return nullptr;
}

Status BlockSelector::AddPostings(const PostingsRef& postings, Roaring* groups) const {
  if (postings.group_count == 1) {
    groups->add(static_cast<uint32_t>(postings.offset));
    return OkStatus();
  }
  const std::string_view bytes = block_.postings_.substr(postings.offset, postings.size);
  roaring_bitmap_t* bitmap =
      IsRoaringBitmap(bytes, postings.group_count, block_.group_count())
          ? roaring_bitmap_portable_deserialize_safe(bytes.data(), bytes.size())
          : nullptr;
  if (bitmap == nullptr) {
    return DataLoss("{}: postings at {} are no set of {} groups", block_.path(), postings.offset,
                    postings.group_count);
  }
  const Roaring found(bitmap);
  *groups |= found;
  return OkStatus();
}

Status BlockSelector::CheckPostings() const {
  std::vector<Roaring> groups_of_pair(block_.pairs_.size());
  std::vector<Roaring> groups_of_schema(block_.schemas_.size());
  for (uint32_t i = 0; i < block_.group_count(); ++i) {
    const GroupRecord& group = block_.groups_[i];
    groups_of_schema[group.schema].add(i);
    for (const uint32_t pair : block_.group_labels_.subspan(group.first_label, group.label_count)) {
      groups_of_pair[pair].add(i);
    }
  }
  const auto check = [&](const PostingsRef& postings, const Roaring& expected) -> Status {
    Roaring stored;
    RETURN_IF_ERROR(AddPostings(postings, &stored));
    if (!(stored == expected)) {
      return DataLoss("{}: postings at {} are not those of the groups", block_.path(),
                      postings.offset);
    }
    return OkStatus();
  };
  for (size_t i = 0; i < groups_of_pair.size(); ++i) {
    RETURN_IF_ERROR(check(block_.pairs_[i].groups, groups_of_pair[i]));
  }
  for (size_t i = 0; i < groups_of_schema.size(); ++i) {
    RETURN_IF_ERROR(check(block_.schemas_[i].groups, groups_of_schema[i]));
  }
  return OkStatus();
}

}  // namespace tsdbd::storage
