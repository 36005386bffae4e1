#include "common/env.h"

#include <csignal>
#include <filesystem>
#include <thread>

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

namespace tsdbd {
namespace {

class PosixEnvTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string name = testing::TempDir() + "env_test_XXXXXX";
    ASSERT_NE(mkdtemp(name.data()), nullptr);
    folder_ = name;
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  std::string Path(std::string_view name) const { return fmt::format("{}/{}", folder_, name); }

  std::unique_ptr<File> Create(std::string_view name, std::string_view contents) {
    auto file = env_->Open(Path(name), OpenMode::kCreateOrTruncate);
    EXPECT_TRUE(file.ok()) << file.status();
    EXPECT_TRUE((*file)->WriteAt(0, contents).ok());
    return std::move(*file);
  }

  Env* const env_ = Env::Default();
  std::string folder_;
};

TEST_F(PosixEnvTest, ReadsWhatWasWrittenAtAnOffset) {
  const auto file = Create("a", "hello");
  ASSERT_TRUE(file->WriteAt(10, "world").ok());
  ASSERT_TRUE(file->Sync().ok());
  std::string buffer(100, 'x');
  EXPECT_EQ(file->ReadAt(0, buffer).value(), 15u);
  EXPECT_EQ(buffer.substr(0, 15), std::string("hello\0\0\0\0\0world", 15));
  EXPECT_EQ(file->ReadAt(12, buffer).value(), 3u);
  EXPECT_EQ(buffer.substr(0, 3), "rld");
  EXPECT_EQ(file->ReadAt(15, buffer).value(), 0u);
  EXPECT_EQ(file->Size().value(), 15u);
  EXPECT_EQ(file->path(), Path("a"));
}

TEST_F(PosixEnvTest, TruncateShrinksAndGrows) {
  const auto file = Create("a", "hello");
  ASSERT_TRUE(file->Truncate(2).ok());
  ASSERT_TRUE(file->Truncate(4).ok());
  EXPECT_EQ(ReadFile(env_, Path("a")).value(), std::string("he\0\0", 4));
}

TEST_F(PosixEnvTest, AllocatedSpaceReadsAsZerosAndWhatIsThereStays) {
  const auto file = Create("a", "hello");
  ASSERT_TRUE(file->Allocate(8).ok());
  EXPECT_EQ(ReadFile(env_, Path("a")).value(), std::string("hello\0\0\0", 8));
  ASSERT_TRUE(file->Allocate(2).ok());
  EXPECT_EQ(file->Size().value(), 8u);
}

TEST_F(PosixEnvTest, WhatIsWrittenToAMappingIsInTheFileAtOnce) {
  const auto file = Create("a", std::string(10'000, 'o'));
  {
    const auto mapping = env_->MapWritable(Path("a")).value();
    ASSERT_EQ(mapping->data().size(), 10'000u);
    mapping->data()[5'000] = 'x';
    EXPECT_EQ(ReadFile(env_, Path("a")).value()[5'000], 'x');
    EXPECT_EQ(env_->Map(Path("a")).value()->data()[5'000], 'x');
    EXPECT_TRUE(mapping->Sync(4'999, 10).ok());
    EXPECT_TRUE(mapping->Sync(0, 10'000).ok());
    mapping->data()[9'999] = 'y';
  }
  EXPECT_EQ(ReadFile(env_, Path("a")).value()[9'999], 'y');
  EXPECT_EQ(env_->MapWritable(Path("missing")).status().code(), StatusCode::kNotFound);
}

TEST_F(PosixEnvTest, AWritableMappingOutlivesTheFilesName) {
  Create("a", "hello");
  const auto mapping = env_->MapWritable(Path("a")).value();
  ASSERT_TRUE(env_->Remove(Path("a")).ok());
  mapping->data()[0] = 'j';
  EXPECT_EQ(std::string_view(mapping->data().data(), 5), "jello");
  EXPECT_TRUE(mapping->Sync(0, 5).ok());
}

TEST_F(PosixEnvTest, StartWritebackIsHarmless) {
  const auto file = Create("a", "hello");
  file->StartWriteback(0, 5);
  file->StartWriteback(4096, 1 << 20);
  EXPECT_EQ(ReadFile(env_, Path("a")).value(), "hello");
}

TEST_F(PosixEnvTest, OpeningAMissingFileIsNotFoundAndNamesIt) {
  for (const OpenMode mode : {OpenMode::kReadOnly, OpenMode::kReadWrite}) {
    const Status status = env_->Open(Path("missing"), mode).status();
    EXPECT_EQ(status.code(), StatusCode::kNotFound);
    EXPECT_NE(Message(status).find(Path("missing")), std::string_view::npos);
  }
  EXPECT_EQ(env_->Map(Path("missing")).status().code(), StatusCode::kNotFound);
  EXPECT_EQ(env_->FileSize(Path("missing")).status().code(), StatusCode::kNotFound);
  EXPECT_EQ(env_->Remove(Path("missing")).code(), StatusCode::kNotFound);
  EXPECT_EQ(env_->List(Path("missing")).status().code(), StatusCode::kNotFound);
}

TEST_F(PosixEnvTest, AReadOnlyFileRefusesWrites) {
  Create("a", "hello");
  const auto file = env_->Open(Path("a"), OpenMode::kReadOnly).value();
  EXPECT_FALSE(file->WriteAt(0, "x").ok());
  EXPECT_EQ(ReadFile(env_, Path("a")).value(), "hello");
}

TEST_F(PosixEnvTest, CreateOrTruncateEmptiesWhatWasThere) {
  Create("a", "hello");
  EXPECT_EQ(Create("a", "")->Size().value(), 0u);
}

TEST_F(PosixEnvTest, AFullDeviceIsResourceExhausted) {
  const auto file = env_->Open("/dev/full", OpenMode::kReadWrite);
  ASSERT_TRUE(file.ok()) << file.status();
  EXPECT_EQ((*file)->WriteAt(0, "x").code(), StatusCode::kResourceExhausted);
}

TEST_F(PosixEnvTest, AMapOutlivesItsFile) {
  Create("a", "hello");
  const auto map = env_->Map(Path("a")).value();
  ASSERT_TRUE(env_->Remove(Path("a")).ok());
  EXPECT_EQ(map->data(), "hello");
}

TEST_F(PosixEnvTest, AnEmptyFileMapsToNothing) {
  Create("a", "");
  EXPECT_EQ(env_->Map(Path("a")).value()->data(), "");
}

TEST_F(PosixEnvTest, ListsNamesSorted) {
  Create("b", "");
  Create("a", "");
  ASSERT_TRUE(env_->CreateDirectories(Path("c")).ok());
  EXPECT_EQ(env_->List(folder_).value(), (std::vector<std::string>{"a", "b", "c"}));
}

TEST_F(PosixEnvTest, CreateDirectoriesMakesParentsAndMayBeRepeated) {
  for (int round = 0; round < 2; ++round) {
    ASSERT_TRUE(env_->CreateDirectories(Path("x/y/z")).ok());
    EXPECT_TRUE(env_->Exists(Path("x/y/z")).value());
  }
}

TEST_F(PosixEnvTest, CreateDirectoriesRefusesAFileInTheWay) {
  Create("x", "");
  EXPECT_EQ(env_->CreateDirectories(Path("x")).code(), StatusCode::kFailedPrecondition);
  EXPECT_FALSE(env_->CreateDirectories(Path("x/y")).ok());
}

TEST_F(PosixEnvTest, RenameReplacesItsTarget) {
  Create("a", "new");
  Create("b", "old");
  ASSERT_TRUE(env_->Rename(Path("a"), Path("b")).ok());
  ASSERT_TRUE(env_->SyncDirectory(folder_).ok());
  EXPECT_FALSE(env_->Exists(Path("a")).value());
  EXPECT_EQ(ReadFile(env_, Path("b")).value(), "new");
}

TEST_F(PosixEnvTest, ExistsIsFalseBelowAFile) {
  Create("a", "");
  EXPECT_FALSE(env_->Exists(Path("a/b")).value());
}

TEST_F(PosixEnvTest, TellsFreeBytes) {
  EXPECT_GT(env_->FreeBytes(folder_).value(), 0u);
}

TEST_F(PosixEnvTest, ALockIsHeldByOneUntilItIsDropped) {
  auto lock = env_->Lock(Path("LOCK"));
  ASSERT_TRUE(lock.ok()) << lock.status();
  const Status second = env_->Lock(Path("LOCK")).status();
  EXPECT_EQ(second.code(), StatusCode::kFailedPrecondition);
  EXPECT_EQ(Message(second), fmt::format("lock {}: another process holds it", Path("LOCK")));
  lock->reset();
  EXPECT_TRUE(env_->Lock(Path("LOCK")).ok());
}

TEST_F(PosixEnvTest, ALockKeepsOutAnotherProcessAndDiesWithItsHolder) {
  int ready[2];
  ASSERT_EQ(pipe(ready), 0);
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    auto lock = env_->Lock(Path("LOCK"));
    const char held = lock.ok() ? 'y' : 'n';
    (void)!write(ready[1], &held, 1);
    pause();
    _exit(0);
  }
  char held = 0;
  ASSERT_EQ(read(ready[0], &held, 1), 1);
  EXPECT_EQ(held, 'y');
  EXPECT_EQ(env_->Lock(Path("LOCK")).status().code(), StatusCode::kFailedPrecondition);
  kill(child, SIGKILL);
  waitpid(child, nullptr, 0);
  EXPECT_TRUE(env_->Lock(Path("LOCK")).ok());
  close(ready[0]);
  close(ready[1]);
}

TEST_F(PosixEnvTest, WriteFileAtomicallyReplacesAndLeavesNoTemporary) {
  ASSERT_TRUE(WriteFileAtomically(env_, Path("a"), "one").ok());
  ASSERT_TRUE(WriteFileAtomically(env_, Path("a"), "two").ok());
  EXPECT_EQ(ReadFile(env_, Path("a")).value(), "two");
  EXPECT_EQ(env_->List(folder_).value(), std::vector<std::string>{"a"});
}

TEST(ParentDirectoryTest, IsTheFolderOfAPath) {
  EXPECT_EQ(ParentDirectory("a/b/c"), "a/b");
  EXPECT_EQ(ParentDirectory("a/b/"), "a");
  EXPECT_EQ(ParentDirectory("a"), ".");
  EXPECT_EQ(ParentDirectory("/a"), "/");
  EXPECT_EQ(ParentDirectory("/"), "/");
}

}  // namespace
}  // namespace tsdbd
