// What is RocksStore's own; what it has in common with other backends is in store_suite_test.cc.

#include "kv/rocks_store.h"

#include <atomic>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <thread>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rocksdb/env.h>
#include <rocksdb/file_system.h>

#include "common/check.h"
#include "common/sanitizers_testing.h"
#include "kv/rocks_space.h"

namespace tsdbd::kv {
namespace {

using testing::HasSubstr;

namespace fs = std::filesystem;

// What goes wrong with RocksDB's files now.
struct Faults {
  std::atomic<bool> sync_fails = false;
  std::atomic<bool> disk_is_full = false;
};

class FaultyFile final : public rocksdb::FSWritableFileOwnerWrapper {
 public:
  FaultyFile(std::unique_ptr<rocksdb::FSWritableFile> file, const Faults* faults)
      : FSWritableFileOwnerWrapper(std::move(file)), faults_(faults) {}

  using FSWritableFileOwnerWrapper::Append;
  rocksdb::IOStatus Append(const rocksdb::Slice& data, const rocksdb::IOOptions& options,
                           rocksdb::IODebugContext* debug) override {
    return faults_->disk_is_full ? rocksdb::IOStatus::NoSpace("no space for the test")
                                 : FSWritableFileOwnerWrapper::Append(data, options, debug);
  }
  rocksdb::IOStatus Sync(const rocksdb::IOOptions& options,
                         rocksdb::IODebugContext* debug) override {
    return faults_->sync_fails ? rocksdb::IOStatus::IOError("the test fails syncs")
                               : FSWritableFileOwnerWrapper::Sync(options, debug);
  }

 private:
  const Faults* const faults_;
};

class FaultyFileSystem final : public rocksdb::FileSystemWrapper {
 public:
  explicit FaultyFileSystem(const Faults* faults)
      : FileSystemWrapper(rocksdb::FileSystem::Default()), faults_(faults) {}
  const char* Name() const override { return "FaultyFileSystem"; }

  rocksdb::IOStatus NewWritableFile(const std::string& path, const rocksdb::FileOptions& options,
                                    std::unique_ptr<rocksdb::FSWritableFile>* file,
                                    rocksdb::IODebugContext* debug) override {
    const rocksdb::IOStatus status = FileSystemWrapper::NewWritableFile(path, options, file, debug);
    if (status.ok()) {
      *file = std::make_unique<FaultyFile>(std::move(*file), faults_);
    }
    return status;
  }

 private:
  const Faults* const faults_;
};

class RocksStoreTest : public testing::Test {
 protected:
  RocksStoreTest() : env_(rocksdb::NewCompositeEnv(std::make_shared<FaultyFileSystem>(&faults_))) {
    std::string path = (fs::temp_directory_path() / "tsdbd-rocks-XXXXXX").string();
    CHECK(mkdtemp(path.data()) != nullptr);
    folder_ = path;
    options_.directory = folder_ / "store";
    Reopen();
  }
  ~RocksStoreTest() override {
    store_.reset();
    fs::remove_all(folder_);
  }

  void Reopen() {
    store_.reset();
    auto opened = Open(options_);
    ASSERT_TRUE(opened.ok()) << ToString(opened.status());
    store_ = *std::move(opened);
  }

  StatusOr<std::unique_ptr<Store>> Open(const StoreOptions& options) {
    return OpenRocksStore(options, {.now_ns = [this] { return now_ns_.load(); },
                                    .env = env_.get(),
                                    .free_bytes = [this](const std::string&) -> StatusOr<uint64_t> {
                                      ++free_asked_;
                                      return free_bytes_.load();
                                    }});
  }

  // Writes until that works, for which the store may need to notice that there is space.
  Status PutOnceThereIsSpace(std::string_view key) {
    Status status;
    for (int i = 0; i < 200; ++i) {
      status = store_->Put(key, "v");
      if (!absl::IsResourceExhausted(status)) {
        break;
      }
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
    }
    return status;
  }

