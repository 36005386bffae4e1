#include "wal/recovery.h"

#include <algorithm>
#include <map>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/fault_env_testing.h"
#include "common/hash.h"
#include "wal/segment_maker_testing.h"

namespace tsdbd::wal {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

// Every byte of a small log takes seconds; under a sanitizer, every few.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr size_t kStride = 13;
#else
constexpr size_t kStride = 1;
#endif

constexpr uint64_t kSalt = 0x0123456789ABCDEF;

using Records = std::vector<std::string>;
using Files = std::map<std::string, std::string>;

std::string Path(uint64_t number) {
  return "wal/" + SegmentName(number);
}

struct Outcome {
  Status status;
  Records records;
  RecoveryReport report;
  RecoveredLog log;
};

Outcome Read(Env* env) {
  Outcome outcome;
  const auto visit = [&](const RecordView& record) {
    outcome.records.emplace_back(record.bytes);
    return OkStatus();
  };
  auto log = ReadLog(env, "wal", 0, visit, &outcome.report);
  outcome.status = log.status();
  if (log.ok()) {
    outcome.log = *std::move(log);
  }
  return outcome;
}

void Put(FaultEnv* env, const Files& files) {
  for (const auto& [path, contents] : files) {
    env->SetContents(path, contents);
  }
}

Outcome Read(const Files& files) {
  FaultEnv env;
  Put(&env, files);
  return Read(&env);
}

// `part` is `whole` with at most `most` consecutive elements left out.
bool IsWholeButFor(const Records& part, const Records& whole, size_t most) {
  if (part.size() > whole.size() || whole.size() - part.size() > most) {
    return false;
  }
  const auto missing = static_cast<ptrdiff_t>(whole.size() - part.size());
  const auto [end, whole_end] = std::mismatch(part.begin(), part.end(), whole.begin());
  return std::equal(end, part.end(), whole_end + missing, whole.end());
}

bool IsPrefix(const Records& part, const Records& whole) {
  return part.size() <= whole.size() && std::equal(part.begin(), part.end(), whole.begin());
}

bool ReportNames(const RecoveryReport& report, const std::string& path) {
  const bool as_damage = std::any_of(report.damages.begin(), report.damages.end(),
                                     [&](const Damage& damage) { return damage.path == path; });
  return as_damage || (report.torn_tail && report.torn_tail->path == path);
}

// Three segments of two generations; ten commits of one to five records in one to two pages.
struct LittleLog {
  explicit LittleLog(bool with_close_mark) {
    SegmentMaker one(1, kSalt + 1);
    one.Add(Make(1)).Add(Make(5)).Add(Make(3)).AddZeroPages(1);
    SegmentMaker two(2, kSalt + 2, one.last_commit());
    two.Add(Make(2, 3000)).Add(Make(4));
    SegmentMaker three(3, kSalt + 3, two.last_commit());
    three.Add(Make(5), 2).Add(Make(1, 6000), 2).Add(Make(3), 2);
    if (with_close_mark) {
      three.Add({}, 2);
    }
    three.AddZeroPages(1);
    files = {{Path(1), one.bytes()}, {Path(2), two.bytes()}, {Path(3), three.bytes()}};
  }

  Records Make(int count, size_t extra_bytes = 0) {
    Records made;
    for (int i = 0; i < count; ++i) {
      made.push_back(fmt::format("record {}{}", records.size(), std::string(extra_bytes, 'x')));
      records.push_back(made.back());
    }
    return made;
  }

