#include "tsdb/selection.h"

#include <algorithm>

#include "common/check.h"
#include "tsdb/edge_reader.h"
#include "tsdb/rows.h"
#include "tsdb/step_reader.h"

namespace tsdbd::tsdb {
namespace {

// Between looks at the cancel flag while sources are added.
constexpr size_t kGroupsPerCancelCheck = 1024;
// Groups or series whose memory is fetched ahead: enough for the misses to overlap.
constexpr size_t kPrefetchDistance = 16;

// Where a series is looked for whose hash another one has.
uint64_t Rehash(uint64_t hash) {
  return hash * 0x9E3779B97F4A7C15 + 1;
}

}  // namespace

// ---- Selecting

Status Selection::CheckLimits(const model::SelectRequest& request) const {
  if (request.cancel != nullptr && request.cancel->cancelled()) {
    return MakeStatus(StatusCode::kCancelled, "the query was cancelled");
  }
  if (request.max_series != 0 && series_.size() > request.max_series) {
    return ResourceExhausted("the selector matches more series than the limit of {}",
                             request.max_series);
  }
  return OkStatus();
}

Status Selection::AddHead(const Head& head, const model::SelectRequest& request) {
  ASSIGN_OR_RETURN(const index::SelectedGroups selected,
                   head.index()->Select(request.matchers, /*max_series=*/0));
  head_sources_.reserve(selected.groups.size());
  columns_.reserve(selected.series_count);
  series_.reserve(selected.series_count);
  for (size_t i = 0; i < selected.groups.size(); ++i) {
    if (i % kGroupsPerCancelCheck == 0) {
      RETURN_IF_ERROR(CheckLimits(request));
    }
    if (i + kPrefetchDistance < selected.groups.size()) {
      Head::PrefetchSnapshot(
          static_cast<const Group*>(selected.groups[i + kPrefetchDistance].group));
    }
    const index::SelectedGroups::Entry& entry = selected.groups[i];
    auto* group = static_cast<Group*>(entry.group);
    AddGroup(*group, Head::Snapshot(group, request.range), selected.columns[entry.columns].columns);
  }
  return CheckLimits(request);
}

void Selection::AddGroup(const Group& group, const GroupSnapshot& snapshot,
                         std::span<const uint32_t> columns) {
  if (snapshot.frozen.empty() && snapshot.active.empty()) {
    return;
  }
  if (snapshot.ordered) {
    IndexSeries();
  }
  const bool has_both = !snapshot.frozen.empty() && !snapshot.active.empty();
  const auto source = static_cast<uint32_t>(head_sources_.size());
  CHECK(source < Column::kInBlock - 1);
  head_sources_.push_back({&group, snapshot.frozen.empty() ? snapshot.active : snapshot.frozen});
  if (has_both) {
    head_sources_.push_back({&group, snapshot.active});
  }
  for (const uint32_t column : columns) {
    const uint32_t series = AddColumn({.source = source, .column = column});
    if (has_both) {
      AppendColumn(series, {.source = source + 1, .column = column});
    }
  }
}

Status Selection::AddBlocks(storage::BlockManager* blocks, const model::SelectRequest& request) {
  // Precedence rises with the generation, whatever the partition.
  blocks_ = blocks->Snapshot();
  for (const std::shared_ptr<const storage::Block>& block : *blocks_) {
    if (!request.range.Overlaps({block->meta().min_time, block->meta().max_time})) {
      continue;
    }
    if (!series_.empty()) {
      IndexSeries();
    }
    const Status status = AddBlock(block, request);
    if (status.code() == StatusCode::kDataLoss) {
      blocks->Quarantine(block, status);
      continue;
    }
    RETURN_IF_ERROR(status);
    RETURN_IF_ERROR(CheckLimits(request));
  }
  return OkStatus();
}

Status Selection::AddBlock(const std::shared_ptr<const storage::Block>& shared_block,
                           const model::SelectRequest& request) {
  const storage::Block& block = *shared_block;
  ASSIGN_OR_RETURN(const storage::BlockSelection selected, block.Select(request.matchers));
  ASSIGN_OR_RETURN(auto deleted, deletions_.Of(shared_block, now_));
  const auto deletions =
      deleted == nullptr ? kNone : static_cast<uint32_t>(block_deletions_.size());
  if (deleted != nullptr) {
    block_deletions_.push_back(std::move(deleted));
  }
  for (const storage::SelectedGroup& entry : selected.groups) {
    if (block.IsOrdered(entry.group)) {
      IndexSeries();
    }
    const auto source = static_cast<uint32_t>(block_sources_.size());
    CHECK(source < Column::kInBlock);
    block_sources_.push_back({&block, entry.group, deletions});
    for (const uint32_t column : selected.column_sets[entry.column_set]) {
      if (deletions != kNone && IsDeleted(block_sources_.back(), column)) {
        continue;
      }
      AddColumn({.source = source | Column::kInBlock, .column = column});
    }
  }
  return OkStatus();
}

void Selection::IndexSeries() {
  if (is_indexed_) {
    return;
  }
  is_indexed_ = true;
  series_of_hash_.reserve(series_.size());
  for (uint32_t series = 0; series < series_.size(); ++series) {
    uint64_t hash = HashOf(columns_[series_[series].first_column]);
    while (!series_of_hash_.try_emplace(hash, series).second) {
      hash = Rehash(hash);
    }
  }
}

uint32_t Selection::AddColumn(const Column& column) {
  const uint32_t series = is_indexed_ ? FindSeries(column) : kNone;
  if (series == kNone) {
    return AddSeries(column);
  }
  AppendColumn(series, column);
  return series;
}

uint32_t Selection::FindSeries(const Column& column) {
  model::LabelViews labels;
  model::LabelViews candidate_labels;
  const auto next_series = static_cast<uint32_t>(series_.size());
  for (uint64_t hash = HashOf(column);; hash = Rehash(hash)) {
    const auto [entry, is_new] = series_of_hash_.try_emplace(hash, next_series);
    if (is_new) {
      return kNone;
    }
    if (labels.empty()) {
      GetLabelsOf(column, &labels);
    }
    GetLabelsOf(columns_[series_[entry->second].first_column], &candidate_labels);
    if (labels == candidate_labels) {
      return entry->second;
    }
  }
}

uint32_t Selection::AddSeries(const Column& column) {
  const auto column_index = static_cast<uint32_t>(columns_.size());
  columns_.push_back(column);
  series_.push_back({.first_column = column_index, .last_column = column_index});
  return static_cast<uint32_t>(series_.size() - 1);
}

void Selection::AppendColumn(uint32_t series, const Column& column) {
  const auto column_index = static_cast<uint32_t>(columns_.size());
  columns_.push_back(column);
  columns_[series_[series].last_column].next = column_index;
  series_[series].last_column = column_index;
}

// ---- Labels

uint64_t Selection::HashOf(const Column& column) const {
  if (!column.is_in_block()) {
    return HeadOf(column).group->SeriesHash(column.column);
  }
  const auto& [block, group, deletions] = BlockOf(column);
  const std::string_view value = block->ColumnValue(group, column.column);
  return block->LabelsHash(group) +
         (value.empty() ? 0 : model::HashLabel(block->ColumnLabel(group), value));
}

void Selection::GetLabels(size_t series, model::LabelViews* labels) const {
  GetLabelsOf(columns_[series_[series].first_column], labels);
}

void Selection::GetLabelsOf(const Column& column, model::LabelViews* labels) const {
  model::LabelView column_label;
  if (!column.is_in_block()) {
    const Group& group = *HeadOf(column).group;
    labels->clear();
    for (const index::LabelPair* pair : group.label_span()) {
      labels->push_back({pair->name->name, pair->value()});
    }
    column_label = {group.schema->column_label, group.schema->column_values[column.column]};
  } else {
    const auto& [block, group, deletions] = BlockOf(column);
    block->GetLabels(group, labels);
    column_label = {block->ColumnLabel(group), block->ColumnValue(group, column.column)};
  }
  if (!column_label.value.empty()) {
    labels->insert(std::ranges::lower_bound(*labels, column_label), column_label);
  }
}

// Finds the label of one name in group after group. Groups that follow each other mostly have the
// same names, so it is where it was in the group before, and interned names are compared as
// pointers.
class Selection::LabelFinder {
 public:
  explicit LabelFinder(std::string_view name) : name_(name) {}

