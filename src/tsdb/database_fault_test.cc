// The database on a disk that is full, fails, or loses power: what was acknowledged stays, what
// was not is there as a whole or not at all, and what can go on goes on.

#include <memory>
#include <thread>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <spdlog/spdlog.h>

#include "common/clock.h"
#include "common/fault_env_testing.h"
#include "storage/block_manager.h"
#include "tsdb/batch_testing.h"
#include "tsdb/database.h"
#include "tsdb/numbered_writes_testing.h"

namespace tsdbd::tsdb {
namespace {

using testing::HasSubstr;

// The sweeps cut at each of some hundred mutations; under a sanitizer, at every few.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr uint64_t kStride = 11;
constexpr int64_t kResumeLimitMs = 10'000;
#else
constexpr uint64_t kStride = 1;
// What the design promises: a second.
constexpr int64_t kResumeLimitMs = 1'000;
#endif

// Hundreds of failures that a test causes on purpose would bury the one it reports.
class QuietLog {
 public:
  QuietLog() : level_(spdlog::get_level()) { spdlog::set_level(spdlog::level::off); }
  ~QuietLog() { spdlog::set_level(level_); }

 private:
  const spdlog::level::level_enum level_;
};

class DatabaseFaultTest : public testing::Test {
 protected:
  void SetUp() override { Open(); }

  void Open(wal::SyncMode sync_mode = wal::SyncMode::kAlways) {
    DatabaseOptions options = SmallDatabase();
    options.wal.sync_mode = sync_mode;
    auto opened = Database::Open(&env_, options);
    ASSERT_TRUE(opened.ok()) << opened.status();
    db_ = std::move(*opened);
  }
  void Crash(CrashMode mode, uint64_t seed = 0) {
    env_.Crash(mode, seed);
    db_.reset();
    env_.Restart();
  }
  // Closing would flush. This leaves what a kill at this moment leaves.
  void KillWithoutFlush() {
    Crash(CrashMode::kKeepAll);
    env_.ClearFaults();
  }
  void FailBlocks(FileOperation operation, uint64_t times) {
    env_.Inject({.operation = operation, .times = times, .path_part = "/blocks"});
  }

