#include <thread>

#include <gtest/gtest.h>

#include "common/fault_env_testing.h"

namespace tsdbd {
namespace {

constexpr uint64_t kPage = FaultEnv::kPageBytes;

class FaultEnvTest : public testing::Test {
 protected:
  void SetUp() override { ASSERT_TRUE(env_.CreateDirectories("d").ok()); }

  std::unique_ptr<File> Create(const std::string& path, std::string_view contents) {
    auto file = env_.Open(path, OpenMode::kCreateOrTruncate).value();
    EXPECT_TRUE(file->WriteAt(0, contents).ok());
    return file;
  }
  // A file of which contents and name are durable.
  std::unique_ptr<File> CreateDurable(const std::string& path, std::string_view contents) {
    auto file = Create(path, contents);
    EXPECT_TRUE(file->Sync().ok());
    EXPECT_TRUE(env_.SyncDirectory(path.substr(0, path.rfind('/'))).ok());
    return file;
  }
  void PowerCut(CrashMode mode = CrashMode::kDropUnsynced, uint64_t seed = 0) {
    env_.Crash(mode, seed);
    env_.Restart();
  }
  bool Exists(const std::string& path) { return env_.Exists(path).value(); }

  FaultEnv env_;
};

TEST_F(FaultEnvTest, BehavesLikeAFileSystem) {
  const auto file = Create("d/a", "hello");
  ASSERT_TRUE(file->WriteAt(7, "world").ok());
  EXPECT_EQ(ReadFile(&env_, "d/a").value(), std::string("hello\0\0world", 12));
  EXPECT_EQ(env_.FileSize("d/a").value(), 12u);
  EXPECT_EQ(env_.Map("d/a").value()->data().substr(7), "world");
  ASSERT_TRUE(env_.Rename("d/a", "d/b").ok());
  EXPECT_EQ(env_.List("d").value(), std::vector<std::string>{"b"});
  ASSERT_TRUE(env_.Remove("d/b").ok());
  EXPECT_FALSE(Exists("d/b"));
  EXPECT_EQ(env_.Open("d/b", OpenMode::kReadOnly).status().code(), StatusCode::kNotFound);
  EXPECT_EQ(env_.Open("no/b", OpenMode::kCreateOrTruncate).status().code(), StatusCode::kNotFound);
}

TEST_F(FaultEnvTest, APowerCutTakesUnsyncedContents) {
  const auto file = CreateDurable("d/a", "old");
  ASSERT_TRUE(file->WriteAt(0, "new and longer").ok());
  PowerCut();
  EXPECT_EQ(env_.Contents("d/a"), "old");
}

TEST_F(FaultEnvTest, APowerCutTakesUnsyncedNamesEvenOfSyncedFiles) {
  const auto file = Create("d/a", "x");
  ASSERT_TRUE(file->Sync().ok());
  PowerCut();
  EXPECT_FALSE(Exists("d/a"));
}

TEST_F(FaultEnvTest, ASyncedNameOfAnUnsyncedFileIsAnEmptyFile) {
  Create("d/a", "x");
  ASSERT_TRUE(env_.SyncDirectory("d").ok());
  PowerCut();
  EXPECT_EQ(env_.Contents("d/a"), "");
}

TEST_F(FaultEnvTest, OnlyAnEmptyFolderCanBeRemoved) {
  ASSERT_TRUE(env_.CreateDirectories("d/e").ok());
  CreateDurable("d/e/a", "a");
  EXPECT_FALSE(env_.Remove("d/e").ok());
  EXPECT_FALSE(env_.Remove("d").ok());
  ASSERT_TRUE(env_.Remove("d/e/a").ok());
  ASSERT_TRUE(env_.Remove("d/e").ok());
  EXPECT_FALSE(Exists("d/e"));
  EXPECT_FALSE(env_.List("d/e").ok());
  EXPECT_EQ(env_.List("d").value(), std::vector<std::string>{});
}

TEST_F(FaultEnvTest, APowerCutBringsBackARemovedFolderUntilTheOneAroundItIsSynced) {
  ASSERT_TRUE(env_.CreateDirectories("d/e").ok());
  CreateDurable("d/e/a", "a");
  const auto remove = [&] {
    ASSERT_TRUE(env_.Remove("d/e/a").ok());
    ASSERT_TRUE(env_.Remove("d/e").ok());
  };
  remove();
  PowerCut();
  EXPECT_EQ(env_.List("d/e").value(), std::vector<std::string>{"a"});
  remove();
  ASSERT_TRUE(env_.SyncDirectory("d").ok());
  PowerCut();
  EXPECT_FALSE(Exists("d/e"));
}

TEST_F(FaultEnvTest, APowerCutBringsBackUnsyncedRemovalsAndRenames) {
  CreateDurable("d/a", "a");
  CreateDurable("d/b", "b");
  ASSERT_TRUE(env_.Remove("d/a").ok());
  ASSERT_TRUE(env_.Rename("d/b", "d/c").ok());
  PowerCut();
  EXPECT_EQ(env_.List("d").value(), (std::vector<std::string>{"a", "b"}));
}

TEST_F(FaultEnvTest, ACutOffTailStaysAwayOnlyIfSynced) {
  const auto file = CreateDurable("d/a", std::string(3 * kPage, 'x'));
  ASSERT_TRUE(file->Truncate(10).ok());
  PowerCut();
  EXPECT_EQ(env_.Contents("d/a").size(), 3 * kPage);

  const auto again = env_.Open("d/a", OpenMode::kReadWrite).value();
  ASSERT_TRUE(again->Truncate(10).ok());
  ASSERT_TRUE(again->Truncate(2 * kPage).ok());
  ASSERT_TRUE(again->Sync().ok());
  PowerCut();
  EXPECT_EQ(env_.Contents("d/a"), std::string(10, 'x') + std::string(2 * kPage - 10, '\0'));
}

TEST_F(FaultEnvTest, KillingTheProcessLosesNothing) {
  Create("d/a", "x");
  PowerCut(CrashMode::kKeepAll);
  EXPECT_EQ(env_.Contents("d/a"), "x");
  PowerCut();
  EXPECT_FALSE(Exists("d/a")) << "it was still not durable";
}

TEST_F(FaultEnvTest, ARandomSubsetOfPagesAndNamesSurvives) {
  uint64_t pages_kept = 0;
  uint64_t names_kept = 0;
  constexpr uint64_t kRounds = 50;
  constexpr uint64_t kPages = 8;
  for (uint64_t seed = 0; seed < kRounds; ++seed) {
    const auto file = CreateDurable("d/a", std::string(kPages * kPage, 'o'));
    ASSERT_TRUE(file->WriteAt(0, std::string(kPages * kPage, 'n')).ok());
    Create("d/b", "");
    PowerCut(CrashMode::kKeepRandomSubset, seed);
    names_kept += Exists("d/b");
    env_.Remove("d/b").IgnoreError();
    const std::string contents = env_.Contents("d/a");
    ASSERT_EQ(contents.size(), kPages * kPage);
    for (uint64_t page = 0; page < kPages; ++page) {
      const std::string got = contents.substr(page * kPage, kPage);
      ASSERT_TRUE(got == std::string(kPage, 'o') || got == std::string(kPage, 'n'));
      pages_kept += got[0] == 'n';
    }
  }
  EXPECT_GT(names_kept, kRounds / 5);
  EXPECT_LT(names_kept, kRounds * 4 / 5);
  EXPECT_GT(pages_kept, kRounds * kPages / 3);
  EXPECT_LT(pages_kept, kRounds * kPages * 2 / 3);
}

TEST_F(FaultEnvTest, ARenamedFileNeverHasTwoNames) {
  for (uint64_t seed = 0; seed < 20; ++seed) {
    FaultEnv env;
    env.SetContents("d/a", "x");
    ASSERT_TRUE(env.Rename("d/a", "d/b").ok());
    ASSERT_TRUE(env.Rename("d/b", "d/c").ok());
    env.Crash(CrashMode::kKeepRandomSubset, seed);
    env.Restart();
    EXPECT_EQ(env.List("d")->size(), 1u) << "seed " << seed;
  }
}

TEST_F(FaultEnvTest, AFailedSyncDropsThePagesAndTheNextOneLies) {
  const auto file = CreateDurable("d/a", "old");
  ASSERT_TRUE(file->WriteAt(0, "new").ok());
  env_.Inject({.operation = FileOperation::kSync});
  EXPECT_FALSE(file->Sync().ok());
  EXPECT_TRUE(file->Sync().ok());
  EXPECT_EQ(env_.Contents("d/a"), "new");
  PowerCut();
  EXPECT_EQ(env_.Contents("d/a"), "old");
}

TEST_F(FaultEnvTest, TheChosenOperationFailsAsOftenAsAsked) {
  const auto a = Create("d/a", "");
  const auto b = Create("d/b", "");
  env_.Inject({.operation = FileOperation::kWrite, .after = 1, .times = 2, .path_part = "a"});
  EXPECT_TRUE(a->WriteAt(0, "1").ok());
  EXPECT_TRUE(b->WriteAt(0, "1").ok());
  EXPECT_EQ(a->WriteAt(0, "2").code(), StatusCode::kInternal);
  EXPECT_TRUE(b->WriteAt(0, "2").ok());
  EXPECT_FALSE(a->WriteAt(0, "3").ok());
  EXPECT_TRUE(a->WriteAt(0, "4").ok());
  EXPECT_EQ(env_.Contents("d/a"), "4");
}

TEST_F(FaultEnvTest, AShortWriteLeavesHalf) {
  const auto file = Create("d/a", "----");
  env_.Inject({.operation = FileOperation::kWrite, .error_number = ENOSPC, .short_write = true});
  EXPECT_EQ(file->WriteAt(0, "abcd").code(), StatusCode::kResourceExhausted);
  EXPECT_EQ(env_.Contents("d/a"), "ab--");
}

TEST_F(FaultEnvTest, AFullDiskTakesWhatFitsAndOverwritesInPlace) {
  env_.SetCapacity(10);
  const auto file = Create("d/a", "12345678");
  EXPECT_EQ(env_.FreeBytes("d").value(), 2u);
  EXPECT_EQ(file->WriteAt(8, "abcd").code(), StatusCode::kResourceExhausted);
  EXPECT_EQ(env_.Contents("d/a"), "12345678ab");
  EXPECT_TRUE(file->WriteAt(0, "ABCDEFGHIJ").ok());
  env_.SetCapacity(12);
  EXPECT_TRUE(file->WriteAt(10, "cd").ok());
}

TEST_F(FaultEnvTest, EverythingFailsBetweenCrashAndRestartAndOldFilesStayDead) {
  const auto file = CreateDurable("d/a", "x");
  env_.Crash(CrashMode::kKeepAll);
  EXPECT_FALSE(file->WriteAt(0, "y").ok());
  EXPECT_FALSE(env_.Remove("d/a").ok());
  EXPECT_FALSE(env_.Open("d/a", OpenMode::kReadOnly).ok());
  env_.Restart();
  EXPECT_FALSE(file->WriteAt(0, "y").ok());
  EXPECT_EQ(ReadFile(&env_, "d/a").value(), "x");
}

TEST_F(FaultEnvTest, StopAfterKillsAtTheGivenMutation) {
  const auto file = Create("d/a", "");
  env_.StopAfter(2);
  EXPECT_TRUE(file->WriteAt(0, "1").ok());
  EXPECT_TRUE(file->Sync().ok());
  EXPECT_FALSE(file->WriteAt(0, "2").ok());
  EXPECT_FALSE(ReadFile(&env_, "d/a").ok());
  PowerCut(CrashMode::kKeepAll);
  EXPECT_EQ(env_.Contents("d/a"), "1");
}

TEST_F(FaultEnvTest, ALockDiesWithItsProcess) {
  auto lock = env_.Lock("d/LOCK");
  ASSERT_TRUE(lock.ok());
  EXPECT_EQ(env_.Lock("d/LOCK").status().code(), StatusCode::kFailedPrecondition);
  PowerCut();
  const auto second = env_.Lock("d/LOCK");
  ASSERT_TRUE(second.ok());
  lock->reset();
  EXPECT_FALSE(env_.Lock("d/LOCK").ok()) << "the dead holder released a lock of the living";
}

TEST_F(FaultEnvTest, WriteFileAtomicallyLeavesOldOrNewAtEveryPointOfDeath) {
  for (const CrashMode mode : {CrashMode::kDropUnsynced, CrashMode::kKeepRandomSubset}) {
    for (uint64_t mutations = 0; mutations < 6; ++mutations) {
      FaultEnv env;
      env.SetContents("d/a", "old");
      env.StopAfter(mutations);
      const Status status = WriteFileAtomically(&env, "d/a", "new");
      env.Crash(mode, mutations);
      env.Restart();
      const std::string contents = env.Contents("d/a");
      EXPECT_TRUE(contents == "new" || (contents == "old" && !status.ok()))
          << contents << " after " << mutations << " mutations";
    }
  }
}

// ---- Writable mappings

class FaultMappingTest : public FaultEnvTest {
 protected:
  static constexpr size_t kPages = 4;