  Records records;
  Files files;
};

class RecoveryTest : public testing::Test {
 protected:
  SegmentMaker one_{1, kSalt};
};

TEST_F(RecoveryTest, ReadsAWholeLog) {
  const LittleLog log(true);
  const Outcome outcome = Read(log.files);
  ASSERT_TRUE(outcome.status.ok()) << outcome.status;
  EXPECT_EQ(outcome.records, log.records);
  EXPECT_EQ(outcome.report.segments, 3u);
  EXPECT_EQ(outcome.report.commits, 9u);
  EXPECT_EQ(outcome.report.records, 24u);
  EXPECT_EQ(outcome.report.newest_generation, 2u);
  EXPECT_EQ(outcome.report.damage_count, 0u);
  EXPECT_FALSE(outcome.report.torn_tail);
  EXPECT_EQ(outcome.log.last_commit, 9u);
  EXPECT_EQ(outcome.log.next_commit, 10u);
  EXPECT_EQ(outcome.log.next_segment, 4u);
}

TEST_F(RecoveryTest, OneFlippedByteCostsAtMostOneRecordAndIsTold) {
  const LittleLog log(true);
  for (const auto& [path, contents] : log.files) {
    for (size_t at = 0; at < contents.size(); at += kStride) {
      Files files = log.files;
      files[path][at] ^= 0x40;
      const Outcome outcome = Read(files);
      ASSERT_TRUE(outcome.status.ok()) << outcome.status;
      ASSERT_TRUE(IsWholeButFor(outcome.records, log.records, 1))
          << path << " byte " << at << ": " << outcome.records.size() << " records";
      const bool lost = outcome.records.size() < log.records.size();
      ASSERT_EQ(outcome.report.damage_count, lost ? 1 : 0) << path << " byte " << at;
      ASSERT_FALSE(outcome.report.torn_tail) << path << " byte " << at;
      if (lost) {
        const Damage& damage = outcome.report.damages[0];
        ASSERT_EQ(damage.path, path);
        ASSERT_LE(damage.offset, at);
        ASSERT_GT(damage.offset + kPageBytes * 2, at);
      }
    }
  }
}

TEST_F(RecoveryTest, AFlipInTheLastCommitIsDamageOrATornTailButNothingElseIsLost) {
  const LittleLog log(false);
  const std::string path = Path(3);
  const size_t last_commit_at = 4 * kPageBytes;
  for (size_t at = last_commit_at; at < last_commit_at + kPageBytes; at += kStride) {
    Files files = log.files;
    files[path][at] ^= 0x01;
    const Outcome outcome = Read(files);
    ASSERT_TRUE(IsPrefix(outcome.records, log.records));
    ASSERT_GE(outcome.records.size() + 3, log.records.size());
    if (outcome.records.size() < log.records.size()) {
      ASSERT_TRUE(outcome.report.torn_tail) << "byte " << at;
      ASSERT_EQ(outcome.report.torn_tail->path, path);
      ASSERT_EQ(outcome.report.torn_tail->offset, last_commit_at);
    }
  }
}

TEST_F(RecoveryTest, TheLastSegmentCutAnywhereGivesAPrefix) {
  const LittleLog log(false);
  const std::string path = Path(3);
  for (size_t size = 0; size < log.files.at(path).size(); size += kStride) {
    Files files = log.files;
    files[path].resize(size);
    const Outcome outcome = Read(files);
    ASSERT_TRUE(outcome.status.ok()) << outcome.status;
    ASSERT_TRUE(IsPrefix(outcome.records, log.records)) << "cut to " << size;
    ASSERT_GE(outcome.records.size(), 15u) << "earlier segments lost, cut to " << size;
    if (size % kPageBytes != 0) {
      ASSERT_TRUE(ReportNames(outcome.report, path)) << "cut to " << size;
    }
  }
}

TEST_F(RecoveryTest, AnEarlierSegmentCutAnywhereLosesOnlyWhatWasThereAndTellsIt) {
  const LittleLog log(false);
  const std::string path = Path(2);
  for (size_t size = 0; size < log.files.at(path).size(); size += kStride) {
    Files files = log.files;
    files[path].resize(size);
    const Outcome outcome = Read(files);
    ASSERT_TRUE(outcome.status.ok()) << outcome.status;
    ASSERT_TRUE(IsWholeButFor(outcome.records, log.records, 6)) << "cut to " << size;
    if (outcome.records.size() < log.records.size()) {
      ASSERT_TRUE(ReportNames(outcome.report, path)) << "cut to " << size;
      ASSERT_FALSE(outcome.report.torn_tail);
    }
  }
}

TEST_F(RecoveryTest, AMissingSegmentInTheMiddleIsDamage) {
  LittleLog log(false);
  log.files.erase(Path(2));
  const Outcome outcome = Read(log.files);
  EXPECT_TRUE(IsWholeButFor(outcome.records, log.records, 6));
  EXPECT_EQ(outcome.report.lost_commits, 2u);
  ASSERT_THAT(outcome.report.damages, SizeIs(1));
  EXPECT_EQ(outcome.report.damages[0].path, Path(3));
  EXPECT_EQ(outcome.report.damages[0].what, "2 commit(s) up to 5 cannot be read");
}

TEST_F(RecoveryTest, MissingSegmentsAtTheBeginWereDropped) {
  LittleLog log(false);
  log.files.erase(Path(1));
  const Outcome outcome = Read(log.files);
  EXPECT_THAT(outcome.records, SizeIs(15));
  EXPECT_EQ(outcome.report.damage_count, 0u);
}

TEST_F(RecoveryTest, ASegmentWithoutAReadableHeaderIsKeptAside) {
  LittleLog log(false);
  log.files[Path(2)].replace(0, kPageBytes, kPageBytes, '#');
  const Outcome outcome = Read(log.files);
  EXPECT_TRUE(IsWholeButFor(outcome.records, log.records, 6));
  ASSERT_THAT(outcome.log.unreadable, SizeIs(1));
  EXPECT_EQ(outcome.log.unreadable[0].path, Path(2));
  EXPECT_TRUE(ReportNames(outcome.report, Path(2)));
}

TEST_F(RecoveryTest, ASegmentUnderAnothersNameIsNotBelieved) {
  LittleLog log(false);
  std::swap(log.files[Path(2)], log.files[Path(3)]);
  const Outcome outcome = Read(log.files);
  EXPECT_THAT(outcome.records, SizeIs(9));
  EXPECT_THAT(outcome.log.unreadable, SizeIs(2));
}

TEST_F(RecoveryTest, ANewerFormatIsRefusedByName) {
  SegmentHeader header;
  header.version = 2;
  header.number = 1;
  header.checksum = 0;
  std::string page = EncodeSegmentHeaderPage(1, kSalt);
  header.salt = kSalt;
  // As version 2 would write it: same layout, its own checksum.
  const uint64_t checksum =
      Hash64({reinterpret_cast<const char*>(&header), offsetof(SegmentHeader, checksum)});
  header.checksum = checksum;
  page.replace(0, sizeof(header), reinterpret_cast<const char*>(&header), sizeof(header));
  const Outcome outcome = Read(Files{{Path(1), page}});
  EXPECT_EQ(outcome.status.code(), StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(Message(outcome.status)), HasSubstr(Path(1)));
}

TEST_F(RecoveryTest, AWholePageLostInACommitCostsOnlyItsRecords) {
  Records records;
  for (int i = 0; i < 100; ++i) {
    records.push_back(fmt::format("{:03}{}", i, std::string(200, 'x')));
  }
  one_.Add(records).Add({"after"});
  for (uint64_t page = 1; page <= one_.bytes().size() / kPageBytes - 2; ++page) {
    std::string bytes = one_.bytes();
    bytes.replace(page * kPageBytes, kPageBytes, kPageBytes, '\0');
    const Outcome outcome = Read(Files{{Path(1), bytes}});
    EXPECT_GE(outcome.records.size(), 101u - 20) << "page " << page;
    EXPECT_LT(outcome.records.size(), 101u);
    EXPECT_EQ(outcome.records.back(), "after");
    EXPECT_EQ(outcome.records.size() + outcome.report.damaged_records, 101u);
    EXPECT_TRUE(std::is_sorted(outcome.records.begin(), outcome.records.end()));
  }
}

TEST_F(RecoveryTest, ALostCommitInTheMiddleIsCountedAndTheRestRead) {
  one_.Add({"a"}).Add({"b", "c"}).Add({"d"});
  std::string bytes = one_.bytes();
  bytes.replace(2 * kPageBytes, kPageBytes, kPageBytes, '#');
  const Outcome outcome = Read(Files{{Path(1), bytes}});
  EXPECT_THAT(outcome.records, ElementsAre("a", "d"));
  EXPECT_EQ(outcome.report.lost_commits, 1u);
  ASSERT_THAT(outcome.report.damages, SizeIs(1));
  EXPECT_EQ(outcome.report.damages[0].offset, 2 * kPageBytes);
  EXPECT_TRUE(outcome.log.segments[0].damaged);
}

// ---- Torn or damaged: what the later commits knew decides

TEST_F(RecoveryTest, APowerCutThatKeptALaterCommitButNotThisOneCutsHere) {
  one_.Add({"a"}).AddUnsynced({"b"}, 1).AddUnsynced({"c"}, 1);
  std::string bytes = one_.bytes();
  bytes.replace(2 * kPageBytes, kPageBytes, kPageBytes, '\0');
  const Outcome outcome = Read(Files{{Path(1), bytes}});
  EXPECT_THAT(outcome.records, ElementsAre("a"));
  EXPECT_EQ(outcome.report.damage_count, 0u);
  ASSERT_TRUE(outcome.report.torn_tail);
  EXPECT_EQ(outcome.report.torn_tail->offset, 2 * kPageBytes);
  EXPECT_EQ(outcome.log.segments[0].end_bytes, 2 * kPageBytes);
  EXPECT_EQ(outcome.log.last_commit, 1u);
  EXPECT_EQ(outcome.log.next_commit, 4u) << "a number was used twice";
}

TEST_F(RecoveryTest, ACommitThatALaterOneKnewToBeDurableIsDamagedNotTorn) {
  one_.Add({"a"}).AddUnsynced({"b"}, 1).AddUnsynced({"c"}, 1).AddUnsynced({"d"}, 2);
  std::string bytes = one_.bytes();
  bytes.replace(2 * kPageBytes, kPageBytes, kPageBytes, '\0');
  const Outcome outcome = Read(Files{{Path(1), bytes}});
  EXPECT_THAT(outcome.records, ElementsAre("a", "c", "d"));
  EXPECT_EQ(outcome.report.lost_commits, 1u);
  EXPECT_FALSE(outcome.report.torn_tail);
}

TEST_F(RecoveryTest, ACommitThatANewSegmentKnewToBeDurableIsDamaged) {
  one_.Add({"a"}).AddUnsynced({"b"}, 0);
  SegmentMaker two(2, kSalt + 1, 2);
  two.Add({"c"});
  std::string bytes = one_.bytes();
  bytes.replace(2 * kPageBytes, kPageBytes, kPageBytes, '\0');
  const Outcome outcome = Read(Files{{Path(1), bytes}, {Path(2), two.bytes()}});
  EXPECT_THAT(outcome.records, ElementsAre("a", "c"));
  ASSERT_THAT(outcome.report.damages, SizeIs(1));
  EXPECT_EQ(outcome.report.damages[0].path, Path(1));
  EXPECT_EQ(outcome.report.damages[0].offset, 2 * kPageBytes);
}

TEST_F(RecoveryTest, ATornCommitOfTheTailGivesNoneOfItsRecords) {
  one_.Add({"a"}).Add({"b", std::string(5000, 'c')});
  std::string bytes = one_.bytes();
  bytes.replace(3 * kPageBytes, kPageBytes, kPageBytes, '\0');
  const Outcome outcome = Read(Files{{Path(1), bytes}});
  EXPECT_THAT(outcome.records, ElementsAre("a"));
  EXPECT_EQ(outcome.report.torn_tail->offset, 2 * kPageBytes);
}

TEST_F(RecoveryTest, ATornFirstCommitLeavesAnEmptySegment) {
  one_.Add({"a", std::string(5000, 'c')});
  std::string bytes = one_.bytes();
  bytes.replace(2 * kPageBytes, kPageBytes, kPageBytes, '\0');
  const Outcome outcome = Read(Files{{Path(1), bytes}});
  EXPECT_THAT(outcome.records, IsEmpty());
  EXPECT_TRUE(outcome.report.torn_tail);
  EXPECT_THAT(outcome.log.segments, IsEmpty());
  EXPECT_THAT(outcome.log.empty, SizeIs(1));
  EXPECT_EQ(outcome.log.next_commit, 2u);
}

TEST_F(RecoveryTest, ACommitThatFailedBeforeTheLogWentOnDoesNotCount) {
  one_.Add({"a"}).Add({"failed, yet it reached the disk"});
  SegmentMaker two(2, kSalt + 1, 1);
  two.Add({"b"});
  const Outcome outcome = Read(Files{{Path(1), one_.bytes()}, {Path(2), two.bytes()}});
  EXPECT_THAT(outcome.records, ElementsAre("a", "b"));
  EXPECT_EQ(outcome.report.damage_count, 0u);
}

// The segment that told that a commit had failed was itself torn and is removed.
TEST_F(RecoveryTest, AFailedCommitStaysOutWhenTheSegmentAfterItGoes) {
  one_.Add({"a"}).Add({"failed, yet it reached the disk"});
  SegmentMaker two(2, kSalt + 1, 2);
  two.AddUnsynced({std::string(5000, 'x')}, 1);
  FaultEnv env;
  CommitHeader first = *DecodeCommitHeader(two.bytes().substr(kPageBytes), kSalt + 1);
  first.previous = 1;
  SealCommitHeader(&first, kSalt + 1);
  std::string torn = two.bytes().substr(0, kPageBytes);
  torn.append(reinterpret_cast<const char*>(&first), sizeof(first));
  torn.resize(3 * kPageBytes);
  Put(&env, {{Path(1), one_.bytes()}, {Path(2), torn}});
  Outcome outcome = Read(&env);
  EXPECT_THAT(outcome.records, ElementsAre("a"));
  EXPECT_THAT(outcome.log.empty, SizeIs(1));
  ASSERT_TRUE(MakeDurable(&env, &outcome.log).ok());
  ASSERT_TRUE(env.Remove(Path(2)).ok());
  EXPECT_THAT(Read(&env).records, ElementsAre("a"));
}

TEST_F(RecoveryTest, WhatWasReadIsCutAndSynced) {
  one_.Add({"a"}).Add({"b", std::string(5000, 'c')}).AddZeroPages(3);
  std::string bytes = one_.bytes();
  bytes.replace(3 * kPageBytes, kPageBytes, kPageBytes, '\0');
  FaultEnv env;
  Put(&env, {{Path(1), bytes}});
  Outcome outcome = Read(&env);
  ASSERT_TRUE(MakeDurable(&env, &outcome.log).ok());
  env.Crash(CrashMode::kDropUnsynced);
  env.Restart();
  EXPECT_EQ(env.Contents(Path(1)), bytes.substr(0, 2 * kPageBytes));
  outcome = Read(&env);
  EXPECT_THAT(outcome.records, ElementsAre("a"));
  EXPECT_FALSE(outcome.report.torn_tail);
}

TEST_F(RecoveryTest, ADamagedFileStaysAsItIs) {
  one_.Add({"a"}).Add({"b"}).Add({"c"}).AddZeroPages(1);
  std::string bytes = one_.bytes();
  bytes.replace(2 * kPageBytes, kPageBytes, kPageBytes, '#');
  FaultEnv env;
  Put(&env, {{Path(1), bytes}});
  Outcome outcome = Read(&env);
  ASSERT_TRUE(MakeDurable(&env, &outcome.log).ok());
  EXPECT_EQ(env.Contents(Path(1)), bytes);
}

TEST_F(RecoveryTest, OldContentsOfAReusedFileAreNotRead) {
  SegmentMaker old(1, kSalt + 7);
  old.Add({"old 1"}).Add({"old 2"}).Add({"old 3"});
  one_.Add({"new"});
  const std::string bytes = one_.bytes() + old.bytes().substr(one_.bytes().size());
  const Outcome outcome = Read(Files{{Path(1), bytes}});
  EXPECT_THAT(outcome.records, ElementsAre("new"));
  EXPECT_EQ(outcome.report.damage_count, 0u);
  EXPECT_FALSE(outcome.report.torn_tail);
}

TEST_F(RecoveryTest, PreparedSegmentsThatWereNotBegunAreEmpty) {
  one_.Add({"a"});
  const Outcome outcome = Read(Files{
      {Path(1), one_.bytes()}, {Path(2), SegmentMaker(2, kSalt + 1).AddZeroPages(2).bytes()}});
  EXPECT_THAT(outcome.records, ElementsAre("a"));
  EXPECT_THAT(outcome.log.empty, SizeIs(1));
  EXPECT_EQ(outcome.log.next_segment, 3u);
}

TEST_F(RecoveryTest, OtherFilesAreNoneOfItsBusiness) {
  one_.Add({"a"});
  const Outcome outcome = Read(Files{{Path(1), one_.bytes()},
                                     {"wal/LOCK", ""},
                                     {"wal/spare-0000000000000002.log", one_.bytes()},
                                     {"wal/quarantine/" + SegmentName(2), one_.bytes()},
                                     {"wal/wal-000000000000000G.log", one_.bytes()}});
  EXPECT_THAT(outcome.records, ElementsAre("a"));
}

// ---- Disks and visitors that fail

TEST_F(RecoveryTest, APageTheDiskDoesNotGiveBackIsDamage) {
  one_.Add({"a"}).Add({"b"}).Add({"c"});
  FaultEnv env;
  Put(&env, {{Path(1), one_.bytes()}});
  // Read: the whole as evidence, the first commit, the whole again (fails), then page by page, of
  // which the third holds the second commit.
  env.Inject({.operation = FileOperation::kRead, .after = 2, .path_part = "wal-"});
  env.Inject({.operation = FileOperation::kRead, .after = 5, .path_part = "wal-"});
  const Outcome outcome = Read(&env);
  ASSERT_TRUE(outcome.status.ok());
  EXPECT_THAT(outcome.records, ElementsAre("a", "c"));
  EXPECT_TRUE(ReportNames(outcome.report, Path(1)));
  EXPECT_TRUE(outcome.log.segments[0].damaged);
}

TEST_F(RecoveryTest, ARecordTheVisitorCannotDecodeIsKeptAside) {
  one_.Add({"a", "bad", "c"});
  FaultEnv env;
  Put(&env, {{Path(1), one_.bytes()}});
  Records records;
  RecoveryReport report;
  const auto log = ReadLog(
      &env, "wal", 0,
      [&](const RecordView& record) {
        records.emplace_back(record.bytes);
        return record.bytes == "bad" ? DataLoss("no such kind of record") : OkStatus();
      },
      &report);
  ASSERT_TRUE(log.ok());
  EXPECT_THAT(records, ElementsAre("a", "bad", "c"));
  EXPECT_EQ(report.records, 2u);
  EXPECT_EQ(report.damaged_records, 1u);
  EXPECT_EQ(report.damages[0].what, "no such kind of record");
  EXPECT_TRUE(log->segments[0].damaged);
}

TEST_F(RecoveryTest, AnyOtherFailureOfTheVisitorEndsRecovery) {
  one_.Add({"a", "b"});
  FaultEnv env;
  Put(&env, {{Path(1), one_.bytes()}});
  RecoveryReport report;
  const auto log = ReadLog(
      &env, "wal", 0, [](const RecordView&) { return ResourceExhausted("no memory"); }, &report);
  EXPECT_EQ(log.status().code(), StatusCode::kResourceExhausted);
}

TEST_F(RecoveryTest, ListsTheFirstDamagesAndCountsAll) {
  Records records(300, "r");
  one_.Add(records).Add({});
  std::string bytes = one_.bytes();
  uint64_t offset = kPageBytes + sizeof(CommitHeader) + sizeof(RecordHeader);
  for (int i = 0; i < 150; ++i) {
    bytes[offset] ^= 1;
    offset += 2 * RecordBytes(1);
  }
  const Outcome outcome = Read(Files{{Path(1), bytes}});
  EXPECT_THAT(outcome.records, SizeIs(150));
  EXPECT_EQ(outcome.report.damage_count, 150u);
  EXPECT_THAT(outcome.report.damages, SizeIs(RecoveryReport::kMaxListedDamages));
}

}  // namespace
}  // namespace tsdbd::wal
