#include "index/alex_map.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <bit>
#include <limits>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include "common/sanitizers_testing.h"
#include "index/alex_keys_testing.h"

namespace tsdbd::index {
namespace {

using Map = AlexMap<uint64_t, uint64_t>;
constexpr uint64_t kLargestKey = std::numeric_limits<uint64_t>::max();

// The payload that belongs to a key, unless a test gives it another.
uint64_t PayloadOf(uint64_t key) {
  return key * 0x9E3779B97F4A7C15u + 1;
}

std::vector<Map::Pair> PairsOf(std::vector<uint64_t> keys) {
  std::sort(keys.begin(), keys.end());
  keys.erase(std::unique(keys.begin(), keys.end()), keys.end());
  std::vector<Map::Pair> pairs;
  for (const uint64_t key : keys) {
    pairs.push_back({key, PayloadOf(key)});
  }
  return pairs;
}

// A map beside a std::map that is changed in the same way.
class AlexMapTest : public testing::Test {
 protected:
  void Insert(uint64_t key, uint64_t payload) {
    ASSERT_EQ(map_.Insert(key, payload), model_.emplace(key, payload).second) << key;
  }
  void Upsert(uint64_t key, uint64_t payload) {
    const auto before = map_.Upsert(key, payload);
    const auto [at, is_new] = model_.try_emplace(key, payload);
    ASSERT_EQ(before.has_value(), !is_new) << key;
    if (!is_new) {
      ASSERT_EQ(*before, at->second) << key;
      at->second = payload;
    }
  }
  void Erase(uint64_t key) {
    const auto before = map_.Erase(key);
    const auto node = model_.extract(key);
    ASSERT_EQ(before.has_value(), !node.empty()) << key;
    if (before.has_value()) {
      ASSERT_EQ(*before, node.mapped()) << key;
    }
  }
  void BulkLoad(const std::vector<uint64_t>& keys) {
    const auto pairs = PairsOf(keys);
    model_.clear();
    for (const Map::Pair& pair : pairs) {
      model_.emplace_hint(model_.end(), pair.key, pair.payload);
    }
    map_.BulkLoad(pairs);
  }

  void CheckFind(uint64_t key) const {
    uint64_t payload = 0;
    const auto at = model_.find(key);
    ASSERT_EQ(map_.Find(key, &payload), at != model_.end()) << key;
    if (at != model_.end()) {
      ASSERT_EQ(payload, at->second) << key;
    }
  }
  void CheckScans(uint64_t from, size_t count) const {
    std::vector<Map::Pair> pairs(count);
    const size_t up = map_.ScanForward(from, pairs);
    auto at = model_.lower_bound(from);
    for (size_t i = 0; i < up; ++i, ++at) {
      ASSERT_TRUE(at != model_.end());
      ASSERT_EQ(pairs[i].key, at->first) << "up from " << from << ", at " << i;
      ASSERT_EQ(pairs[i].payload, at->second);
    }
    ASSERT_TRUE(up == count || at == model_.end()) << "up from " << from;
    const size_t down = map_.ScanBackward(from, pairs);
    at = model_.upper_bound(from);
    for (size_t i = 0; i < down; ++i) {
      ASSERT_TRUE(at != model_.begin());
      --at;
      ASSERT_EQ(pairs[i].key, at->first) << "down from " << from << ", at " << i;
      ASSERT_EQ(pairs[i].payload, at->second);
    }
    ASSERT_TRUE(down == count || at == model_.begin()) << "down from " << from;
  }
  void CheckIteration() const {
    auto at = model_.begin();
    for (const Map::Pair pair : map_) {
      ASSERT_TRUE(at != model_.end());
      ASSERT_EQ(pair.key, at->first);
      ASSERT_EQ(pair.payload, at->second);
      ++at;
    }
    ASSERT_TRUE(at == model_.end());
    auto back = map_.end();
    for (auto expected = model_.rbegin(); expected != model_.rend(); ++expected) {
      --back;
      ASSERT_EQ((*back).key, expected->first);
    }
    ASSERT_TRUE(back == map_.begin());
  }
  void CheckBounds(uint64_t key) const {
    const auto lower = map_.LowerBound(key);
    const auto expected_lower = model_.lower_bound(key);
    ASSERT_EQ(lower == map_.end(), expected_lower == model_.end()) << key;
    ASSERT_TRUE(lower == map_.end() || (*lower).key == expected_lower->first) << key;
    const auto upper = map_.UpperBound(key);
    const auto expected_upper = model_.upper_bound(key);
    ASSERT_EQ(upper == map_.end(), expected_upper == model_.end()) << key;
    ASSERT_TRUE(upper == map_.end() || (*upper).key == expected_upper->first) << key;
  }
  // Everything, by every way.
  void CheckAll() const {
    map_.CheckInvariants();
    ASSERT_EQ(map_.size(), model_.size());
    std::vector<uint64_t> keys;
    for (const auto& [key, payload] : model_) {
      keys.push_back(key);
      CheckFind(key);
      CheckFind(key + 1);
      CheckFind(key - 1);
      CheckBounds(key);
      CheckBounds(key + 1);
    }
    CheckIteration();
    keys.push_back(kLargestKey - 7);
    std::vector<uint64_t> payloads(keys.size());
    auto found = std::make_unique<bool[]>(keys.size());
    map_.FindMany(keys, payloads, {found.get(), keys.size()});
    for (size_t i = 0; i < keys.size(); ++i) {
      const auto at = model_.find(keys[i]);
      ASSERT_EQ(found[i], at != model_.end());
      ASSERT_TRUE(!found[i] || payloads[i] == at->second);
    }
    CheckScans(0, model_.size() + 1);
    CheckScans(kLargestKey, model_.size() + 1);
  }

