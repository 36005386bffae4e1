#include "query/result_builder.h"

#include <algorithm>

#include "common/clock.h"
#include "query/merged_rows.h"

namespace tsdbd::query {
namespace {

// Vectors up to here come sorted by labels: cheap, and people like to find things where they were.
// (Prometheus gives no order for them either, except that of a sort.)
constexpr size_t kMaxSortedVector = 1000;

uint64_t LabelBytes(const model::LabelViews& labels) {
  return sizeof(VectorSample) + labels.capacity() * sizeof(model::LabelView);
}

Status CheckDifferent(const std::vector<VectorSample>& vector) {
  std::vector<uint64_t> hashes;
  hashes.reserve(vector.size());
  for (const VectorSample& sample : vector) {
    hashes.push_back(model::HashLabels(sample.labels));
  }
  std::ranges::sort(hashes);
  return std::ranges::adjacent_find(hashes) == hashes.end() ? OkStatus() : SameLabelsError();
}

// Makes one of neighbours with the same labels.
Status MergeEqual(std::vector<MatrixSeries>* matrix, std::vector<std::vector<double>>* merged) {
  size_t kept = 0;
  for (size_t i = 1; i < matrix->size(); ++i) {
    MatrixSeries& last = (*matrix)[kept];
    if ((*matrix)[i].labels != last.labels) {
      ++kept;
      if (kept != i) {
        (*matrix)[kept] = std::move((*matrix)[i]);
      }
      continue;
    }
    std::vector<double>& row = merged->emplace_back(last.row.begin(), last.row.end());
    if (!MergeRow((*matrix)[i].row, row)) {
      return SameLabelsError();
    }
    last.row = row;
  }
  matrix->resize(std::min(kept + 1, matrix->size()));
  return OkStatus();
}

// Makes one of neighbours with the same labels, in the order of their times.
Status MergeEqualSamples(std::vector<MatrixSeries>* matrix) {
  size_t kept = 0;
  for (size_t i = 1; i < matrix->size(); ++i) {
    MatrixSeries& last = (*matrix)[kept];
    MatrixSeries& next = (*matrix)[i];
    if (next.labels != last.labels) {
      ++kept;
      if (kept != i) {
        (*matrix)[kept] = std::move(next);
      }
      continue;
    }
    model::SampleColumns merged;
    size_t a = 0;
    size_t b = 0;
    while (a < last.samples.size() || b < next.samples.size()) {
      const bool takes_last =
          b == next.samples.size() ||
          (a < last.samples.size() && last.samples.timestamps[a] < next.samples.timestamps[b]);
      const model::SampleColumns& from = takes_last ? last.samples : next.samples;
      size_t* const index = takes_last ? &a : &b;
      if (!merged.timestamps.empty() && merged.timestamps.back() == from.timestamps[*index]) {
        return SameLabelsError();
      }
      merged.timestamps.push_back(from.timestamps[*index]);
      merged.values.push_back(from.values[*index]);
      ++*index;
    }
    last.samples = std::move(merged);
  }
  matrix->resize(std::min(kept + 1, matrix->size()));
  return OkStatus();
}

}  // namespace

Status BuildVector(Execution* execution, const OperatorPtr& root, QueryResult* result) {
  ASSIGN_OR_RETURN(const std::vector<double> values, ComputeAll(*execution, *root));
  result->pins.push_back(root);
  bool drops_names = false;
  uint64_t label_bytes = 0;
  for (size_t series = 0; series < values.size(); ++series) {
    if (IsAbsent(values[series])) {
      continue;
    }
    VectorSample& sample = result->vector.emplace_back();
    sample.value = values[series];
    root->GetLabels(series, &sample.labels);
    if (root->DropsName(series)) {
      drops_names = true;
      DropMetadataLabels(&sample.labels);
    }
    label_bytes += LabelBytes(sample.labels);
    if (series % 1024 == 0) {
      RETURN_IF_ERROR(execution->Reserve(label_bytes));
      label_bytes = 0;
      RETURN_IF_ERROR(execution->CheckAlive());
    }
  }
  RETURN_IF_ERROR(execution->Reserve(label_bytes));
  const int64_t start_ns = MonotonicNanos();
  if (!root->ordered() && result->vector.size() <= kMaxSortedVector) {
    std::ranges::sort(result->vector, {}, &VectorSample::labels);
  }
  result->stats.sort_ns = MonotonicNanos() - start_ns;
  return drops_names ? CheckDifferent(result->vector) : OkStatus();
}

Status BuildMatrix(Execution* execution, const OperatorPtr& root, QueryResult* result) {
  struct Rows {
    OperatorPtr root;
    std::vector<double> values;
    std::vector<std::vector<double>> merged;
  };
  const auto rows = std::make_shared<Rows>();
  rows->root = root;
  ASSIGN_OR_RETURN(rows->values, ComputeAll(*execution, *root));
  const size_t steps = root->grid().count;
  bool drops_names = false;
  for (size_t series = 0; series < root->series_count(); ++series) {
    const std::span<const double> row(rows->values.data() + series * steps, steps);
    if (std::ranges::all_of(row, IsAbsent)) {
      continue;
    }
    MatrixSeries& added = result->matrix.emplace_back();
    added.row = row;
    root->GetLabels(series, &added.labels);
    if (root->DropsName(series)) {
      drops_names = true;
      DropMetadataLabels(&added.labels);
    }
    RETURN_IF_ERROR(execution->Reserve(LabelBytes(added.labels)));
  }
  result->grid = root->grid();
  const int64_t start_ns = MonotonicNanos();
  std::ranges::sort(result->matrix, {}, &MatrixSeries::labels);
  result->stats.sort_ns = MonotonicNanos() - start_ns;
  if (drops_names) {
    RETURN_IF_ERROR(MergeEqual(&result->matrix, &rows->merged));
  }
  result->pins.push_back(rows);
  return OkStatus();
}

Status BuildSamples(Execution* execution, std::shared_ptr<const PlannedRange> range,
                    QueryResult* result) {
  const RangeSource& source = *range->source;
  const model::TimeRange window = range->windows.Window(range->windows.At(0));
  uint64_t samples = 0;
  for (size_t i = 0; i < source.series_count(); ++i) {
    MatrixSeries series;
    RETURN_IF_ERROR(source.Read(i, &series.samples));
    // A sub-query's first steps may lie before the window.
    const auto begin = std::ranges::lower_bound(series.samples.timestamps, window.min);
    const auto before = begin - series.samples.timestamps.begin();
    series.samples.values.erase(series.samples.values.begin(),
                                series.samples.values.begin() + before);
    series.samples.timestamps.erase(series.samples.timestamps.begin(), begin);
    if (series.samples.size() == 0) {
      continue;
    }
    samples += series.samples.size();
    RETURN_IF_ERROR(execution->CheckSampleCount(samples));
    RETURN_IF_ERROR(execution->Reserve(16 * series.samples.size()));
    source.GetLabels(i, &series.labels);
    if (source.DropsName(i)) {
      DropMetadataLabels(&series.labels);
    }
    result->matrix.push_back(std::move(series));
  }
  result->pins.push_back(std::move(range));
  std::ranges::sort(result->matrix, {}, &MatrixSeries::labels);
  return MergeEqualSamples(&result->matrix);
}

}  // namespace tsdbd::query
