#include "tsdb/selection.h"

#include <algorithm>

#include "tsdb/rows.h"

namespace tsdbd::tsdb {
namespace {

// Between looks at the cancel flag while sources are added.
constexpr size_t kGroupsPerCancelCheck = 1024;

bool HasRowsIn(const GroupRows& rows, const model::TimeRange& range) {
  return !rows.empty() && range.Overlaps({rows.min_time, rows.max_time});
}

}  // namespace

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
  for (size_t i = 0; i < selected.groups.size(); ++i) {
    if (i % kGroupsPerCancelCheck == 0) {
      RETURN_IF_ERROR(CheckLimits(request));
    }
    const index::SelectedGroups::Entry& entry = selected.groups[i];
    auto* group = static_cast<Group*>(entry.group);
    const GroupSnapshot rows = Head::Snapshot(group);
    if (!HasRowsIn(rows.frozen, request.range) && !HasRowsIn(rows.active, request.range)) {
      continue;
    }
    if (rows.ordered) {
      IndexSeries();
    }
    sources_.push_back({.group = group, .rows = rows, .block = nullptr, .block_group = 0});
    for (const uint32_t column : selected.columns[entry.columns].columns) {
      AddColumn(column, group->SeriesHash(column));
    }
  }
  return CheckLimits(request);
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
    const Status status = AddBlock(*block, request);
    if (status.code() == StatusCode::kDataLoss) {
      blocks->Quarantine(block, status);
      continue;
    }
    RETURN_IF_ERROR(status);
    RETURN_IF_ERROR(CheckLimits(request));
  }
  return OkStatus();
}

Status Selection::AddBlock(const storage::Block& block, const model::SelectRequest& request) {
  ASSIGN_OR_RETURN(const storage::BlockSelection selected, block.Select(request.matchers));
  for (const storage::SelectedGroup& entry : selected.groups) {
    if (block.IsOrdered(entry.group)) {
      IndexSeries();
    }
    const uint64_t labels_hash = block.LabelsHash(entry.group);
    sources_.push_back({.group = nullptr, .rows = {}, .block = &block, .block_group = entry.group});
    for (const uint32_t column : selected.column_sets[entry.column_set]) {
      const std::string_view value = block.ColumnValue(entry.group, column);
      const uint64_t column_hash =
          value.empty() ? 0 : model::HashLabel(block.ColumnLabel(entry.group), value);
      AddColumn(column, labels_hash + column_hash);
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
    series_of_hash_[series_[series].hash].push_back(series);
  }
}

void Selection::AddColumn(uint32_t column, uint64_t series_hash) {
  const auto column_index = static_cast<uint32_t>(columns_.size());
  columns_.push_back({static_cast<uint32_t>(sources_.size() - 1), column, kNone});
  if (is_indexed_) {
    std::vector<uint32_t>& candidates = series_of_hash_[series_hash];
    model::LabelViews labels;
    model::LabelViews candidate_labels;
    if (!candidates.empty()) {
      GetLabelsOf(columns_.back(), &labels);
    }
    for (const uint32_t candidate : candidates) {
      Series& series = series_[candidate];
      GetLabelsOf(columns_[series.first_column], &candidate_labels);
      if (labels == candidate_labels) {
        columns_[series.last_column].next = column_index;
        series.last_column = column_index;
        return;
      }
    }
    candidates.push_back(static_cast<uint32_t>(series_.size()));
  }
  series_.push_back({series_hash, column_index, column_index});
}

void Selection::GetLabels(size_t series, model::LabelViews* labels) const {
  GetLabelsOf(columns_[series_[series].first_column], labels);
}

void Selection::GetLabelsOf(const Column& column, model::LabelViews* labels) const {
  const Source& source = sources_[column.source];
  model::LabelView column_label;
  if (source.group != nullptr) {
    labels->clear();
    for (const index::LabelPair* pair : source.group->label_span()) {
      labels->push_back({pair->name->name, pair->value()});
    }
    const index::Schema& schema = *source.group->schema;
    column_label = {schema.column_label, schema.column_values[column.column]};
  } else {
    source.block->GetLabels(source.block_group, labels);
    column_label = {source.block->ColumnLabel(source.block_group),
                    source.block->ColumnValue(source.block_group, column.column)};
  }
  if (!column_label.value.empty()) {
    labels->insert(std::ranges::lower_bound(*labels, column_label), column_label);
  }
}

void Selection::AddPartsOf(const Column& column, const model::TimeRange& range,
                           std::vector<RowPart>* parts) const {
  const Source& source = sources_[column.source];
  if (source.group == nullptr) {
    AddParts(*source.block, source.block_group, column.column, range, parts);
    return;
  }
  const auto column_count = static_cast<uint32_t>(source.group->column_count());
  AddParts(source.rows.frozen, column.column, column_count, range, parts);
  AddParts(source.rows.active, column.column, column_count, range, parts);
}

Status Selection::Read(size_t series, const model::TimeRange& range,
                       model::SampleColumns* samples) const {
  samples->Clear();
  std::vector<RowPart> parts;
  for (uint32_t i = series_[series].first_column; i != kNone; i = columns_[i].next) {
    AddPartsOf(columns_[i], range, &parts);
  }
  const RowSink sink{.timestamps = &samples->timestamps, .columns = {&samples->values, 1}};
  return ForEachCluster(
      &parts, [&](std::span<const RowPart> cluster) { return ReadCluster(cluster, range, sink); });
}

}  // namespace tsdbd::tsdb