  EpochGate gate_;
  Map map_{&gate_};
  std::map<uint64_t, uint64_t> model_;
};

TEST_F(AlexMapTest, AnEmptyMapHasNothing) {
  CheckAll();
  CheckFind(0);
  CheckFind(kLargestKey);
  Erase(3);
  BulkLoad({});
  CheckAll();
}

TEST_F(AlexMapTest, TheSmallestAndTheLargestKeyAreKeysLikeOthers) {
  for (const uint64_t key : {kLargestKey, uint64_t{0}, kLargestKey - 1, uint64_t{1}}) {
    Insert(key, key / 3);
    Insert(key, 5);
    CheckAll();
    Upsert(key, 7);
    CheckAll();
  }
  CheckScans(1, 2);
  for (const uint64_t key : {kLargestKey, uint64_t{0}, kLargestKey - 1, uint64_t{1}}) {
    Erase(key);
    Erase(key);
    CheckAll();
  }
  BulkLoad({0, 5, kLargestKey});
  CheckAll();
}

TEST(AlexMapSignedTest, SignedKeysAreInTheirOrder) {
  EpochGate gate;
  AlexMap<int64_t, uint32_t> map(&gate);
  constexpr int64_t kMin = std::numeric_limits<int64_t>::min();
  constexpr int64_t kMax = std::numeric_limits<int64_t>::max();
  const std::vector<int64_t> keys = {kMin, -5, 0, 5, kMax};
  for (const int64_t key : {int64_t{5}, kMax, int64_t{-5}, kMin, int64_t{0}}) {
    EXPECT_TRUE(map.Insert(key, static_cast<uint32_t>(key)));
  }
  std::vector<AlexMap<int64_t, uint32_t>::Pair> pairs(6);
  ASSERT_EQ(map.ScanForward(kMin, pairs), 5u);
  for (size_t i = 0; i < keys.size(); ++i) {
    EXPECT_EQ(pairs[i].key, keys[i]);
    EXPECT_EQ(pairs[i].payload, static_cast<uint32_t>(keys[i]));
  }
  ASSERT_EQ(map.ScanBackward(0, pairs), 3u);
  EXPECT_EQ(pairs[2].key, kMin);
}

TEST(AlexMapPayloadTest, PayloadsOfSixteenBytesStayTogether) {
  struct Position {
    uint64_t segment;
    uint64_t offset;
  };
  EpochGate gate;
  AlexMap<uint64_t, Position> map(&gate);
  for (uint64_t i = 0; i < 20'000; ++i) {
    const uint64_t key = PayloadOf(i);
    ASSERT_TRUE(map.Insert(key, {key, ~key}));
  }
  map.CheckInvariants();
  for (uint64_t i = 0; i < 20'000; ++i) {
    Position position{};
    ASSERT_TRUE(map.Find(PayloadOf(i), &position));
    ASSERT_EQ(position.segment, PayloadOf(i));
    ASSERT_EQ(position.offset, ~PayloadOf(i));
  }
}

// What must hold for keys of every kind.
class AlexMapKeysTest : public AlexMapTest, public testing::WithParamInterface<KeySet> {
 protected:
  static constexpr uint64_t kSeed = 4711;
  static constexpr size_t kKeys = kHasThreadSanitizer ? 15'000 : 40'000;
  void SetUp() override { keys_ = MakeKeys(GetParam(), kKeys, kSeed); }
  std::vector<uint64_t> Shuffled() const {
    std::vector<uint64_t> keys = keys_;
    std::shuffle(keys.begin(), keys.end(), std::mt19937_64(kSeed));
    return keys;
  }
  // Whatever the keys are like.
  void CheckShape() const {
    const Map::Stats stats = map_.stats();
    EXPECT_LE(stats.depth, 4u);
    EXPECT_LE(stats.largest_node_bytes, 600u << 10);
  }
  std::vector<uint64_t> keys_;
};

TEST_P(AlexMapKeysTest, BulkLoadedKeysAreFound) {
  BulkLoad(keys_);
  CheckAll();
  CheckShape();
}

TEST_P(AlexMapKeysTest, KeysInsertedAsTheyComeAreFound) {
  for (const uint64_t key : keys_) {
    Insert(key, PayloadOf(key));
  }
  CheckAll();
  CheckShape();
}

TEST_P(AlexMapKeysTest, KeysInsertedInRandomOrderAreFound) {
  for (const uint64_t key : Shuffled()) {
    Insert(key, PayloadOf(key));
  }
  CheckAll();
  CheckShape();
  EXPECT_LE(map_.memory_bytes(), map_.size() * 28);
}

TEST_P(AlexMapKeysTest, KeysInsertedDownwardAreFound) {
  std::vector<uint64_t> keys = keys_;
  std::sort(keys.begin(), keys.end(), std::greater<>());
  for (const uint64_t key : keys) {
    Insert(key, PayloadOf(key));
  }
  CheckAll();
  CheckShape();
}

TEST_P(AlexMapKeysTest, HalfLoadedHalfInsertedKeysAreFound) {
  const std::vector<uint64_t> keys = Shuffled();
  const size_t half = keys.size() / 2;
  BulkLoad({keys.begin(), keys.begin() + half});
  for (size_t i = half; i < keys.size(); ++i) {
    Insert(keys[i], PayloadOf(keys[i]));
  }
  CheckAll();
  CheckShape();
}

TEST_P(AlexMapKeysTest, AfterEverythingIsErasedHardlyAnyMemoryIsLeft) {
  const std::vector<uint64_t> keys = Shuffled();
  BulkLoad(keys_);
  for (size_t i = 0; i < keys.size(); ++i) {
    Erase(keys[i]);
    if (i == keys.size() / 2 || i + 100 == keys.size()) {
      CheckAll();
    }
  }
  EXPECT_EQ(map_.size(), 0u);
  EXPECT_LE(map_.memory_bytes(), 512u);
  EXPECT_EQ(map_.stats().depth, 1u);
  for (const uint64_t key : keys) {
    Insert(key, PayloadOf(key));
  }
  CheckAll();
}

TEST_P(AlexMapKeysTest, WhatWasClearedIsFreedLater) {
  BulkLoad(keys_);
  Insert(kLargestKey, 1);
  {
    const size_t written = map_.written_slots();
    const Map::Remains remains = map_.Clear();
    EXPECT_LE(map_.written_slots() - written, 8u);
    EXPECT_LE(map_.memory_bytes(), 512u);
    model_.clear();
    CheckAll();
    EXPECT_EQ(gate_.waiting_count(), 0u) << "nothing was taken apart";
    for (const uint64_t key : Shuffled()) {
      Insert(key, PayloadOf(key));
    }
    CheckAll();
  }
  CheckAll();
  {
    const EpochGate::Pin pin(&gate_);
    map_.Clear();
    EXPECT_GT(gate_.waiting_count(), 1u) << "readers may be in it";
  }
  EXPECT_EQ(gate_.waiting_count(), 0u);
}

TEST_P(AlexMapKeysTest, AMixOfEverythingDoesAsAMapDoes) {
  const uint64_t seed = std::random_device()();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937_64 random(seed);
  std::vector<uint64_t> keys = keys_;
  keys.push_back(0);
  keys.push_back(kLargestKey);
  // Mostly inserts, then mostly erasures, then mostly inserts.
  for (const uint64_t insert_share : {70, 20, 60}) {
    for (size_t step = 0; step < keys.size() && !HasFatalFailure(); ++step) {
      const uint64_t key = keys[random() % keys.size()] + (random() % 8 == 0 ? random() % 3 : 0);
      const uint64_t what = random() % 100;
      if (what < insert_share / 2) {
        Insert(key, random());
      } else if (what < insert_share) {
        Upsert(key, random());
      } else if (what < 90) {
        Erase(key);
      } else if (what < 97) {
        CheckFind(key);
      } else {
        CheckScans(key, random() % 300);
      }
    }
    CheckAll();
  }
  CheckShape();
}

INSTANTIATE_TEST_SUITE_P(KeySets, AlexMapKeysTest, testing::ValuesIn(kKeySets),
                         [](const auto& info) { return std::string(NameOf(info.param)); });

// What inserts write, whatever the keys are and in which order they come: counted, as times would
// say the same less certainly.
class AlexMapWorkTest : public testing::TestWithParam<KeySet> {
 protected:
  // A full leaf as two, with room for keys to come, and the inner node above it anew.
  static constexpr size_t kMostOfOne = 16'000;
  static constexpr size_t kMostOnAverage = 120;
  static constexpr size_t kKeys = kHasThreadSanitizer ? 5'000 : 100'000;

