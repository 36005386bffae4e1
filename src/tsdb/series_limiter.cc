#include "tsdb/series_limiter.h"

#include <algorithm>

#include "model/labels.h"

namespace tsdbd::tsdb {

std::vector<SeriesLimiter::MetricShare> SeriesLimiter::SharesOf(
    const index::Schema& schema, std::span<index::LabelPair* const> labels) {
  std::vector<MetricShare> shares;
  if (schema.column_label == model::kMetricName) {
    for (size_t i = 0; i < schema.column_count(); ++i) {
      shares.push_back({schema.column_hashes[i], schema.column_values[i], 1});
    }
    return shares;
  }
  const auto name = std::ranges::find_if(
      labels, [](const index::LabelPair* pair) { return pair->name->name == model::kMetricName; });
  shares.push_back({.series = schema.column_count()});
  if (name != labels.end()) {
    shares[0].hash = (*name)->hash;
    shares[0].name = (*name)->value();
  }
  return shares;
}

Status SeriesLimiter::Admit(const index::Schema& schema,
                            std::span<index::LabelPair* const> labels) {
  if (!is_on()) {
    return OkStatus();
  }
  const std::vector<MetricShare> shares = SharesOf(schema, labels);
  MutexLock lock(&mutex_);
  const Status status = Check(shares);
  if (status.ok()) {
    AddShares(shares);
  } else {
    NoteRefusal(shares);
  }
  return status;
}

Status SeriesLimiter::Check(std::span<const MetricShare> shares) const {
  uint64_t series = 0;
  for (const MetricShare& share : shares) {
    series += share.series;
    const auto metric = series_of_metric_.find(share.hash);
    const uint64_t now = metric == series_of_metric_.end() ? 0 : metric->second;
    if (limits_.per_metric != 0 && now + share.series > limits_.per_metric) {
      return ResourceExhausted(
          "metric {} has {} series in memory; the limit is {} (head.max_series_per_metric)",
          share.name, now, limits_.per_metric);
    }
  }
  if (limits_.in_all != 0 && series_ + series > limits_.in_all) {
    return ResourceExhausted("{} series are in memory; the limit is {} (head.max_series)", series_,
                             limits_.in_all);
  }
  return OkStatus();
}

void SeriesLimiter::AddShares(std::span<const MetricShare> shares) {
  for (const MetricShare& share : shares) {
    series_ += share.series;
    series_of_metric_[share.hash] += share.series;
  }
}

void SeriesLimiter::Add(const index::Schema& schema, std::span<index::LabelPair* const> labels) {
  if (is_on()) {
    MutexLock lock(&mutex_);
    AddShares(SharesOf(schema, labels));
  }
}

void SeriesLimiter::Remove(const index::Schema& schema, std::span<index::LabelPair* const> labels) {
  if (!is_on()) {
    return;
  }
  MutexLock lock(&mutex_);
  for (const MetricShare& share : SharesOf(schema, labels)) {
    series_ -= share.series;
    const auto metric = series_of_metric_.find(share.hash);
    metric->second -= share.series;
    if (metric->second == 0) {
      series_of_metric_.erase(metric);
    }
  }
}

void SeriesLimiter::NoteRefusal(std::span<const MetricShare> shares) {
  for (const MetricShare& share : shares) {
    refused_ += share.series;
    const std::string name(share.name);
    if (const auto found = refused_of_metric_.find(name); found != refused_of_metric_.end()) {
      found->second += share.series;
    } else if (refused_of_metric_.size() < kMaxRefusedNames) {
      refused_of_metric_.emplace(name, share.series);
    }
  }
}

uint64_t SeriesLimiter::refused_series() const {
  MutexLock lock(&mutex_);
  return refused_;
}

std::vector<RefusedMetric> SeriesLimiter::MostRefused(size_t limit) const {
  std::vector<RefusedMetric> refused;
  {
    MutexLock lock(&mutex_);
    for (const auto& [name, series] : refused_of_metric_) {
      refused.push_back({name, series});
    }
  }
  std::ranges::sort(refused, [](const RefusedMetric& a, const RefusedMetric& b) {
    return a.series != b.series ? a.series > b.series : a.name < b.name;
  });
  refused.resize(std::min(limit, refused.size()));
  return refused;
}

}  // namespace tsdbd::tsdb
