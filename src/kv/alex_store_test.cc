#include "kv/alex_store.h"

#include <atomic>
#include <set>
#include <thread>

#include <gtest/gtest.h>

#include "kv/alex_harness_testing.h"

namespace tsdbd::kv {
namespace {

using Contents = AlexHarness::Contents;

std::string Integer(uint64_t key) {
  const auto bytes = IntegerKey(key);
  return {bytes.data(), bytes.size()};
}

class AlexStoreTest : public testing::Test, public AlexHarness {
 protected:
  void MakeInteger() { options.store.key_type = KeyType::kInteger; }
};

// ---- Writing and reading

TEST_F(AlexStoreTest, ReadsWhatWasWritten) {
  MustOpen();
  Put("a", "1");
  Put("b", std::string(100'000, 'x'));
  Put("", "the empty key");
  Put("c", "");
  EXPECT_EQ(Get("a"), "1");
  EXPECT_EQ(Get("b"), std::string(100'000, 'x'));
  EXPECT_EQ(Get(""), "the empty key");
  EXPECT_EQ(Get("c"), "");
  EXPECT_EQ(Get("d"), "[NOT_FOUND]");
  Put("a", "2");
  Delete("b");
  EXPECT_EQ(Get("a"), "2");
  EXPECT_EQ(Get("b"), "[NOT_FOUND]");
  EXPECT_EQ(store->stats().keys, 3u);
}

TEST_F(AlexStoreTest, ReopensWithAllThatWasWritten) {
  MustOpen();
  for (int i = 0; i < 3'000; ++i) {
    Put(fmt::format("key {}", i % 700), fmt::format("value {}", i));
    if (i % 5 == 0) {
      Delete(fmt::format("key {}", i % 300));
    }
  }
  const Contents before = All();
  EXPECT_GE(store->stats().segments, 3u);
  for (int i = 0; i < 3; ++i) {
    Reopen();
    EXPECT_TRUE(All() == before);
    EXPECT_EQ(report.damage_count, 0u);
    EXPECT_EQ(report.records, i == 0 ? 1u : 0u) << "the rest is in the checkpoint";
    EXPECT_FALSE(report.torn_tail.has_value());
  }
  CrashAndOpen(CrashMode::kDropUnsynced);
  EXPECT_TRUE(All() == before);
}

TEST_F(AlexStoreTest, WithoutACheckpointTheLogTellsAll) {
  options.checkpoint_at_close = false;
  MustOpen();
  for (int i = 0; i < 1'000; ++i) {
    Put(fmt::format("key {}", i % 300), fmt::format("value {}", i));
    Delete(fmt::format("key {}", (i * 7) % 300));
  }
  const Contents before = All();
  Reopen();
  EXPECT_TRUE(All() == before);
  EXPECT_GT(report.records, 2'000u);
}

TEST_F(AlexStoreTest, IntegersAreInOrderAndHaveBounds) {
  MakeInteger();
  MustOpen();
  std::vector<uint64_t> keys = {0, 1, 7, 255, 256, 1 << 20, UINT64_MAX - 1, UINT64_MAX};
  for (const uint64_t key : keys) {
    Put(Integer(key), std::to_string(key));
  }
  const auto scan = [&](ScanRange range) {
    std::vector<uint64_t> seen;
    const auto view = store->Read(Consistency::kLatest);
    std::string cursor;
    EXPECT_TRUE(view->Scan(
                        range,
                        [&](const Entry& entry) {
                          seen.push_back(IntegerOfKey(entry.key));
                          EXPECT_EQ(entry.value, std::to_string(seen.back()));
                          return true;
                        },
                        &cursor)
                    .ok());
    if (!cursor.empty()) {
      seen.push_back(IntegerOfKey(cursor));
    }
    return seen;
  };
  EXPECT_EQ(scan({}), keys);
  EXPECT_EQ(scan({.is_descending = true}), std::vector<uint64_t>(keys.rbegin(), keys.rend()));
  const std::string one = Integer(1);
  const std::string mebi = Integer(1 << 20);
  EXPECT_EQ(scan({.from = one, .to = mebi}), (std::vector<uint64_t>{1, 7, 255, 256}));
  EXPECT_EQ(scan({.from = one, .to = mebi, .is_descending = true}),
            (std::vector<uint64_t>{256, 255, 7, 1}));
  EXPECT_EQ(scan({.from = one, .limit = 2}), (std::vector<uint64_t>{1, 7, 255})) << "a cursor last";
  EXPECT_EQ(scan({.to = one, .limit = 1}), (std::vector<uint64_t>{0})) << "and none at the end";
  EXPECT_EQ(scan({.to = mebi, .limit = 2, .is_descending = true}),
            (std::vector<uint64_t>{256, 255, 7}));
  EXPECT_EQ(scan({.cursor = one, .limit = 8, .is_descending = true}),
            (std::vector<uint64_t>{1, 0}));
  EXPECT_EQ(scan({.from = mebi, .to = one}), std::vector<uint64_t>{});
  const auto view = store->Read(Consistency::kLatest);
  EXPECT_EQ(view->Scan({.from = "short"}, nullptr, nullptr).code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(store->Put("short", "").code(), StatusCode::kInvalidArgument);
}

TEST_F(AlexStoreTest, BytesHaveNoBounds) {
  MustOpen();
  const auto view = store->Read(Consistency::kLatest);
  for (const ScanRange& range : {ScanRange{.from = "12345678"}, ScanRange{.to = "12345678"},
                                 ScanRange{.cursor = "1"}, ScanRange{.is_descending = true}}) {
    EXPECT_EQ(view->Scan(range, nullptr, nullptr).code(), StatusCode::kInvalidArgument);
  }
  EXPECT_FALSE(store->is_ordered());
}

TEST_F(AlexStoreTest, LimitsAreToldBeforeAnythingIsWritten) {
  options.store.max_value_bytes = 10;
  MustOpen();
  EXPECT_TRUE(store->Put("a", std::string(10, 'v')).ok());
  EXPECT_EQ(store->Put("a", std::string(11, 'v')).code(), StatusCode::kInvalidArgument);
  EXPECT_TRUE(store->Put(std::string(kMaxKeyBytes, 'k'), "").ok());
  EXPECT_EQ(store->Put(std::string(kMaxKeyBytes + 1, 'k'), "").code(),
            StatusCode::kInvalidArgument);
  EXPECT_EQ(Get(std::string(kMaxKeyBytes, 'k')), "");
}

TEST_F(AlexStoreTest, VersionsRiseAlsoAcrossRestartsAndForDeletesOfNothing) {
  MustOpen();
  uint64_t last = 0;
  for (int round = 0; round < 6; ++round) {
    for (int i = 0; i < 10; ++i) {
      const std::string key = std::to_string(i);
      WriteBatch batch;
      i % 3 == 0 ? batch.Delete("nothing") : batch.Put(key, "v");
      uint64_t version = 0;
      ASSERT_TRUE(store->Write(batch, nullptr, &version).ok());
      EXPECT_GT(version, last);
      last = version;
    }
    ASSERT_TRUE(store->Sync().ok());
    round % 2 == 0 ? Reopen() : CrashAndOpen(CrashMode::kDropUnsynced);
  }
}

TEST_F(AlexStoreTest, ABatchTakesEffectInItsOrder) {
  MustOpen();
  WriteBatch batch;
  batch.Put("a", "1");
  batch.Put("a", "2");
  batch.Put("b", "1");
  batch.Delete("b");
  batch.Delete("c");
  batch.Put("c", "3");
  ASSERT_TRUE(store->WriteAndWait(batch).ok());
  const Contents expected = {{"a", "2"}, {"c", "3"}};
  EXPECT_EQ(All(), expected);
  CrashAndOpen(CrashMode::kKeepAll);
  EXPECT_EQ(All(), expected);
}

TEST_F(AlexStoreTest, UpdateSeesWhatIsThereAndMayWriteNothing) {
  MustOpen();
  Put("n", "1");
  const auto add = [&](std::string_view key) {
    std::string value;
    EXPECT_TRUE(store
                    ->Update(
                        key,
                        [&](const Entry* current, WriteBatch* batch) {
                          value = current == nullptr
                                      ? "0"
                                      : std::to_string(std::stoi(std::string(current->value)) + 1);
                          batch->Put(key, value);
                        },
                        nullptr, nullptr)
                    .ok());
  };
  add("n");
  add("n");
  add("m");
  EXPECT_EQ(All(), (Contents{{"n", "3"}, {"m", "0"}}));
  std::atomic<bool> done = false;
  EXPECT_TRUE(
      store
          ->Update(
              "n", [](const Entry*, WriteBatch*) {}, [&](const Status&) { done = true; }, nullptr)
          .ok());
  while (!done) {
    std::this_thread::yield();
  }
}

TEST_F(AlexStoreTest, GetManyAnswersEachKey) {
  MustOpen();
  std::vector<std::string> names;
  for (int i = 0; i < 100; ++i) {
    names.push_back(std::to_string(i));
    if (i % 3 != 0) {
      Put(names.back(), "v" + names.back());
    }
  }
  const std::vector<std::string_view> keys(names.begin(), names.end());
  std::vector<Entry> entries(keys.size());
  std::vector<Status> statuses(keys.size());
  store->Read(Consistency::kLatest)->GetMany(keys, entries, statuses);
  for (int i = 0; i < 100; ++i) {
    ASSERT_EQ(statuses[i].code(), i % 3 != 0 ? StatusCode::kOk : StatusCode::kNotFound);
    if (i % 3 != 0) {
      EXPECT_EQ(entries[i].value, "v" + names[i]);
      EXPECT_EQ(entries[i].key, names[i]);
    }
  }
}

TEST_F(AlexStoreTest, GetManyAnswersEachOfTheSameKeys) {
  MustOpen();
  Put("large", std::string(10'000, 'x'));
  Put("small", "y");
  const std::vector<std::string_view> keys = {"large", "none", "large", "small", "large", "small"};
  std::vector<Entry> entries(keys.size());
  std::vector<Status> statuses(keys.size());
  const auto view = store->Read(Consistency::kLatest);
  view->GetMany(keys, entries, statuses);
  for (size_t i = 0; i < keys.size(); ++i) {
    ASSERT_EQ(statuses[i].ok(), keys[i] != "none") << i;
    if (statuses[i].ok()) {
      EXPECT_EQ(entries[i].key, keys[i]);
      EXPECT_EQ(entries[i].value.size(), keys[i] == "large" ? 10'000u : 1u);
    }
  }
}

TEST_F(AlexStoreTest, AScanOfKeysOnlyLeavesValuesOut) {
  const int64_t in_an_hour_ns = WallNanos() + 3600 * kNanosPerSecond;
  for (const KeyType key_type : {KeyType::kBytes, KeyType::kInteger}) {
    options.store.directory = key_type == KeyType::kBytes ? "bytes" : "integers";
    options.store.key_type = key_type;
    MustOpen();
    for (uint64_t i = 0; i < 500; ++i) {
      Put(Integer(i), fmt::format("value {}", i), i % 7 == 0 ? in_an_hour_ns : kNeverExpires);
    }
    std::set<std::string> found;
    const auto view = store->Read(Consistency::kLatest);
    const Status status = view->Scan(
        {.keys_only = true},
        [&](const Entry& entry) {
          EXPECT_EQ(entry.value, "");
          EXPECT_NE(entry.version, 0u);
          EXPECT_TRUE(found.emplace(entry.key).second);
          return true;
        },
        nullptr);
    EXPECT_TRUE(status.ok()) << status;
    EXPECT_EQ(found.size(), 500u);
  }
}

TEST_F(AlexStoreTest, AClosedStoreRefusesWrites) {
  MustOpen();
  Put("a", "1");
  EXPECT_TRUE(store->Close().ok());
  EXPECT_TRUE(store->Close().ok());
  EXPECT_EQ(store->Put("a", "2").code(), StatusCode::kUnavailable);
  EXPECT_EQ(Get("a"), "1");
}

TEST_F(AlexStoreTest, ADirectoryHasOneStore) {
  MustOpen();
  EXPECT_EQ(OpenAlexStore(&env, options, nullptr).status().code(), StatusCode::kFailedPrecondition);
  Put("a", "1");
  Close();
  options.store.key_type = KeyType::kInteger;
  EXPECT_EQ(Open().code(), StatusCode::kFailedPrecondition) << "other keys";
}

// ---- Clear

TEST_F(AlexStoreTest, ClearRemovesEverythingForGood) {
  for (const CrashMode mode : {CrashMode::kKeepAll, CrashMode::kDropUnsynced}) {
    MustOpen();
    for (int i = 0; i < 1'000; ++i) {
      Put(fmt::format("key {}", i), "value");
    }
    Reopen();  // with a checkpoint
    Put("late", "value");
    ASSERT_TRUE(store->Clear().ok());
    EXPECT_EQ(All(), Contents());
    EXPECT_EQ(store->stats().live_bytes, 0u);
    EXPECT_LE(SegmentPaths().size(), 2u);
    Put("new", "value");
    EXPECT_EQ(All(), (Contents{{"new", "value"}}));
    CrashAndOpen(mode);
    EXPECT_EQ(All(), (Contents{{"new", "value"}}));
    Delete("new");
    Close();
  }
}

}  // namespace
}  // namespace tsdbd::kv