  void InsertAll(const std::vector<uint64_t>& keys) {
    const size_t begin = map_.written_slots();
    size_t before = begin;
    size_t most = 0;
    for (const uint64_t key : keys) {
      map_.Insert(key, PayloadOf(key));
      most = std::max(most, map_.written_slots() - before);
      before = map_.written_slots();
    }
    EXPECT_GT(most, 0u);
    EXPECT_LE(most, kMostOfOne);
    EXPECT_LE(before - begin, keys.size() * kMostOnAverage);
    EXPECT_EQ(map_.size(), keys.size() + loaded_);
  }
  void InsertAllIntoEmpty(const std::vector<uint64_t>& keys, const char* order) {
    SCOPED_TRACE(order);
    map_.BulkLoad({});
    InsertAll(keys);
  }
  // From the middle outwards, now above, now below.
  static std::vector<uint64_t> Outward(const std::vector<uint64_t>& sorted) {
    std::vector<uint64_t> keys;
    const size_t middle = sorted.size() / 2;
    for (size_t i = 0; i < middle; ++i) {
      keys.push_back(sorted[middle + i]);
      keys.push_back(sorted[middle - 1 - i]);
    }
    return keys;
  }

  EpochGate gate_;
  Map map_{&gate_};
  size_t loaded_ = 0;
};

TEST_P(AlexMapWorkTest, NoInsertWritesMoreThanAFewNodes) {
  std::vector<uint64_t> keys = MakeKeys(GetParam(), kKeys, 31);
  InsertAllIntoEmpty(keys, "as they come");
  std::sort(keys.begin(), keys.end());
  InsertAllIntoEmpty(keys, "upward");
  InsertAllIntoEmpty({keys.rbegin(), keys.rend()}, "downward");
  const std::vector<uint64_t> outward = Outward(keys);
  InsertAllIntoEmpty(outward, "outward");
  InsertAllIntoEmpty({outward.rbegin(), outward.rend()}, "inward");
  std::shuffle(keys.begin(), keys.end(), std::mt19937_64(31));
  InsertAllIntoEmpty(keys, "shuffled");
}

// All into one place of an inner node that has many children on either side.
TEST_P(AlexMapWorkTest, NeitherDoesOneInTheMiddleOfALargeMap) {
  constexpr uint64_t kGap = uint64_t{1} << 63;
  std::vector<uint64_t> loaded;
  for (uint64_t i = 1; i <= 2 * kKeys; ++i) {
    loaded.push_back(kGap - (i << 34));
    loaded.push_back(kGap + (i << 34));
  }
  const auto pairs = PairsOf(loaded);
  std::vector<uint64_t> keys = MakeKeys(GetParam(), kKeys, 32);
  const auto [least, largest] = std::minmax_element(keys.begin(), keys.end());
  const uint64_t base = *least;
  const int shift = std::max(0, static_cast<int>(std::bit_width(*largest - base)) - 34);
  for (uint64_t& key : keys) {
    key = kGap + 1 + ((key - base) >> shift);
  }
  std::sort(keys.begin(), keys.end());
  keys.erase(std::unique(keys.begin(), keys.end()), keys.end());
  std::vector<uint64_t> downward(keys.rbegin(), keys.rend());
  std::vector<uint64_t> shuffled = keys;
  std::shuffle(shuffled.begin(), shuffled.end(), std::mt19937_64(32));
  for (const auto* order : {&keys, &downward, &shuffled}) {
    map_.BulkLoad(pairs);
    loaded_ = pairs.size();
    InsertAll(*order);
  }
}

INSTANTIATE_TEST_SUITE_P(KeySets, AlexMapWorkTest, testing::ValuesIn(kKeySets),
                         [](const auto& info) { return std::string(NameOf(info.param)); });

// Readers beside a writer. Some keys are there all the while, each with a payload that belongs to
// it; the writer inserts, replaces and erases around them.
class AlexMapThreadsTest : public testing::TestWithParam<KeySet> {
 protected:
  static constexpr size_t kKeys = 20'000;

