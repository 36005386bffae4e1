#include "server/metrics.h"

#include <sstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include "common/clock.h"

namespace tsdbd::server {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

// The value on the line that starts with `name`, or -1.
double ValueOf(const std::string& text, const std::string& name) {
  std::stringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with(name + " ")) {
      return std::stod(line.substr(name.size() + 1));
    }
  }
  return -1;
}

TEST(MetricsTest, ASourceIsReadAtEveryScrape) {
  Metrics metrics;
  int scrapes = 0;
  metrics.AddSource(
      [&](MetricWriter* writer) { writer->Gauge("tsdbd_scrapes", "Scrapes.", ++scrapes); });
  EXPECT_EQ(ValueOf(metrics.Render(), "tsdbd_scrapes"), 1);
  EXPECT_EQ(ValueOf(metrics.Render(), "tsdbd_scrapes"), 2);
}

TEST(MetricsTest, FiguresOfOneNameFormOneFamily) {
  Metrics metrics;
  metrics.AddSource([](MetricWriter* writer) {
    writer->Counter("tsdbd_a_total", "A.", 1, {{"k", "x"}});
    writer->Gauge("tsdbd_b", "B.", 2);
    writer->Counter("tsdbd_a_total", "A.", 3, {{"k", "y \"quoted\""}});
  });
  EXPECT_THAT(metrics.Render(), HasSubstr("# HELP tsdbd_a_total A.\n"
                                          "# TYPE tsdbd_a_total counter\n"
                                          "tsdbd_a_total{k=\"x\"} 1\n"
                                          "tsdbd_a_total{k=\"y \\\"quoted\\\"\"} 3\n"
                                          "# HELP tsdbd_b B.\n"));
}

TEST(MetricsTest, WriteAndQueryCountersAreThereAndCount) {
  Metrics metrics;
  metrics.write_lines.Increment(5);
  metrics.write_requests(WriteOutcome::kPartial).Increment();
  metrics.query_requests("query_range", "ok").Increment();
  metrics.query_requests("query_range", "ok").Increment();
  const std::string text = metrics.Render();
  EXPECT_EQ(ValueOf(text, "tsdbd_write_lines_total"), 5);
  EXPECT_EQ(ValueOf(text, "tsdbd_write_requests_total{outcome=\"partial\"}"), 1);
  EXPECT_EQ(ValueOf(text, "tsdbd_write_requests_total{outcome=\"stored\"}"), 0);
  EXPECT_EQ(ValueOf(text, "tsdbd_query_requests_total{api=\"query_range\",outcome=\"ok\"}"), 2);
}

TEST(MetricsTest, StagesAreHistogramsWithExactCounts) {
  const StageReport before = TakeStageReport();
  RecordStage(Stage::kCompact, 300, 10);
  RecordStage(Stage::kCompact, 2'000'000, 20);
  const StageReport report = TakeStageReport().Since(before);
  Metrics metrics;
  metrics.AddSource([&](MetricWriter* writer) { CollectStages(report, writer); });
  const std::string text = metrics.Render();
  const std::string bucket = "tsdbd_stage_duration_seconds_bucket{stage=\"compact\",le=";
  EXPECT_EQ(ValueOf(text, bucket + "\"2.56e-07\"}"), 0);
  EXPECT_EQ(ValueOf(text, bucket + "\"1.024e-06\"}"), 1);
  EXPECT_EQ(ValueOf(text, bucket + "\"+Inf\"}"), 2);
  EXPECT_EQ(ValueOf(text, "tsdbd_stage_duration_seconds_count{stage=\"compact\"}"), 2);
  EXPECT_DOUBLE_EQ(ValueOf(text, "tsdbd_stage_duration_seconds_sum{stage=\"compact\"}"), 0.0020003);
  EXPECT_EQ(ValueOf(text, "tsdbd_stage_items_total{stage=\"compact\"}"), 30);
}

TEST(MetricsTest, TheProcessKnowsItself) {
  Metrics metrics;
  metrics.AddSource(CollectProcess);
  const std::string text = metrics.Render();
  EXPECT_GE(ValueOf(text, "process_cpu_seconds_total"), 0);
  EXPECT_GT(ValueOf(text, "process_resident_memory_bytes"), 1 << 20);
  EXPECT_GT(ValueOf(text, "process_virtual_memory_bytes"),
            ValueOf(text, "process_resident_memory_bytes"));
  EXPECT_GE(ValueOf(text, "process_threads"), 1);
  EXPECT_GE(ValueOf(text, "process_open_fds"), 3);
  EXPECT_GT(ValueOf(text, "process_max_fds"), 3);
  const auto now_seconds = static_cast<double>(WallNanos() / kNanosPerSecond);
  EXPECT_NEAR(ValueOf(text, "process_start_time_seconds"), now_seconds, 3'600);
}

TEST(MetricsTest, OpenDescriptorsAreCounted) {
  Metrics metrics;
  metrics.AddSource(CollectProcess);
  const double before = ValueOf(metrics.Render(), "process_open_fds");
  const int descriptor = dup(0);
  EXPECT_EQ(ValueOf(metrics.Render(), "process_open_fds"), before + 1);
  close(descriptor);
}

TEST(MetricsTest, WithoutJemallocThereAreNoFiguresOfIt) {
  Metrics metrics;
  metrics.AddSource(CollectMalloc);
  EXPECT_THAT(metrics.Render(), Not(HasSubstr("jemalloc")));
}

TEST(MetricsTest, HttpFiguresAreShown) {
  http::ServerStatistics statistics;
  statistics.connections_open = 3;
  statistics.answers_by_class[4] = 7;
  Metrics metrics;
  metrics.AddSource([&](MetricWriter* writer) { CollectHttp(statistics, writer); });
  const std::string text = metrics.Render();
  EXPECT_EQ(ValueOf(text, "tsdbd_http_connections"), 3);
  EXPECT_EQ(ValueOf(text, "tsdbd_http_answers_total{class=\"4xx\"}"), 7);
}

TEST(MetricsTest, PoolsAreShownByName) {
  ThreadPool pool({.name = "query", .thread_count = 2, .queue_capacity = 1});
  Metrics metrics;
  metrics.AddSource([&](MetricWriter* writer) { CollectPool(pool, writer); });
  EXPECT_EQ(ValueOf(metrics.Render(), "tsdbd_pool_threads{pool=\"query\"}"), 2);
}

}  // namespace
}  // namespace tsdbd::server
