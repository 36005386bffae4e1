#pragma once
// SeriesSource: how queries see stored data. tsdb implements it; query and server use it.
// All methods may be called from any thread.

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "common/status.h"
#include "model/labels.h"
#include "model/matcher.h"
#include "model/sample.h"

namespace tsdbd::model {

// Set by whoever started a query (client gone, time over); looked at by whoever works on it.
class CancelToken {
 public:
  void Cancel() { cancelled_.store(true, std::memory_order_relaxed); }
  bool cancelled() const { return cancelled_.load(std::memory_order_relaxed); }

 private:
  std::atomic<bool> cancelled_ = false;
};

struct SelectRequest {
  std::vector<Matcher> matchers;        // all must match
  TimeRange range;                      // both ends included
  uint64_t max_series = 0;              // 0: no limit. More is kResourceExhausted
  const CancelToken* cancel = nullptr;  // may be null. Cancelled: kCancelled
};

// The moments that a query looks at, first, first + step_ns, …, and how far it looks back from
// each: at the window (moment - window_ns, moment]. Moments and windows that would lie beyond the
// ends of time are cut off there.
struct StepTimes {
  Timestamp first = 0;
  int64_t step_ns = 0;  // >= 0; 0 looks at one moment `count` times
  size_t count = 0;
  int64_t window_ns = 0;  // <= 0: the windows are empty

  Timestamp At(size_t step) const;
  // The window of a moment that At returned; min > max if it is empty.
  TimeRange Window(Timestamp moment) const;
  // From the first window's begin to the last moment, as far as samples can lie there; min > max
  // if they cannot.
  TimeRange Range() const;
};

// What functions ask for that look at the ends of windows only, like delta(), or also at every
// sample that is less than the one before it, like rate().
struct EdgeRequest {
  StepTimes windows;
  bool with_falls = false;
};

// Some of a series' samples.
struct EdgeSamples {
  SampleColumns columns;
  // For each the number of samples in the range before it, those left out among them. Empty: none
  // is left out.
  std::vector<uint32_t> ordinals;
};

// The series that matched, in no particular order, each once, as they were at one moment. Those
// without a sample in the range may be among them. const methods may run at the same time.
class SeriesSet {
 public:
  virtual ~SeriesSet() = default;

  virtual size_t size() const = 0;
  // Replaces *labels; the views live as long as the set.
  virtual void GetLabels(size_t series, LabelViews* labels) const = 0;
  // Replaces *samples by those in `range` (which lies in the request's), times strictly rising.
  // kDataLoss if stored bytes fail their checks.
  virtual Status Read(size_t series, const TimeRange& range, SampleColumns* samples) const = 0;

  // values[i * times.count + s] = the value, bit for bit, of the latest sample of series
  // first_series + i in the window of step s; StaleMarker() if there is none, or if that is one.
  // The windows lie in the request's range. Sets that look up memory fetch it ahead, so a batch of
  // some hundred series costs a fraction of so many calls; cancelling is between batches.
  // Errors as Read.
  virtual Status ReadSteps(size_t first_series, size_t series_count, const StepTimes& times,
                           double* values) const;

  // Replaces *samples by some of those in the windows' range, which lies in the request's; times
  // strictly rising. Among them are: of each window the first and the last that is no staleness
  // marker; all that are NaN, staleness markers too; and with_falls, every sample that is less than
  // the one before it, and that one. Errors as Read.
  virtual Status ReadEdges(size_t series, const EdgeRequest& request, EdgeSamples* samples) const;

  // values[i] = the value of label `name` of series first_series + i, "" if it has none. The views
  // live as long as the set; equal values often, but not always, have equal pointers.
  virtual void GetLabelValues(std::string_view name, size_t first_series, size_t series_count,
                              std::string_view* values) const;
};

class SeriesSource {
 public:
  virtual ~SeriesSource() = default;

  virtual StatusOr<std::unique_ptr<SeriesSet>> Select(const SelectRequest& request) const = 0;
  // Sorted, unique. Of the series that match and may have samples in the range; no matchers: all.
  virtual StatusOr<std::vector<std::string>> LabelNames(const SelectRequest& request) const = 0;
  virtual StatusOr<std::vector<std::string>> LabelValues(std::string_view name,
                                                         const SelectRequest& request) const = 0;
};

}  // namespace tsdbd::model
