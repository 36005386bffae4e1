#include "query/memory_source_testing.h"

#include <algorithm>
#include <bit>
#include <set>
#include <sstream>
#include <utility>

#include "common/check.h"
#include "common/clock.h"
#include "query/parser.h"
#include "query/staleness.h"
#include "query/text.h"

namespace tsdbd::query {
namespace {

model::Labels LabelsOf(std::string_view selector) {
  const auto matchers = ParseSeriesSelector(selector);
  CHECK(matchers.ok());
  model::Labels labels;
  for (const model::Matcher& matcher : *matchers) {
    labels.push_back({matcher.name(), matcher.value()});
  }
  std::ranges::sort(labels);
  return labels;
}

double ParseValue(const std::string& text) {
  if (text == "stale") {
    return std::bit_cast<double>(kStaleMarkerBits);
  }
  double value = 0;
  CHECK(ParseFloat(text, &value) == NumberError::kNone);
  return value;
}

std::string_view ValueOf(const model::Labels& labels, std::string_view name) {
  const auto label = std::ranges::find(labels, name, &model::Label::name);
  return label == labels.end() ? std::string_view() : label->value;
}

}  // namespace

class MemorySource::Set : public model::SeriesSet {
 public:
  Set(const MemorySource* source, std::vector<const Series*> series)
      : source_(source), series_(std::move(series)) {}

  size_t size() const override { return series_.size(); }

  void GetLabels(size_t series, model::LabelViews* labels) const override {
    labels->clear();
    for (const model::Label& label : series_[series]->labels) {
      labels->push_back({label.name, label.value});
    }
  }

  Status Read(size_t series, const model::TimeRange& range,
              model::SampleColumns* samples) const override {
    ++source_->reads_;
    RETURN_IF_ERROR(source_->read_status_);
    samples->Clear();
    const model::SampleColumns& all = series_[series]->samples;
    for (size_t i = 0; i < all.size(); ++i) {
      if (range.Contains(all.timestamps[i])) {
        samples->timestamps.push_back(all.timestamps[i]);
        samples->values.push_back(all.values[i]);
      }
    }
    return OkStatus();
  }

 private:
  const MemorySource* const source_;
  const std::vector<const Series*> series_;
};

void MemorySource::Load(std::string_view text) {
  std::istringstream lines{std::string(text)};
  for (std::string line; std::getline(lines, line);) {
    const size_t start = line.find_first_not_of(' ');
    if (start != line.npos) {
      LoadLine(std::string_view(line).substr(start));
    }
  }
}

void MemorySource::LoadLine(std::string_view line) {
  const size_t brace = line.find('}');
  const size_t name_end = std::min(line.find(' ', brace == line.npos ? 0 : brace), line.size());
  model::SampleColumns samples;
  std::istringstream rest{std::string(line.substr(name_end))};
  for (std::string sample; rest >> sample;) {
    const size_t colon = sample.find(':');
    CHECK(colon != sample.npos);
    samples.timestamps.push_back(SecondsToNanos(ParseValue(sample.substr(0, colon))));
    samples.values.push_back(ParseValue(sample.substr(colon + 1)));
  }
  Add(LabelsOf(line.substr(0, name_end)), std::move(samples));
}

void MemorySource::Add(model::Labels labels, model::SampleColumns samples) {
  CHECK(std::ranges::is_sorted(samples.timestamps, std::less_equal<>()));
  CHECK(std::ranges::is_sorted(labels));
  series_.push_back({std::move(labels), std::move(samples)});
}

std::vector<const MemorySource::Series*> MemorySource::Matching(
    const model::SelectRequest& request) const {
  std::vector<const Series*> matching;
  for (const Series& series : series_) {
    const auto matches = [&](const model::Matcher& matcher) {
      return matcher.Matches(ValueOf(series.labels, matcher.name()));
    };
    if (std::ranges::all_of(request.matchers, matches)) {
      matching.push_back(&series);
    }
  }
  return matching;
}

StatusOr<std::unique_ptr<model::SeriesSet>> MemorySource::Select(
    const model::SelectRequest& request) const {
  CHECK(request.range.min >= model::kMinTimestamp);
  if (request.cancel != nullptr && request.cancel->cancelled()) {
    return MakeStatus(StatusCode::kCancelled, "select was cancelled");
  }
  std::vector<const Series*> matching = Matching(request);
  if (request.max_series != 0 && matching.size() > request.max_series) {
    return ResourceExhausted("{} series match, the limit is {}", matching.size(),
                             request.max_series);
  }
  return std::make_unique<Set>(this, std::move(matching));
}

StatusOr<std::vector<std::string>> MemorySource::LabelNames(
    const model::SelectRequest& request) const {
  std::set<std::string> names;
  for (const Series* series : Matching(request)) {
    for (const model::Label& label : series->labels) {
      names.insert(label.name);
    }
  }
  return std::vector<std::string>(names.begin(), names.end());
}

StatusOr<std::vector<std::string>> MemorySource::LabelValues(
    std::string_view name, const model::SelectRequest& request) const {
  std::set<std::string> values;
  for (const Series* series : Matching(request)) {
    if (const std::string_view value = ValueOf(series->labels, name); !value.empty()) {
      values.emplace(value);
    }
  }
  return std::vector<std::string>(values.begin(), values.end());
}

}  // namespace tsdbd::query
