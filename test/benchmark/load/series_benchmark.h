#pragma once
// Database::Write with series that are all new, then with the same series again: the body of
// write_new_series_benchmark and write_update_series_benchmark. Parsing is not timed.

#include <algorithm>
#include <cstdio>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>

#include "benchmark_support.h"
#include "line_workload.h"

namespace tsdbd::benchmark {

struct SeriesRun {
  uint64_t series = 0;
  size_t batch_lines = 1000;
  int update_rounds = 3;
  wal::SyncMode sync = wal::SyncMode::kNone;
  std::string folder;
};

struct PhaseFigures {
  double lines_per_second = 0;
  double ns_per_line = 0;
  double cpu_ns_per_line = 0;
};

// Writes all series once at `time_s` and prints one row.
inline PhaseFigures WritePhase(const SeriesRun& run, const char* name, int64_t time_s,
                               tsdb::Database* db) {
  Lines lines;
  std::string body;
  std::vector<double> ns_per_line;
  int64_t total_ns = 0;
  double cpu_seconds = 0;
  for (uint64_t first = 0; first < run.series; first += run.batch_lines) {
    const size_t count = std::min<uint64_t>(run.batch_lines, run.series - first);
    body.clear();
    AppendSensorLines(first, count, time_s, &body);
    const model::RowBatch& batch = lines.Parse(body);
    const double cpu_before = ProcessCpuSeconds();
    const int64_t start_ns = MonotonicNanos();
    const tsdb::WriteResult result = db->Write(batch, tsdb::WriteMode::kPartial);
    const int64_t elapsed_ns = MonotonicNanos() - start_ns;
    cpu_seconds += ProcessCpuSeconds() - cpu_before;
    Require(result.status.ok() && result.rows_stored == count, ToString(result.status));
    total_ns += elapsed_ns;
    ns_per_line.push_back(static_cast<double>(elapsed_ns) / static_cast<double>(count));
  }
  const auto lines_written = static_cast<double>(run.series);
  PhaseFigures figures{lines_written / static_cast<double>(total_ns) * 1e9,
                       static_cast<double>(total_ns) / lines_written,
                       cpu_seconds * 1e9 / lines_written};
  std::printf("%-8s %10.0f lines/s  %7.0f ns/line  p50 %7.0f  p99 %7.0f  max %9.0f  cpu %7.0f\n",
              name, figures.lines_per_second, figures.ns_per_line, Quantile(&ns_per_line, 0.5),
              Quantile(&ns_per_line, 0.99), Quantile(&ns_per_line, 1), figures.cpu_ns_per_line);
  return figures;
}

inline void CheckContents(const SeriesRun& run, const tsdb::Database& db) {
  auto set = db.Select({});
  Require(set.ok() && (*set)->size() == run.series, "the number of series read back");
  model::SampleColumns samples;
  for (size_t i = 0; i < (*set)->size(); i += std::max<size_t>(1, run.series / 1000)) {
    Require((*set)->Read(i, {}, &samples).ok() &&
                samples.size() == static_cast<size_t>(run.update_rounds) + 1,
            "the samples of a series read back");
  }
}

inline void RunSeries(const SeriesRun& run) {
  const ScratchFolder folder(run.folder);
  const uint64_t resident_before = ResidentBytes();
  auto db = OpenDatabase(folder.path(), run.sync);
  std::printf("\n%llu series, batches of %zu lines; %s\n",
              static_cast<unsigned long long>(run.series), run.batch_lines,
              MachineLine(run.sync).c_str());
  const StageReport before = TakeStageReport();
  constexpr int64_t kStart = 1'704'067'200;
  const PhaseFigures fresh = WritePhase(run, "new", kStart, db.get());
  const double resident_per_series =
      static_cast<double>(ResidentBytes() - resident_before) / static_cast<double>(run.series);
  PhaseFigures update;
  for (int round = 1; round <= run.update_rounds; ++round) {
    update = WritePhase(run, "update", kStart + 10 * round, db.get());
  }
  std::printf("new/update %.2f   resident bytes per series after the new ones %.0f\n",
              fresh.ns_per_line / update.ns_per_line, resident_per_series);
  CheckContents(run, *db);
  std::printf("%s", TakeStageReport().Since(before).ToText().c_str());
}

inline int SeriesMain(int argc, char** argv, const char* about, std::vector<uint64_t> sizes,
                      int update_rounds) {
  CLI::App app(about);
  bool smoke = false;
  std::string folder = ".";
  app.add_flag("--smoke", smoke, "a run of seconds, to see that it works");
  app.add_option("--dir", folder, "where the database is made (removed at the end)");
  app.add_option("--series", sizes, "how many series, several runs");
  CLI11_PARSE(app, argc, argv);
  if (smoke) {
    sizes = {2000};
  }
  for (const uint64_t series : sizes) {
    for (const wal::SyncMode sync : {wal::SyncMode::kNone, wal::SyncMode::kAlways}) {
      RunSeries({.series = series, .update_rounds = update_rounds, .sync = sync, .folder = folder});
    }
  }
  return 0;
}

}  // namespace tsdbd::benchmark
