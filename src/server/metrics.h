#pragma once
// The daemon's own figures, as Prometheus scrapes them at /metrics (text format 0.0.4).
//
// Two kinds: what the routes count themselves are counters of the registry; what other parts know
// already (HTTP server, database, stages, process, allocator) is read when somebody asks, by
// sources that write into a MetricWriter.
//
// Threads: AddSource before the first Render; everything else from any thread.

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <prometheus/counter.h>
#include <prometheus/family.h>
#include <prometheus/metric_family.h>
#include <prometheus/registry.h>

#include "common/stages.h"
#include "common/thread_pool.h"
#include "http/server.h"
#include "kv/keyspaces.h"
#include "tsdb/database.h"

namespace tsdbd::server {

// Takes figures one by one and sorts them into families.
class MetricWriter {
 public:
  using Labels = std::vector<std::pair<std::string, std::string>>;

  // Equal names form one family, with the help of the first.
  void Counter(std::string_view name, std::string_view help, double value,
               const Labels& labels = {});
  void Gauge(std::string_view name, std::string_view help, double value, const Labels& labels = {});
  void Histogram(std::string_view name, std::string_view help, prometheus::ClientMetric::Histogram,
                 const Labels& labels = {});

  std::vector<prometheus::MetricFamily> TakeFamilies() { return std::move(families_); }

 private:
  prometheus::ClientMetric* Add(prometheus::MetricType type, std::string_view name,
                                std::string_view help, const Labels& labels);

  std::vector<prometheus::MetricFamily> families_;
};

// What becomes of a write request.
enum class WriteOutcome { kStored, kPartial, kRefused, kOverload, kFailed };
inline constexpr size_t kWriteOutcomeCount = 5;

class Metrics {
 public:
  using Source = std::function<void(MetricWriter*)>;

  Metrics();

  void AddSource(Source source) { sources_.push_back(std::move(source)); }
  std::string Render() const;

  prometheus::Counter& write_requests(WriteOutcome outcome) {
    return *write_requests_[static_cast<size_t>(outcome)];
  }
  prometheus::Counter& remote_write_requests(WriteOutcome outcome) {
    return *remote_write_requests_[static_cast<size_t>(outcome)];
  }
  // `api` as in its path ("query_range"), `outcome` "ok" or an error type ("bad_data").
  prometheus::Counter& query_requests(std::string_view api, std::string_view outcome);

  prometheus::Counter& write_lines;
  prometheus::Counter& write_lines_refused;
  prometheus::Counter& write_strings_dropped;
  prometheus::Counter& write_integers_rounded;
  prometheus::Counter& remote_write_samples;
  prometheus::Counter& remote_write_samples_refused;
  prometheus::Counter& remote_write_exemplars_skipped;
  prometheus::Counter& remote_write_histograms_skipped;

 private:
  explicit Metrics(std::shared_ptr<prometheus::Registry> registry);

  const std::shared_ptr<prometheus::Registry> registry_;
  prometheus::Family<prometheus::Counter>& query_requests_;
  std::vector<prometheus::Counter*> write_requests_;
  std::vector<prometheus::Counter*> remote_write_requests_;
  std::vector<Source> sources_;
};

// Sources.
void CollectProcess(MetricWriter* writer);  // process_*: CPU, memory, descriptors, start
void CollectMalloc(MetricWriter* writer);   // jemalloc_*; nothing where jemalloc is not linked
// jemalloc's own long report; a sentence where it is not linked.
std::string MallocReport();
void CollectStages(const StageReport& report, MetricWriter* writer);
void CollectHttp(const http::ServerStatistics& statistics, MetricWriter* writer);
void CollectPool(const ThreadPool& pool, MetricWriter* writer);
void CollectDatabase(const tsdb::Database& database, MetricWriter* writer);
void CollectKeyspaces(const kv::Keyspaces& keyspaces, MetricWriter* writer);

}  // namespace tsdbd::server
