// What every backend of Store must do, whatever it is made of. Each test runs for each backend and
// type of keys.

#include <algorithm>
#include <array>
#include <thread>
#include <utility>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/mutex.h"
#include "kv/store_suite_testing.h"

namespace tsdbd::kv {
namespace {

using testing::HasSubstr;

class StoreSuite : public testing::TestWithParam<StoreKind> {};

INSTANTIATE_TEST_SUITE_P(Backends, StoreSuite, testing::ValuesIn(AllStoreKinds()),
                         [](const auto& info) { return NameOf(info.param); });

std::optional<StoredValue> Stored(Store& store, std::string_view key) {
  auto found = GetFrom(store.Read(Consistency::kLatest).get(), key);
  EXPECT_TRUE(found.ok()) << ToString(found.status());
  return found.ok() ? *found : std::nullopt;
}

// Its value, or "none".
std::string ValueOf(Store& store, std::string_view key) {
  const auto stored = Stored(store, key);
  return stored ? stored->value : "none";
}

StoredValues Contents(Store& store) {
  auto found = ScanAll(store.Read(Consistency::kLatest).get(), {}, 100, nullptr);
  EXPECT_TRUE(found.ok()) << ToString(found.status());
  return found.ok() ? *std::move(found) : StoredValues();
}

TEST_P(StoreSuite, GivesBackWhatWasPut) {
  StoreUnderTest store(GetParam());
  ASSERT_TRUE(store->Put(store.Key(1), "one").ok());
  ASSERT_TRUE(store->Put(store.Key(2), "").ok());
  ASSERT_TRUE(store->Put(store.Key(3), std::string("\0\xFF\n", 3)).ok());
  EXPECT_EQ(ValueOf(*store, store.Key(1)), "one");
  EXPECT_EQ(ValueOf(*store, store.Key(2)), "");
  EXPECT_EQ(ValueOf(*store, store.Key(3)), std::string("\0\xFF\n", 3));
  EXPECT_EQ(ValueOf(*store, store.Key(4)), "none");
  EXPECT_EQ(store->Get(store.Key(1)).value(), "one");
  EXPECT_TRUE(absl::IsNotFound(store->Get(store.Key(4)).status()));
}

TEST_P(StoreSuite, TheLastOfTwoWritesOfAKeyHolds) {
  StoreUnderTest store(GetParam());
  ASSERT_TRUE(store->Put(store.Key(1), "old").ok());
  EXPECT_EQ(ValueOf(*store, store.Key(1)), "old");
  ASSERT_TRUE(store->Put(store.Key(1), "new").ok());
  EXPECT_EQ(ValueOf(*store, store.Key(1)), "new");
  ASSERT_TRUE(store->Delete(store.Key(1)).ok());
  EXPECT_EQ(ValueOf(*store, store.Key(1)), "none");
  ASSERT_TRUE(store->Put(store.Key(1), "again").ok());
  EXPECT_EQ(ValueOf(*store, store.Key(1)), "again");
}

TEST_P(StoreSuite, ABatchTakesEffectInItsOrder) {
  StoreUnderTest store(GetParam());
  ASSERT_TRUE(store->Put(store.Key(3), "three").ok());
  const std::string a = store.Key(1);
  const std::string b = store.Key(2);
  const std::string c = store.Key(3);
  WriteBatch batch;
  batch.Put(a, "first");
  batch.Put(a, "second");
  batch.Put(b, "gone");
  batch.Delete(b);
  batch.Delete(c);
  batch.Put(c, "back");
  ASSERT_TRUE(store->WriteAndWait(batch).ok());
  EXPECT_EQ(ValueOf(*store, a), "second");
  EXPECT_EQ(ValueOf(*store, b), "none");
  EXPECT_EQ(ValueOf(*store, c), "back");
  EXPECT_EQ(Stored(*store, a)->version, Stored(*store, c)->version);
}

TEST_P(StoreSuite, AnEmptyBatchIsDoneWithoutWriting) {
  StoreUnderTest store(GetParam());
  EXPECT_TRUE(store->WriteAndWait(WriteBatch()).ok());
  EXPECT_EQ(store->stats().writes, 0);
}

TEST_P(StoreSuite, DeletingWhatIsNotThereIsNoError) {
  StoreUnderTest store(GetParam());
  EXPECT_TRUE(store->Delete(store.Key(1)).ok());
  EXPECT_EQ(ValueOf(*store, store.Key(1)), "none");
}

TEST_P(StoreSuite, RefusesKeysAndValuesThatAreTooLong) {
  StoreUnderTest store(GetParam());
  const std::string value(store.options().max_value_bytes + 1, 'v');
  EXPECT_TRUE(absl::IsInvalidArgument(store->Put(store.Key(1), value)));
  EXPECT_TRUE(absl::IsInvalidArgument(store->Put(std::string(kMaxKeyBytes + 1, 'k'), "v")));
  EXPECT_TRUE(absl::IsInvalidArgument(store->Update(
      std::string(kMaxKeyBytes + 1, 'k'), [](auto, auto) {}, nullptr, nullptr)));
  ASSERT_TRUE(store->Put(store.Key(1), std::string_view(value).substr(1)).ok());
  EXPECT_EQ(ValueOf(*store, store.Key(1)).size(), value.size() - 1);
}

TEST_P(StoreSuite, ABatchWithOneBadOperationWritesNothing) {
  StoreUnderTest store(GetParam());
  const std::string good = store.Key(1);
  const std::string bad(kMaxKeyBytes + 1, 'k');
  WriteBatch batch;
  batch.Put(good, "v");
  batch.Put(bad, "v");
  bool done_ran = false;
  EXPECT_TRUE(absl::IsInvalidArgument(store->Write(
      batch, [&](const Status&) { done_ran = true; }, nullptr)));
  EXPECT_FALSE(done_ran);
  EXPECT_EQ(ValueOf(*store, good), "none");
}

TEST_P(StoreSuite, AnIntegerKeyspaceTakesKeysOfEightBytesOnly) {
  StoreUnderTest store(GetParam());
  const bool is_integer = GetParam().key_type == KeyType::kInteger;
  for (const std::string_view key : {"1234567", "123456789"}) {
    EXPECT_EQ(absl::IsInvalidArgument(store->Put(key, "v")), is_integer);
    EXPECT_EQ(absl::IsInvalidArgument(store->Delete(key)), is_integer);
  }
  EXPECT_TRUE(store->Put("12345678", "v").ok());
}

TEST_P(StoreSuite, LongKeysAreKeysLikeOthers) {
  if (GetParam().key_type == KeyType::kInteger) {
    GTEST_SKIP() << "its keys have one length";
  }
  StoreUnderTest store(GetParam());
  const std::string a = std::string(kMaxKeyBytes - 1, '\xFF') + "a";
  const std::string b = std::string(kMaxKeyBytes - 1, '\xFF') + "b";
  ASSERT_TRUE(store->Put(a, "a").ok());
  ASSERT_TRUE(store->Put(b, "b").ok());
  EXPECT_EQ(ValueOf(*store, a), "a");
  EXPECT_EQ(ValueOf(*store, b), "b");
  EXPECT_EQ(Contents(*store).size(), 2);
  ASSERT_TRUE(store->Clear().ok());
  EXPECT_EQ(Contents(*store).size(), 0);
}

TEST_P(StoreSuite, VersionsRiseFromWriteToWriteAndOverRestarts) {
  StoreUnderTest store(GetParam());
  uint64_t last = 0;
  for (int i = 0; i < 60; ++i) {
    const std::string key = store.Key(i % 3);
    WriteBatch batch;
    i % 5 == 4 ? batch.Delete(key) : batch.Put(key, "v");
    uint64_t version = 0;
    ASSERT_TRUE(store->Write(batch, nullptr, &version).ok());
    EXPECT_GT(version, last);
    last = version;
    if (i % 5 != 4) {
      EXPECT_EQ(Stored(*store, key)->version, version);
    }
    if (i % 7 == 0) {
      store.Reopen();
    }
    if (i % 20 == 19) {
      ASSERT_TRUE(i % 40 == 19 ? store->Compact().ok() : store->Clear().ok());
    }
  }
}

TEST_P(StoreSuite, AnUpdateSeesTheEntryAndDecides) {
  StoreUnderTest store(GetParam());
  const std::string key = store.Key(1);
  uint64_t version = 0;
  ASSERT_TRUE(store
                  ->Update(
                      key,
                      [&](const Entry* current, WriteBatch* batch) {
                        EXPECT_EQ(current, nullptr);
                        batch->Put(key, "1");
                      },
                      nullptr, &version)
                  .ok());
  EXPECT_EQ(Stored(*store, key)->version, version);
  std::string longer;
  ASSERT_TRUE(store
                  ->Update(
                      key,
                      [&](const Entry* current, WriteBatch* batch) {
                        ASSERT_NE(current, nullptr);
                        EXPECT_EQ(current->version, version);
                        EXPECT_EQ(current->key, key);
                        longer = std::string(current->value) + "2";
                        batch->Put(key, longer);
                      },
                      nullptr, nullptr)
                  .ok());
  EXPECT_EQ(ValueOf(*store, key), "12");
}

TEST_P(StoreSuite, AnUpdateThatAddsNothingWritesNothingAndIsDone) {
  StoreUnderTest store(GetParam(), SyncMode::kAlways);
  const std::string key = store.Key(1);
  ASSERT_TRUE(store->Put(key, "v").ok());
  const uint64_t version = Stored(*store, key)->version;
  Mutex mutex;
  CondVar finished;
  bool is_done = false;
  ASSERT_TRUE(store
                  ->Update(
                      key, [](const Entry*, WriteBatch*) {},
                      [&](const Status& status) {
                        EXPECT_TRUE(status.ok());
                        MutexLock lock(&mutex);
                        is_done = true;
                        finished.NotifyOne();
                      },
                      nullptr)
                  .ok());
  MutexLock lock(&mutex);
  while (!is_done) {
    finished.Wait(&mutex);
  }
  EXPECT_EQ(Stored(*store, key)->version, version);
}

TEST_P(StoreSuite, AnUpdateMayWriteOtherKeys) {
  StoreUnderTest store(GetParam());
  for (int i = 0; i < 50; ++i) {
    const std::string from = store.Key(i);
    const std::string to = store.Key(100 + i);
    ASSERT_TRUE(store->Put(from, "moved").ok());
    std::string value;
    ASSERT_TRUE(store
                    ->Update(
                        from,
                        [&](const Entry* current, WriteBatch* batch) {
                          ASSERT_NE(current, nullptr);
                          value = current->value;
                          batch->Delete(from);
                          batch->Put(to, value);
                        },
                        nullptr, nullptr)
                    .ok());
    EXPECT_EQ(ValueOf(*store, from), "none");
    EXPECT_EQ(ValueOf(*store, to), "moved");
  }
}

TEST_P(StoreSuite, AnExpiredEntryIsGoneForEverybody) {
  StoreUnderTest store(GetParam());
  const std::string key = store.Key(1);
  const int64_t expires_ns = store.now_ns() + kNanosPerSecond;
  ASSERT_TRUE(store->Put(key, "v", expires_ns).ok());
  ASSERT_TRUE(store->Put(store.Key(2), "w").ok());
  EXPECT_EQ(Stored(*store, key)->expires_ns, expires_ns);
  store.AdvanceClock(kNanosPerSecond - 1);
  EXPECT_EQ(ValueOf(*store, key), "v");
  store.AdvanceClock(1);
  EXPECT_EQ(ValueOf(*store, key), "none");
  EXPECT_EQ(Contents(*store).size(), 1);
  ASSERT_TRUE(store
                  ->Update(
                      key, [](const Entry* current, WriteBatch*) { EXPECT_EQ(current, nullptr); },
                      nullptr, nullptr)
                  .ok());
  for (int round = 0; round < 2; ++round) {
    ASSERT_TRUE(store->Compact().ok());
    EXPECT_EQ(ValueOf(*store, key), "none");
    store.Reopen();
    EXPECT_EQ(ValueOf(*store, key), "none");
    EXPECT_EQ(Contents(*store).size(), 1);
  }
}

TEST_P(StoreSuite, WhatAnExpiredEntryReplacedDoesNotReturn) {
  StoreUnderTest store(GetParam());
  const std::string key = store.Key(1);
  ASSERT_TRUE(store->Put(key, "old").ok());
  ASSERT_TRUE(store->Compact().ok());
  ASSERT_TRUE(store->Put(key, "new", store.now_ns() + 1).ok());
  store.AdvanceClock(1);
  EXPECT_EQ(ValueOf(*store, key), "none");
  ASSERT_TRUE(store->Compact().ok());
  EXPECT_EQ(ValueOf(*store, key), "none");
  store.Reopen();
  ASSERT_TRUE(store->Compact().ok());
  EXPECT_EQ(ValueOf(*store, key), "none");
  EXPECT_EQ(Contents(*store).size(), 0);
}

TEST_P(StoreSuite, WhatWasDeletedDoesNotReturnAfterCompactionAndRestarts) {
  StoreUnderTest store(GetParam());
  for (int i = 0; i < 300; ++i) {
    ASSERT_TRUE(store->Put(store.Key(i), "v").ok());
  }
  ASSERT_TRUE(store->Compact().ok());
  for (int i = 0; i < 300; i += 2) {
    ASSERT_TRUE(store->Delete(store.Key(i)).ok());
  }
  for (int round = 0; round < 3; ++round) {
    store.Reopen();
    const StoredValues contents = Contents(*store);
    EXPECT_EQ(contents.size(), 150);
    EXPECT_FALSE(contents.contains(store.Key(0)));
    EXPECT_EQ(ValueOf(*store, store.Key(2)), "none");
    ASSERT_TRUE(store->Compact().ok());
  }
}

TEST_P(StoreSuite, ClearRemovesEverythingForGood) {
  StoreUnderTest store(GetParam());
  for (int i = 0; i < 100; ++i) {
    ASSERT_TRUE(store->Put(store.Key(i), "v").ok());
    EXPECT_EQ(ValueOf(*store, store.Key(i)), "v");  // now the hot values have it, too
  }
  const auto before = store->Read(Consistency::kSnapshot);
  ASSERT_TRUE(store->Clear().ok());
  EXPECT_EQ(ValueOf(*store, store.Key(5)), "none");
  EXPECT_EQ(Contents(*store).size(), 0);
  EXPECT_EQ(ScanAll(before.get(), {}, 7, nullptr).value().size(), 100);
  ASSERT_TRUE(store->Put(store.Key(5), "after").ok());
  EXPECT_EQ(Contents(*store).size(), 1);
}

TEST_P(StoreSuite, ClearHoldsAfterARestart) {
  StoreUnderTest store(GetParam());
  ASSERT_TRUE(store->Put(store.Key(1), "v").ok());
  ASSERT_TRUE(store->Clear().ok());
  store.Reopen();
  EXPECT_EQ(Contents(*store).size(), 0);
}

TEST_P(StoreSuite, GetManyIsManyGets) {
  StoreUnderTest store(GetParam());
  for (int i = 0; i < 100; i += 2) {
    ASSERT_TRUE(store->Put(store.Key(i), fmt::format("value {}", i)).ok());
  }
  ASSERT_EQ(ValueOf(*store, store.Key(4)), "value 4");
  std::vector<std::string> keys;
  for (int i = 0; i < 100; ++i) {
    keys.push_back(store.Key(i * 7 % 100));
  }
  const std::vector<std::string_view> views(keys.begin(), keys.end());
  for (const Consistency consistency : {Consistency::kLatest, Consistency::kSnapshot}) {
    const auto view = store->Read(consistency);
    std::vector<Entry> entries(views.size());
    std::vector<Status> statuses(views.size());
    view->GetMany(views, entries, statuses);
    for (int i = 0; i < 100; ++i) {
      const int number = i * 7 % 100;
      EXPECT_EQ(statuses[i].ok(), number % 2 == 0);
      if (statuses[i].ok()) {
        EXPECT_EQ(entries[i].value, fmt::format("value {}", number));
        EXPECT_EQ(entries[i].key, keys[i]);
      } else {
        EXPECT_TRUE(absl::IsNotFound(statuses[i]));
      }
    }
    view->GetMany({}, {}, {});
  }
}

TEST_P(StoreSuite, FindManyIsGetManyWithoutValues) {
  StoreUnderTest store(GetParam());
  ASSERT_TRUE(store->Put(store.Key(1), "value").ok());
  ASSERT_TRUE(store->Put(store.Key(2), "value", int64_t{1} << 62).ok());
  ASSERT_TRUE(store->Put(store.Key(3), "value", 1).ok());  // expired
  std::vector<std::string> keys;
  for (const int i : {1, 2, 3, 4, 1}) {
    keys.push_back(store.Key(i));
  }
  const std::vector<std::string_view> views(keys.begin(), keys.end());
  for (const Consistency consistency : {Consistency::kLatest, Consistency::kSnapshot}) {
    const auto view = store->Read(consistency);
    std::vector<Entry> whole(views.size());
    std::vector<Entry> found(views.size());
    std::vector<Status> whole_statuses(views.size());
    std::vector<Status> statuses(views.size());
    view->GetMany(views, whole, whole_statuses);
    view->FindMany(views, found, statuses);
    EXPECT_EQ(statuses, whole_statuses);
    for (const size_t i : {0, 1, 4}) {
      EXPECT_EQ(found[i].key, whole[i].key);
      EXPECT_EQ(found[i].value, "");
      EXPECT_EQ(found[i].version, whole[i].version);
      EXPECT_EQ(found[i].expires_ns, whole[i].expires_ns);
    }
  }
}

TEST_P(StoreSuite, GetManyAnswersEachOfRepeatedKeys) {
  StoreUnderTest store(GetParam());
  for (int i = 0; i < 3; ++i) {
    ASSERT_TRUE(store->Put(store.Key(i), fmt::format("value {}", i)).ok());
  }
  // Number 3 is not there.
  const std::vector<int> numbers = {2, 0, 3, 2, 1, 0, 3, 2, 2, 3};
  std::vector<std::string> keys;
  for (const int number : numbers) {
    keys.push_back(store.Key(number));
  }
  const std::vector<std::string_view> views(keys.begin(), keys.end());
  for (const Consistency consistency :
       {Consistency::kLatest, Consistency::kLatest, Consistency::kSnapshot}) {
    const auto view = store->Read(consistency);
    std::vector<Entry> entries(views.size());
    std::vector<Status> statuses(views.size());
    view->GetMany(views, entries, statuses);
    for (size_t i = 0; i < numbers.size(); ++i) {
      SCOPED_TRACE(i);
      if (numbers[i] == 3) {
        EXPECT_TRUE(absl::IsNotFound(statuses[i]));
        continue;
      }
      ASSERT_TRUE(statuses[i].ok());
      EXPECT_EQ(entries[i].key, keys[i]);
      EXPECT_EQ(entries[i].value, fmt::format("value {}", numbers[i]));
    }
  }
}

TEST_P(StoreSuite, AScanOfKeysGivesAllOfAnEntryButItsValue) {
  StoreUnderTest store(GetParam());
  for (int i = 0; i < 200; ++i) {
    const int64_t expires_ns = i % 2 == 0 ? kNeverExpires : store.now_ns() + 1 + i % 4;
    ASSERT_TRUE(store->Put(store.Key(i), fmt::format("value {}", i), expires_ns).ok());
  }
  store.AdvanceClock(2);
  for (const bool is_descending : {false, true}) {
    if (is_descending && !store->is_ordered()) {
      continue;
    }
    const auto view = store->Read(Consistency::kSnapshot);
    const ScanRange with_values = {.is_descending = is_descending};
    const ScanRange keys_only = {.is_descending = is_descending, .keys_only = true};
    std::vector<std::string> expected_keys;
    std::vector<std::string> keys;
    StoredValues expected = ScanAll(view.get(), with_values, 7, &expected_keys).value();
    ASSERT_EQ(expected.size(), 150);
    for (auto& [key, stored] : expected) {
      stored.value.clear();
    }
    EXPECT_EQ(ScanAll(view.get(), keys_only, 7, &keys).value(), expected);
    EXPECT_EQ(keys, expected_keys);
  }
}

TEST_P(StoreSuite, ASnapshotSeesNothingOfWhatCameLater) {
  StoreUnderTest store(GetParam());
  ASSERT_TRUE(store->Put(store.Key(1), "kept").ok());
  ASSERT_TRUE(store->Put(store.Key(2), "changed").ok());
  ASSERT_TRUE(store->Put(store.Key(3), "deleted").ok());
  const auto snapshot = store->Read(Consistency::kSnapshot);
  const StoredValues before = Contents(*store);
  ASSERT_TRUE(store->Put(store.Key(2), "new").ok());
  ASSERT_TRUE(store->Delete(store.Key(3)).ok());
  ASSERT_TRUE(store->Put(store.Key(4), "added").ok());
  for (int round = 0; round < 2; ++round) {
    EXPECT_EQ(ScanAll(snapshot.get(), {}, 2, nullptr).value(), before);
    EXPECT_EQ(GetFrom(snapshot.get(), store.Key(2)).value()->value, "changed");
    EXPECT_EQ(GetFrom(snapshot.get(), store.Key(3)).value()->value, "deleted");
    EXPECT_EQ(GetFrom(snapshot.get(), store.Key(4)).value(), std::nullopt);
    ASSERT_TRUE(store->Compact().ok());
  }
  EXPECT_EQ(ValueOf(*store, store.Key(2)), "new");
}

TEST_P(StoreSuite, EntriesStayValidWhileTheirViewLives) {
  StoreUnderTest store(GetParam());
  for (int i = 0; i < 200; ++i) {
    ASSERT_TRUE(
        store->Put(store.Key(i), std::string(i * 11, static_cast<char>('a' + i % 26))).ok());
  }
  for (const Consistency consistency : {Consistency::kLatest, Consistency::kSnapshot}) {
    const auto view = store->Read(consistency);
    std::vector<std::pair<Entry, StoredValue>> seen;
    const auto remember = [&](const Entry& entry) {
      seen.emplace_back(entry, StoredValue{.value = std::string(entry.value)});
      return true;
    };
    std::string cursor;
    ASSERT_TRUE(view->Scan({}, remember, &cursor).ok());
    for (int i = 0; i < 200; ++i) {
      Entry entry;
      ASSERT_TRUE(view->Get(store.Key(i), &entry).ok());
      remember(entry);
    }
    for (int i = 0; i < 200; ++i) {
      ASSERT_TRUE(i % 3 == 0 ? store->Delete(store.Key(i)).ok()
                             : store->Put(store.Key(i), "other").ok());
    }
    ASSERT_TRUE(store->Compact().ok());
    for (const auto& [entry, stored] : seen) {
      EXPECT_EQ(entry.value, stored.value);
    }
    for (int i = 0; i < 200; ++i) {
      ASSERT_TRUE(store->Put(store.Key(i), std::string(i * 11, 'x')).ok());
    }
  }
}

TEST_P(StoreSuite, AScanEndsWhereTheVisitorSaysAndGoesOnFromThere) {
  StoreUnderTest store(GetParam());
  for (int i = 0; i < 10; ++i) {
    ASSERT_TRUE(store->Put(store.Key(i), "v").ok());
  }
  const auto view = store->Read(Consistency::kLatest);
  size_t visited = 0;
  std::string cursor;
  ASSERT_TRUE(view->Scan(
                      {}, [&](const Entry&) { return ++visited < 4; }, &cursor)
                  .ok());
  EXPECT_EQ(visited, 4);
  ASSERT_FALSE(cursor.empty());
  const std::string again = cursor;
  ASSERT_TRUE(view->Scan(
                      {.cursor = again}, [&](const Entry&) { return ++visited < 100; }, &cursor)
                  .ok());
  EXPECT_EQ(visited, 10);
  EXPECT_TRUE(cursor.empty());
}

TEST_P(StoreSuite, AKeyThatIsThereAllTheWhileIsVisitedOnceByAScanInPages) {
  StoreUnderTest store(GetParam());
  std::mt19937_64 random(7);
  for (int i = 0; i < 300; i += 3) {
    ASSERT_TRUE(store->Put(store.Key(i), "stays").ok());
  }
  std::map<std::string, int> visits;
  std::string cursor;
  do {
    const std::string from = cursor;
    ASSERT_TRUE(store->Read(Consistency::kLatest)
                    ->Scan(
                        {.cursor = from, .limit = 5},
                        [&](const Entry& entry) {
                          ++visits[std::string(entry.key)];
                          return true;
                        },
                        &cursor)
                    .ok());
    for (int i = 0; i < 20; ++i) {
      const uint64_t number = random() % 300;
      if (number % 3 != 0) {
        const std::string key = store.Key(number);
        ASSERT_TRUE(random() % 2 == 0 ? store->Put(key, "comes").ok() : store->Delete(key).ok());
      }
    }
  } while (!cursor.empty());
  for (int i = 0; i < 300; i += 3) {
    EXPECT_EQ(visits[store.Key(i)], 1);
  }
}

TEST_P(StoreSuite, RefusesACursorThatIsNone) {
  StoreUnderTest store(GetParam());
  std::string cursor;
  for (const std::string& bad : {std::string("x"), std::string(100'000, '>')}) {
    EXPECT_TRUE(absl::IsInvalidArgument(
        store->Read(Consistency::kLatest)
            ->Scan(
                {.cursor = bad}, [](const Entry&) { return true; }, &cursor)))
        << bad.size();
  }
}

TEST_P(StoreSuite, OnlyAnOrderedKeyspaceTakesBoundsAndDirections) {
  StoreUnderTest store(GetParam());
  for (int i = 0; i < 20; ++i) {
    ASSERT_TRUE(store->Put(store.Key(i), "v").ok());
  }
  const std::string from = store.Key(5);
  const std::string to = store.Key(9);
  for (const ScanRange& range : {ScanRange{.from = from, .to = to},
                                 ScanRange{.from = from, .to = to, .is_descending = true}}) {
    std::vector<std::string> keys;
    const auto found = ScanAll(store->Read(Consistency::kLatest).get(), range, 2, &keys);
    if (!store->is_ordered()) {
      EXPECT_TRUE(absl::IsInvalidArgument(found.status()));
      continue;
    }
    ASSERT_TRUE(found.ok()) << ToString(found.status());
    std::vector<std::string> expected = {store.Key(5), store.Key(6), store.Key(7), store.Key(8)};
    if (range.is_descending) {
      std::reverse(expected.begin(), expected.end());
    }
    EXPECT_EQ(keys, expected);
  }
}

TEST_P(StoreSuite, AClosedStoreRefusesWritesAndMayBeClosedAgain) {
  StoreUnderTest store(GetParam());
  ASSERT_TRUE(store->Put(store.Key(1), "v").ok());
  ASSERT_TRUE(store->Close().ok());
  ASSERT_TRUE(store->Close().ok());
  EXPECT_TRUE(absl::IsUnavailable(store->Put(store.Key(2), "v")));
  store.Reopen();
  EXPECT_EQ(ValueOf(*store, store.Key(1)), "v");
  EXPECT_EQ(ValueOf(*store, store.Key(2)), "none");
}

TEST_P(StoreSuite, EverySyncModeKeepsEverythingOverACleanRestart) {
  for (const SyncMode mode : {SyncMode::kAlways, SyncMode::kInterval, SyncMode::kNone}) {
    StoreUnderTest store(GetParam(), mode);
    for (int i = 0; i < 50; ++i) {
      ASSERT_TRUE(store->Put(store.Key(i), "v").ok());
    }
    ASSERT_TRUE(store->Sync().ok());
    store.Reopen();
    EXPECT_EQ(Contents(*store).size(), 50);
  }
}

// Threads that add to counters under Update, beside batches, readers and compactions.
TEST_P(StoreSuite, NothingIsLostBetweenConcurrentWriters) {
  constexpr int kWriters = 4;
  constexpr int kRounds = 300;
  constexpr int kCounters = 8;
  StoreUnderTest store(GetParam());
  std::atomic<bool> stop = false;
  std::vector<std::thread> readers;
  for (int r = 0; r < 2; ++r) {
    readers.emplace_back([&] {
      std::array<uint64_t, kCounters> last_value{};
      std::array<uint64_t, kCounters> last_version{};
      while (!stop.load()) {
        for (int c = 0; c < kCounters; ++c) {
          const auto stored = Stored(*store, store.Key(c));
          if (!stored) {
            continue;
          }
          const uint64_t value = std::stoull(stored->value);
          EXPECT_GE(value, last_value[c]);
          EXPECT_GE(stored->version, last_version[c]);
          last_value[c] = value;
          last_version[c] = stored->version;
        }
        // Both keys of a writer's batch have one value.
        const auto view = store->Read(Consistency::kSnapshot);
        for (int w = 0; w < kWriters; ++w) {
          const auto a = GetFrom(view.get(), store.Key(100 + w)).value();
          const auto b = GetFrom(view.get(), store.Key(200 + w)).value();
          ASSERT_EQ(a.has_value(), b.has_value());
          if (a) {
            EXPECT_EQ(*a, *b);
          }
        }
      }
    });
  }
  std::vector<std::thread> writers;
  for (int w = 0; w < kWriters; ++w) {
    writers.emplace_back([&, w] {
      for (int i = 0; i < kRounds; ++i) {
        const std::string key = store.Key(i % kCounters);
        std::string next;
        const auto add = [&](const Entry* current, WriteBatch* batch) {
          next =
              std::to_string(current == nullptr ? 1 : std::stoull(std::string(current->value)) + 1);
          batch->Put(key, next);
        };
        ASSERT_TRUE(store->Update(key, add, nullptr, nullptr).ok());
        const std::string value = std::to_string(i);
        const std::string a = store.Key(100 + w);
        const std::string b = store.Key(200 + w);
        WriteBatch batch;
        batch.Put(a, value);
        batch.Put(b, value);
        ASSERT_TRUE(store->Write(batch, nullptr, nullptr).ok());
      }
    });
  }
  for (int i = 0; i < 3; ++i) {
    EXPECT_TRUE(store->Compact().ok());
  }
  for (std::thread& writer : writers) {
    writer.join();
  }
  stop = true;
  for (std::thread& reader : readers) {
    reader.join();
  }
  uint64_t sum = 0;
  for (int c = 0; c < kCounters; ++c) {
    sum += std::stoull(ValueOf(*store, store.Key(c)));
  }
  EXPECT_EQ(sum, kWriters * kRounds);
}

}  // namespace
}  // namespace tsdbd::kv
