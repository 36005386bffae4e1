#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/fault_env_testing.h"
#include "kv/keyspaces.h"
#include "kv/log_format.h"
#include "storage/block_meta.h"
#include "tsdb/batch_testing.h"
#include "tsdb/database.h"
#include "tsdb/numbered_writes_testing.h"
#include "tsdbctl/dump.h"
#include "tsdbctl/verify.h"

namespace tsdbd::tsdbctl {
namespace {

using testing::HasSubstr;

// Each byte takes a verification of everything.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr size_t kStride = 41;
#else
constexpr size_t kStride = 1;
#endif

// A data directory as a killed daemon leaves it: a block, a log, a keyspace.
class TsdbctlTest : public testing::Test {
 protected:
  TsdbctlTest() {
    auto db = *tsdb::Database::Open(&env_, tsdb::SmallDatabase());
    tsdb::BatchBuilder batch;
    for (int i = 0; i < 5; ++i) {
      batch.Row("cpu,host=a\"b", {{"user", 10 + i}, {"system", 0.5}}, i);
    }
    EXPECT_TRUE(db->Write(batch.batch(), tsdb::WriteMode::kPartial).status.ok());
    EXPECT_TRUE(db->Flush().ok());
    batch.Clear();
    batch.Row("mem,host=c", {{"used", 3}}, 7);
    EXPECT_TRUE(db->Write(batch.batch(), tsdb::WriteMode::kPartial).status.ok());
    auto keyspaces = *kv::Keyspaces::Open(&env_, {.directory = "/db/kv"});
    EXPECT_TRUE(keyspaces->Create("k", {}).ok());
    EXPECT_TRUE((*keyspaces->Find("k"))->store().Put("key", "value").ok());
    keyspaces.reset();  // leaves a checkpoint
    env_.Crash(CrashMode::kKeepAll);
    db.reset();
    env_.Restart();
  }

  // The one file of the folder whose name ends so.
  std::string FindFile(const std::string& folder, std::string_view suffix) {
    const std::vector<std::string> names = *env_.List(folder);
    for (const std::string& name : names) {
      if (name.ends_with(suffix)) {
        return folder + "/" + name;
      }
    }
    ADD_FAILURE() << "no file *" << suffix << " in " << folder;
    return "";
  }

  uint64_t CountDamages() {
    std::string last;
    const auto report =
        VerifyDataDir(&env_, "/db", [&](const std::string& path, const std::string& damage) {
          last = damage.empty() ? last : path;
        });
    EXPECT_TRUE(report.ok()) << report.status();
    damaged_path_ = last;
    return report.ok() ? report->damages : 0;
  }

  // Flips bits of each byte that is not zero in turn. Returns the offsets of those nobody noticed.
  std::vector<size_t> FlipBytes(const std::string& path) {
    std::vector<size_t> unnoticed;
    const std::string intact = env_.Contents(path);
    for (size_t i = 0; i < intact.size(); i += kStride) {
      if (intact[i] == 0) {
        continue;
      }
      std::string damaged = intact;
      damaged[i] = static_cast<char>(damaged[i] ^ 0x41);
      env_.SetContents(path, std::move(damaged));
      if (CountDamages() == 0) {
        unnoticed.push_back(i);
      }
    }
    env_.SetContents(path, intact);
    return unnoticed;
  }

  std::string DumpToText(const std::function<Status(const Output&)>& dump) {
    std::string text;
    const Status status = dump([&](std::string_view part) { text += part; });
    EXPECT_TRUE(status.ok()) << status;
    return text;
  }

