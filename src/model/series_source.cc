#include "model/series_source.h"

#include <algorithm>

namespace tsdbd::model {
namespace {

Timestamp Saturate(__int128 time) {
  constexpr __int128 kMin = std::numeric_limits<Timestamp>::min();
  constexpr __int128 kMax = std::numeric_limits<Timestamp>::max();
  return static_cast<Timestamp>(std::clamp(time, kMin, kMax));
}

void TakeLatest(const SampleColumns& samples, const StepTimes& times, double* values) {
  size_t next = 0;  // the first sample behind the moment
  for (size_t step = 0; step < times.count; ++step) {
    const Timestamp moment = times.At(step);
    while (next < samples.size() && samples.timestamps[next] <= moment) {
      ++next;
    }
    const bool is_there = next > 0 && times.Window(moment).Contains(samples.timestamps[next - 1]);
    values[step] = is_there ? samples.values[next - 1] : StaleMarker();
  }
}

}  // namespace

Timestamp StepTimes::At(size_t step) const {
  return Saturate(__int128{first} + __int128{step_ns} * static_cast<int64_t>(step));
}

TimeRange StepTimes::Window(Timestamp moment) const {
  return {.min = Saturate(__int128{moment} - window_ns + 1), .max = moment};
}

TimeRange StepTimes::Range() const {
  if (count == 0) {
    return {.min = kMaxTimestamp, .max = kMinTimestamp};
  }
  return {.min = std::max(Window(first).min, kMinTimestamp),
          .max = std::min(At(count - 1), kMaxTimestamp)};
}

Status SeriesSet::ReadSteps(size_t first_series, size_t series_count, const StepTimes& times,
                            double* values) const {
  const TimeRange range = times.Range();
  SampleColumns samples;
  for (size_t i = 0; i < series_count; ++i) {
    if (range.min <= range.max) {
      RETURN_IF_ERROR(Read(first_series + i, range, &samples));
    }
    TakeLatest(samples, times, values + i * times.count);
  }
  return OkStatus();
}

Status SeriesSet::ReadEdges(size_t series, const EdgeRequest& request, EdgeSamples* samples) const {
  samples->ordinals.clear();
  return Read(series, request.windows.Range(), &samples->columns);
}

void SeriesSet::GetLabelValues(std::string_view name, size_t first_series, size_t series_count,
                               std::string_view* values) const {
  LabelViews labels;
  for (size_t i = 0; i < series_count; ++i) {
    GetLabels(first_series + i, &labels);
    const auto label = std::ranges::find(labels, name, &LabelView::name);
    values[i] = label == labels.end() ? std::string_view() : label->value;
  }
}

}  // namespace tsdbd::model
