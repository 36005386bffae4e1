// A data directory with each byte flipped and cut at each length, in turn: it always opens, never
// serves a value that was not written, and misses at most what the damage hit.

#include <algorithm>
#include <map>
#include <memory>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <spdlog/spdlog.h>

#include "common/fault_env_testing.h"
#include "storage/block_manager.h"
#include "tsdb/batch_testing.h"
#include "tsdb/database.h"
#include "tsdb/numbered_writes_testing.h"

namespace tsdbd::tsdb {
namespace {

// Each byte that is not zero takes some ten seconds; under a sanitizer, every few.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr size_t kStride = 23;
#else
constexpr size_t kStride = 1;
#endif
// Padding is all alike; a longer stride would leap over whole records.
constexpr size_t kPaddingStride = 61;

constexpr int kRowsInBlock = 40;
constexpr uint64_t kWritesInLog = 4;

using Files = std::map<std::string, std::string>;

// One block with three groups, one chunk each, and a log of numbered writes: their series are
// others, so that each half can be looked at alone.
struct SmallFiles {
  SmallFiles() {
    FaultEnv env;
    DatabaseOptions options = SmallDatabase();
    // A segment used again would have old commits behind its new header.
    options.wal.max_spare_segments = 0;
    auto db = *Database::Open(&env, options);
    BatchBuilder batch;
    for (int i = 0; i < kRowsInBlock; ++i) {
      for (const std::string host : {"a", "b", "c"}) {
        batch.Row("block,h=" + host, {{"v", 1000 + i}}, i);
      }
    }
    EXPECT_TRUE(db->Write(batch.batch(), WriteMode::kPartial).status.ok());
    EXPECT_TRUE(db->Flush().ok());
    in_block = ReadAll(*db);
    NumberedWrites writes;
    writes.MustSend(db.get(), kWritesInLog);
    env.Crash(CrashMode::kKeepAll);
    db.reset();
    env.Restart();
    for (const std::string folder : {"/db/blocks", "/db/wal"}) {
      const std::vector<std::string> names = *env.List(folder);
      for (const std::string& name : names) {
        std::string contents = env.Contents(folder + "/" + name);
        if (name.ends_with(".block")) {
          block_path = folder + "/" + name;
        } else if (contents.find("COMM") != std::string::npos) {
          log_path = folder + "/" + name;
        } else {
          continue;  // a segment that was prepared
        }
        files[folder + "/" + name] = std::move(contents);
      }
    }
  }

  Files files;
  std::string block_path;
  std::string log_path;
  Contents in_block;
};

class DatabaseCorruptionTest : public testing::Test {
 protected:
  static void SetUpTestSuite() { small_ = new SmallFiles(); }
  static void TearDownTestSuite() {
    delete small_;
    small_ = nullptr;
  }
  void SetUp() override {
    ASSERT_FALSE(small_->block_path.empty());
    ASSERT_FALSE(small_->log_path.empty());
    level_ = spdlog::get_level();
    spdlog::set_level(spdlog::level::off);
  }
  void TearDown() override { spdlog::set_level(level_); }

  // What is served when one of the files is not as it was.
  struct Served {
    Contents from_block;
    Contents from_log;
    uint64_t quarantined_blocks = 0;
    uint64_t damages = 0;
  };
  static Served ServeWith(const std::string& path, std::string contents) {
    FaultEnv env;
    for (const auto& [name, original] : small_->files) {
      env.SetContents(name, name == path ? std::move(contents) : original);
    }
    auto db = Database::Open(&env, SmallDatabase());
    EXPECT_TRUE(db.ok()) << db.status();
    Served served;
    if (!db.ok()) {
      return served;
    }
    for (auto& [series, samples] : ReadAll(**db)) {
      (series.starts_with("block_") ? served.from_block : served.from_log)[series] = samples;
    }
    served.quarantined_blocks = (*db)->blocks().Stats().quarantined;
    served.damages = (*db)->recovery().damage_count;
    return served;
  }

  // Calls `check` with what is served for each byte of the file with some of its bits flipped.
  template <typename Check>
  static void FlipEachByte(const std::string& path, Check check) {
    const std::string& original = small_->files.at(path);
    size_t flips = 0;
    size_t step = 1;
    for (size_t offset = 0; offset < original.size() && !HasFailure(); offset += step) {
      std::string flipped = original;
      flipped[offset] = static_cast<char>(flipped[offset] ^ (1 << offset % 8 | 0x10));
      SCOPED_TRACE(testing::Message() << path << ": byte " << offset << " flipped");
      check(ServeWith(path, std::move(flipped)));
      ++flips;
      const bool is_padding = original.substr(offset, 64) == std::string(64, '\0');
      step = is_padding ? kPaddingStride : kStride;
    }
    EXPECT_GT(flips, 400 / kStride);
  }

