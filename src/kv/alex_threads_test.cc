// Readers, writers, snapshots, compaction and checkpoints of an AlexStore beside each other, on
// real files. What a thread sanitizer should see.

#include <atomic>
#include <filesystem>
#include <thread>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "kv/alex_store.h"
#include "kv/log_format.h"

namespace tsdbd::kv {
namespace {

constexpr int kWriters = 2;
constexpr int kKeysEach = 300;
constexpr int kRounds = 40;

class AlexThreadsTest : public testing::Test {
 protected:
  void SetUp() override {
    AlexStoreOptions options;
    options.store.directory = directory_;
    options.store.sync_mode = SyncMode::kInterval;
    options.min_segment_bytes = options.max_segment_bytes = 64 << 10;
    options.checkpoint_interval_bytes = 256 << 10;
    options.upkeep_interval_ms = 1;
    auto opened = OpenAlexStore(Env::Default(), options, /*report=*/nullptr);
    ASSERT_TRUE(opened.ok()) << opened.status();
    store_ = *std::move(opened);
  }
  void TearDown() override {
    EXPECT_TRUE(store_->Close().ok());
    store_.reset();
    std::filesystem::remove_all(directory_);
  }

  static std::string Key(int writer, int key) { return fmt::format("{}:{}", writer, key); }
  // Tells the key and the round, and is long enough to fill segments.
  static std::string Value(const std::string& key, int round) {
    return fmt::format("{} {:06} {}", key, round, std::string(200, 'v'));
  }
  static int RoundOf(std::string_view key, std::string_view value) {
    EXPECT_EQ(value.substr(0, key.size()), key);
    return std::stoi(std::string(value.substr(key.size() + 1, 6)));
  }

  // Each round replaces every key; the last third of them is deleted in between.
  void RunWriter(int writer) {
    for (int round = 1; round <= kRounds; ++round) {
      for (int i = 0; i < kKeysEach; ++i) {
        const std::string key = Key(writer, i);
        if (i % 3 == 2) {
          EXPECT_TRUE(store_->Delete(key).ok());
        }
        EXPECT_TRUE(store_->Put(key, Value(key, round)).ok());
      }
      newest_[writer] = round;
    }
  }

  void ReadLatest() {
    while (!is_over_) {
      for (int writer = 0; writer < kWriters; ++writer) {
        const int at_least = newest_[writer];
        const auto view = store_->Read(Consistency::kLatest);
        const std::string key = Key(writer, 3 * (RoundsRead() % (kKeysEach / 3)));
        Entry entry;
        const Status status = view->Get(key, &entry);
        EXPECT_TRUE(status.ok() || at_least == 0) << status;
        if (status.ok()) {
          EXPECT_GE(RoundOf(key, entry.value), at_least);
        }
      }
    }
  }

  // A snapshot tells the same twice, whatever happens meanwhile.
  void ReadSnapshots() {
    while (!is_over_) {
      const auto view = store_->Read(Consistency::kSnapshot);
      std::vector<std::pair<std::string, uint64_t>> walks[2];
      for (auto& walk : walks) {
        std::string cursor;
        const Status status = view->Scan(
            {},
            [&](const Entry& entry) {
              RoundOf(entry.key, entry.value);
              walk.emplace_back(entry.key, entry.version);
              return true;
            },
            &cursor);
        EXPECT_TRUE(status.ok()) << status;
      }
      EXPECT_TRUE(walks[0] == walks[1]);
    }
  }

  int RoundsRead() { return static_cast<int>(reads_.fetch_add(1) % 100'000); }

  const std::string directory_ = testing::TempDir() + "alex_threads_test";
  std::unique_ptr<Store> store_;
  std::atomic<int> newest_[kWriters] = {};
  std::atomic<uint64_t> reads_ = 0;
  std::atomic<bool> is_over_ = false;
};

TEST_F(AlexThreadsTest, ReadersSeeWholeAndNewValuesWhileAllElseGoesOn) {
  std::vector<std::thread> readers;
  readers.emplace_back([this] { ReadLatest(); });
  readers.emplace_back([this] { ReadSnapshots(); });
  std::vector<std::thread> writers;
  for (int writer = 0; writer < kWriters; ++writer) {
    writers.emplace_back([this, writer] { RunWriter(writer); });
  }
  for (std::thread& writer : writers) {
    writer.join();
  }
  is_over_ = true;
  for (std::thread& reader : readers) {
    reader.join();
  }
  EXPECT_TRUE(store_->Compact().ok());
  const StoreStats stats = store_->stats();
  EXPECT_EQ(stats.keys, static_cast<uint64_t>(kWriters * kKeysEach));
  EXPECT_GT(stats.compactions, 0u);
  EXPECT_EQ(stats.damaged_records, 0u);
}

}  // namespace
}  // namespace tsdbd::kv