  // What a process that is killed now leaves behind, opened.
  std::unique_ptr<Store> OpenAfterKill() {
    StoreOptions options = options_;
    options.directory = folder_ / fmt::format("copy-{}", ++copies_);
    fs::copy(options_.directory, options.directory, fs::copy_options::recursive);
    auto opened = Open(options);
    CHECK(opened.ok());
    return *std::move(opened);
  }

  // Longer than the store keeps an answer about free space.
  static constexpr std::chrono::milliseconds kUntilAskedAgain{100};
  static constexpr uint64_t kManyBytes = uint64_t{1} << 40;
  static constexpr int kLogKeys = 20;

  void FillLog() {
    for (int i = 0; i < kLogKeys; ++i) {
      ASSERT_TRUE(store_->Put(fmt::format("key {:02}", i), std::string(1000, 'v')).ok());
    }
  }

  // How many of the keys of FillLog are there; they must be the first.
  static int KeysIn(Store* store) {
    int count = 0;
    for (int i = 0; i < kLogKeys; ++i) {
      const bool is_there = store->Get(fmt::format("key {:02}", i)).ok();
      EXPECT_TRUE(!is_there || count == i);
      count += is_there ? 1 : 0;
    }
    return count;
  }

  static fs::path OnlyLogIn(const fs::path& folder) {
    fs::path found;
    for (const auto& file : fs::directory_iterator(folder)) {
      if (file.path().extension() == ".log") {
        EXPECT_TRUE(found.empty());
        found = file.path();
      }
    }
    return found;
  }

  static std::string ReadAll(const fs::path& path) {
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
  }

  // A copy of the store whose log has been changed, opened.
  std::unique_ptr<Store> OpenWithLog(const std::function<void(std::string*)>& change) {
    last_copy_ = folder_ / fmt::format("copy-{}", ++copies_);
    fs::copy(options_.directory, last_copy_, fs::copy_options::recursive);
    const fs::path path = OnlyLogIn(last_copy_);
    std::string log = ReadAll(path);
    change(&log);
    std::ofstream(path, std::ios::binary) << log;
    StoreOptions options = options_;
    options.directory = last_copy_;
    auto opened = Open(options);
    CHECK(opened.ok());
    return *std::move(opened);
  }

