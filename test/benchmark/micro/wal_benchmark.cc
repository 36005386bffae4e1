// How fast the log takes records and gives them back: appends per second, their latency and the
// replay, for sizes of record, numbers of appenders and sync modes. Each appender keeps `window`
// records in flight; a latency is from Append() to the callback. Every record is read back and
// compared before a figure is printed.
//
//   wal_benchmark [--smoke] [--directory=DIR] [--seconds=S] [--megabytes=M]

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include <fmt/format.h>

#include "benchmark_support.h"
#include "common/clock.h"
#include "common/env.h"
#include "common/mutex.h"
#include "wal/log.h"

namespace tsdbd::benchmark {
namespace {

struct Settings {
  std::string directory = ".";
  double seconds = 1;        // of appending for each line of the report, unless
  uint64_t megabytes = 512;  // so many were written first
  uint64_t segment_bytes = wal::LogOptions().segment_bytes;
};

struct Load {
  wal::SyncMode mode = wal::SyncMode::kAlways;
  uint64_t record_bytes = 0;
  int appenders = 1;
  int window = 1;
  uint64_t segment_bytes = 0;
};

struct Figures {
  uint64_t records = 0;
  double seconds = 0;
  double cpu_seconds = 0;
  std::vector<double> latencies_us;
  wal::LogStats log;
  double replay_seconds = 0;
};

// A record begins with who wrote it and when; the rest is the same in all.
struct RecordId {
  uint64_t appender = 0;
  uint64_t index = 0;
};

std::string RecordTemplate(uint64_t size_bytes) {
  std::string record(size_bytes, '\0');
  for (size_t i = sizeof(RecordId); i < record.size(); ++i) {
    record[i] = static_cast<char>('a' + i % 23);
  }
  return record;
}

// Keeps its window full until told to stop, then waits for what is in flight.
class Appender {
 public:
  Appender(wal::Log* log, const Load& load, uint64_t id)
      : log_(log), window_(load.window), id_(id) {
    template_ = RecordTemplate(load.record_bytes);
  }

  void Run(int64_t end_ns, uint64_t max_records) {
    for (index_ = 0; index_ < max_records && MonotonicNanos() < end_ns; ++index_) {
      WaitUntilInFlightIsBelow(window_);
      AppendOne();
    }
    WaitUntilInFlightIsBelow(1);
  }

  uint64_t records() const { return index_; }
  std::vector<double>* latencies_us() { return &latencies_us_; }

 private:
  void AppendOne() {
    std::string record = log_->TakeBuffer();
    record.assign(template_);
    const RecordId id{id_, index_};
    std::memcpy(record.data(), &id, sizeof(id));
    {
      MutexLock lock(&mu_);
      ++in_flight_;
    }
    const int64_t start_ns = MonotonicNanos();
    const Status status = log_->Append(std::move(record), [this, start_ns](const Status& done) {
      const double latency_us = static_cast<double>(MonotonicNanos() - start_ns) * 1e-3;
      MutexLock lock(&mu_);
      Require(done.ok(), "append: " + ToString(done));
      latencies_us_.push_back(latency_us);
      --in_flight_;
      changed_.NotifyOne();
    });
    Require(status.ok(), "append: " + ToString(status));
  }

  void WaitUntilInFlightIsBelow(int limit) {
    MutexLock lock(&mu_);
    while (in_flight_ >= limit) {
      changed_.Wait(&mu_);
    }
  }