  void SetUp() override {
    keys_ = MakeKeys(GetParam(), kKeys, 99);
    for (size_t i = 0; i < keys_.size(); i += 8) {
      permanent_.push_back(keys_[i]);
      ASSERT_TRUE(map_.Insert(keys_[i], PayloadOf(keys_[i])));
    }
    std::sort(permanent_.begin(), permanent_.end());
  }

  // A payload of `key`; the upper bits tell which one.
  static bool BelongsTo(uint64_t payload, uint64_t key) {
    return (payload & 0xFFFFFF) == (PayloadOf(key) & 0xFFFFFF);
  }
  static uint64_t AnotherPayload(uint64_t key, uint64_t random) {
    return (PayloadOf(key) & 0xFFFFFF) | random << 24;
  }

  void Find(std::mt19937_64* random) const {
    const uint64_t key = permanent_[(*random)() % permanent_.size()];
    uint64_t payload = 0;
    ASSERT_TRUE(map_.Find(key, &payload)) << key;
    ASSERT_TRUE(BelongsTo(payload, key)) << key;
    const uint64_t other = keys_[(*random)() % keys_.size()];
    if (map_.Find(other, &payload)) {
      ASSERT_TRUE(BelongsTo(payload, other)) << other;
    }
  }
  void FindMany(std::mt19937_64* random) const {
    std::array<uint64_t, 40> keys;
    std::array<uint64_t, 40> payloads;
    std::array<bool, 40> found;
    for (uint64_t& key : keys) {
      key = permanent_[(*random)() % permanent_.size()];
    }
    map_.FindMany(keys, payloads, found);
    for (size_t i = 0; i < keys.size(); ++i) {
      ASSERT_TRUE(found[i]) << keys[i];
      ASSERT_TRUE(BelongsTo(payloads[i], keys[i])) << keys[i];
    }
  }
  // `pairs` begin at a permanent key; nothing that was there all the while may be missing.
  void CheckScanned(std::span<const Map::Pair> pairs, size_t at, bool upward) const {
    for (size_t i = 0; i < pairs.size(); ++i) {
      ASSERT_TRUE(BelongsTo(pairs[i].payload, pairs[i].key));
      ASSERT_TRUE(i == 0 ||
                  (upward ? pairs[i - 1].key < pairs[i].key : pairs[i - 1].key > pairs[i].key));
      if (at < permanent_.size() && pairs[i].key == permanent_[at]) {
        at += upward ? 1 : -1;
      } else {
        ASSERT_TRUE(at >= permanent_.size() ||
                    (upward ? pairs[i].key < permanent_[at] : pairs[i].key > permanent_[at]))
            << "missing " << permanent_[at];
      }
    }
  }
  void Scan(std::mt19937_64* random) const {
    std::vector<Map::Pair> pairs((*random)() % 500);
    const size_t at = (*random)() % permanent_.size();
    const size_t up = map_.ScanForward(permanent_[at], pairs);
    CheckScanned({pairs.data(), up}, at, true);
    const size_t down = map_.ScanBackward(permanent_[at], pairs);
    CheckScanned({pairs.data(), down}, at, false);
  }
  void Read(uint64_t seed) {
    std::mt19937_64 random(seed);
    while (!stop_ && !HasFatalFailure()) {
      EpochGate::Pin pin(&gate_);
      for (int i = 0; i < 20; ++i) {
        Find(&random);
      }
      FindMany(&random);
      Scan(&random);
    }
  }

