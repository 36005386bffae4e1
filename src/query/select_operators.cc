#include "query/select_operators.h"

#include <span>

#include "common/stages.h"

namespace tsdbd::query {
namespace {

using model::SampleColumns;

// The index of the first staleness marker, or of a value a little before it.
size_t FindStaleMarker(std::span<const double> values) {
  constexpr size_t kRun = 64;  // long enough to vectorise
  size_t run = 0;
  for (; run + kRun <= values.size(); run += kRun) {
    int64_t found = 0;
    for (size_t i = run; i < run + kRun; ++i) {
      found |= model::IsStaleMarker(values[i]) ? -1 : 0;
    }
    if (found != 0) {
      return run;
    }
  }
  return run;
}

// `ordinals`, which may be empty, are those of the samples; all staleness markers are among them.
void DropStaleMarkers(SampleColumns* samples, std::vector<uint32_t>* ordinals) {
  const bool has_ordinals = !ordinals->empty();
  size_t kept = FindStaleMarker(samples->values);
  for (size_t i = kept; i < samples->size(); ++i) {
    if (!model::IsStaleMarker(samples->values[i])) {
      if (has_ordinals) {
        (*ordinals)[kept] = (*ordinals)[i] - static_cast<uint32_t>(i - kept);
      }
      samples->timestamps[kept] = samples->timestamps[i];
      samples->values[kept++] = samples->values[i];
    }
  }
  samples->timestamps.resize(kept);
  samples->values.resize(kept);
  if (has_ordinals) {
    ordinals->resize(kept);
  }
}

void DropStaleMarkers(SampleColumns* samples) {
  std::vector<uint32_t> no_ordinals;
  DropStaleMarkers(samples, &no_ordinals);
}

// Reads one series and accounts for it.
Status ReadSamples(Execution* execution, const model::SeriesSet& set, size_t series,
                   const model::TimeRange& range, SampleColumns* samples) {
  RETURN_IF_ERROR(execution->CheckAlive());
  StageTimer timer(Stage::kQueryDecode);
  RETURN_IF_ERROR(set.Read(series, range, samples));
  timer.set_items(samples->size());
  execution->CountSamples(samples->size());
  return execution->CheckSampleCount(samples->size());
}

}  // namespace

StatusOr<std::shared_ptr<const model::SeriesSet>> SelectSeries(
    const Execution& execution, const std::vector<model::Matcher>& matchers,
    const model::StepTimes& times) {
  const model::SelectRequest request{.matchers = matchers,
                                     .range = times.Range(),
                                     .max_series = execution.options().max_series,
                                     .cancel = execution.options().cancel};
  if (request.range.min > request.range.max) {
    return nullptr;
  }
  RETURN_IF_ERROR(execution.CheckAlive());
  StageTimer timer(Stage::kQuerySelect);
  StatusOr<std::unique_ptr<model::SeriesSet>> set = execution.source().Select(request);
  if (set.ok()) {
    timer.set_items((*set)->size());
    return std::shared_ptr<const model::SeriesSet>(std::move(*set));
  }
  if (set.status().code() == StatusCode::kCancelled) {
    return execution.InterruptReason();
  }
  return MakeStatus(set.status().code(), "expanding series: {}", Message(set.status()));
}

// ---- SelectOperator

Status SelectOperator::DoPrepare() {
  ASSIGN_OR_RETURN(set_, SelectSeries(execution(), matchers_, times_));
  set_series_count(set_ == nullptr ? 0 : set_->size());
  return OkStatus();
}

Status SelectOperator::DoCompute(size_t first, size_t count, double* values) {
  StageTimer timer(Stage::kQueryDecode);
  RETURN_IF_ERROR(set_->ReadSteps(first, count, times_, values));
  timer.set_items(count * steps());
  execution().CountSamples(count * steps());
  return OkStatus();
}

void SelectOperator::GetLabels(size_t series, model::LabelViews* labels) const {
  set_->GetLabels(series, labels);
}

void SelectOperator::GetLabelValues(std::string_view name, size_t first, size_t count,
                                    std::string_view* values) const {
  set_->GetLabelValues(name, first, count, values);
}

// ---- SampleTimeOperator

Status SampleTimeOperator::DoCompute(size_t first, size_t count, double* values) {
  SampleColumns samples;
  for (size_t i = 0; i < count; ++i) {
    RETURN_IF_ERROR(ReadSamples(&execution(), set(), first + i, times().Range(), &samples));
    size_t next = 0;  // the first sample behind the moment
    for (size_t step = 0; step < steps(); ++step) {
      const model::Timestamp moment = times().At(step);
      while (next < samples.size() && samples.timestamps[next] <= moment) {
        ++next;
      }
      const bool found = next > 0 && samples.timestamps[next - 1] >= times().Window(moment).min &&
                         !model::IsStaleMarker(samples.values[next - 1]);
      *values++ = found ? ToSeconds(samples.timestamps[next - 1]) : kAbsent;
    }
  }
  return OkStatus();
}

// ---- SmoothedSelectOperator

Status SmoothedSelectOperator::DoCompute(size_t first, size_t count, double* values) {
  SampleColumns samples;
  for (size_t i = 0; i < count; ++i, values += steps()) {
    RETURN_IF_ERROR(ReadSamples(&execution(), set(), first + i, times().Range(), &samples));
    DropStaleMarkers(&samples);
    SmoothSteps(samples, moments_, moments_.window_ns, {values, steps()});
  }
  return OkStatus();
}

// ---- Ranges

Status StoredRanges::Prepare() {
  ASSIGN_OR_RETURN(set_, SelectSeries(*execution_, matchers_, windows_));
  return OkStatus();
}

Status StoredRanges::Read(size_t series, SampleColumns* samples) const {
  RETURN_IF_ERROR(ReadSamples(execution_, *set_, series, windows_.Range(), samples));
  DropStaleMarkers(samples);
  return OkStatus();
}

Status StoredRanges::ReadEdges(size_t series, bool with_falls, model::EdgeSamples* samples) const {
  RETURN_IF_ERROR(execution_->CheckAlive());
  StageTimer timer(Stage::kQueryDecode);
  RETURN_IF_ERROR(
      set_->ReadEdges(series, {.windows = windows_, .with_falls = with_falls}, samples));
  timer.set_items(samples->columns.size());
  execution_->CountSamples(samples->columns.size());
  RETURN_IF_ERROR(execution_->CheckSampleCount(samples->columns.size()));
  DropStaleMarkers(&samples->columns, &samples->ordinals);
  return OkStatus();
}

Status SubqueryRanges::Read(size_t series, SampleColumns* samples) const {
  const StepGrid& grid = steps_->grid();
  samples->values.resize(grid.count);
  samples->timestamps.resize(grid.count);
  RETURN_IF_ERROR(steps_->Compute(series, 1, samples->values.data()));
  for (size_t step = 0; step < grid.count; ++step) {
    samples->timestamps[step] = grid.TimeAt(step);
  }
  DropStaleMarkers(samples);
  return OkStatus();
}

}  // namespace tsdbd::query