  size_t position() const { return position_; }

  std::string_view Find(const Group& group, uint32_t column) {
    if (group.schema != schema_) {
      schema_ = group.schema;
      is_column_label_ = schema_->column_label == name_;
    }
    if (is_column_label_ && !schema_->column_values[column].empty()) {
      return schema_->column_values[column];
    }
    const std::span<index::LabelPair* const> labels = group.label_span();
    if (position_ < labels.size() && labels[position_]->name == interned_name_) {
      return labels[position_]->value();
    }
    return Search(labels);
  }

  std::string_view Find(const storage::Block& block, uint32_t group, uint32_t column) {
    if (&block != block_) {
      block_ = &block;
      number_in_block_ = block.FindName(name_);
    }
    if (block.ColumnLabel(group) == name_ && !block.ColumnValue(group, column).empty()) {
      return block.ColumnValue(group, column);
    }
    return block.LabelValue(group, number_in_block_);
  }

 private:
  std::string_view Search(std::span<index::LabelPair* const> labels) {
    for (size_t i = 0; i < labels.size(); ++i) {
      const index::LabelName* name = labels[i]->name;
      if (name == interned_name_ || (interned_name_ == nullptr && name->name == name_)) {
        interned_name_ = name;
        position_ = i;
        return labels[i]->value();
      }
    }
    return {};
  }