  bool IsPermanent(uint64_t key) const {
    return std::binary_search(permanent_.begin(), permanent_.end(), key);
  }

  EpochGate gate_;
  Map map_{&gate_};
  std::vector<uint64_t> keys_;
  std::vector<uint64_t> permanent_;  // ascending
  std::atomic<bool> stop_ = false;
};

TEST_P(AlexMapThreadsTest, ReadersAlwaysFindWhatIsThere) {
  const uint64_t seed = std::random_device()();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::vector<std::thread> readers;
  for (uint64_t i = 0; i < 2; ++i) {
    readers.emplace_back([this, seed, i] { Read(seed + i); });
  }
  std::mt19937_64 random(seed + 100);
  // Rounds: everything in, in order or not; some replaced; everything out.
  for (int round = 0; round < 3; ++round) {
    std::vector<uint64_t> keys = keys_;
    if (round > 0) {
      std::shuffle(keys.begin(), keys.end(), random);
    }
    for (const uint64_t key : keys) {
      map_.Insert(key, AnotherPayload(key, random()));
    }
    for (size_t i = 0; i < keys.size(); i += 4) {
      map_.Upsert(keys[i], AnotherPayload(keys[i], random()));
    }
    std::shuffle(keys.begin(), keys.end(), random);
    for (const uint64_t key : keys) {
      if (!IsPermanent(key)) {
        ASSERT_TRUE(map_.Erase(key).has_value());
      }
    }
    ASSERT_EQ(map_.size(), permanent_.size());
  }
  stop_ = true;
  for (std::thread& reader : readers) {
    reader.join();
  }
  map_.CheckInvariants();
  EXPECT_EQ(gate_.waiting_count(), 0u);
}

INSTANTIATE_TEST_SUITE_P(KeySets, AlexMapThreadsTest,
                         testing::Values(KeySet::kTimestamps, KeySet::kUniform, KeySet::kClusters,
                                         KeySet::kFractal, KeySet::kExponential),
                         [](const auto& info) { return std::string(NameOf(info.param)); });

TEST(AlexMapAppendTest, ReadersSeeAppendedKeysWhole) {
  EpochGate gate;
  Map map(&gate);
  std::atomic<uint64_t> written = 0;
  constexpr uint64_t kKeys = 200'000;
  std::thread reader([&] {
    std::mt19937_64 random(1);
    while (written < kKeys) {
      EpochGate::Pin pin(&gate);
      const uint64_t most = written;
      for (int i = 0; i < 50 && most > 0; ++i) {
        // The newest most often.
        const uint64_t key = most - random() % std::min<uint64_t>(most, 1 + random() % 5000);
        uint64_t payload = 0;
        ASSERT_TRUE(map.Find(key * 10, &payload)) << key;
        ASSERT_EQ(payload, PayloadOf(key));
      }
    }
  });
  for (uint64_t key = 1; key <= kKeys; ++key) {
    ASSERT_TRUE(map.Insert(key * 10, PayloadOf(key)));
    written = key;
  }
  reader.join();
  map.CheckInvariants();
}

}  // namespace
}  // namespace tsdbd::index