  Faults faults_;
  const std::unique_ptr<rocksdb::Env> env_;
  fs::path folder_;
  int copies_ = 0;
  fs::path last_copy_;
  std::atomic<int64_t> now_ns_ = 1'000'000;
  std::atomic<uint64_t> free_bytes_ = kManyBytes;  // what the store is told
  std::atomic<int> free_asked_ = 0;                // how often it was
  StoreOptions options_;
  std::unique_ptr<Store> store_;
};

TEST_F(RocksStoreTest, AfterAFailedSyncWritesAreRefusedAndReadsGoOn) {
  ASSERT_TRUE(store_->Put("before", "v").ok());
  faults_.sync_fails = true;
  const Status failed = store_->Put("during", "v");
  EXPECT_TRUE(absl::IsUnavailable(failed)) << ToString(failed);
  EXPECT_THAT(std::string(Message(failed)), HasSubstr("the test fails syncs"));
  faults_.sync_fails = false;
  bool done_ran = false;
  const auto done = [&](const Status&) { done_ran = true; };
  WriteBatch batch;
  batch.Put("after", "v");
  EXPECT_TRUE(absl::IsUnavailable(store_->Write(batch, done, nullptr)));
  EXPECT_TRUE(absl::IsUnavailable(store_->Delete("before")));
  EXPECT_FALSE(done_ran);
  EXPECT_EQ(store_->Get("before").value(), "v");
  EXPECT_TRUE(absl::IsNotFound(store_->Get("after").status()));
  store_->Close().IgnoreError();
  Reopen();
  EXPECT_TRUE(store_->Put("after", "v").ok());
}

TEST_F(RocksStoreTest, OnAFullDiskWritesFailAndWorkAgainOnceThereIsSpace) {
  ASSERT_TRUE(store_->Put("before", "v").ok());
  faults_.disk_is_full = true;
  for (int i = 0; i < 3; ++i) {
    const Status failed = store_->Put("during", "v");
    EXPECT_TRUE(absl::IsResourceExhausted(failed)) << ToString(failed);
  }
  EXPECT_EQ(store_->Get("before").value(), "v");
  EXPECT_TRUE(absl::IsNotFound(store_->Get("during").status()));
  faults_.disk_is_full = false;
  const Status status = PutOnceThereIsSpace("after");
  ASSERT_TRUE(status.ok()) << ToString(status);
  for (int round = 0; round < 2; ++round) {
    EXPECT_EQ(store_->Get("before").value(), "v");
    EXPECT_EQ(store_->Get("after").value(), "v");
    EXPECT_TRUE(absl::IsNotFound(store_->Get("during").status()));
    Reopen();
  }
}

TEST_F(RocksStoreTest, ADiskThatIsFullAtTheFirstWriteAfterAnOpenEndsNothing) {
  faults_.disk_is_full = true;
  EXPECT_TRUE(absl::IsResourceExhausted(store_->Put("during", "v")));
  faults_.disk_is_full = false;
  const Status status = PutOnceThereIsSpace("after");
  ASSERT_TRUE(status.ok()) << ToString(status);
  EXPECT_TRUE(absl::IsNotFound(store_->Get("during").status()));
}

TEST_F(RocksStoreTest, ADiskThatIsFullForALeaseOfVersionsIsRemembered) {
  free_bytes_ = 0;
  Reopen();  // and so without a lease
  free_bytes_ = kManyBytes;
  faults_.disk_is_full = true;
  std::this_thread::sleep_for(kUntilAskedAgain);
  const Status failed = store_->Put("key", "v");
  EXPECT_TRUE(absl::IsResourceExhausted(failed)) << ToString(failed);
  EXPECT_THAT(std::string(Message(failed)), HasSubstr("no space for the test"));
  EXPECT_THAT(std::string(Message(store_->Put("key", "v"))), HasSubstr("full a moment ago"));
  EXPECT_TRUE(absl::IsUnavailable(store_->Sync()));
  store_->Close().IgnoreError();
  faults_.disk_is_full = false;
  Reopen();
  EXPECT_TRUE(store_->Put("key", "v").ok());
}

TEST_F(RocksStoreTest, ALogThatFoundNoSpaceBeforeAnythingElseIsLeftAlone) {
  free_bytes_ = 0;
  Reopen();
  free_bytes_ = kManyBytes;
  std::this_thread::sleep_for(kUntilAskedAgain);
  faults_.disk_is_full = true;
  ASSERT_TRUE(absl::IsResourceExhausted(store_->Put("key", "v")));
  faults_.disk_is_full = false;
  const Status failed = PutOnceThereIsSpace("key");
  EXPECT_TRUE(absl::IsUnavailable(failed)) << ToString(failed);
  EXPECT_TRUE(absl::IsNotFound(store_->Get("key").status()));
}

TEST_F(RocksStoreTest, BelowTheReserveWritesAreRefusedAndReadsGoOn) {
  ASSERT_TRUE(store_->Put("before", "v").ok());
  free_bytes_ = kReserveBytes - 1;
  Reopen();
  EXPECT_EQ(store_->Get("before").value(), "v");
  const Status failed = store_->Put("during", "v");
  EXPECT_TRUE(absl::IsResourceExhausted(failed)) << ToString(failed);
  EXPECT_THAT(std::string(Message(failed)), HasSubstr(options_.directory));
  EXPECT_THAT(std::string(Message(failed)), HasSubstr(std::to_string(kReserveBytes - 1)));
  EXPECT_TRUE(absl::IsResourceExhausted(store_->Delete("before")));
  EXPECT_TRUE(absl::IsResourceExhausted(store_->Clear()));
  EXPECT_TRUE(store_->Sync().ok());
  EXPECT_EQ(store_->Get("before").value(), "v");
  EXPECT_TRUE(absl::IsNotFound(store_->Get("during").status()));
}

TEST_F(RocksStoreTest, WritesAreRefusedSoonAfterTheReserveIsReachedAndWorkOnceItIsThereAgain) {
  WriteBatch batch;
  batch.Put("key", "v");
  for (int round = 0; round < 2; ++round) {
    uint64_t before = 0;
    uint64_t after = 0;
    ASSERT_TRUE(store_->Write(batch, nullptr, &before).ok());
    free_bytes_ = 0;
    std::this_thread::sleep_for(kUntilAskedAgain);
    EXPECT_TRUE(absl::IsResourceExhausted(store_->Write(batch, nullptr, nullptr)));
    free_bytes_ = kManyBytes;
    ASSERT_TRUE(PutOnceThereIsSpace("after").ok());
    ASSERT_TRUE(store_->Write(batch, nullptr, &after).ok());
    EXPECT_GT(after, before);
  }
}

TEST_F(RocksStoreTest, VersionsRiseOverACloseThatHadNoSpace) {
  WriteBatch batch;
  batch.Put("key", "v");
  uint64_t before = 0;
  uint64_t after = 0;
  ASSERT_TRUE(store_->Write(batch, nullptr, &before).ok());
  free_bytes_ = 0;
  std::this_thread::sleep_for(kUntilAskedAgain);
  EXPECT_TRUE(store_->Close().ok());
  Reopen();
  free_bytes_ = kManyBytes;
  ASSERT_TRUE(PutOnceThereIsSpace("other").ok());
  ASSERT_TRUE(store_->Write(batch, nullptr, &after).ok());
  EXPECT_GT(after, before);
}

TEST_F(RocksStoreTest, WhatIsWrittenBetweenTwoLooksAtTheDiskStaysOutOfTheReserve) {
  constexpr int kValues = 10;
  const std::string value(10'000, 'v');
  free_bytes_ = kReserveBytes + kValues * value.size();
  Reopen();
  free_asked_ = 0;
  const std::string larger((kValues + 1) * value.size(), 'v');
  EXPECT_TRUE(absl::IsResourceExhausted(store_->Put("larger", larger)));
  WriteBatch batch;
  batch.Put("key", value);
  int written = 0;
  for (int i = 0; i < 1000; ++i) {
    written += store_->Write(batch, nullptr, nullptr).ok() ? 1 : 0;
  }
  EXPECT_GT(written, 0);
  EXPECT_LE(written, kValues * (free_asked_ + 1));
}

TEST_F(RocksStoreTest, TheDiskIsNotAskedForEachWrite) {
  WriteBatch batch;
  batch.Put("key", "v");
  const int64_t start_ns = MonotonicNanos();
  free_asked_ = 0;
  for (int i = 0; i < 1000; ++i) {
    ASSERT_TRUE(store_->Write(batch, nullptr, nullptr).ok());
  }
  EXPECT_LE(free_asked_, 1 + (MonotonicNanos() - start_ns) / (50 * kNanosPerMilli));
}

// A small request for one large value must not become as many copies of it.
TEST_F(RocksStoreTest, RepeatedKeysOfGetManyShareTheirValue) {
  for (const size_t size_bytes : {size_t{100}, size_t{1} << 20}) {
    ASSERT_TRUE(store_->Put("key", std::string(size_bytes, 'v')).ok());
    // At first from the database; then the small value is a hot one.
    for (int round = 0; round < 2; ++round) {
      const auto view = store_->Read(Consistency::kLatest);
      const std::vector<std::string_view> keys = {"key", "none", "key", "key"};
      std::vector<Entry> entries(keys.size());
      std::vector<Status> statuses(keys.size());
      view->GetMany(keys, entries, statuses);
      for (const size_t i : {0, 2, 3}) {
        ASSERT_TRUE(statuses[i].ok());
        EXPECT_EQ(entries[i].value.size(), size_bytes);
        EXPECT_EQ(entries[i].value.data(), entries[0].value.data());
      }
    }
  }
}

TEST_F(RocksStoreTest, ADamagedBlockIsToldWithItsFileAndNeverServed) {
  for (int i = 0; i < 1000; ++i) {
    const std::string key = std::to_string(i);
    WriteBatch batch;
    batch.Put(key, "some value");
    ASSERT_TRUE(store_->Write(batch, nullptr, nullptr).ok());
  }
  ASSERT_TRUE(store_->Compact().ok());
  store_.reset();
  for (const auto& file : fs::directory_iterator(options_.directory)) {
    if (file.path().extension() == ".sst") {
      std::fstream bytes(file.path(), std::ios::in | std::ios::out | std::ios::binary);
      bytes.seekp(100);
      bytes.write("\x55\x55\x55\x55", 4);
    }
  }
  Reopen();
  const Status status = store_->Get("0").status();
  EXPECT_TRUE(absl::IsDataLoss(status)) << ToString(status);
  EXPECT_THAT(std::string(Message(status)), HasSubstr(".sst"));
  std::string cursor;
  EXPECT_TRUE(absl::IsDataLoss(store_->Read(Consistency::kLatest)
                                   ->Scan(
                                       {}, [](const Entry&) { return true; }, &cursor)));
  EXPECT_GE(store_->stats().damaged_records, 2);
}

TEST_F(RocksStoreTest, WhatWasAcknowledgedSurvivesAKill) {
  for (int i = 0; i < 100; ++i) {
    ASSERT_TRUE(store_->Put(fmt::format("key {}", i), "v").ok());
  }
  ASSERT_TRUE(store_->Delete("key 7").ok());
  const auto copy = OpenAfterKill();
  for (int i = 0; i < 100; ++i) {
    EXPECT_EQ(copy->Get(fmt::format("key {}", i)).ok(), i != 7);
  }
}

TEST_F(RocksStoreTest, ALogThatIsCutInItsLastRecordIsReadToThere) {
  FillLog();
  for (const size_t cut : {1, 500, 1010}) {
    const auto store = OpenWithLog([&](std::string* log) { log->resize(log->size() - cut); });
    EXPECT_EQ(KeysIn(store.get()), kLogKeys - 1);
    EXPECT_EQ(store->stats().damaged_records, 0);
    EXPECT_FALSE(fs::exists(last_copy_ / "quarantine"));
    ASSERT_TRUE(store->Put("after", "v").ok());
  }
}

TEST_F(RocksStoreTest, ALogThatIsDamagedInItsMiddleIsKeptCountedAndReadToThere) {
  FillLog();
  std::string damaged;
  const auto store = OpenWithLog([&](std::string* log) {
    (*log)[log->size() / 2] ^= 1;
    damaged = *log;
  });
  EXPECT_GT(KeysIn(store.get()), kLogKeys / 3);
  EXPECT_LT(KeysIn(store.get()), kLogKeys * 2 / 3);
  EXPECT_EQ(store->stats().damaged_records, 1);
  EXPECT_EQ(ReadAll(OnlyLogIn(last_copy_ / "quarantine")), damaged);
  ASSERT_TRUE(store->Put("after", "v").ok());
}

// Each byte takes an open, so one in five is flipped.
TEST_F(RocksStoreTest, NoFlippedByteOfALogIsServed) {
  for (int i = 0; i < 5; ++i) {
    ASSERT_TRUE(store_->Put(fmt::format("key {}", i), fmt::format("value {}", i)).ok());
  }
  const size_t log_bytes = fs::file_size(OnlyLogIn(options_.directory));
  for (size_t at = 0; at < log_bytes; at += 5 * StepUnderThreadSanitizer(7)) {
    const auto store = OpenWithLog([&](std::string* log) { (*log)[at] ^= 0x10; });
    int found = 0;
    for (int i = 0; i < 5; ++i) {
      const auto value = store->Get(fmt::format("key {}", i));
      if (value.ok()) {
        EXPECT_EQ(*value, fmt::format("value {}", i)) << "byte " << at;
        EXPECT_EQ(found++, i) << "byte " << at;
      }
    }
    EXPECT_LT(found, 5) << "byte " << at;
  }
}

TEST_F(RocksStoreTest, VersionsRiseOverAKill) {
  WriteBatch batch;
  batch.Put("key", "v");
  uint64_t before = 0;
  uint64_t after = 0;
  ASSERT_TRUE(store_->Write(batch, nullptr, &before).ok());
  ASSERT_TRUE(OpenAfterKill()->Write(batch, nullptr, &after).ok());
  EXPECT_GT(after, before);
  // A clean end gives back what is left of the lease.
  ASSERT_TRUE(store_->Close().ok());
  Reopen();
  ASSERT_TRUE(store_->Write(batch, nullptr, &after).ok());
  EXPECT_EQ(after, before + 1);
}

TEST_F(RocksStoreTest, ACompactionRemovesWhatHasExpired) {
  for (int i = 0; i < 100; ++i) {
    ASSERT_TRUE(store_->Put(fmt::format("key {}", i), "v", now_ns_ + 10 + i % 2).ok());
  }
  now_ns_ += 10;
  ASSERT_TRUE(store_->Compact().ok());
  EXPECT_EQ(store_->stats().keys, 50);
  now_ns_ += 1;
  ASSERT_TRUE(store_->Compact().ok());
  EXPECT_EQ(store_->stats().keys, 0);
}

TEST_F(RocksStoreTest, ASnapshotKeepsWhatExpiresWhileItIsOpen) {
  ASSERT_TRUE(store_->Put("key", "v", now_ns_ + 10).ok());
  auto snapshot = store_->Read(Consistency::kSnapshot);
  now_ns_ += 10;
  Entry entry;
  for (int round = 0; round < 2; ++round) {
    EXPECT_TRUE(snapshot->Get("key", &entry).ok());
    EXPECT_TRUE(absl::IsNotFound(store_->Get("key").status()));
    ASSERT_TRUE(store_->Compact().ok());
  }
  snapshot.reset();
  ASSERT_TRUE(store_->Compact().ok());
  EXPECT_EQ(store_->stats().keys, 0);
}

TEST_F(RocksStoreTest, ReadsOfOneKeyHitTheHotValues) {
  ASSERT_TRUE(store_->Put("key", "v").ok());
  for (int i = 0; i < 10; ++i) {
    EXPECT_EQ(store_->Get("key").value(), "v");
  }
  EXPECT_EQ(store_->stats().cache_hits, 9);
  EXPECT_EQ(store_->stats().cache_misses, 1);
  ASSERT_TRUE(store_->Put("key", "w").ok());
  EXPECT_EQ(store_->Get("key").value(), "w");
  EXPECT_EQ(store_->stats().cache_hits, 10);
  ASSERT_TRUE(store_->Delete("key").ok());
  EXPECT_TRUE(absl::IsNotFound(store_->Get("key").status()));
}

TEST_F(RocksStoreTest, OneProcessHasIt) {
  const Status status = Open(options_).status();
  EXPECT_FALSE(status.ok());
  EXPECT_THAT(std::string(Message(status)), HasSubstr("LOCK"));
}

TEST_F(RocksStoreTest, ManyWritersShareSyncs) {
  std::vector<std::thread> threads;
  for (int t = 0; t < 8; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < 50; ++i) {
        EXPECT_TRUE(store_->Put(fmt::format("{} {}", t, i), "v").ok());
      }
    });
  }
  for (std::thread& thread : threads) {
    thread.join();
  }
  EXPECT_LT(store_->stats().syncs, 400);
  EXPECT_EQ(store_->stats().writes, 400);
}

}  // namespace
}  // namespace tsdbd::kv
