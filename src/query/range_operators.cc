#include "query/range_operators.h"

#include <algorithm>
#include <cstring>

#include "query/text.h"

namespace tsdbd::query {
namespace {

using model::SampleColumns;
using model::Timestamp;

// The most samples that the windows of one call of a range function may have, each window counted
// for itself: some ms of work, between two looks at whether the query is to stop. Functions that
// slide look at each sample about once, however many windows it is in.
constexpr uint64_t kMaxVisitsPerCall = 1 << 20;
constexpr uint64_t kMaxSlidingVisitsPerCall = 1 << 26;

bool LooksLikeCounter(std::string_view metric_name) {
  return metric_name.empty() || metric_name.ends_with("_total") || metric_name.ends_with("_sum") ||
         metric_name.ends_with("_count") || metric_name.ends_with("_bucket");
}

}  // namespace

struct RangeOperator::Scratch {
  model::EdgeSamples samples;
  // The windows over `samples`, and the timestamps they were found for: series that are scraped
  // together have the same.
  std::vector<Timestamp> known_timestamps;
  std::vector<uint32_t> begins;
  std::vector<uint32_t> ends;
  std::string_view noted_name;  // the metric that was last noted as no counter
};

Status RangeOperator::DoPrepare() {
  RETURN_IF_ERROR(source_->Prepare());
  for (const OperatorPtr& parameter : parameter_operators_) {
    std::vector<double>& values = parameters_.emplace_back(steps());
    RETURN_IF_ERROR(parameter->Compute(0, 1, values.data()));
  }
  set_series_count(source_->series_count());
  return call_.check_parameters && series_count() > 0 ? call_.check_parameters(parameters_)
                                                      : OkStatus();
}

Status RangeOperator::DoCompute(size_t first, size_t count, double* values) {
  Scratch scratch;
  for (size_t i = 0; i < count; ++i, values += steps()) {
    RETURN_IF_ERROR(ReadSamples(first + i, &scratch.samples));
    const SampleColumns& samples = scratch.samples.columns;
    if (samples.size() == 0) {
      std::fill_n(values, steps(), kAbsent);
      continue;
    }
    if (samples.timestamps != scratch.known_timestamps) {
      FindWindows(&scratch);
    }
    RETURN_IF_ERROR(Apply(scratch, values));
    if (call_.counter_argument != nullptr) {
      NoteIfNoCounter(first + i, values, &scratch.noted_name);
    }
  }
  return OkStatus();
}

Status RangeOperator::ReadSamples(size_t series, model::EdgeSamples* samples) const {
  if (call_.samples_needed == SamplesNeeded::kAll) {
    return source_->Read(series, &samples->columns);
  }
  return source_->ReadEdges(
      series, /*with_falls=*/call_.samples_needed == SamplesNeeded::kEndsAndFalls, samples);
}

void RangeOperator::FindWindows(Scratch* scratch) const {
  const std::vector<Timestamp>& timestamps = scratch->samples.columns.timestamps;
  const auto count = static_cast<uint32_t>(timestamps.size());
  scratch->begins.resize(steps());
  scratch->ends.resize(steps());
  const model::StepTimes windows =
      ExtendWindows(call_.extension, windows_, execution().options().lookback_delta_ns);
  uint32_t begin = 0;
  uint32_t end = 0;
  for (size_t step = 0; step < steps(); ++step) {
    const Timestamp moment = windows.At(step);
    const model::TimeRange window = windows.Window(moment);
    while (end < count && timestamps[end] <= window.max) {
      ++end;
    }
    while (begin < end && timestamps[begin] < window.min) {
      ++begin;
    }
    scratch->begins[step] = begin;
    scratch->ends[step] = end;
  }
  scratch->known_timestamps = timestamps;
}

Status RangeOperator::Apply(const Scratch& scratch, double* values) const {
  const uint64_t max_visits = call_.slides ? kMaxSlidingVisitsPerCall : kMaxVisitsPerCall;
  for (size_t first = 0; first < steps();) {
    size_t end = first;
    for (uint64_t visits = 0; end < steps() && visits < max_visits; ++end) {
      visits += scratch.ends[end] - scratch.begins[end];
    }
    const size_t count = end - first;
    RangeInput input{.timestamps = scratch.samples.columns.timestamps,
                     .values = scratch.samples.columns.values,
                     .begins = std::span(scratch.begins).subspan(first, count),
                     .ends = std::span(scratch.ends).subspan(first, count),
                     .first_window_end = windows_.At(first),
                     .step_ns = windows_.step_ns,
                     .range_ns = windows_.window_ns,
                     .first_time = grid().TimeAt(first),
                     .grid_step_ns = grid().step_ns,
                     .ordinals = scratch.samples.ordinals,
                     .parameters = {}};
    for (size_t i = 0; i < parameters_.size(); ++i) {
      input.parameters[i] = std::span(parameters_[i]).subspan(first, count);
    }
    call_.function(input, {values + first, count});
    first = end;
    if (first < steps()) {
      RETURN_IF_ERROR(execution().CheckAlive());
    }
  }
  return OkStatus();
}

void RangeOperator::NoteIfNoCounter(size_t series, const double* values,
                                    std::string_view* noted_name) const {
  std::string_view name;
  source_->GetLabelValues(model::kMetricName, series, 1, &name);
  if (!LooksLikeCounter(name) && name != *noted_name &&
      !std::all_of(values, values + steps(), [](double value) { return IsAbsent(value); })) {
    execution().annotations().Inform(
        fmt::format("metric might not be a counter, name does not end in "
                    "_total/_sum/_count/_bucket: {}",
                    Quote(name)),
        *call_.counter_argument);
    *noted_name = name;
  }
}

// ---- AbsentOverTimeOperator

void AbsentOverTimeOperator::GetLabels(size_t /*series*/, model::LabelViews* labels) const {
  labels->clear();
  for (const model::Label& label : labels_) {
    labels->push_back({label.name, label.value});
  }
}

Status AbsentOverTimeOperator::DoPrepare() {
  RETURN_IF_ERROR(source_->Prepare());
  RETURN_IF_ERROR(execution().ReserveRows(1, steps()));
  values_.assign(steps(), 1);
  SampleColumns samples;
  for (size_t series = 0; series < source_->series_count(); ++series) {
    RETURN_IF_ERROR(source_->Read(series, &samples));
    auto next = samples.timestamps.begin();
    for (size_t step = 0; step < steps(); ++step) {
      const model::TimeRange window = windows_.Window(windows_.At(step));
      while (next != samples.timestamps.end() && *next < window.min) {
        ++next;
      }
      if (next != samples.timestamps.end() && *next <= window.max) {
        values_[step] = kAbsent;
      }
    }
  }
  set_series_count(1);
  return OkStatus();
}

Status AbsentOverTimeOperator::DoCompute(size_t /*first*/, size_t /*count*/, double* values) {
  std::ranges::copy(values_, values);
  return OkStatus();
}

}  // namespace tsdbd::query
