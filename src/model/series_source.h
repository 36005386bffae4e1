#pragma once
// SeriesSource: how queries see stored data. tsdb implements it; query and server use it.
// All methods may be called from any thread.

#include <atomic>
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
  std::vector<Matcher> matchers;          // all must match
  TimeRange range;                        // both ends included
  uint64_t max_series = 0;                // 0: no limit. More is kResourceExhausted
  const CancelToken* cancel = nullptr;    // may be null. Cancelled: kCancelled
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