  wal::Log* const log_;
  const int window_;
  const uint64_t id_;
  std::string template_;
  uint64_t index_ = 0;
  Mutex mu_;
  CondVar changed_;
  int in_flight_ GUARDED_BY(mu_) = 0;
  std::vector<double> latencies_us_;  // written by callbacks under mu_, read when all are done
};

std::unique_ptr<wal::Log> OpenLog(const std::string& directory, const Load& load,
                                  const wal::RecordVisitor& visitor, wal::RecoveryReport* report) {
  wal::LogOptions options;
  options.directory = directory + "/wal";
  options.sync_mode = load.mode;
  options.segment_bytes = load.segment_bytes;
  auto log = wal::Log::Open(Env::Default(), options, visitor, report);
  Require(log.ok(), "open: " + ToString(log.status()));
  return *std::move(log);
}

void Append(const std::string& directory, const Settings& settings, const Load& load,
            Figures* figures) {
  wal::RecoveryReport report;
  const auto ignore = [](const wal::RecordView&) { return OkStatus(); };
  const auto log = OpenLog(directory, load, ignore, &report);
  std::vector<std::unique_ptr<Appender>> appenders;
  std::vector<std::thread> threads;
  for (int i = 0; i < load.appenders; ++i) {
    appenders.push_back(std::make_unique<Appender>(log.get(), load, i));
  }
  const uint64_t max_records =
      std::max<uint64_t>(1, (settings.megabytes << 20) / load.record_bytes / load.appenders);
  const double cpu_before = ProcessCpuSeconds();
  const int64_t start_ns = MonotonicNanos();
  const auto end_ns = start_ns + static_cast<int64_t>(settings.seconds * kNanosPerSecond);
  for (auto& appender : appenders) {
    threads.emplace_back([&appender, end_ns, max_records] { appender->Run(end_ns, max_records); });
  }
  for (std::thread& thread : threads) {
    thread.join();
  }
  figures->seconds = static_cast<double>(MonotonicNanos() - start_ns) / kNanosPerSecond;
  figures->cpu_seconds = ProcessCpuSeconds() - cpu_before;
  for (auto& appender : appenders) {
    figures->records += appender->records();
    figures->latencies_us.insert(figures->latencies_us.end(), appender->latencies_us()->begin(),
                                 appender->latencies_us()->end());
  }
  figures->log = log->stats();
  Require(log->Close().ok(), "close");
}

void Replay(const std::string& directory, const Load& load, Figures* figures) {
  const std::string expected = RecordTemplate(load.record_bytes);
  const auto rest = [](std::string_view record) { return record.substr(sizeof(RecordId)); };
  std::vector<uint64_t> next(load.appenders, 0);
  const auto check = [&](const wal::RecordView& record) {
    Require(record.bytes.size() == expected.size() && rest(record.bytes) == rest(expected),
            "a record came back with other contents");
    RecordId id;
    std::memcpy(&id, record.bytes.data(), sizeof(id));
    Require(id.appender < next.size() && id.index == next[id.appender]++,
            "a record came back out of order");
    return OkStatus();
  };
  wal::RecoveryReport report;
  const auto log = OpenLog(directory, load, check, &report);
  Require(report.records == figures->records, "records are missing");
  Require(report.damage_count == 0 && !report.torn_tail, "the log is damaged");
  figures->replay_seconds = static_cast<double>(report.elapsed_ns) / kNanosPerSecond;
}

void Print(const Load& load, Figures* figures) {
  const auto records = static_cast<double>(figures->records);
  const double megabytes = records * static_cast<double>(load.record_bytes) * 1e-6;
  const auto commits = static_cast<double>(std::max<uint64_t>(figures->log.commits, 1));
  const auto syncs = static_cast<double>(std::max<uint64_t>(figures->log.syncs, 1));
  fmt::print(
      "{:<9}{:>9}{:>6}{:>8}{:>12.0f}{:>9.1f}{:>10.0f}{:>10.0f}{:>12.1f}{:>10.0f}{:>9.2f}{:>9.2f}\n",
      SyncModeName(load.mode), load.record_bytes, load.appenders, load.window,
      records / figures->seconds, megabytes / figures->seconds,
      Quantile(&figures->latencies_us, 0.5), Quantile(&figures->latencies_us, 0.99),
      records / commits, static_cast<double>(figures->log.sync_ns) * 1e-3 / syncs,
      figures->cpu_seconds * 1e6 / records, megabytes * 1e-3 / figures->replay_seconds);
  std::fflush(stdout);
}

void RunLoad(const Settings& settings, const Load& load) {
  const ScratchFolder folder(settings.directory);
  Figures figures;
  Append(folder.path(), settings, load, &figures);
  Replay(folder.path(), load, &figures);
  Print(load, &figures);
}

void RunAll(const Settings& settings) {
  fmt::print("{}\n", MachineLine(wal::SyncMode::kAlways));
  fmt::print("{:<9}{:>9}{:>6}{:>8}{:>12}{:>9}{:>10}{:>10}{:>12}{:>10}{:>9}{:>9}\n", "mode", "bytes",
             "apps", "window", "records/s", "MB/s", "p50 us", "p99 us", "rec/commit", "us/sync",
             "cpu us", "replay");
  fmt::print("{:>114}\n", "/record     GB/s");
  struct Shape {
    int appenders;
    int window;
  };
  // One waiting client, some, many; and one that pipelines.
  const std::vector<Shape> shapes = {{1, 1}, {4, 1}, {16, 1}, {1, 64}};
  const std::vector<uint64_t> sizes = {64, 1 << 10, 16 << 10, 256 << 10, 1 << 20};
  for (const wal::SyncMode mode :
       {wal::SyncMode::kAlways, wal::SyncMode::kInterval, wal::SyncMode::kNone}) {
    for (const uint64_t record_bytes : sizes) {
      for (const Shape& shape : shapes) {
        RunLoad(settings,
                {mode, record_bytes, shape.appenders, shape.window, settings.segment_bytes});
      }
    }
  }
}

// The value of --name=value.
bool Option(std::string_view argument, std::string_view name, std::string* value) {
  if (!argument.starts_with(name) || argument.substr(name.size(), 1) != "=") {
    return false;
  }
  *value = argument.substr(name.size() + 1);
  return true;
}

Settings ParseArguments(int count, char** arguments) {
  Settings settings;
  for (int i = 1; i < count; ++i) {
    const std::string_view argument = arguments[i];
    std::string value;
    if (argument == "--smoke") {
      settings.seconds = 0.01;
      settings.segment_bytes = 1 << 20;
      settings.megabytes = 4;
    } else if (Option(argument, "--directory", &value)) {
      settings.directory = value;
    } else if (Option(argument, "--seconds", &value)) {
      settings.seconds = std::stod(value);
    } else if (Option(argument, "--megabytes", &value)) {
      settings.megabytes = std::stoull(value);
    } else {
      Require(false, fmt::format("unknown argument {}", argument));
    }
  }
  return settings;
}

}  // namespace
}  // namespace tsdbd::benchmark

int main(int count, char** arguments) {
  tsdbd::benchmark::RunAll(tsdbd::benchmark::ParseArguments(count, arguments));
  return 0;
}