  QuietLog quiet_;
  FaultEnv env_;
  std::unique_ptr<Database> db_;
  NumberedWrites writes_;
};

// Full disk.

TEST_F(DatabaseFaultTest, AFullDiskRefusesWritesAndTheyResumeByThemselvesWhenThereIsSpaceAgain) {
  writes_.MustSend(db_.get(), 3);
  env_.SetCapacity(0);
  Status refused;
  // The segments that were prepared take some more.
  for (int i = 0; i < 100 && refused.ok(); ++i) {
    refused = writes_.Next(db_.get());
  }
  EXPECT_EQ(refused.code(), StatusCode::kResourceExhausted) << refused;
  EXPECT_THAT(std::string(Message(refused)), HasSubstr("No space left"));
  writes_.Check(*db_);
  EXPECT_FALSE(writes_.Resume(db_.get(), 300)) << "the disk is full";

  env_.SetCapacity(UINT64_MAX);
  EXPECT_TRUE(writes_.Resume(db_.get(), kResumeLimitMs));
  writes_.MustSend(db_.get(), 3);
  writes_.Check(*db_);
  Crash(CrashMode::kDropUnsynced);
  Open();
  writes_.Check(*db_);
}

TEST_F(DatabaseFaultTest, ADatabaseOpensAndIsReadOnAFullDisk) {
  writes_.MustSend(db_.get(), 5);
  KillWithoutFlush();
  env_.SetCapacity(0);
  Open();
  writes_.Check(*db_);
  env_.SetCapacity(UINT64_MAX);
  EXPECT_TRUE(writes_.Resume(db_.get(), kResumeLimitMs));
  writes_.Check(*db_);
}

TEST_F(DatabaseFaultTest, AFlushThatFindsTheDiskFullLosesNothing) {
  writes_.MustSend(db_.get(), 5);
  env_.SetCapacity(0);
  EXPECT_EQ(db_->Flush().code(), StatusCode::kResourceExhausted);
  writes_.Check(*db_);
  env_.SetCapacity(UINT64_MAX);
  EXPECT_TRUE(writes_.Resume(db_.get(), kResumeLimitMs));
  ASSERT_TRUE(db_->Flush().ok());
  writes_.Check(*db_);
  Crash(CrashMode::kDropUnsynced);
  Open();
  writes_.Check(*db_);
}

// Failing operations of the log.

TEST_F(DatabaseFaultTest, AfterAFailedLogWriteTheClientIsToldToTryAgainAndThenItWorks) {
  writes_.MustSend(db_.get(), 2);
  for (const bool short_write : {false, true}) {
    env_.Inject(
        {.operation = FileOperation::kWrite, .short_write = short_write, .path_part = "/wal/wal-"});
    const Status failed = writes_.Next(db_.get());
    EXPECT_EQ(failed.code(), StatusCode::kUnavailable) << failed;
    EXPECT_THAT(std::string(Message(failed)), HasSubstr("Input/output error"));
    writes_.Check(*db_);
    EXPECT_TRUE(writes_.Resume(db_.get(), kResumeLimitMs));
    writes_.MustSend(db_.get(), 2);
    env_.ClearFaults();
  }
  writes_.Check(*db_);
  Crash(CrashMode::kDropUnsynced);
  Open();
  writes_.Check(*db_);
}

// What a kill finds when the log broke and went on must not depend on the flush that follows.
TEST_F(DatabaseFaultTest, ALogOfSeveralGenerationsIsReplayedAsAWhole) {
  FailBlocks(FileOperation::kWrite, UINT64_MAX);
  for (int generation = 0; generation < 3; ++generation) {
    writes_.MustSend(db_.get(), 3);
    Crash(CrashMode::kDropUnsynced);
    Open();
    writes_.Check(*db_);
  }
  env_.ClearFaults();
  ASSERT_TRUE(db_->Flush().ok());
  writes_.Check(*db_);
}

TEST_F(DatabaseFaultTest, AfterAFailedSyncWritesFailAndReadsGoOnUntilTheRestart) {
  writes_.MustSend(db_.get(), 3);
  const uint64_t acknowledged = writes_.acknowledged().size();
  env_.Inject({.operation = FileOperation::kSync, .path_part = "/wal/wal-"});
  EXPECT_EQ(writes_.Next(db_.get()).code(), StatusCode::kUnavailable);
  EXPECT_FALSE(writes_.Resume(db_.get(), 500)) << "a later sync would succeed and mean nothing";
  const Status poisoned = writes_.Next(db_.get());
  EXPECT_EQ(poisoned.code(), StatusCode::kUnavailable);
  EXPECT_THAT(std::string(Message(poisoned)), HasSubstr("sync failed"));
  EXPECT_EQ(writes_.acknowledged().size(), acknowledged);
  writes_.Check(*db_);
  Crash(CrashMode::kDropUnsynced);
  Open();
  writes_.Check(*db_);
  writes_.MustSend(db_.get(), 3);
  writes_.Check(*db_);
}

// Failing flushes.

struct FlushFault {
  const char* name;
  FileOperation operation;
};

class FailingFlushTest : public DatabaseFaultTest,
                         public testing::WithParamInterface<FlushFault> {};

TEST_P(FailingFlushTest, KeepsTheDataReadableAndSucceedsLater) {
  writes_.MustSend(db_.get(), 5);
  FailBlocks(GetParam().operation, 1);
  EXPECT_FALSE(db_->Flush().ok());
  writes_.Check(*db_);
  writes_.MustSend(db_.get(), 5);
  writes_.Check(*db_);
  ASSERT_TRUE(db_->Flush().ok());
  EXPECT_EQ(db_->Stats().flush_failures, 1u);
  writes_.Check(*db_);
  Crash(CrashMode::kDropUnsynced);
  Open();
  writes_.Check(*db_);
}

TEST_P(FailingFlushTest, LosesNothingIfThePowerIsCutBeforeItSucceeds) {
  writes_.MustSend(db_.get(), 5);
  FailBlocks(GetParam().operation, UINT64_MAX);
  EXPECT_FALSE(db_->Flush().ok());
  writes_.MustSend(db_.get(), 5);
  Crash(CrashMode::kDropUnsynced);
  env_.ClearFaults();
  Open();
  writes_.Check(*db_);
}

INSTANTIATE_TEST_SUITE_P(Operations, FailingFlushTest,
                         testing::Values(FlushFault{"open", FileOperation::kOpen},
                                         FlushFault{"write", FileOperation::kWrite},
                                         FlushFault{"sync", FileOperation::kSync},
                                         FlushFault{"map", FileOperation::kRead},
                                         FlushFault{"rename", FileOperation::kRename},
                                         FlushFault{"sync_folder", FileOperation::kSyncDirectory}),
                         [](const auto& info) { return info.param.name; });

TEST_F(DatabaseFaultTest, AFailedFlushIsTriedAgainWithoutBeingAsked) {
  writes_.MustSend(db_.get(), 5);
  FailBlocks(FileOperation::kWrite, 1);
  EXPECT_FALSE(db_->Flush().ok());
  const int64_t deadline_ns = MonotonicNanos() + 30 * kNanosPerSecond;
  while (db_->Stats().flushes == 0 && MonotonicNanos() < deadline_ns) {
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  EXPECT_EQ(db_->Stats().flushes, 1u);
  EXPECT_EQ(db_->blocks().Snapshot()->size(), 3u);
  writes_.Check(*db_);
}

// The folder.

TEST_F(DatabaseFaultTest, AFolderIsHeldByOneDatabase) {
  const auto second = Database::Open(&env_, SmallDatabase());
  EXPECT_EQ(second.status().code(), StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(Message(second.status())), HasSubstr("/db/LOCK"));
  writes_.MustSend(db_.get(), 1);
  db_.reset();
  Open();
  writes_.Check(*db_);
}

// Power cuts and kills at every mutation.

struct Cut {
  const char* name;
  wal::SyncMode sync_mode;
  CrashMode crash_mode;
};

// A database on a file system of its own, up to the cut and after it.
class CutRun {
 public:
  explicit CutRun(const Cut& cut) : cut_(cut) { options_.wal.sync_mode = cut.sync_mode; }

  // A log of three generations that no flush has been able to shorten.
  void MakeUnflushedLog() {
    for (int generation = 0; generation < 3; ++generation) {
      env_.Inject(
          {.operation = FileOperation::kWrite, .times = UINT64_MAX, .path_part = "/blocks/"});
      Open();
      durable_through_ = acknowledged_through_;
      writes_.MustSend(db_.get(), 3);
      acknowledged_through_ = writes_.sent();
      Crash(CrashMode::kKeepAll);
      env_.ClearFaults();
    }
  }

  // Goes on writing and flushing, closes, and does the same again. False if there were fewer
  // mutations than that.
  bool CutAfter(uint64_t mutations) {
    const uint64_t before = env_.MutationCount();
    env_.StopAfter(mutations);
    for (int life = 0; life < 2 && RunOneLife(); ++life) {
    }
    const bool was_cut = env_.MutationCount() > before + mutations;
    Crash(cut_.crash_mode, mutations);
    return was_cut;
  }

  void Open() {
    auto opened = Database::Open(&env_, options_);
    ASSERT_TRUE(opened.ok()) << opened.status();
    db_ = std::move(*opened);
  }
  void Crash(CrashMode mode, uint64_t seed = 0) {
    env_.Crash(mode, seed);
    db_.reset();
    env_.Restart();
  }

  // What is found is a prefix of what was sent, as long as the mode promises.
  void CheckPrefix(const Contents& contents) const {
    const bool keeps_all_acknowledged =
        cut_.sync_mode == wal::SyncMode::kAlways || cut_.crash_mode == CrashMode::kKeepAll;
    const uint64_t found = WritesIn(contents).size();
    EXPECT_GE(found, keeps_all_acknowledged ? acknowledged_through_ : durable_through_);
    EXPECT_LE(found, writes_.sent());
    EXPECT_EQ(Difference(contents, ContentsOf(FirstWrites(found))), "");
  }

  const Database& db() const { return *db_; }

 private:
  // False as soon as something fails.
  bool RunOneLife() {
    auto opened = Database::Open(&env_, options_);
    if (!opened.ok()) {
      return false;
    }
    db_ = std::move(*opened);
    durable_through_ = acknowledged_through_;
    for (int flush = 0; flush < 2; ++flush) {
      for (int i = 0; i < 3; ++i) {
        if (!writes_.Next(db_.get()).ok()) {
          return false;
        }
        acknowledged_through_ = writes_.sent();
      }
      if (!db_->Flush().ok()) {
        return false;
      }
      durable_through_ = writes_.sent();
    }
    db_.reset();
    return true;
  }

  const Cut cut_;
  DatabaseOptions options_ = SmallDatabase();
  FaultEnv env_;
  std::unique_ptr<Database> db_;
  NumberedWrites writes_;
  uint64_t acknowledged_through_ = 0;
  uint64_t durable_through_ = 0;
};

class DatabaseCutTest : public testing::TestWithParam<Cut> {
 private:
  QuietLog quiet_;
};

TEST_P(DatabaseCutTest, AtEveryMutationLosesNothingAcknowledgedAndLeavesNoHole) {
  bool was_cut = true;
  uint64_t cuts = 0;
  for (uint64_t cut = 0; was_cut && !HasFailure(); cut += kStride, ++cuts) {
    SCOPED_TRACE(testing::Message() << "cut after " << cut << " mutations");
    CutRun run(GetParam());
    run.MakeUnflushedLog();
    was_cut = run.CutAfter(cut);
    run.Open();
    const Contents recovered = ReadAll(run.db());
    run.CheckPrefix(recovered);
    run.Crash(CrashMode::kDropUnsynced);
    run.Open();
    EXPECT_EQ(Difference(ReadAll(run.db()), recovered), "") << "recovered, but not made durable";
  }
  EXPECT_GT(cuts, 100 / kStride);
}

using enum wal::SyncMode;
using enum CrashMode;

INSTANTIATE_TEST_SUITE_P(
    Modes, DatabaseCutTest,
    testing::Values(Cut{"always_killed", kAlways, kKeepAll},
                    Cut{"always_all_unsynced_lost", kAlways, kDropUnsynced},
                    Cut{"always_some_unsynced_lost", kAlways, kKeepRandomSubset},
                    Cut{"interval_all_unsynced_lost", kInterval, kDropUnsynced},
                    Cut{"none_killed", kNone, kKeepAll},
                    Cut{"none_all_unsynced_lost", kNone, kDropUnsynced},
                    Cut{"none_some_unsynced_lost", kNone, kKeepRandomSubset}),
    [](const auto& info) { return info.param.name; });

}  // namespace
}  // namespace tsdbd::tsdb
