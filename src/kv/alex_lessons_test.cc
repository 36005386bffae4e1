// Mistakes that stores of this kind are known for, one test each: a log that is opened without
// appending, updates that replay forgets, deletes that a checkpoint undoes, old versions that
// compaction revives, no syncs, no checksums, a torn tail that is kept, a full disk.

#include <atomic>
#include <chrono>
#include <thread>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "kv/alex_harness_testing.h"

namespace tsdbd::kv {
namespace {

using Contents = AlexHarness::Contents;

class AlexLessonsTest : public testing::Test, public AlexHarness {
 protected:
  void SetUp() override { MustOpen(); }

  // Most of what is there is replaced, so that compaction has work.
  void Churn(int rounds) {
    for (int round = 0; round < rounds; ++round) {
      for (int key = 0; key < 100; ++key) {
        Put(fmt::format("churn {}", key), std::string(500, static_cast<char>('a' + round % 26)));
      }
    }
  }
  void CrashWithoutCheckpoint() {
    options.checkpoint_at_close = false;
    CrashAndOpen(CrashMode::kKeepAll);
  }
};

TEST_F(AlexLessonsTest, WritesAfterARestartOverwriteNoOldRecord) {
  for (int restart = 0; restart < 5; ++restart) {
    for (int i = 0; i < 20; ++i) {
      Put(fmt::format("{} of start {}", i, restart), fmt::format("value {}", restart));
    }
    CrashWithoutCheckpoint();
  }
  EXPECT_EQ(All().size(), 100u);
  for (int restart = 0; restart < 5; ++restart) {
    EXPECT_EQ(Get(fmt::format("7 of start {}", restart)), fmt::format("value {}", restart));
  }
}

TEST_F(AlexLessonsTest, ReplayForgetsNoUpdate) {
  Put("key", "first");
  Reopen();  // the first is in the checkpoint, the others are in the log behind it
  Put("key", "second");
  Put("key", "third");
  CrashWithoutCheckpoint();
  EXPECT_EQ(Get("key"), "third");
}

TEST_F(AlexLessonsTest, ACheckpointAndARestartBringNoDeletedKeyBack) {
  Put("deleted before the checkpoint", "1");
  Put("deleted behind it", "2");
  Delete("deleted before the checkpoint");
  Reopen();
  Delete("deleted behind it");
  CrashWithoutCheckpoint();
  EXPECT_TRUE(All().empty());
  Reopen();
  EXPECT_TRUE(All().empty());
}

TEST_F(AlexLessonsTest, CompactionRevivesNoOldVersion) {
  Put("replaced", "old");
  Put("deleted", "old");
  Churn(3);
  Put("replaced", "new");
  Delete("deleted");
  Churn(10);
  for (int round = 0; round < 3; ++round) {
    ASSERT_TRUE(store->Compact().ok());
    EXPECT_EQ(Get("replaced"), "new");
    EXPECT_EQ(Get("deleted"), "[NOT_FOUND]");
    CrashWithoutCheckpoint();
    EXPECT_EQ(Get("replaced"), "new");
    EXPECT_EQ(Get("deleted"), "[NOT_FOUND]");
    Churn(3);
  }
}

TEST_F(AlexLessonsTest, AnOldCheckpointBringsNothingBackThatCompactionForgot) {
  Put("deleted", "old");
  Churn(2);
  Reopen();  // a checkpoint that has the key
  options.checkpoint_at_close = false;
  Delete("deleted");
  Churn(20);
  ASSERT_TRUE(store->Compact().ok());
  ASSERT_TRUE(store->Compact().ok());
  CrashAndOpen(CrashMode::kKeepAll);
  EXPECT_EQ(Get("deleted"), "[NOT_FOUND]");
  EXPECT_EQ(All().size(), 100u);
}

TEST_F(AlexLessonsTest, WhatWasAcknowledgedIsSynced) {
  Put("key", "value");
  Put("key", "newer");
  Put("other", "value");
  Delete("other");
  CrashAndOpen(CrashMode::kDropUnsynced);
  EXPECT_EQ(All(), (Contents{{"key", "newer"}}));
}

TEST_F(AlexLessonsTest, ARecordIsCheckedWheneverItIsRead) {
  Put("good", "some value");
  Put("bad", "a damaged value");
  Put("behind it", "some value");
  Close();
  for (const std::string& path : SegmentPaths()) {
    std::string contents = env.Contents(path);
    if (const size_t at = contents.find("damaged"); at != std::string::npos) {
      contents[at] = 'D';
      env.SetContents(path, contents);
    }
  }
  MustOpen();  // from the checkpoint: no record is looked at
  EXPECT_EQ(Get("bad"), "[DATA_LOSS]");
  EXPECT_EQ(All(), (Contents{{"behind it", "some value"}, {"good", "some value"}}));
}

TEST_F(AlexLessonsTest, ATornTailIsCutAndNothingIsWrittenBehindIt) {
  options.store.sync_mode = SyncMode::kNone;
  Reopen();
  Put("whole", "value");
  Put("torn", std::string(300, 't'));
  for (const std::string& candidate : SegmentPaths()) {
    if (env.Contents(candidate).find("ttt") != std::string::npos) {
      const std::string contents = env.Contents(candidate);
      Crash(CrashMode::kKeepAll);
      env.SetContents(candidate, contents.substr(0, contents.find("ttt") + 10));
      break;
    }
  }
  MustOpen();
  EXPECT_TRUE(report.torn_tail.has_value());
  EXPECT_EQ(All(), (Contents{{"whole", "value"}}));
  Put("after", "value");
  options.checkpoint_at_close = false;
  for (int i = 0; i < 2; ++i) {
    Reopen();
    EXPECT_FALSE(report.torn_tail.has_value());
    EXPECT_EQ(All(), (Contents{{"after", "value"}, {"whole", "value"}}));
  }
}

TEST_F(AlexLessonsTest, AFullDiskRefusesWritesUntilThereIsSpace) {
  env.SetCapacity(40 * kLogPageBytes);
  Contents expected;
  Status status;
  for (int i = 0; i < 10'000 && status.ok(); ++i) {
    const std::string key = fmt::format("key {}", i);
    status = store->Put(key, std::string(1'000, 'v'));
    if (status.ok()) {
      expected[key] = std::string(1'000, 'v');
    }
  }
  EXPECT_EQ(status.code(), StatusCode::kResourceExhausted) << status;
  EXPECT_TRUE(All() == expected) << "reads go on, and what was refused is not there";
  env.SetCapacity(UINT64_MAX);
  status = Unavailable("not tried");
  for (int i = 0; i < 1'000 && !status.ok(); ++i) {
    status = store->Put("after", "value");
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  EXPECT_TRUE(status.ok()) << status;
  expected["after"] = "value";
  CrashAndOpen(CrashMode::kDropUnsynced);
  EXPECT_TRUE(All() == expected);
}

TEST_F(AlexLessonsTest, AClearThatAFullDiskRefusesChangesNothing) {
  while (store->stats().disk_bytes == 0) {  // until the first segment is prepared
    std::this_thread::yield();
  }
  env.SetCapacity(0);
  ASSERT_TRUE(store->Clear().ok()) << "it takes the segment that was prepared";
  Put("before", "value");
  EXPECT_EQ(store->Clear().code(), StatusCode::kResourceExhausted);
  EXPECT_EQ(Get("before"), "value");
  Put("after", "value");  // into what room there is
  EXPECT_EQ(All().size(), 2u);
}

TEST_F(AlexLessonsTest, WhereALargeSegmentNoLongerFitsASmallOneServes) {
  options.max_segment_bytes = 64 * kLogPageBytes;
  Reopen();
  for (int i = 0; i < 5'000; ++i) {  // enough for large segments
    Put(fmt::format("key {}", i), std::string(1'000, 'v'));
  }
  const auto used_bytes = [&] {
    uint64_t bytes = 0;
    for (const std::string& path : SegmentPaths()) {
      bytes += env.FileSize(path).value_or(0);
    }
    return bytes;
  };
  const uint64_t capacity = used_bytes() + 40 * kLogPageBytes;
  env.SetCapacity(capacity);
  Status status;
  for (int i = 0; i < 10'000 && status.ok(); ++i) {
    status = store->Put("key", std::string(1'000, 'v'));
  }
  EXPECT_EQ(status.code(), StatusCode::kResourceExhausted) << status;
  EXPECT_LT(capacity - used_bytes(), options.min_segment_bytes);
}

TEST_F(AlexLessonsTest, ManyStartsWithFewWritesLeaveFewFiles) {
  options.min_segment_bytes = 1 << 20;
  options.has_upkeep = false;
  for (int i = 0; i < 200; ++i) {
    Reopen();
    Put(fmt::format("key {}", i), fmt::format("value {}", i));
    Put("the same", fmt::format("value {}", i));
  }
  Reopen();
  EXPECT_GE(SegmentPaths().size(), 200u);
  options.has_upkeep = true;
  options.upkeep_interval_ms = 1;
  uint64_t compactions = 0;
  for (int i = 0; i < 40; ++i) {
    Reopen();
    Put("the same", fmt::format("another {}", i));
    for (int wait = 0; wait < 10'000 && store->stats().segments > 12; ++wait) {
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    EXPECT_LE(store->stats().segments, 12u) << "at start " << i;
    if (i > 0) {
      compactions += store->stats().compactions;
    }
  }
  EXPECT_LE(compactions, 80u) << "each was moved once or twice";
  Reopen();
  EXPECT_EQ(All().size(), 201u);
  EXPECT_EQ(Get("key 7"), "value 7");
  EXPECT_EQ(Get("the same"), "another 39");
}

TEST_F(AlexLessonsTest, StatsMayBeAskedForWhileCompactionRemovesSegments) {
  Put("key", "value");
  std::atomic<bool> is_over = false;
  std::thread asker([&] {
    while (!is_over) {
      EXPECT_GT(store->stats().disk_bytes, 0u);
    }
  });
  for (int round = 0; round < 100; ++round) {
    for (int i = 0; i < 30; ++i) {
      Put("key", std::string(10'000, 'v'));
    }
    EXPECT_TRUE(store->Compact().ok());
  }
  is_over = true;
  asker.join();
}

}  // namespace
}  // namespace tsdbd::kv