  void SetUp() override {
    FaultEnvTest::SetUp();
    CreateDurable("d/m", std::string(kPages * kPage, 'o'));
    mapping_ = env_.MapWritable("d/m").value();
  }
  void Write(size_t page, char byte) { mapping_->data()[page * kPage + 7] = byte; }
  // The bytes at those places, page by page.
  std::string Written() {
    const std::string contents = env_.Contents("d/m");
    std::string bytes;
    for (size_t page = 0; page < kPages; ++page) {
      bytes += contents[page * kPage + 7];
    }
    return bytes;
  }

  std::unique_ptr<WritableMapping> mapping_;
};

TEST_F(FaultMappingTest, WhatIsWrittenShowsInTheFileAtOnce) {
  Write(1, 'x');
  EXPECT_EQ(Written(), "oxoo");
  EXPECT_EQ(ReadFile(&env_, "d/m").value()[kPage + 7], 'x');
  EXPECT_EQ(env_.Map("d/m").value()->data()[kPage + 7], 'x');
}

TEST_F(FaultMappingTest, AKilledProcessLosesNothing) {
  Write(2, 'x');
  PowerCut(CrashMode::kKeepAll);
  EXPECT_EQ(Written(), "ooxo");
}

TEST_F(FaultMappingTest, APowerCutTakesThePagesThatWereNotSynced) {
  Write(0, 'a');
  Write(1, 'b');
  Write(3, 'd');
  ASSERT_TRUE(mapping_->Sync(kPage + 7, 1).ok());
  Write(1, 'B');
  PowerCut();
  EXPECT_EQ(Written(), "oboo");
}

TEST_F(FaultMappingTest, APowerCutMayKeepRandomPages) {
  std::set<std::string> outcomes;
  for (uint64_t seed = 0; seed < 50; ++seed) {
    mapping_.reset();
    SetUp();
    Write(0, 'a');
    Write(2, 'c');
    PowerCut(CrashMode::kKeepRandomSubset, seed);
    outcomes.insert(Written());
  }
  EXPECT_EQ(outcomes, (std::set<std::string>{"oooo", "aooo", "ooco", "aoco"}));
}

TEST_F(FaultMappingTest, WhatADeadProcessWritesNeverHappened) {
  Write(0, 'a');
  env_.StopAfter(0);
  EXPECT_FALSE(mapping_->Sync(0, 1).ok());
  EXPECT_TRUE(env_.is_stopped());
  Write(1, 'b');
  PowerCut(CrashMode::kKeepAll);
  Write(2, 'c');
  EXPECT_FALSE(mapping_->Sync(0, kPages * kPage).ok());
  mapping_.reset();
  EXPECT_EQ(Written(), "aooo");
}

TEST_F(FaultMappingTest, AFailedSyncForgetsThePagesAndTheNextOneSucceedsWithoutThem) {
  Write(0, 'a');
  Write(1, 'b');
  env_.Inject({.operation = FileOperation::kSync});
  EXPECT_FALSE(mapping_->Sync(0, kPage).ok());
  EXPECT_TRUE(mapping_->Sync(0, kPages * kPage).ok());
  PowerCut();
  EXPECT_EQ(Written(), "oboo");
}

TEST_F(FaultMappingTest, WhatWasWrittenStaysInTheFileAfterTheMapping) {
  Write(3, 'x');
  mapping_.reset();
  EXPECT_EQ(Written(), "ooox");
  PowerCut();
  EXPECT_EQ(Written(), "oooo");
}

TEST_F(FaultEnvTest, ThreadsMayUseItTogether) {
  std::vector<std::thread> threads;
  for (int thread = 0; thread < 4; ++thread) {
    threads.emplace_back([this, thread] {
      for (int round = 0; round < 100; ++round) {
        const std::string path = fmt::format("d/{}", thread);
        ASSERT_TRUE(WriteFileAtomically(&env_, path, std::to_string(round)).ok());
        ASSERT_EQ(ReadFile(&env_, path).value(), std::to_string(round));
      }
    });
  }
  for (std::thread& thread : threads) {
    thread.join();
  }
  EXPECT_EQ(env_.OperationCount(FileOperation::kRename), 400u);
}

}  // namespace
}  // namespace tsdbd
