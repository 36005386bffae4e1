#pragma once
// MemorySource: a SeriesSource for tests, as simple as can be. Filled first, then queried; const
// methods may run at the same time.

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "model/labels.h"
#include "model/sample.h"
#include "model/series_source.h"

namespace tsdbd::query {

class MemorySource : public model::SeriesSource {
 public:
  struct Series {
    model::Labels labels;
    model::SampleColumns samples;
  };

  // One series a line: `up{job="a"} 0:1 10:2.5 20:stale`, times in seconds. Aborts if malformed.
  void Load(std::string_view text);
  // Times must rise strictly; labels must be sorted.
  void Add(model::Labels labels, model::SampleColumns samples);

  StatusOr<std::unique_ptr<model::SeriesSet>> Select(
      const model::SelectRequest& request) const override;
  StatusOr<std::vector<std::string>> LabelNames(const model::SelectRequest& request) const override;
  StatusOr<std::vector<std::string>> LabelValues(
      std::string_view name, const model::SelectRequest& request) const override;

  const std::vector<Series>& series() const { return series_; }
  // How often a series was read so far.
  int reads() const { return reads_; }
  // What the next reads answer, if not OK.
  void FailReads(Status status) { read_status_ = std::move(status); }

 private:
  class Set;

  void LoadLine(std::string_view line);
  std::vector<const Series*> Matching(const model::SelectRequest& request) const;

  std::vector<Series> series_;
  Status read_status_;
  mutable std::atomic<int> reads_ = 0;
};

}  // namespace tsdbd::query
