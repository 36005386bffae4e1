#pragma once
// SeriesLimiter: how many series the head may hold, in all and of each metric, and who was refused
// because of it. A series that two groups share counts twice. Without limits nothing is counted.
//
// Threads: any.

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <absl/container/flat_hash_map.h>

#include "common/mutex.h"
#include "common/status.h"
#include "index/label_store.h"

namespace tsdbd::tsdb {

struct SeriesLimits {
  uint64_t in_all = 0;  // 0: no limit
  uint64_t per_metric = 0;
};

struct RefusedMetric {
  std::string name;
  uint64_t series = 0;  // counted again with each batch that has them
};

class SeriesLimiter {
 public:
  explicit SeriesLimiter(const SeriesLimits& limits) : limits_(limits) {}

  // Counts the series of a new group, or refuses all of them: kResourceExhausted says whose limit.
  Status Admit(const index::Schema& schema, std::span<index::LabelPair* const> labels);
  // Counts them in any case: they are in the log, and so were admitted.
  void Add(const index::Schema& schema, std::span<index::LabelPair* const> labels);
  // A group leaves the head.
  void Remove(const index::Schema& schema, std::span<index::LabelPair* const> labels);

  uint64_t refused_series() const;
  // The metrics with most refused series first.
  std::vector<RefusedMetric> MostRefused(size_t limit) const;

 private:
  // Names are the clients', so their number is bounded; those beyond it are counted only in all.
  static constexpr size_t kMaxRefusedNames = 1'000;

  // The series of a group that have one metric's name; the name belongs to schema or labels.
  struct MetricShare {
    uint64_t hash = 0;
    std::string_view name = {};
    uint64_t series = 0;
  };
  static std::vector<MetricShare> SharesOf(const index::Schema& schema,
                                           std::span<index::LabelPair* const> labels);

  bool is_on() const { return limits_.in_all != 0 || limits_.per_metric != 0; }
  Status Check(std::span<const MetricShare> shares) const REQUIRES(mutex_);
  void AddShares(std::span<const MetricShare> shares) REQUIRES(mutex_);
  void NoteRefusal(std::span<const MetricShare> shares) REQUIRES(mutex_);

  const SeriesLimits limits_;
  mutable Mutex mutex_;
  uint64_t series_ GUARDED_BY(mutex_) = 0;
  absl::flat_hash_map<uint64_t, uint64_t> series_of_metric_ GUARDED_BY(mutex_);      // by hash
  uint64_t refused_ GUARDED_BY(mutex_) = 0;                                          // series
  absl::flat_hash_map<std::string, uint64_t> refused_of_metric_ GUARDED_BY(mutex_);  // by name
};

}  // namespace tsdbd::tsdb
