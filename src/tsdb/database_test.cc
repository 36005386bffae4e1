#include "tsdb/database.h"

#include <atomic>
#include <numeric>
#include <random>
#include <thread>

#include <gtest/gtest.h>

#include "common/fault_env_testing.h"
#include "storage/block_manager.h"
#include "tsdb/batch_testing.h"

namespace tsdbd::tsdb {
namespace {

constexpr model::Timestamp kSecond = kNanosPerSecond;

class DatabaseTest : public testing::Test {
 protected:
  void SetUp() override { Open(); }

  void Open() {
    DatabaseOptions options;
    options.data_dir = "/db";
    options.wal.segment_bytes = 256 * 1024;
    auto opened = Database::Open(&env_, options);
    ASSERT_TRUE(opened.ok()) << opened.status();
    db_ = std::move(*opened);
  }
  void Reopen() {
    db_.reset();
    Open();
  }

  WriteResult Write(BatchBuilder& batch, WriteMode mode = WriteMode::kPartial) {
    WriteResult result = db_->Write(batch.batch(), mode);
    batch.Clear();
    return result;
  }

  FaultEnv env_;
  std::unique_ptr<Database> db_;
  BatchBuilder batch_;
};

TEST_F(DatabaseTest, WhatWasWrittenIsReadBack) {
  batch_.Row("cpu,host=a", {{"user", 1.5}, {"system", 2}}, kSecond);
  batch_.Row("cpu,host=b", {{"user", 3}, {"system", 4}}, kSecond);
  const WriteResult result = Write(batch_);
  EXPECT_TRUE(result.status.ok());
  EXPECT_EQ(result.rows_stored, 2u);
  const Contents expected = {{"cpu_user{host=a}", {{kSecond, 1.5}}},
                             {"cpu_system{host=a}", {{kSecond, 2}}},
                             {"cpu_user{host=b}", {{kSecond, 3}}},
                             {"cpu_system{host=b}", {{kSecond, 4}}}};
  EXPECT_EQ(ReadAll(*db_), expected);
  ASSERT_TRUE(db_->Flush().ok());
  EXPECT_EQ(ReadAll(*db_), expected);
  EXPECT_EQ(db_->log().stats().segments, 1u) << "a flush drops the log of what is in blocks";
  Reopen();
  EXPECT_EQ(ReadAll(*db_), expected);
}

TEST_F(DatabaseTest, TagsInAnotherOrderAreTheSameSeries) {
  batch_.Row("m,a=1,b=2", {{"v", 1}}, 1 * kSecond).Row("m,b=2,a=1", {{"v", 2}}, 2 * kSecond);
  Write(batch_);
  EXPECT_EQ(ReadAll(*db_), (Contents{{"m_v{a=1,b=2}", {{kSecond, 1}, {2 * kSecond, 2}}}}));
  EXPECT_EQ(db_->Stats().groups, 1u);
}

TEST_F(DatabaseTest, OfTwoRowsWithOneTimestampTheLastWrittenIsServed) {
  batch_.Row("m", {{"v", 1}}, kSecond).Row("m", {{"v", 2}}, kSecond);
  Write(batch_);
  batch_.Row("m", {{"v", 3}}, kSecond);
  Write(batch_);
  EXPECT_EQ(ReadAll(*db_), (Contents{{"m_v{}", {{kSecond, 3}}}}));
  ASSERT_TRUE(db_->Flush().ok());
  batch_.Row("m", {{"v", 4}}, kSecond);
  Write(batch_);
  EXPECT_EQ(ReadAll(*db_), (Contents{{"m_v{}", {{kSecond, 4}}}})) << "head over block";
  ASSERT_TRUE(db_->Flush().ok());
  EXPECT_EQ(ReadAll(*db_), (Contents{{"m_v{}", {{kSecond, 4}}}})) << "newer block over older";
}

TEST_F(DatabaseTest, TheLastWriteWinsAcrossDifferentFieldLists) {
  batch_.Row("m", {{"a", 1}, {"b", 1}}, kSecond);
  batch_.Row("m", {{"a", 2}}, kSecond);
  Write(batch_);
  const Contents second = {{"m_a{}", {{kSecond, 2}}}, {"m_b{}", {{kSecond, 1}}}};
  EXPECT_EQ(ReadAll(*db_), second);
  batch_.Row("m", {{"a", 3}, {"b", 3}}, kSecond);
  Write(batch_);
  const Contents third = {{"m_a{}", {{kSecond, 3}}}, {"m_b{}", {{kSecond, 3}}}};
  EXPECT_EQ(ReadAll(*db_), third);
  ASSERT_TRUE(db_->Flush().ok());
  EXPECT_EQ(ReadAll(*db_), third) << "the order survives the flush";
  Reopen();
  EXPECT_EQ(ReadAll(*db_), third);
}

TEST_F(DatabaseTest, LateRowsGoWhereTheyBelong) {
  std::map<model::Timestamp, double> expected;
  std::mt19937 random(7);
  std::vector<int> order(1000);
  std::iota(order.begin(), order.end(), 0);
  std::shuffle(order.begin(), order.end(), random);
  for (const int i : order) {
    batch_.Row("m", {{"v", i}}, i * kSecond);
    expected[i * kSecond] = i;
    if (i % 50 == 0) {
      Write(batch_);
    }
  }
  Write(batch_);
  EXPECT_EQ(ReadAll(*db_), (Contents{{"m_v{}", expected}}));
  ASSERT_TRUE(db_->Flush().ok());
  EXPECT_EQ(ReadAll(*db_), (Contents{{"m_v{}", expected}}));
}

TEST_F(DatabaseTest, RowsOfManyDaysBecomeOneBlockPerPartition) {
  std::map<model::Timestamp, double> expected;
  for (int day = 0; day < 70; ++day) {
    batch_.Row("m", {{"v", day}}, day * kNanosPerDay);
    batch_.Row("m", {{"v", -day}}, (day + 1) * kNanosPerDay - 1);
    expected[day * kNanosPerDay] = day;
    expected[(day + 1) * kNanosPerDay - 1] = -day;
  }
  Write(batch_);
  ASSERT_TRUE(db_->Flush().ok());
  EXPECT_EQ(db_->blocks().Snapshot()->size(), 70u);
  EXPECT_EQ(ReadAll(*db_), (Contents{{"m_v{}", expected}}));
}

TEST_F(DatabaseTest, ExtremeTimestampsAreKept) {
  batch_.Row("m", {{"v", 1}}, 0).Row("m", {{"v", 2}}, model::kMaxTimestamp);
  Write(batch_);
  const Contents expected = {{"m_v{}", {{0, 1}, {model::kMaxTimestamp, 2}}}};
  EXPECT_EQ(ReadAll(*db_), expected);
  ASSERT_TRUE(db_->Flush().ok());
  EXPECT_EQ(ReadAll(*db_), expected);
}

TEST_F(DatabaseTest, BadLinesAreReportedAndTheOthersStored) {
  batch_.Row("good", {{"v", 1}}, 1).Row("bad!", {{"v", 2}}, 2).Row("bad!", {{"v", 2}}, 3);
  const WriteResult result = Write(batch_);
  EXPECT_TRUE(result.status.ok());
  EXPECT_EQ(result.rows_stored, 1u);
  EXPECT_EQ(result.rows_refused, 2u);
  ASSERT_EQ(result.refused.size(), 2u);
  EXPECT_EQ(result.refused[0].line, 2u);
  EXPECT_EQ(result.refused[0].reason, "bad key bad!");
  EXPECT_EQ(ReadAll(*db_), (Contents{{"good_v{}", {{1, 1}}}}));
}

TEST_F(DatabaseTest, AllOrNothingStoresNothingIfALineIsBad) {
  batch_.Row("good", {{"v", 1}}, 1).Row("bad!", {{"v", 2}}, 2);
  EXPECT_FALSE(Write(batch_, WriteMode::kAllOrNothing).status.ok());
  EXPECT_EQ(ReadAll(*db_), Contents());
}

TEST_F(DatabaseTest, AnAcknowledgedWriteSurvivesAPowerCut) {
  batch_.Row("m", {{"v", 1}}, kSecond);
  ASSERT_TRUE(Write(batch_).status.ok());
  env_.Crash(CrashMode::kDropUnsynced);
  db_.reset();
  env_.Restart();
  Open();
  EXPECT_EQ(ReadAll(*db_), (Contents{{"m_v{}", {{kSecond, 1}}}}));
}

TEST_F(DatabaseTest, IdleGroupsLeaveMemoryAndTheirDataStays) {
  batch_.Row("idle,host=a", {{"v", 1}}, kSecond);
  Write(batch_);
  for (int i = 0; i < 3; ++i) {
    batch_.Row("busy,host=b", {{"v", 1}}, (i + 1) * kSecond);
    Write(batch_);
    ASSERT_TRUE(db_->Flush().ok());
  }
  EXPECT_EQ(db_->Stats().groups, 1u);
  EXPECT_EQ(db_->Stats().label_pairs, 1u);
  EXPECT_EQ(ReadAll(*db_).count("idle_v{host=a}"), 1u);
  batch_.Row("idle,host=a", {{"v", 2}}, 9 * kSecond);
  Write(batch_);
  EXPECT_EQ(ReadAll(*db_)["idle_v{host=a}"],
            (std::map<model::Timestamp, double>{{kSecond, 1}, {9 * kSecond, 2}}));
}

TEST_F(DatabaseTest, ASelectionStaysAsItWasWhileTheHeadMovesOn) {
  batch_.Row("m", {{"v", 1}}, kSecond);
  Write(batch_);
  auto before = db_->Select({});
  ASSERT_TRUE(before.ok());
  for (int i = 2; i < 500; ++i) {
    batch_.Row("m", {{"v", i}}, i * kSecond);
    Write(batch_);
  }
  ASSERT_TRUE(db_->Flush().ok());
  ASSERT_TRUE(db_->Flush().ok());
  model::SampleColumns samples;
  ASSERT_TRUE((*before)->Read(0, {}, &samples).ok());
  EXPECT_EQ(samples.values, std::vector<double>{1});
  model::LabelViews labels;
  (*before)->GetLabels(0, &labels);
  EXPECT_EQ(SeriesName(labels), "m_v{}");
}

TEST_F(DatabaseTest, LabelsComeFromHeadAndBlocks) {
  batch_.Row("cpu,host=a", {{"user", 1}}, kSecond);
  Write(batch_);
  ASSERT_TRUE(db_->Flush().ok());
  batch_.Row("mem,host=b,region=eu", {{"free", 1}}, 2 * kSecond);
  Write(batch_);
  EXPECT_EQ(*db_->LabelNames({}), (std::vector<std::string>{"__name__", "host", "region"}));
  EXPECT_EQ(*db_->LabelValues("host", {}), (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(*db_->LabelValues("__name__", {}), (std::vector<std::string>{"cpu_user", "mem_free"}));
  model::SelectRequest only_b;
  only_b.matchers.push_back(*model::Matcher::Create(model::MatchType::kRegex, "host", "b|c"));
  EXPECT_EQ(*db_->LabelValues("__name__", only_b), std::vector<std::string>{"mem_free"});
}

TEST_F(DatabaseTest, MatchersSelectByEveryKindOfLabel) {
  batch_.Row("cpu,host=a,dc=x", {{"user", 1}, {"system", 1}}, 1);
  batch_.Row("cpu,host=b", {{"user", 1}, {"system", 1}}, 1);
  batch_.Row("mem,host=a", {{"free", 1}}, 1);
  Write(batch_);
  using enum model::MatchType;
  const auto select =
      [&](std::vector<std::tuple<model::MatchType, std::string, std::string>> specs) {
        model::SelectRequest request;
        for (auto& [type, name, value] : specs) {
          request.matchers.push_back(*model::Matcher::Create(type, name, value));
        }
        auto set = db_->Select(request);
        std::vector<std::string> names;
        model::LabelViews labels;
        for (size_t i = 0; i < (*set)->size(); ++i) {
          (*set)->GetLabels(i, &labels);
          names.push_back(SeriesName(labels));
        }
        std::ranges::sort(names);
        return names;
      };
  using Names = std::vector<std::string>;
  for (int pass = 0; pass < 2; ++pass) {  // in the head, then in a block
    EXPECT_EQ(select({{kEqual, "__name__", "cpu_user"}}),
              (Names{"cpu_user{dc=x,host=a}", "cpu_user{host=b}"}));
    EXPECT_EQ(select({{kEqual, "__name__", "cpu_user"}, {kEqual, "dc", ""}}),
              Names{"cpu_user{host=b}"});
    EXPECT_EQ(select({{kNotEqual, "dc", ""}, {kRegex, "__name__", ".*_system"}}),
              Names{"cpu_system{dc=x,host=a}"});
    EXPECT_EQ(select({{kNotRegex, "host", "a"}, {kNotEqual, "__name__", "cpu_user"}}),
              Names{"cpu_system{host=b}"});
    EXPECT_EQ(select({{kEqual, "host", "zzz"}}), Names());
    EXPECT_EQ(select({{kEqual, "nolabel", ""}, {kRegex, "host", ".+"}}).size(), 5u);
    ASSERT_TRUE(db_->Flush().ok());
  }
}

// Random writes, flushes, restarts and power cuts against a map of maps.
TEST(DatabaseModelTest, AgreesWithAMapThroughFlushesRestartsAndPowerCuts) {
  const uint64_t seed = std::random_device()();
  SCOPED_TRACE(testing::Message() << "seed " << seed);
  std::mt19937_64 random(seed);
  FaultEnv env;
  DatabaseOptions options;
  options.data_dir = "/db";
  options.wal.segment_bytes = 64 * 1024;
  options.partition_ns = 100 * kSecond;
  std::unique_ptr<Database> db;
  const auto open = [&] {
    auto opened = Database::Open(&env, options);
    ASSERT_TRUE(opened.ok()) << opened.status();
    db = std::move(*opened);
  };
  open();
  Contents model;
  const std::vector<std::string> keys = {"m,h=1", "m,h=2", "m,h=3,r=x", "m,r=x,h=3", "n", "m,h=4"};
  const std::vector<std::vector<std::string>> field_lists = {
      {"a"}, {"a", "b"}, {"b", "a"}, {"a", "b", "c"}, {"c"}};
  const PlainKeyDecoder decoder;
  for (int step = 0; step < 300; ++step) {
    BatchBuilder batch;
    const size_t rows = 1 + random() % 60;
    for (size_t i = 0; i < rows; ++i) {
      const std::string& key = keys[random() % keys.size()];
      std::vector<std::pair<std::string, double>> fields;
      model::FieldList list;
      for (const std::string& name : field_lists[random() % field_lists.size()]) {
        fields.emplace_back(name, static_cast<double>(random() % 1000) / 4);
        list.names.push_back(name);
      }
      const auto time = static_cast<model::Timestamp>(random() % 400) * kSecond;
      batch.Row(key, fields, time);
      model::GroupLabels labels;
      ASSERT_TRUE(decoder.Decode(key, list, &labels).ok());
      for (size_t f = 0; f < fields.size(); ++f) {
        model::LabelViews views;
        for (const model::Label& label : labels.labels) {
          views.push_back({label.name, label.value});
        }
        views.insert(views.begin(), {"__name__", labels.column_values[f]});
        model[SeriesName(views)][time] = fields[f].second;
      }
    }
    ASSERT_TRUE(db->Write(batch.batch(), WriteMode::kPartial).status.ok());
    switch (random() % 20) {
      case 0:
        ASSERT_TRUE(db->Flush().ok());
        break;
      case 1:
        db.reset();
        open();
        break;
      case 2:
        env.Crash(random() % 2 == 0 ? CrashMode::kDropUnsynced : CrashMode::kKeepRandomSubset,
                  random());
        db.reset();
        env.Restart();
        open();
        break;
      default:
        break;
    }
    if (step % 10 == 0) {
      ASSERT_EQ(ReadAll(*db), model) << "step " << step;
    }
  }
  ASSERT_EQ(ReadAll(*db), model);
}

TEST(DatabaseConcurrencyTest, WritersReadersAndFlushesRunTogether) {
  FaultEnv env;
  DatabaseOptions options;
  options.data_dir = "/db";
  options.wal.segment_bytes = 256 * 1024;
  auto db = *Database::Open(&env, options);
  std::atomic<bool> stop = false;
  constexpr int kWriters = 3;
  constexpr int kBatches = 300;
  std::vector<std::thread> threads;
  for (int w = 0; w < kWriters; ++w) {
    threads.emplace_back([&, w] {
      BatchBuilder batch;
      for (int b = 0; b < kBatches; ++b) {
        for (int i = 0; i < 40; ++i) {
          // Own series, a series shared with the other writers, and ever new ones.
          batch.Row("own,w=" + std::to_string(w), {{"v", b}}, (b * 40 + i) * kSecond);
          batch.Row("shared", {{"v", 1}}, (b * 40 + i) * kSecond);
          batch.Row("new,b=" + std::to_string(b * kWriters + w), {{"v", 1}}, kSecond);
        }
        ASSERT_TRUE(db->Write(batch.batch(), WriteMode::kPartial).status.ok());
        batch.Clear();
      }
    });
  }
  std::thread reader([&] {
    while (!stop) {
      const Contents contents = ReadAll(*db);
      for (const auto& [name, samples] : contents) {
        if (name.starts_with("shared")) {
          for (const auto& [time, value] : samples) {
            ASSERT_EQ(value, 1) << name;
          }
        }
      }
    }
  });
  std::thread flusher([&] {
    while (!stop) {
      ASSERT_TRUE(db->Flush().ok());
    }
  });
  for (std::thread& thread : threads) {
    thread.join();
  }
  stop = true;
  reader.join();
  flusher.join();
  const Contents contents = ReadAll(*db);
  EXPECT_EQ(contents.size(), kWriters + 1u + kWriters * kBatches);
  EXPECT_EQ(contents.at("own_v{w=0}").size(), kBatches * 40u);
}

}  // namespace
}  // namespace tsdbd::tsdb