  template <typename Check>
  static void CutAtEachLength(const std::string& path, Check check) {
    const std::string& original = small_->files.at(path);
    size_t step = 1;
    for (size_t size = 0; size < original.size() && !HasFailure(); size += step) {
      SCOPED_TRACE(testing::Message() << path << ": cut to " << size << " bytes");
      check(ServeWith(path, original.substr(0, size)));
      const bool is_padding = original.substr(size, 64) == std::string(64, '\0');
      step = is_padding ? kPaddingStride : kStride;
    }
  }

  // The series of the block that are not there as a whole. All others are.
  static size_t CountMissingInBlock(const Contents& from_block) {
    size_t missing = 0;
    for (const auto& [series, samples] : small_->in_block) {
      const auto found = from_block.find(series);
      missing += found == from_block.end();
      EXPECT_TRUE(found == from_block.end() || found->second == samples) << series;
    }
    EXPECT_EQ(from_block.size() + missing, small_->in_block.size()) << "series were invented";
    return missing;
  }

  static inline SmallFiles* small_ = nullptr;
  spdlog::level::level_enum level_ = spdlog::level::info;
};

TEST_F(DatabaseCorruptionTest, NothingIsMissingWithoutDamage) {
  const Served served = ServeWith(small_->log_path, small_->files.at(small_->log_path));
  EXPECT_EQ(Difference(served.from_block, small_->in_block), "");
  EXPECT_EQ(Difference(served.from_log, ContentsOf(FirstWrites(kWritesInLog))), "");
}

TEST_F(DatabaseCorruptionTest, AFlippedByteOfTheLogCostsOneRecordAtMost) {
  size_t with_damage = 0;
  FlipEachByte(small_->log_path, [&](const Served& served) {
    EXPECT_EQ(Difference(served.from_block, small_->in_block), "");
    const WriteNumbers found = WritesIn(served.from_log);
    EXPECT_GE(found.size(), kWritesInLog - 1);
    EXPECT_EQ(Difference(served.from_log, ContentsOf(found)), "");
    with_damage += served.damages > 0;
  });
  EXPECT_GT(with_damage, 200 / kStride) << "the sweep hit no record";
}

TEST_F(DatabaseCorruptionTest, ALogThatWasCutServesWhatIsBeforeTheCut) {
  CutAtEachLength(small_->log_path, [](const Served& served) {
    EXPECT_EQ(Difference(served.from_block, small_->in_block), "");
    const size_t found = WritesIn(served.from_log).size();
    EXPECT_EQ(Difference(served.from_log, ContentsOf(FirstWrites(found))), "");
  });
}

TEST_F(DatabaseCorruptionTest, AFlippedByteOfABlockCostsOneChunkOrQuarantinesTheBlock) {
  size_t with_one_missing = 0;
  FlipEachByte(small_->block_path, [&](const Served& served) {
    EXPECT_EQ(Difference(served.from_log, ContentsOf(FirstWrites(kWritesInLog))), "");
    const size_t missing = CountMissingInBlock(served.from_block);
    EXPECT_EQ(served.quarantined_blocks, missing > 1 ? 1u : 0u);
    EXPECT_TRUE(missing <= 1 || missing == small_->in_block.size());
    with_one_missing += missing == 1;
  });
  EXPECT_GT(with_one_missing, 50 / kStride) << "the sweep hit no chunk";
}

TEST_F(DatabaseCorruptionTest, ABlockThatWasCutIsQuarantined) {
  CutAtEachLength(small_->block_path, [](const Served& served) {
    EXPECT_EQ(served.from_block, Contents());
    EXPECT_EQ(served.quarantined_blocks, 1u);
    EXPECT_EQ(Difference(served.from_log, ContentsOf(FirstWrites(kWritesInLog))), "");
  });
}

// What is kept aside is kept: the files are there, under quarantine/, as they were found.
TEST_F(DatabaseCorruptionTest, DamagedFilesAreKeptAside) {
  FaultEnv env;
  std::string block = small_->files.at(small_->block_path);
  block.back() ^= 1;
  std::string log = small_->files.at(small_->log_path);
  log[4096 + 120] ^= 1;  // in the first record
  env.SetContents(small_->block_path, block);
  env.SetContents(small_->log_path, log);
  auto db = *Database::Open(&env, SmallDatabase());
  EXPECT_EQ(WritesIn(ReadAll(*db)), (WriteNumbers{2, 3, 4}));
  EXPECT_EQ(db->recovery().damage_count, 1u);
  EXPECT_EQ(db->recovery().damages.at(0).path, small_->log_path);
  ASSERT_TRUE(db->Flush().ok());
  EXPECT_EQ(WritesIn(ReadAll(*db)), (WriteNumbers{2, 3, 4}));
  const auto aside = [](const std::string& path, const std::string& folder) {
    return folder + path.substr(path.rfind('/'));
  };
  EXPECT_EQ(env.Contents(aside(small_->block_path, "/db/quarantine")), block);
  EXPECT_EQ(env.Contents(aside(small_->log_path, "/db/wal/quarantine")), log);
}

}  // namespace
}  // namespace tsdbd::tsdb
