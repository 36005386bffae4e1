#pragma once
// MetadataStore: type, help and unit of metrics, as remote write brings them and /api/v1/metadata
// and /federate show them. The newest description of a metric is kept. Nothing of it is written to
// disk: senders repeat it every minute, so it is back soon after a restart.
//
// Bounded, because anybody who may write may describe metrics: kMaxMetrics of them, and the bytes
// of each text. 33 MB at the worst.
//
// Threads: all methods may be called from any thread.

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "common/mutex.h"
#include "common/status.h"

namespace tsdbd::server {

// Prometheus' metric types, in the order of remote write's enumeration (both versions).
enum class MetricType : uint8_t {
  kUnknown,
  kCounter,
  kGauge,
  kHistogram,
  kGaugeHistogram,
  kSummary,
  kInfo,
  kStateSet
};

// "counter"; the text that Prometheus' API has.
std::string_view MetricTypeName(MetricType type);

struct MetricMetadata {
  MetricType type = MetricType::kUnknown;
  std::string help;
  std::string unit;
  friend bool operator==(const MetricMetadata&, const MetricMetadata&) = default;
};

class MetadataStore {
 public:
  // A large Kubernetes cluster has some thousand metric names.
  static constexpr size_t kMaxMetrics = 20'000;
  static constexpr size_t kMaxNameBytes = 512;
  // Longer help is cut: it is shown in a tooltip.
  static constexpr size_t kMaxHelpBytes = 1'024;
  static constexpr size_t kMaxUnitBytes = 64;

  // Replaces what is known of the metric family `name`. Texts are cut to their bounds, between
  // characters. kInvalidArgument for a name that is empty or too long, kResourceExhausted for one
  // metric more than kMaxMetrics; either is no reason to refuse samples.
  Status Set(std::string_view name, MetricMetadata metadata) EXCLUDES(mutex_);

  std::optional<MetricMetadata> Find(std::string_view name) const EXCLUDES(mutex_);

  // The first `limit` metrics, sorted by name.
  std::vector<std::pair<std::string, MetricMetadata>> List(size_t limit = kMaxMetrics) const
      EXCLUDES(mutex_);

 private:
  mutable Mutex mutex_;
  std::map<std::string, MetricMetadata, std::less<>> metrics_ GUARDED_BY(mutex_);
};

}  // namespace tsdbd::server
