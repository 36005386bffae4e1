// Merges, deletes and retention rules of a whole database: what it answers is what a map says, at
// every moment, through restarts and crashes.

#include <atomic>
#include <memory>
#include <optional>
#include <random>
#include <set>
#include <thread>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <spdlog/spdlog.h>

#include "common/clock.h"
#include "common/fault_env_testing.h"
#include "common/hex_dump_testing.h"
#include "storage/block_manager.h"
#include "tsdb/batch_testing.h"
#include "tsdb/database.h"
#include "tsdb/numbered_writes_testing.h"

namespace tsdbd::tsdb {
namespace {

using model::Matcher;
using model::MatchType;
using model::Timestamp;

constexpr Timestamp kSecond = kNanosPerSecond;

Matcher Match(const std::string& name, const std::string& value,
              MatchType type = MatchType::kEqual) {
  return *Matcher::Create(type, name, value);
}

class CompactionTest : public testing::Test {
 protected:
  void SetUp() override {
    level_ = spdlog::get_level();
    spdlog::set_level(spdlog::level::off);
    options_ = SmallDatabase();
    Open();
  }
  void TearDown() override {
    db_.reset();
    spdlog::set_level(level_);
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
  void Write(const std::string& key, const std::vector<std::pair<std::string, double>>& fields,
             Timestamp time) {
    BatchBuilder batch;
    batch.Row(key, fields, time);
    ASSERT_TRUE(db_->Write(batch.batch(), WriteMode::kPartial).status.ok());
  }
  void WriteBlocks(int count, Timestamp begin = 0) {
    for (int i = 0; i < count; ++i) {
      Write("m,h=a", {{"a", i}, {"b", i}}, begin + i * kSecond);
      ASSERT_TRUE(db_->Flush().ok());
    }
  }
  size_t BlockCount() { return db_->blocks().Snapshot()->size(); }

  // The edges of windows, as ReadEdges gives them, are samples, and none is missing.
  static void CheckEdges(const model::SeriesSet& set, size_t series, const model::StepTimes& times,
                         const std::map<Timestamp, double>& samples) {
    model::EdgeSamples edges;
    ASSERT_TRUE(set.ReadEdges(series, {.windows = times}, &edges).ok());
    const auto begin = samples.lower_bound(times.Range().min);
    std::set<Timestamp> given;
    for (size_t i = 0; i < edges.columns.size(); ++i) {
      const auto sample = samples.find(edges.columns.timestamps[i]);
      ASSERT_TRUE(sample != samples.end() && sample->second == edges.columns.values[i]);
      if (!edges.ordinals.empty()) {
        ASSERT_EQ(edges.ordinals[i], std::distance(begin, sample));
      }
      given.insert(sample->first);
    }
    for (size_t step = 0; step < times.count; ++step) {
      const model::TimeRange window = times.Window(times.At(step));
      const auto first = samples.lower_bound(window.min);
      const auto end = samples.upper_bound(window.max);
      if (first != end) {
        ASSERT_TRUE(given.contains(first->first) && given.contains(std::prev(end)->first));
      }
    }
  }

  // The latest values at moments, as ReadSteps gives them, are those of the samples.
  void CheckSteps(const Contents& contents) {
    const model::StepTimes times = {
        .first = 5 * kSecond, .step_ns = 7 * kSecond, .count = 50, .window_ns = 30 * kSecond};
    const auto set = db_->Select({.matchers = {}, .range = {}});
    ASSERT_TRUE(set.ok());
    std::vector<double> values((*set)->size() * times.count);
    ASSERT_TRUE((*set)->ReadSteps(0, (*set)->size(), times, values.data()).ok());
    for (size_t series = 0; series < (*set)->size(); ++series) {
      model::LabelViews labels;
      (*set)->GetLabels(series, &labels);
      const auto found = contents.find(SeriesName(labels));
      for (size_t step = 0; step < times.count; ++step) {
        const model::TimeRange window = times.Window(times.At(step));
        const double value = values[series * times.count + step];
        std::optional<double> expected;
        if (found != contents.end()) {
          auto sample = found->second.upper_bound(window.max);
          if (sample != found->second.begin() && (--sample)->first >= window.min) {
            expected = sample->second;
          }
        }
        ASSERT_EQ(model::IsStaleMarker(value), !expected.has_value()) << SeriesName(labels) << step;
        if (expected.has_value()) {
          ASSERT_EQ(value, *expected) << SeriesName(labels) << " at step " << step;
        }
      }
      CheckEdges(**set, series, times,
                 found == contents.end() ? std::map<Timestamp, double>() : found->second);
    }
  }

  spdlog::level::level_enum level_ = spdlog::level::info;
  DatabaseOptions options_;
  FaultEnv env_;
  std::unique_ptr<Database> db_;
};

TEST_F(CompactionTest, TheBlocksOfAPartitionThatIsOverBecomeOne) {
  WriteBlocks(7);
  const Contents before = ReadAll(*db_);
  EXPECT_EQ(BlockCount(), 7u);
  ASSERT_TRUE(db_->Compact().ok());
  EXPECT_EQ(BlockCount(), 1u);
  EXPECT_EQ(ReadAll(*db_), before);
  const DatabaseStats stats = db_->Stats();
  EXPECT_EQ(stats.compaction.compactions, 1u);
  EXPECT_GT(stats.compaction.read_bytes, stats.compaction.written_bytes);
  EXPECT_GT(stats.compaction.written_bytes, 0u);
  db_.reset();
  Open();
  EXPECT_EQ(ReadAll(*db_), before);
  WriteBlocks(1, 50 * kSecond);
  EXPECT_EQ(ReadAll(*db_).at("m_a{h=a}").size(), 8u);
}

TEST_F(CompactionTest, APartitionThatIsWrittenIsMergedBySixAndInTheBackground) {
  db_.reset();
  options_.compacts_by_itself = true;
  options_.partition_ns = kNanosPerDay;
  Open();
  const Timestamp now = WallNanos();
  WriteBlocks(5, now);
  WriteBlocks(1, now + 100 * kSecond);
  for (int i = 0; i < 200 && BlockCount() > 2; ++i) {  // 2: midnight may be in between
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  EXPECT_LE(BlockCount(), 2u);
  EXPECT_EQ(ReadAll(*db_).at("m_a{h=a}").size(), 6u);
}

TEST_F(CompactionTest, ClosingDoesNotWaitForASlowMerge) {
  WriteBlocks(3);
  db_.reset();
  options_.compacts_by_itself = true;
  options_.compaction_rate_bytes = 1;
  Open();
  for (int i = 0; i < 500 && !db_->Stats().compaction.running; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  EXPECT_TRUE(db_->Stats().compaction.running);
  const int64_t start_ns = MonotonicNanos();
  db_.reset();
  EXPECT_LT(MonotonicNanos() - start_ns, 5 * kNanosPerSecond);
  options_.compacts_by_itself = false;
  Open();
  EXPECT_EQ(BlockCount(), 3u);
  EXPECT_EQ(env_.List("/db/blocks")->size(), 3u);
}

TEST_F(CompactionTest, OnAFullDiskBlocksStayAsTheyAreAndAreMergedWhenThereIsSpace) {
  WriteBlocks(3);
  const Contents before = ReadAll(*db_);
  env_.SetCapacity(0);
  EXPECT_EQ(db_->Compact().code(), StatusCode::kResourceExhausted);
  EXPECT_EQ(ReadAll(*db_), before);
  EXPECT_EQ(env_.List("/db/blocks")->size(), 3u);
  EXPECT_EQ(db_->Stats().compaction.failures, 1u);
  env_.SetCapacity(UINT64_MAX);
  ASSERT_TRUE(db_->Compact().ok());
  EXPECT_EQ(BlockCount(), 1u);
}

TEST_F(CompactionTest, ABlockWithADamagedIndexGoesToQuarantineAndTheOthersAreMerged) {
  WriteBlocks(3);
  const std::string path = (*db_->blocks().Snapshot())[1]->path();
  db_.reset();
  std::string bytes = env_.Contents(path);
  bytes[bytes.size() / 2] ^= 1;
  env_.SetContents(path, bytes);
  Open();
  ASSERT_TRUE(db_->Compact().ok());
  EXPECT_EQ(BlockCount(), 1u);
  EXPECT_EQ(ReadAll(*db_).at("m_a{h=a}").size(), 2u);
  EXPECT_EQ(env_.List("/db/quarantine")->size(), 1u);
}

// Deletes.

TEST_F(CompactionTest, WhatIsDeletedIsGoneAtOnceAndWhatIsWrittenAfterwardsStays) {
  for (int i = 0; i < 5; ++i) {
    Write("m,h=a", {{"a", i}, {"b", i}}, i * kSecond);
    Write("m,h=b", {{"a", i}}, i * kSecond);
  }
  ASSERT_TRUE(
      db_->DeleteSeries({{Match("__name__", "m_a"), Match("h", "a")}}, {1 * kSecond, 3 * kSecond})
          .ok());
  const auto check = [&] {
    const Contents contents = ReadAll(*db_);
    EXPECT_EQ(contents.at("m_a{h=a}"),
              (std::map<Timestamp, double>{{0, 0}, {2 * kSecond, 9}, {4 * kSecond, 4}}));
    EXPECT_EQ(contents.at("m_b{h=a}").size(), 5u);
    EXPECT_EQ(contents.at("m_a{h=b}").size(), 5u);
  };
  Write("m,h=a", {{"a", 9}}, 2 * kSecond);
  check();
  EXPECT_EQ(db_->Stats().tombstones, 1u);
  Crash(CrashMode::kDropUnsynced);
  Open();
  check();
  ASSERT_TRUE(db_->CleanTombstones().ok());
  check();
  EXPECT_EQ(db_->Stats().tombstones, 0u);
  ASSERT_TRUE(db_->Flush().ok());
  ASSERT_TRUE(db_->Compact().ok());
  check();
}

TEST_F(CompactionTest, ASeriesWithoutASampleLeftVanishes) {
  Write("m,h=a", {{"a", 1}, {"b", 2}}, kSecond);
  Write("m,h=b", {{"a", 1}}, kSecond);
  ASSERT_TRUE(db_->DeleteSeries({{Match("h", "a")}, {Match("h", "nobody")}}, {}).ok());
  EXPECT_EQ(ReadAll(*db_), (Contents{{"m_a{h=b}", {{kSecond, 1}}}}));
  EXPECT_THAT(*db_->LabelValues("h", {}), testing::ElementsAre("b"));
  EXPECT_THAT(*db_->LabelValues("__name__", {}), testing::ElementsAre("m_a"));
  EXPECT_EQ((*db_->Select({}))->size(), 1u);
  ASSERT_TRUE(db_->DeleteSeries({{Match("h", "b")}}, {}).ok());
  EXPECT_TRUE(db_->LabelNames({})->empty());
  ASSERT_TRUE(db_->Compact().ok());
  ASSERT_TRUE(db_->CleanTombstones().ok());
  EXPECT_EQ(BlockCount(), 0u);
  // No generation comes twice: new rows are not what an old tombstone means.
  Write("m,h=a", {{"a", 3}}, kSecond);
  db_.reset();
  Open();
  EXPECT_EQ(ReadAll(*db_), (Contents{{"m_a{h=a}", {{kSecond, 3}}}}));
}

TEST_F(CompactionTest, ADamagedFileOfTombstonesIsSetAside) {
  WriteBlocks(1);
  ASSERT_TRUE(db_->DeleteSeries({{Match("h", "a")}}, {}).ok());
  db_.reset();
  const std::string good = env_.Contents("/db/tombstones");
  for (size_t i = 0; i < good.size(); ++i) {
    std::string bytes = good;
    bytes[i] ^= 0x10;
    env_.SetContents("/db/tombstones", bytes);
    Open();
    EXPECT_EQ(ReadAll(*db_).size(), 2u) << i;
    db_.reset();
    EXPECT_EQ(env_.List("/db/quarantine")->size(), i + 1);
  }
}

TEST_F(CompactionTest, AModelAgreesThroughWritesFlushesDeletesMergesAndCrashes) {
  const uint64_t seed = std::random_device()();
  std::mt19937_64 random(seed);
  Contents model;
  const std::vector<std::vector<std::string>> field_lists = {{"a", "b"}, {"a"}, {"b", "c"}};
  for (int step = 0; step < 400; ++step) {
    SCOPED_TRACE(fmt::format("seed {} step {}", seed, step));
    const uint64_t action = random() % 20;
    if (action < 12) {
      BatchBuilder batch;
      for (size_t i = 0; i < 1 + random() % 30; ++i) {
        const std::string host(1, static_cast<char>('a' + random() % 3));
        std::vector<std::pair<std::string, double>> fields;
        const auto time = static_cast<Timestamp>(random() % 350) * kSecond;
        for (const std::string& field : field_lists[random() % 3]) {
          fields.emplace_back(field, static_cast<double>(random() % 1000));
          model[fmt::format("m_{}{{h={}}}", field, host)][time] = fields.back().second;
        }
        batch.Row("m,h=" + host, fields, time);
      }
      ASSERT_TRUE(db_->Write(batch.batch(), WriteMode::kPartial).status.ok());
    } else if (action < 15) {
      ASSERT_TRUE(db_->Flush().ok());
    } else if (action < 17) {
      const std::string field(1, static_cast<char>('a' + random() % 3));
      const std::string host(1, static_cast<char>('a' + random() % 3));
      const auto min = static_cast<Timestamp>(random() % 350) * kSecond;
      const model::TimeRange range = {min, min + static_cast<Timestamp>(random() % 150) * kSecond};
      ASSERT_TRUE(
          db_->DeleteSeries({{Match("__name__", "m_" + field), Match("h", host)}}, range).ok());
      auto& samples = model[fmt::format("m_{}{{h={}}}", field, host)];
      samples.erase(samples.lower_bound(range.min), samples.upper_bound(range.max));
    } else if (action == 17) {
      ASSERT_TRUE(db_->Compact().ok());
    } else if (action == 18) {
      ASSERT_TRUE(db_->CleanTombstones().ok());
      ASSERT_EQ(db_->Stats().tombstones, 0u);
    } else {
      Crash(random() % 2 ? CrashMode::kDropUnsynced : CrashMode::kKeepAll);
      Open();
    }
    Contents expected = model;
    std::erase_if(expected, [](const auto& series) { return series.second.empty(); });
    Contents found = ReadAll(*db_);
    std::erase_if(found, [](const auto& series) { return series.second.empty(); });
    ASSERT_EQ(Difference(found, expected), "");
    if (step % 4 == 0) {
      CheckSteps(expected);
    }
  }
}

TEST_F(CompactionTest, ReadersSeeAllThatWasWrittenWhileBlocksAreMergedAndOthersDeleted) {
  db_.reset();
  options_.compacts_by_itself = true;
  Open();
  constexpr int kRows = 60;
  std::atomic<int> written = 0;
  std::atomic<bool> done = false;
  std::thread writer([&] {
    for (int i = 0; i < kRows; ++i) {
      Write("kept,h=a", {{"v", i}}, i * kSecond);
      Write("gone,h=a", {{"v", i}}, i * kSecond);
      written = i + 1;
    }
    done = true;
  });
  std::thread changer([&] {
    for (int i = 0; !done; ++i) {
      EXPECT_TRUE(db_->Flush().ok());
      EXPECT_TRUE(db_->DeleteSeries({{Match("__name__", "gone_v")}}, {}).ok());
      EXPECT_TRUE(i % 3 != 0 || db_->CleanTombstones().ok());
      EXPECT_TRUE(i % 4 != 0 || db_->Snapshot(/*skip_head=*/false).ok());
    }
  });
  while (!done) {
    const auto least = static_cast<size_t>(written.load());
    const Contents contents = ReadAll(*db_);
    const auto kept = contents.find("kept_v{h=a}");
    EXPECT_GE(kept == contents.end() ? 0 : kept->second.size(), least);
  }
  writer.join();
  changer.join();
  ASSERT_TRUE(db_->DeleteSeries({{Match("__name__", "gone_v")}}, {}).ok());
  EXPECT_EQ(ReadAll(*db_).size(), 1u);
  EXPECT_EQ(ReadAll(*db_).at("kept_v{h=a}").size(), static_cast<size_t>(kRows));
}

// Crashes.

TEST_F(CompactionTest, ACrashAtAnyStepOfMergesAndDeletesLosesNothingAndBringsNothingBack) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  constexpr uint64_t kStride = 7;
#else
  constexpr uint64_t kStride = 1;
#endif
  const Selector selector = {Match("__name__", "m_a")};
  bool finished = false;
  for (uint64_t step = 1; !finished; step += kStride) {
    for (const CrashMode mode : {CrashMode::kKeepAll, CrashMode::kDropUnsynced}) {
      SCOPED_TRACE(fmt::format("step {} mode {}", step, static_cast<int>(mode)));
      db_.reset();
      for (const char* folder : {"/db/blocks", "/db/wal", "/db"}) {
        const std::vector<std::string> names = *env_.List(folder);
        for (const std::string& name : names) {
          env_.Remove(std::string(folder) + "/" + name).IgnoreError();
        }
      }
      Open();
      WriteBlocks(4);
      Contents before = ReadAll(*db_);
      env_.StopAfter(step);
      const Status compacted = db_->Compact();
      const Status deleted =
          compacted.ok() ? db_->DeleteSeries({selector}, {0, 1 * kSecond}) : compacted;
      const Status cleaned = deleted.ok() ? db_->CleanTombstones() : deleted;
      finished = cleaned.ok() && !env_.is_stopped();
      Crash(mode, step);
      Open();
      Contents after = before;
      after["m_a{h=a}"].erase(0);
      after["m_a{h=a}"].erase(kSecond);
      const Contents found = ReadAll(*db_);
      ASSERT_TRUE(found == after || (!deleted.ok() && found == before)) << Difference(found, after);
      ASSERT_EQ(env_.List("/db/blocks")->size(), BlockCount());
      ASSERT_TRUE(BlockCount() == 4 || BlockCount() == 1);
      ASSERT_TRUE(env_.List("/db/quarantine")->empty());
      ASSERT_TRUE(db_->CleanTombstones().ok());
      ASSERT_EQ(ReadAll(*db_), found);
    }
  }
}

// Retention rules.

TEST_F(CompactionTest, ARuleHidesOldSamplesOfItsSeriesAndCompactionDropsThem) {
  db_.reset();
  options_.partition_ns = 3'600 * kSecond;
  options_.retention_rules = {{.selector = {Match("__name__", "debug_.*", MatchType::kRegex)},
                               .age_ns = 2 * 3'600 * kSecond}};
  Open();
  const Timestamp now = WallNanos();
  const auto ages = {10, 100, 130, 200, 400};  // minutes
  for (const int age : ages) {
    Write("debug,h=a", {{"x", age}}, now - age * 60 * kSecond);
    Write("kept,h=a", {{"x", age}}, now - age * 60 * kSecond);
  }
  const auto check = [&] {
    const Contents contents = ReadAll(*db_);
    EXPECT_EQ(contents.at("debug_x{h=a}").size(), 2u);
    EXPECT_EQ(contents.at("kept_x{h=a}").size(), 5u);
    // And one step that looks far back finds nothing that is hidden.
    const auto set = db_->Select({.matchers = {Match("__name__", "debug_x")}, .range = {}});
    double value = 0;
    ASSERT_TRUE((*set)
                    ->ReadSteps(0, 1,
                                {.first = now - 150 * 60 * kSecond,
                                 .step_ns = 0,
                                 .count = 1,
                                 .window_ns = 1000 * 60 * kSecond},
                                &value)
                    .ok());
    EXPECT_TRUE(model::IsStaleMarker(value));
  };
  check();
  ASSERT_TRUE(db_->Flush().ok());
  check();
  ASSERT_TRUE(db_->Compact().ok());
  check();
  db_.reset();
  options_.retention_rules.clear();
  Open();
  EXPECT_LE(ReadAll(*db_).at("debug_x{h=a}").size(), 3u)
      << "what is 200 and 400 minutes old is gone";
}

TEST_F(CompactionTest, TheOldestPartitionsGoUntilTheBlocksAreSmallEnough) {
  for (int partition = 0; partition < 5; ++partition) {
    WriteBlocks(2, partition * 100 * kSecond);
  }
  const uint64_t block_bytes = db_->blocks().Stats().size_bytes / 10;
  db_.reset();
  options_.retention_bytes = block_bytes * 5;
  Open();
  ASSERT_TRUE(db_->Compact().ok());
  const Contents contents = ReadAll(*db_);
  EXPECT_EQ(contents.at("m_a{h=a}").begin()->first, 300 * kSecond);
  EXPECT_EQ(contents.at("m_a{h=a}").size(), 4u);
  db_.reset();
  options_.retention_bytes = 1;
  Open();
  ASSERT_TRUE(db_->Compact().ok());
  EXPECT_EQ(ReadAll(*db_).at("m_a{h=a}").size(), 2u) << "the newest partition stays";
}

TEST_F(CompactionTest, ASnapshotIsADatabaseWithTheSameAnswers) {
  WriteBlocks(3);
  ASSERT_TRUE(db_->DeleteSeries({{Match("__name__", "m_b")}}, {0, kSecond}).ok());
  Write("m,h=a", {{"a", 7}}, 50 * kSecond);
  const Contents in_blocks_before = ReadAll(*db_);
  const auto without_head = db_->Snapshot(/*skip_head=*/true);
  ASSERT_TRUE(without_head.ok()) << without_head.status();
  const auto name = db_->Snapshot(/*skip_head=*/false);
  ASSERT_TRUE(name.ok()) << name.status();
  Write("m,h=a", {{"a", 8}}, 60 * kSecond);
  ASSERT_TRUE(db_->CleanTombstones().ok());
  ASSERT_TRUE(db_->Compact().ok());
  db_.reset();
  options_.data_dir = "/db/snapshots/" + *name;
  Open();
  EXPECT_EQ(ReadAll(*db_), in_blocks_before);
  EXPECT_EQ(db_->Stats().tombstones, 1u);
  db_.reset();
  options_.data_dir = "/db/snapshots/" + *without_head;
  Open();
  EXPECT_FALSE(ReadAll(*db_).at("m_a{h=a}").contains(50 * kSecond));
}

TEST_F(CompactionTest, ASnapshotThatFailsLeavesNoFiles) {
  WriteBlocks(2);
  env_.Inject({.operation = FileOperation::kSync, .after = 1, .path_part = "/snapshots"});
  EXPECT_FALSE(db_->Snapshot(/*skip_head=*/true).ok());
  env_.ClearFaults();
  const std::vector<std::string> folders = *env_.List("/db/snapshots");
  for (const std::string& folder : folders) {
    EXPECT_TRUE(env_.List("/db/snapshots/" + folder + "/blocks")->empty());
  }
}

TEST(TombstonesFormatTest, ThePageShowsTheBytesThatAreWritten) {
  const std::vector<Tombstone> tombstones = {
      {.number = 7,
       .generation = 12,
       .range = {1'700'006'400 * kSecond, 1'700'010'000 * kSecond},
       .selectors = {{Match("__name__", "cpu_user"), Match("host", "a|b", MatchType::kRegex)}}}};
  const std::string bytes = EncodeTombstones(7, tombstones);
  EXPECT_TRUE(HexDumpInDocument("tombstones.md") == HexDump(bytes)) << "the page should show\n"
                                                                    << HexDump(bytes);
  uint64_t newest = 0;
  const auto decoded = DecodeTombstones(bytes, &newest);
  ASSERT_TRUE(decoded.ok());
  EXPECT_EQ(EncodeTombstones(newest, *decoded), bytes);
}

}  // namespace
}  // namespace tsdbd::tsdb