  FaultEnv env_;
  std::string damaged_path_;
};

TEST_F(TsdbctlTest, WhatIsIntactIsToldAsIntact) {
  std::vector<std::string> intact;
  const auto report =
      VerifyDataDir(&env_, "/db", [&](const std::string& path, const std::string& damage) {
        EXPECT_EQ(damage, "") << path;
        intact.push_back(path);
      });
  ASSERT_TRUE(report.ok()) << report.status();
  EXPECT_EQ(report->damages, 0);
  EXPECT_THAT(intact, testing::ElementsAre(FindFile("/db/blocks", ".block"), "/db/wal",
                                           HasSubstr("/db/kv/k/store-")));
  EXPECT_GE(report->files, 3);
  EXPECT_GT(report->bytes, 0);
}

TEST_F(TsdbctlTest, EveryFlippedByteOfABlockIsNoticed) {
  const std::string path = FindFile("/db/blocks", ".block");
  EXPECT_THAT(FlipBytes(path), testing::IsEmpty());
  EXPECT_EQ(CountDamages(), 0) << "the verification changed something";
}

TEST_F(TsdbctlTest, DamageToAKeyspaceIsNoticed) {
  EXPECT_THAT(FlipBytes("/db/kv/k/definition"), testing::IsEmpty());
  EXPECT_THAT(FlipBytes(FindFile("/db/kv/k/store-1", ".kvc")), testing::IsEmpty());
  // The page before the records has two copies of the header, one of which is enough; and the mark
  // that ends the log is as if it had never been written.
  constexpr size_t kPut = kv::kLogPageBytes + kv::kMarkRecordBytes;
  constexpr size_t kLastMark = kPut + sizeof(kv::RecordHeader) + 8;  // "key", "value"
  for (const size_t unnoticed : FlipBytes(FindFile("/db/kv/k/store-1", "log-00000001.kvl"))) {
    EXPECT_TRUE(unnoticed < kv::kLogPageBytes || unnoticed >= kLastMark) << unnoticed;
  }
  EXPECT_EQ(CountDamages(), 0);
}

TEST_F(TsdbctlTest, AFolderInUseOrWithoutDataIsAnError) {
  const auto ignore = [](const std::string&, const std::string&) {};
  EXPECT_EQ(VerifyDataDir(&env_, "/nowhere", ignore).status().code(), StatusCode::kNotFound);
  const auto db = *tsdb::Database::Open(&env_, tsdb::SmallDatabase());
  env_.SetContents("/db/LOCK", "");  // this Env's locks are no files
  EXPECT_EQ(VerifyDataDir(&env_, "/db", ignore).status().code(), StatusCode::kFailedPrecondition);
}

TEST_F(TsdbctlTest, DumpsABlock) {
  const std::string path = FindFile("/db/blocks", ".block");
  const std::string index = DumpToText(
      [&](const Output& output) { return DumpBlock(&env_, path, DumpDetail::kIndex, output); });
  EXPECT_THAT(index, HasSubstr("group 0 {host=\"a\\\"b\"} columns=2 chunks=1\n"));
  EXPECT_THAT(index, HasSubstr("rows=5 min_time=0 max_time=4\n"));
  EXPECT_THAT(index, HasSubstr("    column __name__=cpu_user codec=decimal_"));
  EXPECT_THAT(index, HasSubstr("    column __name__=cpu_system codec=constant bytes="));
  const std::string samples = DumpToText(
      [&](const Output& output) { return DumpBlock(&env_, path, DumpDetail::kSamples, output); });
  EXPECT_THAT(samples, HasSubstr("    0 10 0.5\n    1 11 0.5\n"));
}

TEST_F(TsdbctlTest, DumpsALog) {
  const std::string text = DumpToText([&](const Output& output) {
    return DumpWal(&env_, "/db/wal", DumpDetail::kSamples, output);
  });
  EXPECT_THAT(text, HasSubstr(" rows=1\n"));
  EXPECT_THAT(text, HasSubstr("{host=\"c\"} __name__=mem_used\n  row group="));
  EXPECT_THAT(text, HasSubstr(" 7 3\n"));
  EXPECT_THAT(text, HasSubstr(" damages=0\n"));
}

}  // namespace
}  // namespace tsdbd::tsdbctl
