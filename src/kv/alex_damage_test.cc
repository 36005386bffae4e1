// Every byte of an AlexStore's files wrong, and its log cut at every byte: found and told, and
// nothing wrong is served.

#include <gtest/gtest.h>
#include <spdlog/spdlog.h>

#include "common/hex_dump_testing.h"
#include "common/sanitizers_testing.h"
#include "kv/alex_harness_testing.h"
#include "kv/checkpoint.h"

namespace tsdbd::kv {
namespace {

using Contents = AlexHarness::Contents;

class AlexDamageTest : public testing::TestWithParam<KeyType>, public AlexHarness {
 protected:
  void SetUp() override {
    spdlog::set_level(spdlog::level::off);
    options.store.key_type = GetParam();
    options.checkpoint_at_close = false;
    options.min_segment_bytes = 2 * kLogPageBytes;
    options.max_segment_bytes = 2 * kLogPageBytes;
    options.now_ns = [] { return int64_t{1'000}; };
  }
  void TearDown() override { spdlog::set_level(spdlog::level::info); }

  std::string Key(uint64_t number) const {
    const auto bytes = IntegerKey(number);
    return GetParam() == KeyType::kInteger ? std::string(bytes.data(), bytes.size())
                                           : fmt::format("key {}", number);
  }

  // Old values, new ones, deletes, an expiry and a batch.
  void WriteAll() {
    MustOpen();
    for (uint64_t i = 0; i < 6; ++i) {
      Put(Key(i), fmt::format("old {}", i));
    }
    Put(Key(0), "new 0");
    Put(Key(1), "new 1", 2'000);
    Delete(Key(2));
    WriteBatch batch;
    const std::string keys[] = {Key(3), Key(4), Key(6)};
    batch.Put(keys[0], "new 3");
    batch.Delete(keys[1]);
    batch.Put(keys[2], "new 6");
    ASSERT_TRUE(store->WriteAndWait(batch).ok());
    expected_ = All();
    Close();
  }

  // Reads each key: what was last written, an error, or nothing if it was deleted.
  void CheckNothingWrongIsServed(const std::string& where) {
    const auto view = store->Read(Consistency::kLatest);
    bool all_right = true;
    for (uint64_t i = 0; i < 7; ++i) {
      const std::string value = Get(view.get(), Key(i));
      const auto found = expected_.find(Key(i));
      const std::string right = found != expected_.end() ? found->second : "[NOT_FOUND]";
      all_right = all_right && value == right;
      ASSERT_TRUE(value == right || value == "[DATA_LOSS]")
          << where << ": key " << i << " is " << value << " and not " << right;
    }
    for (const auto& [key, value] : All(view.get())) {
      ASSERT_TRUE(expected_.contains(key)) << where;
      ASSERT_EQ(value, expected_.at(key)) << where;
    }
    ASSERT_TRUE(all_right || report.damage_count > 0) << where << ": nothing was told";
  }

  Contents expected_;
};

TEST_P(AlexDamageTest, EveryByteOfTheLogMayBeWrong) {
  WriteAll();
  const std::string path = SegmentPaths().front();
  const std::string good = env.Contents(path);
  const size_t end = good.find_last_not_of('\0') + 1;
  for (size_t offset = 0; offset < end; offset += StepUnderThreadSanitizer(31)) {
    for (const int change : {0x01, 0x80, 0xFF}) {
      std::string bad = good;
      bad[offset] = static_cast<char>(bad[offset] ^ change);
      for (const std::string& other : SegmentPaths()) {
        ASSERT_TRUE(env.Remove(other).ok());
      }
      env.SetContents(path, bad);
      MustOpen();
      CheckNothingWrongIsServed(fmt::format("byte {} changed by {:#x}", offset, change));
      ASSERT_FALSE(HasFatalFailure());
      store.reset();
    }
  }
}

TEST_P(AlexDamageTest, EveryByteOfACheckpointMayBeWrong) {
  options.checkpoint_at_close = true;
  WriteAll();
  const std::string path = "kv/" + std::string(kCheckpointName);
  const std::string good = env.Contents(path);
  options.checkpoint_at_close = false;
  for (size_t offset = 0; offset < good.size(); offset += StepUnderThreadSanitizer(97)) {
    std::string bad = good;
    bad[offset] = static_cast<char>(bad[offset] ^ 0x40);
    env.SetContents(path, bad);
    MustOpen();
    ASSERT_EQ(All(), expected_) << "byte " << offset;
    const bool is_padding = offset >= sizeof(CheckpointHeader) && offset < 4096;
    ASSERT_EQ(report.checkpoint_problem.empty(), is_padding) << "byte " << offset;
    Close();
  }
}

TEST_P(AlexDamageTest, AValueThatIsWrongIsALossAndNotTheValueBefore) {
  WriteAll();
  const std::string path = SegmentPaths().front();
  std::string contents = env.Contents(path);
  contents[contents.find("new 0")] = 'N';
  env.SetContents(path, contents);
  MustOpen();
  EXPECT_EQ(Get(Key(0)), "[DATA_LOSS]");
  EXPECT_EQ(Get(Key(3)), "new 3");
  ASSERT_EQ(report.damage_count, 1u);
  EXPECT_EQ(report.damages[0].path, path);
  EXPECT_GE(store->stats().damaged_records, 1u);
  Put(Key(0), "newest");
  EXPECT_EQ(Get(Key(0)), "newest");
  EXPECT_TRUE(store->Compact().ok());
  EXPECT_EQ(Get(Key(0)), "newest");
  Reopen();
  EXPECT_EQ(Get(Key(0)), "newest");
}

TEST_P(AlexDamageTest, ALogCutAtEveryByteIsAPrefix) {
  options.store.sync_mode = SyncMode::kNone;
  MustOpen();
  std::vector<Contents> states = {{}};
  for (uint64_t i = 0; i < 12; ++i) {
    WriteBatch batch;
    const std::string keys[] = {Key(i % 5), Key(i % 3), Key(7)};
    const std::string values[] = {fmt::format("value {}", i), fmt::format("also {}", i)};
    batch.Put(keys[0], values[0]);
    i % 4 == 3 ? batch.Delete(keys[1]) : batch.Put(keys[2], values[1]);
    ASSERT_TRUE(store->WriteAndWait(batch).ok());
    states.push_back(All());
  }
  const std::string path = SegmentPaths().front();
  const std::string good = env.Contents(path);
  Crash(CrashMode::kKeepAll);
  const size_t end = good.find_last_not_of('\0') + 1;
  size_t state = 0;
  // The padding too.
  const size_t step = StepUnderThreadSanitizer(13);
  for (size_t size = 0; size < end + kRecordAlignment + step; size += step) {
    for (const std::string& other : SegmentPaths()) {
      ASSERT_TRUE(env.Remove(other).ok());
    }
    env.SetContents(path, good.substr(0, size));
    MustOpen();
    const Contents found = All();
    ASSERT_EQ(report.damage_count, 0u);
    state += state + 1 < states.size() && found == states[state + 1] ? 1 : 0;
    ASSERT_EQ(found, states[state]) << "cut at " << size;
    // And what is written now stays.
    Put(Key(9), "after");
    Reopen();
    ASSERT_EQ(Get(Key(9)), "after");
    store.reset();
  }
  EXPECT_EQ(state + 1, states.size());
}

std::string KeyTypeName(const testing::TestParamInfo<KeyType>& info) {
  return info.param == KeyType::kInteger ? "Integers" : "Bytes";
}
INSTANTIATE_TEST_SUITE_P(KeyTypes, AlexDamageTest,
                         testing::Values(KeyType::kBytes, KeyType::kInteger), KeyTypeName);

// ---- Headers of segments, without which nothing in them can be read

class AlexHeaderDamageTest : public testing::Test, public AlexHarness {
 protected:
  void SetUp() override {
    spdlog::set_level(spdlog::level::off);
    MustOpen();
  }
  void TearDown() override { spdlog::set_level(spdlog::level::info); }

  void Overwrite(const std::string& path, size_t offset, size_t count, char byte) {
    std::string contents = env.Contents(path);
    contents.replace(offset, count, std::string(count, byte));
    env.SetContents(path, contents);
  }
  std::string PathOf(std::string_view text) {
    for (const std::string& path : SegmentPaths()) {
      if (env.Contents(path).find(text) != std::string::npos) {
        return path;
      }
    }
    return "";
  }
  bool IsThere(const std::string& path) { return env.Exists(path).value(); }
  // What follows goes into another segment: each of these takes most of one.
  void Fill() {
    Put("filler", std::string(100'000, 'a'));
    Put("filler", std::string(100'000, 'b'));
  }
};

TEST_F(AlexHeaderDamageTest, ABadPageOfTheDiskTakesNoSegmentAway) {
  Put("key", "value");
  for (const size_t offset : {0, 4'096}) {
    Crash(CrashMode::kDropUnsynced);
    Overwrite(PathOf("keyvalue"), offset, 4'096, '\xFF');
    MustOpen();
    EXPECT_EQ(Get("key"), "value") << "without the copy at " << offset;
    Put("key", "value");
  }
}

TEST_F(AlexHeaderDamageTest, WithoutBothCopiesTheNewestSegmentStaysAndIsTold) {
  Put("key", "value");
  const std::string path = PathOf("keyvalue");
  Crash(CrashMode::kDropUnsynced);
  Overwrite(path, 0, kLogPageBytes, '\xFF');
  for (int start = 0; start < 3; ++start) {
    MustOpen();
    ASSERT_GE(report.damage_count, 1u);
    EXPECT_EQ(report.damages[0].path, path);
    EXPECT_EQ(report.damages[0].offset, 0u);
    EXPECT_NE(env.Contents(path).find("keyvalue"), std::string::npos) << "it can be rescued";
    for (int i = 0; i < start; ++i) {
      EXPECT_EQ(Get(fmt::format("of start {}", i)), "value");
    }
    Put(fmt::format("of start {}", start), "value");
    Fill();
    ASSERT_TRUE(store->Compact().ok());
    Crash(CrashMode::kDropUnsynced);
  }
}

TEST_F(AlexHeaderDamageTest, KeysOfTheCheckpointInALostSegmentAreALoss) {
  Put("lost", "old");
  Fill();
  Put("lost", "new");
  Put("replaced", "in the lost segment");
  const std::string path = PathOf("lostnew");
  Fill();
  Put("kept", "value");
  Close();
  Overwrite(path, 0, kLogPageBytes, '\xFF');
  MustOpen();
  EXPECT_EQ(report.damage_count, 1u);
  EXPECT_EQ(Get("lost"), "[DATA_LOSS]") << "neither the value before nor nothing";
  EXPECT_EQ(Get("kept"), "value");
  EXPECT_EQ(All().size(), 2u) << "kept and filler";
  Put("replaced", "again");
  EXPECT_TRUE(store->Compact().ok());
  Reopen();
  EXPECT_EQ(Get("lost"), "[DATA_LOSS]");
  EXPECT_EQ(Get("replaced"), "again");
  EXPECT_TRUE(IsThere(path));
  ASSERT_TRUE(store->Clear().ok());
  EXPECT_FALSE(IsThere(path)) << "nothing in it is wanted any more";
  EXPECT_EQ(Get("lost"), "[NOT_FOUND]");
}

TEST_F(AlexHeaderDamageTest, WhatFollowedTheCheckpointInALostSegmentIsTold) {
  Put("before", "value");
  Reopen();
  Put("behind", "value");
  const std::string path = PathOf("behindvalue");
  Crash(CrashMode::kDropUnsynced);
  Overwrite(path, 0, kLogPageBytes, '\xFF');
  MustOpen();
  EXPECT_EQ(Get("before"), "value");
  EXPECT_EQ(Get("behind"), "[NOT_FOUND]");
  EXPECT_GE(report.damage_count, 1u);
  EXPECT_TRUE(IsThere(path));
}

TEST_F(AlexHeaderDamageTest, WithoutACheckpointALostSegmentIsToldAndTheLogGoesOnBehindIt) {
  Put("key", "old");
  Fill();
  Put("key", "lost");
  const std::string path = PathOf("keylost");
  Fill();
  Put("behind", "value");
  Crash(CrashMode::kDropUnsynced);
  Overwrite(path, 0, kLogPageBytes, '\xFF');
  MustOpen();
  EXPECT_EQ(Get("key"), "old") << "as the format's page says";
  EXPECT_EQ(Get("behind"), "value");
  EXPECT_GE(report.damage_count, 1u);
  EXPECT_FALSE(report.torn_tail.has_value());
  EXPECT_TRUE(IsThere(path));
}

TEST_F(AlexHeaderDamageTest, ASegmentThatWasBeingPreparedIsNoDamage) {
  Put("key", "value");
  Crash(CrashMode::kDropUnsynced);
  const std::string path = "kv/" + LogSegmentName(100);
  env.SetContents(path, "half a header" + std::string(2 * kLogPageBytes, '\0'));
  MustOpen();
  EXPECT_EQ(report.damage_count, 0u);
  EXPECT_FALSE(report.torn_tail.has_value());
  EXPECT_FALSE(IsThere(path));
  EXPECT_EQ(Get("key"), "value");
}

TEST_F(AlexHeaderDamageTest, ASegmentWhoseHeaderNeverReachedTheDiskIsATornTail) {
  options.store.sync_mode = SyncMode::kNone;
  Reopen();
  Put("key", "value");
  const std::string path = PathOf("keyvalue");
  Crash(CrashMode::kKeepAll);
  Overwrite(path, 0, kLogPageBytes, '\0');
  MustOpen();
  EXPECT_EQ(report.damage_count, 0u);
  EXPECT_TRUE(report.torn_tail.has_value());
  EXPECT_FALSE(IsThere(path));
  EXPECT_EQ(Get("key"), "[NOT_FOUND]");
}

// ---- docs/formats/kv.md shows a segment, byte by byte.

std::string ExampleSegment() {
  AlexHarness harness;
  harness.options.checkpoint_at_close = false;
  harness.options.min_segment_bytes = 2 * kLogPageBytes;
  harness.options.make_salt = [] { return 0x1122334455667788; };
  harness.MustOpen();
  harness.Put("key", "value");
  harness.Delete("key");
  harness.Put("k", "until 2033", int64_t{2'000'000'000} * kNanosPerSecond);
  harness.Close();
  return harness.env.Contents(harness.SegmentPaths().front());
}

TEST(ValueLogFormatTest, ThePageShowsTheBytesThatAreWritten) {
  const std::string written = HexDump(ExampleSegment());
  EXPECT_TRUE(HexDumpInDocument("kv.md") == written) << "the page should show\n" << written;
}

}  // namespace
}  // namespace tsdbd::kv
