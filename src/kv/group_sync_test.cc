#include "kv/group_sync.h"

#include <chrono>
#include <future>

#include <gtest/gtest.h>

#include "common/clock.h"

namespace tsdbd::kv {
namespace {

// A disk: knows how much was written and how much of it was synced.
struct FakeDisk {
  std::atomic<int> written = 0;
  std::atomic<int> synced = 0;
  std::atomic<int> syncs = 0;
  std::atomic<bool> fails = false;
  std::atomic<bool> is_held = false;  // syncs do not return

  Status Sync() {
    ++syncs;
    const int covered = written;
    while (is_held) {
      std::this_thread::yield();
    }
    if (fails) {
      return ResourceExhausted("the disk is gone");
    }
    synced = covered;
    return OkStatus();
  }
  std::function<Status()> function() {
    return [this] { return Sync(); };
  }
};

constexpr int64_t kLongMs = 3'600'000;

TEST(GroupSyncTest, AlwaysMeansThatDoneRunsAfterTheSyncThatCoversIt) {
  FakeDisk disk;
  GroupSync group(SyncMode::kAlways, 0, disk.function());
  for (int i = 1; i <= 200; ++i) {
    std::promise<int> synced;
    disk.written = i;
    group.Add([&](const Status& status) {
      EXPECT_TRUE(status.ok());
      synced.set_value(disk.synced);
    });
    EXPECT_EQ(synced.get_future().get(), i);
  }
}

TEST(GroupSyncTest, WritesThatComeDuringASyncShareTheNext) {
  FakeDisk disk;
  disk.is_held = true;
  GroupSync group(SyncMode::kAlways, 0, disk.function());
  std::atomic<int> done = 0;
  group.Add([&](const Status&) { ++done; });
  while (disk.syncs == 0) {
    std::this_thread::yield();
  }
  for (int i = 0; i < 100; ++i) {
    group.Add([&](const Status&) { ++done; });
  }
  EXPECT_EQ(done, 0);
  disk.is_held = false;
  EXPECT_TRUE(group.Close().ok());
  EXPECT_EQ(done, 101);
  EXPECT_LE(disk.syncs, 3) << "one for the first, one for the hundred, one at the end";
}

TEST(GroupSyncTest, WithoutAlwaysDoneRunsAtOnce) {
  for (const SyncMode mode : {SyncMode::kInterval, SyncMode::kNone}) {
    FakeDisk disk;
    disk.is_held = true;
    GroupSync group(mode, kLongMs, disk.function());
    bool is_done = false;
    group.Add([&](const Status& status) { is_done = status.ok(); });
    EXPECT_TRUE(is_done);
    disk.is_held = false;
  }
}

TEST(GroupSyncTest, IntervalSyncsWithinTheIntervalAndOnlyWhatWasWritten) {
  FakeDisk disk;
  GroupSync group(SyncMode::kInterval, 5, disk.function());
  std::this_thread::sleep_for(std::chrono::milliseconds(30));
  EXPECT_EQ(disk.syncs, 0) << "nothing was written";
  disk.written = 1;
  group.Add(nullptr);
  while (disk.synced != 1) {
    std::this_thread::yield();
  }
  std::this_thread::sleep_for(std::chrono::milliseconds(30));
  EXPECT_EQ(disk.syncs, 1);
}

TEST(GroupSyncTest, SyncWaitsInEveryMode) {
  for (const SyncMode mode : {SyncMode::kAlways, SyncMode::kInterval, SyncMode::kNone}) {
    FakeDisk disk;
    GroupSync group(mode, kLongMs, disk.function());
    disk.written = 7;
    group.Add(nullptr);
    EXPECT_TRUE(group.Sync().ok());
    EXPECT_EQ(disk.synced, 7);
  }
}

TEST(GroupSyncTest, CloseSyncsInEveryModeAndIsIdempotent) {
  for (const SyncMode mode : {SyncMode::kAlways, SyncMode::kInterval, SyncMode::kNone}) {
    FakeDisk disk;
    GroupSync group(mode, kLongMs, disk.function());
    disk.written = 3;
    group.Add(nullptr);
    EXPECT_TRUE(group.Close().ok());
    EXPECT_EQ(disk.synced, 3);
    EXPECT_TRUE(group.Close().ok());
  }
}

TEST(GroupSyncTest, AWriteThatIsAddedAfterTheCloseIsSyncedToo) {
  FakeDisk disk;
  GroupSync group(SyncMode::kAlways, 0, disk.function());
  EXPECT_TRUE(group.Close().ok());
  disk.written = 9;
  int synced = 0;
  group.Add([&](const Status& status) { synced = status.ok() ? disk.synced.load() : -1; });
  EXPECT_EQ(synced, 9);
}

TEST(GroupSyncTest, AfterAFailedSyncNothingSeesOkAgain) {
  FakeDisk disk;
  GroupSync group(SyncMode::kAlways, 0, disk.function());
  disk.fails = true;
  std::promise<Status> first;
  group.Add([&](const Status& status) { first.set_value(status); });
  const Status status = first.get_future().get();
  EXPECT_EQ(status.code(), StatusCode::kUnavailable);
  EXPECT_NE(Message(status).find("the disk is gone"), std::string_view::npos) << status;
  disk.fails = false;
  const int syncs = disk.syncs;
  Status second;
  group.Add([&](const Status& late) { second = late; });
  EXPECT_EQ(group.Sync().code(), StatusCode::kUnavailable);
  EXPECT_EQ(group.Close().code(), StatusCode::kUnavailable);
  EXPECT_EQ(second.code(), StatusCode::kUnavailable);
  EXPECT_EQ(group.Health().code(), StatusCode::kUnavailable);
  EXPECT_FALSE(group.is_healthy());
  EXPECT_EQ(disk.syncs, syncs) << "a sync was retried";
}

TEST(GroupSyncTest, AFailedIntervalSyncFailsTheWritesAfterIt) {
  FakeDisk disk;
  disk.fails = true;
  GroupSync group(SyncMode::kInterval, 1, disk.function());
  group.Add(nullptr);
  while (group.is_healthy()) {
    std::this_thread::yield();
  }
  Status status;
  group.Add([&](const Status& done) { status = done; });
  EXPECT_EQ(status.code(), StatusCode::kUnavailable);
}

TEST(GroupSyncTest, ASlowSyncDoesNotMakeTheNextWriteWaitForOthers) {
  constexpr auto kSync = std::chrono::milliseconds(400);
  std::atomic<int64_t> began_ns = 0;  // the last sync
  std::atomic<int> syncs = 0;
  GroupSync group(SyncMode::kAlways, 0, [&] {
    began_ns = MonotonicNanos();
    ++syncs;
    std::this_thread::sleep_for(kSync);
    return OkStatus();
  });
  group.Add(nullptr);
  while (syncs == 0) {
    std::this_thread::yield();
  }
  std::promise<void> both;
  group.Add(nullptr);
  group.Add([&](const Status&) { both.set_value(); });
  both.get_future().wait();
  ASSERT_EQ(syncs, 2) << "two shared a sync";
  const int64_t added_ns = MonotonicNanos();
  std::promise<void> alone;
  group.Add([&](const Status&) { alone.set_value(); });
  alone.get_future().wait();
  EXPECT_LT(began_ns - added_ns, std::chrono::nanoseconds(kSync / 4).count());
}

TEST(GroupSyncTest, ManyThreadsEachSeeTheirOwnWriteSynced) {
  FakeDisk disk;
  GroupSync group(SyncMode::kAlways, 0, disk.function());
  std::vector<std::thread> threads;
  for (int t = 0; t < 8; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 300; ++i) {
        const int mine = ++disk.written;
        std::promise<int> synced;
        group.Add([&](const Status&) { synced.set_value(disk.synced); });
        EXPECT_GE(synced.get_future().get(), mine);
      }
    });
  }
  for (std::thread& thread : threads) {
    thread.join();
  }
}

}  // namespace
}  // namespace tsdbd::kv