  const std::string_view name_;
  const index::LabelName* interned_name_ = nullptr;  // once it has been met
  size_t position_ = 0;
  const index::Schema* schema_ = nullptr;
  bool is_column_label_ = false;
  const storage::Block* block_ = nullptr;
  uint32_t number_in_block_ = storage::Block::kNoName;
};

void Selection::PrefetchLabels(size_t series, size_t position) const {
  const Column& column = columns_[series_[series].first_column];
  if (!column.is_in_block()) {
    const Group* group = HeadOf(column).group;
    __builtin_prefetch(group);
    // The head puts a group's labels behind it.
    __builtin_prefetch(reinterpret_cast<index::LabelPair* const*>(group + 1) + position);
  }
}

void Selection::GetLabelValues(std::string_view name, size_t first_series, size_t series_count,
                               std::string_view* values) const {
  LabelFinder finder(name);
  for (size_t i = 0; i < series_count; ++i) {
    if (i + kPrefetchDistance < series_count) {
      PrefetchLabels(first_series + i + kPrefetchDistance, finder.position());
    }
    const Column& column = columns_[series_[first_series + i].first_column];
    values[i] = column.is_in_block()
                    ? finder.Find(*BlockOf(column).block, BlockOf(column).group, column.column)
                    : finder.Find(*HeadOf(column).group, column.column);
  }
}

// ---- Samples

void Selection::AddPartsOf(size_t series, const PartFilter& filter,
                           std::vector<RowPart>* parts) const {
  for (uint32_t i = series_[series].first_column; i != kNone; i = columns_[i].next) {
    const Column& column = columns_[i];
    const size_t first_part = parts->size();
    if (!column.is_in_block()) {
      AddParts(HeadOf(column).rows, column.column, filter, parts);
      ApplyRules(column, first_part, parts);
      continue;
    }
    const BlockSource& source = BlockOf(column);
    std::vector<model::TimeRange> deleted;
    if (source.deletions != kNone) {
      FindDeletedRanges(source, column.column, &deleted);
    }
    if (deleted.empty()) {
      AddParts(*source.block, source.group, column.column, filter, parts);
      continue;
    }
    // The latest row at a moment may be a deleted one.
    AddParts(*source.block, source.group, column.column, {.range = filter.range}, parts);
    ClipParts(deleted, first_part, parts);
  }
}

void Selection::FindDeletedRanges(const BlockSource& source, uint32_t column,
                                  std::vector<model::TimeRange>* ranges) const {
  ranges->clear();
  storage::AddDeletedRanges(*block_deletions_[source.deletions], source.group, column, ranges);
  storage::JoinRanges(ranges);
}

bool Selection::IsDeleted(const BlockSource& source, uint32_t column) const {
  std::vector<model::TimeRange> ranges;
  FindDeletedRanges(source, column, &ranges);
  const std::span<const storage::ChunkRef> chunks = source.block->Chunks(source.group);
  return std::ranges::any_of(ranges, [&](const model::TimeRange& range) {
    return chunks.empty() ||
           (range.Contains(chunks.front().min_time) && range.Contains(chunks.back().max_time));
  });
}

void Selection::ApplyRules(const Column& column, size_t first_part,
                           std::vector<RowPart>* parts) const {
  model::LabelViews labels;
  for (const RetentionRule& rule : deletions_.rules()) {
    const model::TimeRange old = {model::kMinTimestamp, now_ - rule.age_ns - 1};
    const bool has_old =
        std::any_of(parts->begin() + static_cast<ptrdiff_t>(first_part), parts->end(),
                    [&](const RowPart& part) { return part.min_time <= old.max; });
    if (!has_old) {
      continue;
    }
    GetLabelsOf(column, &labels);
    const bool matches = std::ranges::all_of(rule.selector, [&](const model::Matcher& matcher) {
      const auto label = std::ranges::find(labels, matcher.name(), &model::LabelView::name);
      return matcher.Matches(label == labels.end() ? std::string_view() : label->value);
    });
    if (matches) {
      ClipParts({&old, 1}, first_part, parts);
    }
  }
}

Status Selection::Read(size_t series, const model::TimeRange& range,
                       model::SampleColumns* samples) const {
  thread_local std::vector<RowPart> parts;
  parts.clear();
  AddPartsOf(series, {.range = range}, &parts);
  ReadColumn(&parts, range, samples);
  return OkStatus();
}

void Selection::PrefetchRows(size_t series) const {
  const Column& column = columns_[series_[series].last_column];
  if (column.is_in_block()) {
    return;
  }
  const RowsSnapshot& rows = HeadOf(column).rows;
  if (rows.row_count > 0) {
    __builtin_prefetch(BufferRow(rows, rows.row_count - 1));
    __builtin_prefetch(rows.buffer);
  }
  if (rows.chunk_count > 0) {
    __builtin_prefetch(rows.chunks + rows.chunk_count - 1);
  }
}

Status Selection::ReadSteps(size_t first_series, size_t series_count, const model::StepTimes& times,
                            double* values) const {
  StepReader reader(times);
  std::vector<RowPart> parts;
  for (size_t i = 0; i < series_count; ++i, values += times.count) {
    if (i + kPrefetchDistance < series_count) {
      PrefetchRows(first_series + i + kPrefetchDistance);
    }
    const Series& series = series_[first_series + i];
    const Column& column = columns_[series.first_column];
    const bool has_one_source = series.first_column == series.last_column;
    if (has_one_source && !column.is_in_block() &&
        (deletions_.rules().empty() || reader.range().min > rules_reach_to_) &&
        reader.ReadFromBuffer(HeadOf(column).rows, column.column, values)) {
      continue;
    }
    parts.clear();
    if (reader.range().min <= reader.range().max) {
      AddPartsOf(first_series + i, {reader.range(), reader.moments()}, &parts);
    }
    reader.Read(&parts, values);
  }
  return OkStatus();
}

Status Selection::ReadEdges(size_t series, const model::EdgeRequest& request,
                            model::EdgeSamples* samples) const {
  thread_local std::vector<RowPart> parts;
  parts.clear();
  EdgeReader reader(request);
  if (reader.range().min <= reader.range().max) {
    AddPartsOf(series, {.range = reader.range()}, &parts);
  }
  reader.Read(&parts, samples);
  return OkStatus();
}

}  // namespace tsdbd::tsdb
