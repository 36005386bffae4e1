// Line protocol bytes to durable, in process: parse + Database::Write of TSBS-like lines with 10
// fields, for 1 thousand and 100 thousand hosts, on one and two threads; then a flush, a restart
// and the bytes per sample on disk.
#include <atomic>
#include <cstdio>
#include <filesystem>
#include <string>
#include <thread>
#include <vector>

#include <CLI/CLI.hpp>

#include "benchmark_support.h"
#include "line_workload.h"
#include "storage/block_manager.h"

namespace tsdbd::benchmark {
namespace {

struct Run {
  uint32_t hosts = 0;
  size_t lines = 0;
  size_t batch_lines = 5000;
  int threads = 1;
  wal::SyncMode sync = wal::SyncMode::kNone;
  std::string folder;
};

std::vector<std::string> MakeBodies(const Run& run) {
  HostLines lines(run.hosts);
  std::vector<std::string> bodies(run.lines / run.batch_lines);
  for (std::string& body : bodies) {
    lines.Append(run.batch_lines, &body);
  }
  return bodies;
}

void WriteAll(const std::vector<std::string>& bodies, int threads, tsdb::Database* db) {
  std::atomic<size_t> next = 0;
  std::vector<std::thread> writers;
  for (int t = 0; t < threads; ++t) {
    writers.emplace_back([&] {
      Lines lines;
      for (size_t i = next++; i < bodies.size(); i = next++) {
        const tsdb::WriteResult result =
            db->Write(lines.Parse(bodies[i]), tsdb::WriteMode::kPartial);
        Require(result.status.ok(), ToString(result.status));
      }
    });
  }
  for (std::thread& writer : writers) {
    writer.join();
  }
}

uint64_t CountSamples(const tsdb::Database& db) {
  auto set = db.Select({});
  Require(set.ok(), ToString(set.status()));
  model::SampleColumns samples;
  uint64_t count = 0;
  for (size_t i = 0; i < (*set)->size(); ++i) {
    Require((*set)->Read(i, {}, &samples).ok(), "a series could not be read");
    count += samples.size();
  }
  return count;
}

// The segments that hold records; the log goes on preparing and renaming others meanwhile.
void CopyLog(const std::string& from, const std::string& to) {
  std::filesystem::create_directories(to);
  for (const auto& entry : std::filesystem::directory_iterator(from)) {
    if (entry.path().filename().string().starts_with("wal-")) {
      std::error_code vanished;
      std::filesystem::copy(entry.path(), to, vanished);
    }
  }
}

void Report(const char* what, uint64_t samples, int64_t elapsed_ns, double cpu_seconds) {
  const auto count = static_cast<double>(samples);
  std::printf("%-10s %7.2f M samples/s  %6.1f ns/sample  cpu %6.1f ns/sample\n", what,
              count / static_cast<double>(elapsed_ns) * 1e3,
              static_cast<double>(elapsed_ns) / count, cpu_seconds * 1e9 / count);
}

void RunOnce(const Run& run) {
  const ScratchFolder folder(run.folder);
  const std::vector<std::string> bodies = MakeBodies(run);
  const uint64_t samples = bodies.size() * run.batch_lines * HostLines::kFields;
  std::printf("\n%u hosts, %d thread(s), batches of %zu lines of 10 fields; %s\n", run.hosts,
              run.threads, run.batch_lines, MachineLine(run.sync).c_str());
  const StageReport before = TakeStageReport();
  // A copy of the log as a crash would leave it, for the replay.
  const std::string copy = folder.path() + "/replay";
  {
    auto db = OpenDatabase(folder.path(), run.sync);
    const double cpu_before = ProcessCpuSeconds();
    const int64_t start_ns = MonotonicNanos();
    WriteAll(bodies, run.threads, db.get());
    Report("write", samples, MonotonicNanos() - start_ns, ProcessCpuSeconds() - cpu_before);
    Require(CountSamples(*db) == samples, "the number of samples read back");
    CopyLog(folder.path() + "/wal", copy + "/wal");
  }
  {
    const double cpu_before = ProcessCpuSeconds();
    const int64_t start_ns = MonotonicNanos();
    auto db = OpenDatabase(copy, run.sync);
    Report("replay", samples, MonotonicNanos() - start_ns, ProcessCpuSeconds() - cpu_before);
    Require(CountSamples(*db) == samples, "the number of samples after replay");
    Require(db->Flush().ok(), "flush");
    Require(CountSamples(*db) == samples, "the number of samples in blocks");
    std::printf(
        "%-10s %7.3f bytes/sample\n", "blocks",
        static_cast<double>(db->blocks().Stats().size_bytes) / static_cast<double>(samples));
  }
  std::printf("%s", TakeStageReport().Since(before).ToText().c_str());
}

int Main(int argc, char** argv) {
  CLI::App app("Line protocol bytes to durable, in process");
  bool smoke = false;
  std::string folder = ".";
  size_t lines = 1'000'000;
  app.add_flag("--smoke", smoke, "a run of seconds, to see that it works");
  app.add_option("--dir", folder, "where the database is made (removed at the end)");
  app.add_option("--lines", lines, "lines per run");
  CLI11_PARSE(app, argc, argv);
  const std::vector<uint32_t> host_counts =
      smoke ? std::vector<uint32_t>{100} : std::vector<uint32_t>{1'000, 100'000};
  for (const uint32_t hosts : host_counts) {
    for (const int threads : {1, 2}) {
      for (const wal::SyncMode sync : {wal::SyncMode::kNone, wal::SyncMode::kAlways}) {
        RunOnce({.hosts = hosts,
                 .lines = smoke ? 10'000 : lines,
                 .threads = threads,
                 .sync = sync,
                 .folder = folder});
      }
    }
  }
  return 0;
}

}  // namespace
}  // namespace tsdbd::benchmark

int main(int argc, char** argv) {
  return tsdbd::benchmark::Main(argc, argv);
}
