#include "query/result_labels.h"

#include <algorithm>
#include <utility>

namespace tsdbd::query {
namespace {

Status SameLabels() {
  return FailedPrecondition("vector cannot contain metrics with the same labelset");
}

void DropName(model::LabelViews* labels) {
  std::erase_if(*labels, [](const model::LabelView& l) { return l.name == model::kMetricName; });
}

// Adds the samples of `from` to `*into`, in the order of their times.
Status Merge(const model::SampleColumns& from, model::SampleColumns* into) {
  model::SampleColumns merged;
  size_t a = 0;
  size_t b = 0;
  while (a < into->size() || b < from.size()) {
    const bool a_is_next =
        b == from.size() || (a < into->size() && into->timestamps[a] < from.timestamps[b]);
    if (!a_is_next && a < into->size() && into->timestamps[a] == from.timestamps[b]) {
      return SameLabels();
    }
    const model::SampleColumns& source = a_is_next ? *into : from;
    size_t* const index = a_is_next ? &a : &b;
    merged.timestamps.push_back(source.timestamps[*index]);
    merged.values.push_back(source.values[*index]);
    ++*index;
  }
  *into = std::move(merged);
  return OkStatus();
}

Status MergeEqualSeries(std::vector<MatrixSeries>* matrix) {
  size_t kept = 0;
  for (size_t i = 1; i < matrix->size(); ++i) {
    if ((*matrix)[i].labels != (*matrix)[kept].labels) {
      if (++kept != i) {
        (*matrix)[kept] = std::move((*matrix)[i]);
      }
      continue;
    }
    RETURN_IF_ERROR(Merge((*matrix)[i].samples, &(*matrix)[kept].samples));
  }
  matrix->resize(std::min(kept + 1, matrix->size()));
  return OkStatus();
}

}  // namespace

void SortByLabels(QueryResult* result) {
  std::ranges::sort(result->vector, {}, &VectorSample::labels);
  std::ranges::sort(result->matrix, {}, &MatrixSeries::labels);
}

Status DropMetricNames(QueryResult* result) {
  for (VectorSample& sample : result->vector) {
    DropName(&sample.labels);
  }
  for (MatrixSeries& series : result->matrix) {
    DropName(&series.labels);
  }
  SortByLabels(result);
  const auto same = std::ranges::adjacent_find(result->vector, {}, &VectorSample::labels);
  if (same != result->vector.end()) {
    return SameLabels();
  }
  return MergeEqualSeries(&result->matrix);
}

}  // namespace tsdbd::query
