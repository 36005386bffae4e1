#include "kv/hot_values.h"

#include <array>
#include <random>
#include <thread>

#include <gtest/gtest.h>

#include "kv/key_locks.h"
#include "kv/store.h"

namespace tsdbd::kv {
namespace {

constexpr size_t kMiB = size_t{1} << 20;

HotValues::Pointer Hot(std::string_view key, uint64_t version, size_t value_bytes = 10) {
  return std::make_shared<const HotValue>(HotValue{.key = std::string(key),
                                                   .value = std::string(value_bytes, 'v'),
                                                   .version = version,
                                                   .expires_ns = kNeverExpires});
}

void Fill(HotValues* values, std::string_view key, uint64_t version) {
  values->Fill(values->BeginFill(key), Hot(key, version));
}

// 0: not there.
uint64_t VersionOf(HotValues* values, std::string_view key) {
  const HotValues::Pointer found = values->Find(key);
  return found == nullptr ? 0 : found->version;
}

TEST(HotValuesTest, HasWhatWasFilledAndCountsHitsAndMisses) {
  HotValues values(kMiB);
  EXPECT_EQ(VersionOf(&values, "a"), 0);
  Fill(&values, "a", 1);
  EXPECT_EQ(VersionOf(&values, "a"), 1);
  EXPECT_EQ(VersionOf(&values, "b"), 0);
  EXPECT_EQ(values.stats().hits, 1);
  EXPECT_EQ(values.stats().misses, 2);
}

TEST(HotValuesTest, AWriteTakesTheValueOutUntilItEnds) {
  HotValues values(kMiB);
  Fill(&values, "a", 1);
  EXPECT_TRUE(values.BeginWrite("a"));
  EXPECT_EQ(VersionOf(&values, "a"), 0);
  values.EndWrite("a", Hot("a", 2));
  EXPECT_EQ(VersionOf(&values, "a"), 2);
  EXPECT_TRUE(values.BeginWrite("a"));
  values.EndWrite("a", nullptr);
  EXPECT_EQ(VersionOf(&values, "a"), 0);
}

TEST(HotValuesTest, WhatWasReadBeforeOrDuringAWriteIsNotFilled) {
  HotValues values(kMiB);
  const HotValues::Ticket before = values.BeginFill("a");
  values.BeginWrite("a");
  const HotValues::Ticket during = values.BeginFill("a");
  values.Fill(before, Hot("a", 1));
  values.Fill(during, Hot("a", 1));
  EXPECT_EQ(VersionOf(&values, "a"), 0);
  values.EndWrite("a", nullptr);
  values.Fill(before, Hot("a", 1));
  values.Fill(during, Hot("a", 1));
  EXPECT_EQ(VersionOf(&values, "a"), 0);
  values.Fill(values.BeginFill("a"), Hot("a", 2));
  EXPECT_EQ(VersionOf(&values, "a"), 2);
}

TEST(HotValuesTest, AClearIsAWriteOfAllKeys) {
  HotValues values(kMiB);
  Fill(&values, "a", 1);
  const HotValues::Ticket before = values.BeginFill("b");
  values.BeginClear();
  EXPECT_EQ(VersionOf(&values, "a"), 0);
  values.EndClear();
  values.Fill(before, Hot("b", 1));
  EXPECT_EQ(VersionOf(&values, "b"), 0);
  EXPECT_EQ(values.stats().size_bytes, 0);
}

TEST(HotValuesTest, StaysWithinItsBytes) {
  HotValues values(kMiB);
  for (int i = 0; i < 100'000; ++i) {
    Fill(&values, "key " + std::to_string(i), 1 + i);
    ASSERT_LE(values.stats().size_bytes, kMiB);
  }
  EXPECT_GT(values.stats().size_bytes, kMiB / 2);
}

TEST(HotValuesTest, KeepsWhatIsReadAgainAndAgain) {
  HotValues values(kMiB);
  Fill(&values, "hot", 1);
  int hits = 0;
  for (int i = 0; i < 50'000; ++i) {
    Fill(&values, "cold " + std::to_string(i), 1);
    hits += VersionOf(&values, "hot") == 1 ? 1 : 0;
  }
  EXPECT_EQ(hits, 50'000);
}

TEST(HotValuesTest, RefusesValuesThatWouldEmptyAShard) {
  HotValues values(kMiB);
  values.Fill(values.BeginFill("a"), Hot("a", 1, 100'000));
  EXPECT_EQ(VersionOf(&values, "a"), 0);
  HotValues none(0);
  Fill(&none, "a", 1);
  EXPECT_EQ(VersionOf(&none, "a"), 0);
}

// A database of one number per key beside it. A reader may never get less than what was written
// when it began, nor less than it got before.
TEST(HotValuesTest, NeverServesAStaleValueBesideWriters) {
  constexpr int kKeys = 4;
  constexpr uint64_t kWrites = 20'000;
  HotValues values(64 << 10);
  KeyLocks locks;
  std::array<std::atomic<uint64_t>, kKeys> database{};
  std::array<std::atomic<uint64_t>, kKeys> finished{};
  const auto key_of = [](int k) { return "key " + std::to_string(k); };
  std::atomic<int> writers_left = 2;
  std::atomic<uint64_t> hits = 0;

  const auto write = [&](uint64_t seed) {
    std::mt19937_64 random(seed);
    for (uint64_t i = 0; i < kWrites; ++i) {
      const int k = static_cast<int>(random() % kKeys);
      const std::string key = key_of(k);
      const KeyLocks::Guard guard(&locks, KeyLocks::MaskOf(key));
      const bool was_hot = values.BeginWrite(key);
      const uint64_t version = database[k].load() + 1;
      if (random() % 8 == 0) {
        std::this_thread::yield();
      }
      database[k].store(version);
      values.EndWrite(key, was_hot && random() % 2 == 0 ? Hot(key, version) : nullptr);
      finished[k].store(version);
    }
    --writers_left;
  };
  const auto read = [&](uint64_t seed) {
    std::mt19937_64 random(seed);
    std::array<uint64_t, kKeys> seen{};
    while (writers_left.load() > 0) {
      const int k = static_cast<int>(random() % kKeys);
      const std::string key = key_of(k);
      const uint64_t at_least = std::max(finished[k].load(), seen[k]);
      uint64_t version = 0;
      if (const HotValues::Pointer hot = values.Find(key)) {
        version = hot->version;
        hits.fetch_add(1);
      } else {
        const HotValues::Ticket ticket = values.BeginFill(key);
        version = database[k].load();
        if (random() % 4 == 0) {
          std::this_thread::yield();
        }
        values.Fill(ticket, Hot(key, version));
      }
      ASSERT_GE(version, at_least);
      seen[k] = version;
    }
  };
  std::vector<std::thread> threads;
  for (uint64_t t = 0; t < 2; ++t) {
    threads.emplace_back(write, 10 + t);
    threads.emplace_back(read, 20 + t);
  }
  for (std::thread& thread : threads) {
    thread.join();
  }
  EXPECT_GT(hits.load(), 0);
}

}  // namespace
}  // namespace tsdbd::kv
