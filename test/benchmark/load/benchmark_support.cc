#include "benchmark_support.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <thread>

#include <fmt/format.h>
#include <sys/resource.h>
#include <unistd.h>

namespace tsdbd::benchmark {
namespace {

std::string CpuModel() {
  std::ifstream cpuinfo("/proc/cpuinfo");
  for (std::string line; std::getline(cpuinfo, line);) {
    if (line.starts_with("model name")) {
      return line.substr(line.find(':') + 2);
    }
  }
  return "unknown CPU";
}

double Seconds(const timeval& time) {
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) * 1e-6;
}

}  // namespace

ScratchFolder::ScratchFolder(const std::string& parent) {
  std::string path = parent + "/tsdbd-benchmark-XXXXXX";
  Require(mkdtemp(path.data()) != nullptr, "cannot make a folder in " + parent);
  path_ = path;
}

ScratchFolder::~ScratchFolder() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

std::string_view SyncModeName(wal::SyncMode sync) {
  switch (sync) {
    case wal::SyncMode::kAlways:
      return "always";
    case wal::SyncMode::kInterval:
      return "interval";
    case wal::SyncMode::kNone:
      return "none";
  }
  return "?";
}

std::string CpuLine() {
  return fmt::format("{}, {} cores", CpuModel(), std::thread::hardware_concurrency());
}

std::string MachineLine(wal::SyncMode sync) {
  return fmt::format("{}; wal.sync={}", CpuLine(), SyncModeName(sync));
}

double ProcessCpuSeconds() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return Seconds(usage.ru_utime) + Seconds(usage.ru_stime);
}

uint64_t ResidentBytes() {
  std::ifstream statm("/proc/self/statm");
  uint64_t total = 0;
  uint64_t resident = 0;
  statm >> total >> resident;
  return resident * static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
}

double Quantile(std::vector<double>* values, double q) {
  if (values->empty()) {
    return 0;
  }
  std::ranges::sort(*values);
  const auto last = static_cast<double>(values->size() - 1);
  return (*values)[static_cast<size_t>(q * last + 0.5)];
}

void Require(bool correct, const std::string& what) {
  if (!correct) {
    std::fflush(stdout);
    std::fprintf(stderr, "WRONG: %s\n", what.c_str());
    std::_Exit(1);
  }
}

std::unique_ptr<tsdb::Database> OpenDatabase(const std::string& folder, wal::SyncMode sync) {
  tsdb::DatabaseOptions options;
  options.data_dir = folder;
  options.wal.sync_mode = sync;
  auto db = tsdb::Database::Open(Env::Default(), options);
  Require(db.ok(), fmt::format("open: {}", ToString(db.status())));
  return std::move(*db);
}

}  // namespace tsdbd::benchmark
