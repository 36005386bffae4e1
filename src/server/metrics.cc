#include "server/metrics.h"

#include <array>
#include <limits>
#include <utility>

#include <prometheus/text_serializer.h>

#include "common/clock.h"

namespace tsdbd::server {
namespace {

constexpr std::array<const char*, kWriteOutcomeCount> kWriteOutcomeNames = {
    "stored", "partial", "refused", "overload", "failed"};

double Seconds(uint64_t nanos) {
  return static_cast<double>(nanos) / static_cast<double>(kNanosPerSecond);
}

prometheus::Counter& AddCounter(prometheus::Registry* registry, const char* name,
                                const char* help) {
  return prometheus::BuildCounter().Name(name).Help(help).Register(*registry).Add({});
}

std::vector<prometheus::Counter*> AddWriteOutcomes(prometheus::Registry* registry, const char* name,
                                                   const char* help) {
  auto& family = prometheus::BuildCounter().Name(name).Help(help).Register(*registry);
  std::vector<prometheus::Counter*> counters;
  for (const char* outcome : kWriteOutcomeNames) {
    counters.push_back(&family.Add({{"outcome", outcome}}));
  }
  return counters;
}

}  // namespace

void MetricWriter::Counter(std::string_view name, std::string_view help, double value,
                           const Labels& labels) {
  Add(prometheus::MetricType::Counter, name, help, labels)->counter.value = value;
}

void MetricWriter::Gauge(std::string_view name, std::string_view help, double value,
                         const Labels& labels) {
  Add(prometheus::MetricType::Gauge, name, help, labels)->gauge.value = value;
}

void MetricWriter::Histogram(std::string_view name, std::string_view help,
                             prometheus::ClientMetric::Histogram histogram, const Labels& labels) {
  Add(prometheus::MetricType::Histogram, name, help, labels)->histogram = std::move(histogram);
}

prometheus::ClientMetric* MetricWriter::Add(prometheus::MetricType type, std::string_view name,
                                            std::string_view help, const Labels& labels) {
  auto family = families_.begin();
  while (family != families_.end() && family->name != name) {
    ++family;
  }
  if (family == families_.end()) {
    prometheus::MetricFamily added;
    added.name = name;
    added.help = help;
    added.type = type;
    family = families_.insert(families_.end(), std::move(added));
  }
  prometheus::ClientMetric& metric = family->metric.emplace_back();
  for (const auto& [label, value] : labels) {
    metric.label.push_back({label, value});
  }
  return &metric;
}

Metrics::Metrics() : Metrics(std::make_shared<prometheus::Registry>()) {}

Metrics::Metrics(std::shared_ptr<prometheus::Registry> registry)
    : write_lines(AddCounter(registry.get(), "tsdbd_write_lines_total",
                             "Lines of write requests, good and bad.")),
      write_lines_refused(AddCounter(registry.get(), "tsdbd_write_lines_refused_total",
                                     "Lines that broke a rule and were not stored.")),
      write_strings_dropped(AddCounter(registry.get(), "tsdbd_write_string_fields_dropped_total",
                                       "Fields with text, left out of lines that were stored.")),
      write_integers_rounded(AddCounter(registry.get(), "tsdbd_write_integers_rounded_total",
                                        "Integers beyond 2^53, stored as the nearest double.")),
      remote_write_samples(AddCounter(registry.get(), "tsdbd_remote_write_samples_total",
                                      "Samples of remote-write requests, good and bad.")),
      remote_write_samples_refused(AddCounter(registry.get(),
                                              "tsdbd_remote_write_samples_refused_total",
                                              "Samples that broke a rule and were not stored.")),
      remote_write_exemplars_skipped(AddCounter(registry.get(),
                                                "tsdbd_remote_write_exemplars_skipped_total",
                                                "Exemplars, which are not stored.")),
      remote_write_histograms_skipped(AddCounter(registry.get(),
                                                 "tsdbd_remote_write_histograms_skipped_total",
                                                 "Native histograms, which are not stored.")),
      registry_(std::move(registry)),
      query_requests_(prometheus::BuildCounter()
                          .Name("tsdbd_query_requests_total")
                          .Help("Read requests by API and outcome.")
                          .Register(*registry_)) {
  write_requests_ = AddWriteOutcomes(
      registry_.get(), "tsdbd_write_requests_total",
      "Write requests by outcome: stored, partial (some lines refused), refused (all lines), "
      "overload, failed (disk).");
  remote_write_requests_ = AddWriteOutcomes(
      registry_.get(), "tsdbd_remote_write_requests_total",
      "Remote-write requests by outcome: stored, partial (some samples refused), refused (all "
      "samples), overload, failed (disk).");
}

prometheus::Counter& Metrics::query_requests(std::string_view api, std::string_view outcome) {
  return query_requests_.Add({{"api", std::string(api)}, {"outcome", std::string(outcome)}});
}

std::string Metrics::Render() const {
  std::vector<prometheus::MetricFamily> families = registry_->Collect();
  MetricWriter writer;
  for (const Source& source : sources_) {
    source(&writer);
  }
  for (prometheus::MetricFamily& family : writer.TakeFamilies()) {
    families.push_back(std::move(family));
  }
  return prometheus::TextSerializer().Serialize(families);
}

void CollectStages(const StageReport& report, MetricWriter* writer) {
  // 256 ns to 17 s in steps of four: powers of two, where the counts are exact, and few enough for
  // all stages together to stay below 300 lines.
  constexpr int kFirstExponent = 8;
  constexpr int kLastExponent = 34;
  for (size_t i = 0; i < kStageCount; ++i) {
    const StageSummary& summary = report.of(static_cast<Stage>(i));
    const std::string stage(StageName(static_cast<Stage>(i)));
    prometheus::ClientMetric::Histogram histogram;
    histogram.sample_count = summary.count;
    histogram.sample_sum = Seconds(summary.total_ns);
    for (int exponent = kFirstExponent; exponent <= kLastExponent; exponent += 2) {
      histogram.bucket.push_back(
          {summary.CountBelowPowerOfTwo(exponent), Seconds(uint64_t{1} << exponent)});
    }
    histogram.bucket.push_back({summary.count, std::numeric_limits<double>::infinity()});
    writer->Histogram("tsdbd_stage_duration_seconds",
                      "Durations of the steps of requests and work.", std::move(histogram),
                      {{"stage", stage}});
    writer->Counter("tsdbd_stage_items_total",
                    "What the steps worked on: lines, groups, series, samples or bytes.",
                    static_cast<double>(summary.items), {{"stage", stage}});
  }
}

void CollectHttp(const http::ServerStatistics& statistics, MetricWriter* writer) {
  const auto counter = [&](const char* name, const char* help, uint64_t value) {
    writer->Counter(name, help, static_cast<double>(value));
  };
  writer->Gauge("tsdbd_http_connections", "Open connections.",
                static_cast<double>(statistics.connections_open));
  writer->Gauge("tsdbd_http_body_bytes", "Request bodies in memory.",
                static_cast<double>(statistics.bodies_bytes));
  counter("tsdbd_http_connections_accepted_total", "Connections accepted.",
          statistics.connections_accepted);
  counter("tsdbd_http_connections_refused_total", "Connections over http.max_connections.",
          statistics.connections_refused);
  counter("tsdbd_http_connections_timed_out_total", "Connections closed because of a time-out.",
          statistics.connections_timed_out);
  counter("tsdbd_http_accept_failures_total", "Failed accepts: out of descriptors or memory.",
          statistics.accept_failures);
  counter("tsdbd_http_requests_total", "Complete requests.", statistics.requests);
  counter("tsdbd_http_requests_refused_total", "Requests that broke a rule of HTTP or a bound.",
          statistics.refused_requests);
  counter("tsdbd_http_received_bytes_total", "Bytes from clients.", statistics.received_bytes);
  counter("tsdbd_http_sent_bytes_total", "Bytes to clients.", statistics.sent_bytes);
  for (int status_class = 2; status_class <= 5; ++status_class) {
    writer->Counter("tsdbd_http_answers_total", "Answers by class of status code.",
                    static_cast<double>(statistics.answers_by_class[status_class]),
                    {{"class", fmt::format("{}xx", status_class)}});
  }
}

void CollectPool(const ThreadPool& pool, MetricWriter* writer) {
  const ThreadPool::Stats stats = pool.stats();
  const MetricWriter::Labels labels = {{"pool", pool.options().name}};
  writer->Gauge("tsdbd_pool_threads", "Threads of a pool.",
                static_cast<double>(pool.options().thread_count), labels);
  writer->Gauge("tsdbd_pool_tasks_running", "Tasks that are worked on.",
                static_cast<double>(stats.running), labels);
  writer->Gauge("tsdbd_pool_tasks_queued", "Tasks that wait for a thread.",
                static_cast<double>(stats.queued), labels);
  writer->Counter("tsdbd_pool_tasks_finished_total", "Tasks done.",
                  static_cast<double>(stats.finished), labels);
  writer->Counter("tsdbd_pool_tasks_refused_total", "Tasks refused because the queue was full.",
                  static_cast<double>(stats.refused), labels);
}

}  // namespace tsdbd::server
