#include "wal/log.h"

#include <thread>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "wal/log_harness_testing.h"

namespace tsdbd::wal {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

class LogTest : public testing::Test, protected LogHarness {
 protected:
  // Appends without waiting; order_ tells in which order the records were done.
  void Queue(std::string record) {
    const Status status =
        log->Append(std::move(record), [this, index = queued_++](const Status& done) {
          EXPECT_TRUE(done.ok()) << done;
          MutexLock lock(&mu_);
          order_.push_back(index);
        });
    ASSERT_TRUE(status.ok()) << status;
  }
  void Reopen() {
    Close();
    MustOpen();
  }
  // Until the background has nothing to do.
  void WaitForPreparedSegments() {
    while (log->stats().prepared_segments < options.prepared_segments) {
      std::this_thread::yield();
    }
  }

  size_t queued_ = 0;
  Mutex mu_;
  std::vector<size_t> order_;  // guarded by mu_ until the records are done
};

TEST_F(LogTest, AnEmptyFolderIsAnEmptyLog) {
  MustOpen();
  EXPECT_THAT(recovered, IsEmpty());
  EXPECT_EQ(report.segments, 0u);
  EXPECT_EQ(report.newest_generation, 0u);
  EXPECT_FALSE(report.torn_tail);
  EXPECT_EQ(log->health().state, HealthState::kOk);
  EXPECT_EQ(log->stats().generation, 1u);
}

TEST_F(LogTest, ReturnsRecordsInOrderAfterAReopen) {
  MustOpen();
  ASSERT_TRUE(Append("one").ok());
  ASSERT_TRUE(Append("").ok());
  ASSERT_TRUE(Append("three").ok());
  Reopen();
  ASSERT_THAT(RecoveredBytes(), ElementsAre("one", "", "three"));
  EXPECT_EQ(report.records, 3u);
  EXPECT_EQ(report.record_bytes, 8u);
  EXPECT_EQ(report.damage_count, 0u);
  EXPECT_FALSE(report.torn_tail);
  ASSERT_TRUE(Append("two").ok());
  Reopen();
  EXPECT_THAT(RecoveredBytes(), ElementsAre("one", "", "three", "two"));
}

TEST_F(LogTest, PositionsNameTheRecordsPlace) {
  MustOpen();
  ASSERT_TRUE(Append("one").ok());
  ASSERT_TRUE(Append("two").ok());
  Reopen();
  ASSERT_THAT(recovered, SizeIs(2));
  EXPECT_EQ(recovered[1].position.segment, 1u);
  EXPECT_EQ(recovered[1].position.offset, 2 * kPageBytes + sizeof(CommitHeader));
}

TEST_F(LogTest, AnAcknowledgedRecordSurvivesAPowerCut) {
  MustOpen();
  ASSERT_TRUE(Append("kept").ok());
  Crash(CrashMode::kDropUnsynced);
  MustOpen();
  EXPECT_THAT(RecoveredBytes(), ElementsAre("kept"));
}

TEST_F(LogTest, QueuedRecordsShareACommitAndAreDoneInOrder) {
  MustOpen();
  for (int i = 0; i < 1000; ++i) {
    Queue(std::to_string(i));
  }
  ASSERT_TRUE(log->Sync().ok());
  EXPECT_LT(log->stats().commits, 1000u);
  EXPECT_EQ(log->stats().records, 1000u);
  EXPECT_EQ(log->stats().queued_bytes, 0u);
  EXPECT_TRUE(std::is_sorted(order_.begin(), order_.end()));
  EXPECT_THAT(order_, SizeIs(1000));
  Reopen();
  ASSERT_THAT(recovered, SizeIs(1000));
  EXPECT_EQ(recovered[999].bytes, "999");
}

TEST_F(LogTest, RotatesThroughSegments) {
  MustOpen();
  for (int i = 0; i < 100; ++i) {
    ASSERT_TRUE(Append(std::string(3000, static_cast<char>('a' + i % 26))).ok());
  }
  EXPECT_GE(log->stats().segments, 100u / 15);
  Reopen();
  ASSERT_THAT(recovered, SizeIs(100));
  EXPECT_EQ(recovered[27].bytes, std::string(3000, 'b'));
}

TEST_F(LogTest, ARecordLargerThanASegmentFits) {
  MustOpen();
  const std::string large(5 * options.segment_bytes, 'L');
  ASSERT_TRUE(Append("before").ok());
  ASSERT_TRUE(Append(large).ok());
  ASSERT_TRUE(Append("after").ok());
  Crash(CrashMode::kDropUnsynced);
  MustOpen();
  ASSERT_THAT(recovered, SizeIs(3));
  EXPECT_TRUE(recovered[1].bytes == large);
}

TEST_F(LogTest, RefusesARecordOverTheLimit) {
  options.max_record_bytes = 100;
  MustOpen();
  EXPECT_EQ(Append(std::string(101, 'x')).code(), StatusCode::kInvalidArgument);
  EXPECT_TRUE(Append(std::string(100, 'x')).ok());
}

TEST_F(LogTest, RefusesBadOptions) {
  options.segment_bytes = kPageBytes;
  EXPECT_EQ(Open().code(), StatusCode::kInvalidArgument);
}

TEST_F(LogTest, AFullQueueIsUnavailableAtOnce) {
  options.max_queued_bytes = 10'000;
  Mutex gate;
  options.on_commit = [&](const CommitTiming&) { MutexLock lock(&gate); };
  MustOpen();
  gate.Lock();
  Status status;
  int accepted = 0;
  for (; accepted < 100 && status.ok(); ++accepted) {
    status = log->Append(std::string(1000, 'x'), nullptr);
  }
  gate.Unlock();
  EXPECT_EQ(status.code(), StatusCode::kUnavailable);
  EXPECT_THAT(std::string(Message(status)), HasSubstr("full"));
  EXPECT_GE(accepted, 9);
  ASSERT_TRUE(log->Sync().ok());
  EXPECT_TRUE(Append("room again").ok());
  EXPECT_EQ(log->stats().rejected_records, 1u);
  Close();  // while the hook's gate lives
}

TEST_F(LogTest, AClosedLogIsUnavailable) {
  MustOpen();
  ASSERT_TRUE(log->Close().ok());
  EXPECT_EQ(log->Append("x", nullptr).code(), StatusCode::kUnavailable);
  EXPECT_EQ(log->Sync().code(), StatusCode::kUnavailable);
  EXPECT_TRUE(log->Close().ok());
}

TEST_F(LogTest, CloseFinishesWhatIsQueued) {
  MustOpen();
  for (int i = 0; i < 100; ++i) {
    Queue("x");
  }
  Close();
  EXPECT_THAT(order_, SizeIs(100));
  MustOpen();
  EXPECT_THAT(recovered, SizeIs(100));
}

TEST_F(LogTest, BuffersComeBackEmptyWithTheirMemory) {
  MustOpen();
  ASSERT_TRUE(Append(std::string(100'000, 'x')).ok());
  ASSERT_TRUE(log->Sync().ok());
  const std::string buffer = log->TakeBuffer();
  EXPECT_EQ(buffer, "");
  EXPECT_GE(buffer.capacity(), 100'000u);
  EXPECT_LT(log->TakeBuffer().capacity(), 100u);
}

TEST_F(LogTest, TellsEachCommitToTheHook) {
  std::vector<CommitTiming> timings;
  options.on_commit = [&](const CommitTiming& timing) { timings.push_back(timing); };
  MustOpen();
  ASSERT_TRUE(Append("x").ok());
  ASSERT_TRUE(log->Sync().ok());
  ASSERT_THAT(timings, SizeIs(1));
  EXPECT_EQ(timings[0].records, 1u);
  EXPECT_EQ(timings[0].written_bytes, kPageBytes);
  EXPECT_EQ(log->stats().syncs, 1u);
  Close();  // while the hook's timings live
}

// ---- Generations

TEST_F(LogTest, GenerationsHaveTheirOwnSegmentsAndAreDroppedTogether) {
  MustOpen();
  ASSERT_TRUE(Append("one").ok());
  ASSERT_TRUE(StartGeneration(2).ok());
  ASSERT_TRUE(Append("two").ok());
  ASSERT_TRUE(StartGeneration(5).ok());
  ASSERT_TRUE(Append("five").ok());
  EXPECT_EQ(log->stats().segments, 3u);
  EXPECT_EQ(log->stats().generation, 5u);
  ASSERT_TRUE(log->DropGenerationsThrough(2).ok());
  EXPECT_EQ(log->stats().segments, 1u);
  Crash(CrashMode::kDropUnsynced);
  MustOpen();
  EXPECT_THAT(RecoveredBytes(), ElementsAre("five"));
  EXPECT_EQ(recovered[0].generation, 5u);
  EXPECT_EQ(report.newest_generation, 5u);
  EXPECT_EQ(log->stats().generation, 5u);
}

TEST_F(LogTest, AnUnusedSegmentBecomesTheNextGenerations) {
  MustOpen();
  ASSERT_TRUE(StartGeneration(2).ok());
  ASSERT_TRUE(Append("two").ok());
  EXPECT_EQ(log->stats().segments, 1u);
  Reopen();
  EXPECT_EQ(recovered[0].generation, 2u);
}

TEST_F(LogTest, AGenerationMayNotGoBack) {
  MustOpen();
  ASSERT_TRUE(StartGeneration(3).ok());
  EXPECT_EQ(StartGeneration(2).code(), StatusCode::kInvalidArgument);
  EXPECT_TRUE(StartGeneration(3).ok());
}

TEST_F(LogTest, RecordsBelowTheFirstGenerationAreNotVisitedAndDropped) {
  MustOpen();
  ASSERT_TRUE(Append("one").ok());
  ASSERT_TRUE(StartGeneration(2).ok());
  ASSERT_TRUE(Append("two").ok());
  Close();
  options.first_generation = 2;
  MustOpen();
  EXPECT_THAT(RecoveredBytes(), ElementsAre("two"));
  Close();
  options.first_generation = 1;
  MustOpen();
  EXPECT_THAT(RecoveredBytes(), ElementsAre("two"));
}

TEST_F(LogTest, TheFirstGenerationOfAnEmptyLogIsAsAsked) {
  options.first_generation = 7;
  MustOpen();
  EXPECT_EQ(log->stats().generation, 7u);
}

TEST_F(LogTest, DroppedSegmentsAreUsedAgainAndTheirOldContentsStayDead) {
  options.prepared_segments = 1;
  MustOpen();
  for (uint64_t generation = 2; generation < 30; ++generation) {
    for (int i = 0; i < 20; ++i) {
      ASSERT_TRUE(Append(fmt::format("{}-{}", generation - 1, std::string(1000, 'x'))).ok());
    }
    ASSERT_TRUE(StartGeneration(generation).ok());
    ASSERT_TRUE(log->DropGenerationsThrough(generation - 1).ok());
  }
  EXPECT_GT(log->stats().segments_recycled, 10u);
  EXPECT_LT(log->stats().segments_created, 15u);
  ASSERT_TRUE(Append("the only one left").ok());
  Crash(CrashMode::kKeepAll);
  MustOpen();
  EXPECT_THAT(RecoveredBytes(), ElementsAre("the only one left"));
  EXPECT_EQ(report.damage_count, 0u);
}

TEST_F(LogTest, KeepsNoMoreSparesThanAllowed) {
  options.max_spare_segments = 2;
  options.prepared_segments = 1;
  MustOpen();
  for (int i = 0; i < 200; ++i) {
    ASSERT_TRUE(Append(std::string(3000, 'x')).ok());
  }
  ASSERT_TRUE(StartGeneration(2).ok());
  ASSERT_TRUE(log->DropGenerationsThrough(1).ok());
  EXPECT_LE(log->stats().spare_segments, 2u);
  EXPECT_LE(env.List("wal")->size(), 2u + 1 + 2) << "spares, active, prepared and in preparation";
}

// ---- Sync modes

TEST_F(LogTest, IntervalModeSyncsByItself) {
  options.sync_mode = SyncMode::kInterval;
  options.sync_interval_ms = 5;
  MustOpen();
  ASSERT_TRUE(Append("x").ok());
  for (int i = 0; i < 2000 && log->stats().syncs == 0; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  EXPECT_GE(log->stats().syncs, 1u);
  Crash(CrashMode::kDropUnsynced);
  MustOpen();
  EXPECT_THAT(RecoveredBytes(), ElementsAre("x"));
}

TEST_F(LogTest, NoneModeIsDoneBeforeTheSyncAndSyncMakesItDurable) {
  options.sync_mode = SyncMode::kNone;
  MustOpen();
  ASSERT_TRUE(Append("synced").ok());
  ASSERT_TRUE(log->Sync().ok());
  ASSERT_TRUE(Append("not synced").ok());
  EXPECT_EQ(log->stats().syncs, 1u);
  Crash(CrashMode::kDropUnsynced);
  MustOpen();
  EXPECT_THAT(RecoveredBytes(), ElementsAre("synced"));
  EXPECT_EQ(report.damage_count, 0u);
}

TEST_F(LogTest, InAllModesAnOldSegmentIsOnDiskBeforeTheNextIsBegun) {
  options.sync_mode = SyncMode::kNone;
  MustOpen();
  ASSERT_TRUE(Append("one").ok());
  ASSERT_TRUE(StartGeneration(2).ok());
  ASSERT_TRUE(Append("two").ok());
  Crash(CrashMode::kDropUnsynced);
  MustOpen();
  EXPECT_THAT(RecoveredBytes(), ElementsAre("one"));
}

TEST_F(LogTest, KillingTheProcessLosesNothingInNoneMode) {
  options.sync_mode = SyncMode::kNone;
  MustOpen();
  ASSERT_TRUE(Append("written").ok());
  Crash(CrashMode::kKeepAll);
  MustOpen();
  EXPECT_THAT(RecoveredBytes(), ElementsAre("written"));
  Crash(CrashMode::kDropUnsynced);
  MustOpen();
  EXPECT_THAT(RecoveredBytes(), ElementsAre("written")) << "recovery did not make it durable";
}

// ---- Failures

TEST_F(LogTest, AFullDiskFailsAppendsUntilANewGenerationBegins) {
  MustOpen();
  ASSERT_TRUE(Append("before").ok());
  env.Inject({.operation = FileOperation::kWrite,
              .error_number = ENOSPC,
              .short_write = true,
              .path_part = "wal-"});
  EXPECT_EQ(Append("fails").code(), StatusCode::kResourceExhausted);
  EXPECT_EQ(log->health().state, HealthState::kBroken);
  EXPECT_EQ(log->Append("refused", nullptr).code(), StatusCode::kResourceExhausted);
  EXPECT_EQ(log->Sync().code(), StatusCode::kResourceExhausted);
  ASSERT_TRUE(StartGeneration(2).ok());
  EXPECT_EQ(log->health().state, HealthState::kOk);
  ASSERT_TRUE(Append("after").ok());
  Crash(CrashMode::kDropUnsynced);
  MustOpen();
  EXPECT_THAT(RecoveredBytes(), ElementsAre("before", "after"));
  EXPECT_EQ(report.damage_count, 0u);
}

TEST_F(LogTest, RecordsQueuedBehindAFailedOneFailToo) {
  MustOpen();
  ASSERT_TRUE(Append("before").ok());
  options.max_commit_bytes = kPageBytes;
  Close();
  MustOpen();
  env.Inject({.operation = FileOperation::kWrite, .after = 1, .path_part = "wal-"});
  for (int i = 0; i < 10; ++i) {
    if (!log->Append(std::string(3000, 'x'), nullptr).ok()) {
      break;
    }
  }
  ASSERT_TRUE(StartGeneration(2).ok());
  ASSERT_TRUE(Append("after").ok());
  EXPECT_EQ(log->stats().records, 2u) << "the one before the failure and the one after";
  Reopen();
  EXPECT_THAT(RecoveredBytes(), ElementsAre("before", std::string(3000, 'x'), "after"));
}

TEST_F(LogTest, ResumingFailsWhileTheDiskIsFull) {
  options.prepared_segments = 1;
  MustOpen();
  ASSERT_TRUE(Append("before").ok());
  WaitForPreparedSegments();
  env.SetCapacity(0);
  ASSERT_TRUE(StartGeneration(2).ok()) << "one segment was ready";
  ASSERT_TRUE(Append("in the ready one").ok());
  EXPECT_EQ(StartGeneration(3).code(), StatusCode::kResourceExhausted);
  EXPECT_EQ(log->health().state, HealthState::kBroken);
  EXPECT_EQ(StartGeneration(3).code(), StatusCode::kResourceExhausted);
  env.SetCapacity(UINT64_MAX);
  ASSERT_TRUE(StartGeneration(3).ok());
  ASSERT_TRUE(Append("after").ok());
  Crash(CrashMode::kDropUnsynced);
  MustOpen();
  EXPECT_THAT(RecoveredBytes(), ElementsAre("before", "in the ready one", "after"));
}

TEST_F(LogTest, AFullDiskDoesNotFailOpen) {
  options.max_spare_segments = 0;
  MustOpen();
  ASSERT_TRUE(Append("kept").ok());
  Close();
  env.SetCapacity(0);
  MustOpen();
  EXPECT_THAT(RecoveredBytes(), ElementsAre("kept"));
  EXPECT_EQ(log->health().state, HealthState::kBroken);
  EXPECT_EQ(Append("x").code(), StatusCode::kResourceExhausted);
  env.SetCapacity(UINT64_MAX);
  ASSERT_TRUE(StartGeneration(2).ok());
  EXPECT_TRUE(Append("x").ok());
}

TEST_F(LogTest, AFailedSyncPoisonsTheLogForGood) {
  MustOpen();
  ASSERT_TRUE(Append("before").ok());
  WaitForPreparedSegments();
  const uint64_t syncs_before = env.OperationCount(FileOperation::kSync);
  env.Inject({.operation = FileOperation::kSync});
  const Status status = Append("fails");
  EXPECT_EQ(status.code(), StatusCode::kUnavailable);
  EXPECT_THAT(std::string(Message(status)), HasSubstr("fdatasync wal/wal-0000000000000001.log"));
  EXPECT_EQ(log->health().state, HealthState::kPoisoned);
  EXPECT_EQ(Append("refused").code(), StatusCode::kUnavailable);
  EXPECT_EQ(StartGeneration(2).code(), StatusCode::kUnavailable);
  EXPECT_EQ(log->Sync().code(), StatusCode::kUnavailable);
  EXPECT_EQ(log->Close().code(), StatusCode::kUnavailable);
  EXPECT_EQ(env.OperationCount(FileOperation::kSync), syncs_before + 1) << "a sync was retried";
  Crash(CrashMode::kDropUnsynced);
  MustOpen();
  EXPECT_THAT(RecoveredBytes(), ElementsAre("before"));
}

TEST_F(LogTest, AFailedSyncInTheBackgroundPoisonsToo) {
  options.sync_mode = SyncMode::kInterval;
  options.sync_interval_ms = 1;
  MustOpen();
  env.Inject({.operation = FileOperation::kSync, .path_part = "wal-0000000000000001"});
  ASSERT_TRUE(Append("x").ok());
  for (int i = 0; i < 2000 && log->health().state == HealthState::kOk; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  EXPECT_EQ(log->health().state, HealthState::kPoisoned);
  EXPECT_EQ(Append("y").code(), StatusCode::kUnavailable);
}

TEST_F(LogTest, AFailureToPrepareInTheBackgroundHarmsNobody) {
  MustOpen();
  WaitForPreparedSegments();
  const uint64_t syncs_before = env.OperationCount(FileOperation::kSync);
  env.Inject({.operation = FileOperation::kSync, .path_part = "spare"});
  ASSERT_TRUE(Append("x").ok());
  ASSERT_TRUE(StartGeneration(2).ok());  // makes the background prepare another
  while (env.OperationCount(FileOperation::kSync) < syncs_before + 2) {
    std::this_thread::yield();
  }
  for (int i = 0; i < 60; ++i) {
    ASSERT_TRUE(Append(std::string(3000, 'x')).ok());
  }
}

// ---- Damage

class DamagedLogTest : public LogTest {
 protected:
  // A log of two generations; a byte of the first record is flipped.
  void SetUp() override {
    MustOpen();
    ASSERT_TRUE(Append("damaged").ok());
    ASSERT_TRUE(Append("intact").ok());
    ASSERT_TRUE(StartGeneration(2).ok());
    ASSERT_TRUE(Append("next").ok());
    Close();
    std::string bytes = env.Contents(kFirst);
    bytes[kPageBytes + sizeof(CommitHeader) + sizeof(RecordHeader)] ^= 1;
    env.SetContents(kFirst, bytes);
    damaged_bytes_ = bytes;
  }

  const std::string kFirst = "wal/wal-0000000000000001.log";
  const std::string kQuarantined = "wal/quarantine/wal-0000000000000001.log";
  std::string damaged_bytes_;
};

TEST_F(DamagedLogTest, EveryStartReadsAroundItAndTellsIt) {
  for (int start = 0; start < 3; ++start) {
    MustOpen();
    EXPECT_THAT(RecoveredBytes(), ElementsAre("intact", "next"));
    EXPECT_EQ(report.damaged_records, 1u);
    ASSERT_THAT(report.damages, SizeIs(1));
    EXPECT_EQ(report.damages[0].path, kFirst);
    EXPECT_EQ(report.damages[0].offset, kPageBytes + sizeof(CommitHeader));
    Crash(CrashMode::kDropUnsynced);
  }
}

TEST_F(DamagedLogTest, DroppingItsGenerationMovesItAsideUntouched) {
  MustOpen();
  ASSERT_TRUE(log->DropGenerationsThrough(1).ok());
  Crash(CrashMode::kDropUnsynced);
  EXPECT_FALSE(env.Exists(kFirst).value());
  EXPECT_TRUE(env.Contents(kQuarantined) == damaged_bytes_);
  MustOpen();
  EXPECT_THAT(RecoveredBytes(), ElementsAre("next"));
  EXPECT_EQ(report.damage_count, 0u);
}

TEST_F(DamagedLogTest, QuarantineKeepsAnOlderFileOfTheSameName) {
  env.SetContents(kQuarantined, "older");
  MustOpen();
  ASSERT_TRUE(log->DropGenerationsThrough(1).ok());
  EXPECT_EQ(env.Contents(kQuarantined), "older");
  EXPECT_TRUE(env.Contents(kQuarantined + ".2") == damaged_bytes_);
}

TEST_F(DamagedLogTest, ASegmentWithNothingReadableIsQuarantinedAtOnce) {
  env.SetContents(kFirst, std::string(3 * kPageBytes, '#'));
  MustOpen();
  EXPECT_THAT(RecoveredBytes(), ElementsAre("next"));
  EXPECT_FALSE(env.Exists(kFirst).value());
  EXPECT_TRUE(env.Exists(kQuarantined).value());
}

TEST_F(DamagedLogTest, AFailureToQuarantineDoesNotFailOpen) {
  env.SetContents(kFirst, std::string(3 * kPageBytes, '#'));
  env.Inject({.operation = FileOperation::kRename, .path_part = kFirst});
  MustOpen();
  EXPECT_THAT(RecoveredBytes(), ElementsAre("next"));
  EXPECT_TRUE(env.Exists(kFirst).value());
}

// ---- Files

TEST_F(LogTest, HalfWrittenSparesGoAndWholeOnesAreUsed) {
  env.SetContents("wal/spare-0000000000000005.log", std::string(options.segment_bytes / 2, 'x'));
  env.SetContents("wal/spare-0000000000000006.log", std::string(options.segment_bytes, 'x'));
  MustOpen();
  EXPECT_FALSE(env.Exists("wal/spare-0000000000000005.log").value());
  EXPECT_GE(log->stats().segments_recycled, 1u);
  ASSERT_TRUE(Append("one").ok());
  Crash(CrashMode::kKeepAll);
  MustOpen();
  EXPECT_THAT(RecoveredBytes(), ElementsAre("one"));
}

TEST_F(LogTest, AFailedDropIsTriedAgainByTheNext) {
  MustOpen();
  ASSERT_TRUE(Append("one").ok());
  ASSERT_TRUE(StartGeneration(2).ok());
  env.Inject({.operation = FileOperation::kRename, .path_part = "wal-0000000000000001"});
  EXPECT_FALSE(log->DropGenerationsThrough(1).ok());
  EXPECT_EQ(log->stats().segments, 2u);
  EXPECT_TRUE(log->DropGenerationsThrough(1).ok());
  EXPECT_EQ(log->stats().segments, 1u);
}

TEST_F(LogTest, ACrashInTheMiddleOfADropLeavesASuffix) {
  for (uint64_t mutations = 0; mutations < 12; ++mutations) {
    LogHarness harness;
    harness.options.prepared_segments = 1;
    harness.MustOpen();
    for (int i = 0; i < 60; ++i) {
      ASSERT_TRUE(harness.Append(fmt::format("{:02}{}", i, std::string(3000, 'x'))).ok());
    }
    ASSERT_TRUE(harness.StartGeneration(2).ok());
    ASSERT_TRUE(harness.Append("60").ok());
    harness.env.StopAfter(mutations);
    harness.log->DropGenerationsThrough(1).IgnoreError();
    harness.Crash(CrashMode::kKeepRandomSubset, mutations);
    harness.MustOpen();
    EXPECT_EQ(harness.report.damage_count, 0u) << "after " << mutations << " mutations";
    int next = 61 - static_cast<int>(harness.recovered.size());
    for (const RecoveredRecord& record : harness.recovered) {
      EXPECT_EQ(std::stoi(record.bytes.substr(0, 2)), next++);
    }
  }
}

// ---- Threads

TEST_F(LogTest, ManyThreadsAppendAndEachSeesItsOrder) {
  MustOpen();
  constexpr int kThreads = 8;
  constexpr int kRecords = 500;
  std::vector<std::thread> threads;
  std::atomic<int> done = 0;
  for (int thread = 0; thread < kThreads; ++thread) {
    threads.emplace_back([&, thread] {
      for (int i = 0; i < kRecords; ++i) {
        std::string record = log->TakeBuffer();
        record = fmt::format("{} {} {}", thread, i, std::string(i, 'x'));
        ASSERT_TRUE(log->Append(std::move(record),
                                [&](const Status& status) {
                                  EXPECT_TRUE(status.ok());
                                  ++done;
                                })
                        .ok());
        if (i % 100 == 0) {
          ASSERT_TRUE(log->Sync().ok());
          log->stats();
        }
      }
    });
  }
  for (uint64_t generation = 2; generation < 6; ++generation) {
    ASSERT_TRUE(StartGeneration(generation).ok());
    ASSERT_TRUE(log->DropGenerationsThrough(0).ok());
  }
  for (std::thread& thread : threads) {
    thread.join();
  }
  ASSERT_TRUE(log->Sync().ok());
  EXPECT_EQ(done, kThreads * kRecords);
  Crash(CrashMode::kDropUnsynced);
  MustOpen();
  ASSERT_THAT(recovered, SizeIs(kThreads * kRecords));
  std::vector<int> next(kThreads, 0);
  for (const RecoveredRecord& record : recovered) {
    int thread = 0;
    int index = 0;
    ASSERT_EQ(std::sscanf(record.bytes.c_str(), "%d %d", &thread, &index), 2);
    ASSERT_EQ(index, next[thread]++);
  }
}

}  // namespace
}  // namespace tsdbd::wal
