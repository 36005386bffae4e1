#pragma once
// LogHarness: a log on a FaultEnv, and what came of its records. For tests of this folder.

#include <atomic>
#include <memory>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "common/fault_env_testing.h"
#include "wal/format.h"
#include "wal/log.h"

namespace tsdbd::wal {

struct RecoveredRecord {
  uint64_t generation = 0;
  std::string bytes;
  RecordPosition position;
};

class LogHarness {
 public:
  LogHarness() {
    options.directory = "wal";
    options.segment_bytes = 16 * kPageBytes;
    options.make_salt = [salt = std::make_shared<std::atomic<uint64_t>>(1)] {
      return 0x5A17'0000'0000'0000 + (*salt)++;
    };
  }

  // Reads what is there into `recovered` and `report`, and starts.
  Status Open() {
    recovered.clear();
    auto opened = Log::Open(
        &env, options,
        [this](const RecordView& record) {
          recovered.push_back({record.generation, std::string(record.bytes), record.position});
          return OkStatus();
        },
        &report);
    if (opened.ok()) {
      log = *std::move(opened);
    }
    return opened.status();
  }
  void MustOpen() {
    const Status status = Open();
    ASSERT_TRUE(status.ok()) << status;
  }

  // Ends the process, as `mode` says; then nothing runs.
  void Crash(CrashMode mode, uint64_t seed = 0) {
    env.Crash(mode, seed);
    log.reset();
    env.Restart();
  }
  void Close() {
    EXPECT_TRUE(log->Close().ok());
    log.reset();
  }

  // Appends and waits.
  Status Append(std::string record) {
    return Wait([&](Log::Done done) { return log->Append(std::move(record), std::move(done)); });
  }
  Status StartGeneration(uint64_t generation) {
    return Wait([&](Log::Done done) { return log->StartGeneration(generation, std::move(done)); });
  }

  std::vector<std::string> RecoveredBytes() const {
    std::vector<std::string> all;
    for (const RecoveredRecord& record : recovered) {
      all.push_back(record.bytes);
    }
    return all;
  }
  // wal-*.log files, in order.
  std::vector<std::string> SegmentPaths() {
    std::vector<std::string> paths;
    const std::vector<std::string> names = env.List(options.directory).value();
    for (const std::string& name : names) {
      if (ParseSegmentName(name)) {
        paths.push_back(options.directory + "/" + name);
      }
    }
    return paths;
  }

  FaultEnv env;
  LogOptions options;
  std::unique_ptr<Log> log;
  RecoveryReport report;
  std::vector<RecoveredRecord> recovered;

 private:
  template <typename Queue>
  static Status Wait(Queue queue) {
    Mutex mu;
    CondVar changed;
    bool finished = false;
    Status result;
    const Status queued = queue([&](const Status& status) {
      MutexLock lock(&mu);
      result = status;
      finished = true;
      changed.NotifyOne();
    });
    if (!queued.ok()) {
      return queued;
    }
    MutexLock lock(&mu);
    while (!finished) {
      changed.Wait(&mu);
    }
    return result;
  }
};

}  // namespace tsdbd::wal
