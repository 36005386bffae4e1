#include "server/cardinality.h"

#include <algorithm>
#include <numeric>
#include <utility>

#include <fmt/format.h>

namespace tsdbd::server {
namespace {

// The `limit` largest, the largest first; equal ones by name.
std::vector<NamedCount> Largest(std::vector<NamedCount> counts, size_t limit) {
  const auto before = [](const NamedCount& a, const NamedCount& b) {
    return a.count != b.count ? a.count > b.count : a.name < b.name;
  };
  const size_t size = std::min(limit, counts.size());
  std::partial_sort(counts.begin(), counts.begin() + static_cast<ptrdiff_t>(size), counts.end(),
                    before);
  counts.resize(size);
  return counts;
}

}  // namespace

void Cardinality::Add(const model::LabelViews& labels) {
  for (const auto& [name, value] : labels) {
    CountByValue& values = labels_[name];
    if (const auto found = values.find(value); found != values.end()) {
      ++found->second;
    } else if (pair_count_ < kMaxPairs) {
      values.emplace(value, 1);
      ++pair_count_;
    }
  }
}

std::vector<NamedCount> Cardinality::SeriesByMetricName(size_t limit) const {
  std::vector<NamedCount> counts;
  if (const auto found = labels_.find(model::kMetricName); found != labels_.end()) {
    for (const auto& [value, count] : found->second) {
      counts.push_back({value, count});
    }
  }
  return Largest(std::move(counts), limit);
}

std::vector<NamedCount> Cardinality::ValuesByLabelName(size_t limit) const {
  std::vector<NamedCount> counts;
  for (const auto& [name, values] : labels_) {
    counts.push_back({name, values.size()});
  }
  return Largest(std::move(counts), limit);
}

std::vector<NamedCount> Cardinality::ValueBytesByLabelName(size_t limit) const {
  std::vector<NamedCount> counts;
  for (const auto& [name, values] : labels_) {
    const uint64_t bytes =
        std::accumulate(values.begin(), values.end(), uint64_t{0},
                        [](uint64_t sum, const auto& value) { return sum + value.first.size(); });
    counts.push_back({name, bytes});
  }
  return Largest(std::move(counts), limit);
}

std::vector<NamedCount> Cardinality::SeriesByLabelPair(size_t limit) const {
  std::vector<NamedCount> counts;
  for (const auto& [name, values] : labels_) {
    for (const auto& [value, count] : values) {
      counts.push_back({fmt::format("{}={}", name, value), count});
    }
    counts = Largest(std::move(counts), limit);
  }
  return counts;
}

}  // namespace tsdbd::server
