// A log on the real file system, whose process is killed while it writes.

#include <csignal>
#include <filesystem>
#include <random>
#include <thread>

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/env.h"
#include "wal/log.h"

namespace tsdbd::wal {
namespace {

class KillTest : public testing::TestWithParam<SyncMode> {
 protected:
  void SetUp() override {
    std::string name = testing::TempDir() + "wal_kill_XXXXXX";
    ASSERT_NE(mkdtemp(name.data()), nullptr);
    folder_ = name;
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  StatusOr<std::unique_ptr<Log>> Open(const RecordVisitor& visitor, RecoveryReport* report) {
    LogOptions options;
    options.directory = folder_ + "/wal";
    options.sync_mode = GetParam();
    options.segment_bytes = 256 << 10;
    return Log::Open(Env::Default(), options, visitor, report);
  }

  // Records are the numbers from 0 on, with padding. Returns how many there are.
  uint64_t CountRecords() {
    uint64_t next = 0;
    RecoveryReport report;
    const auto check = [&](const RecordView& record) {
      EXPECT_EQ(std::stoull(std::string(record.bytes.substr(0, 12))), next);
      ++next;
      return OkStatus();
    };
    const auto log = Open(check, &report);
    EXPECT_TRUE(log.ok()) << log.status();
    EXPECT_EQ(report.damage_count, 0u);
    return next;
  }

  // Appends from `first` on until it is killed; tells through `acknowledged_fd` what is done.
  [[noreturn]] void AppendForever(uint64_t first, int acknowledged_fd) {
    RecoveryReport report;
    auto log = Open([](const RecordView&) { return OkStatus(); }, &report);
    for (uint64_t number = first;; ++number) {
      const std::string record = fmt::format("{:012}{}", number, std::string(number % 3000, 'x'));
      (*log)
          ->Append(record,
                   [number, acknowledged_fd](const Status& status) {
                     if (!status.ok() || write(acknowledged_fd, &number, sizeof(number)) < 0) {
                       _exit(1);
                     }
                   })
          .IgnoreError();
    }
  }

  std::string folder_;
};

TEST_P(KillTest, LosesNothingAcknowledged) {
  const uint64_t seed = std::random_device()();
  SCOPED_TRACE(fmt::format("seed {}", seed));
  std::mt19937_64 random(seed);
  uint64_t count = 0;
  for (int round = 0; round < 5; ++round) {
    int acknowledged[2];
    ASSERT_EQ(pipe(acknowledged), 0);
    const pid_t child = fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      close(acknowledged[0]);
      AppendForever(count, acknowledged[1]);
    }
    close(acknowledged[1]);
    std::thread killer;
    uint64_t expected = count;
    uint64_t number = 0;
    while (read(acknowledged[0], &number, sizeof(number)) == sizeof(number)) {
      EXPECT_EQ(number, expected++) << "acknowledged out of order";
      if (!killer.joinable()) {
        killer = std::thread([child, delay_ms = random() % 60] {
          std::this_thread::sleep_for(std::chrono::milliseconds(delay_ms));
          kill(child, SIGKILL);
        });
      }
    }
    ASSERT_TRUE(killer.joinable()) << "the child ended by itself";
    killer.join();
    waitpid(child, nullptr, 0);
    close(acknowledged[0]);
    count = CountRecords();
    EXPECT_GE(count, expected) << "an acknowledged record was lost";
  }
}

INSTANTIATE_TEST_SUITE_P(AllModes, KillTest,
                         testing::Values(SyncMode::kAlways, SyncMode::kInterval, SyncMode::kNone));

}  // namespace
}  // namespace tsdbd::wal
