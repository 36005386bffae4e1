#include "wal/format.h"

#include <atomic>
#include <thread>

#include <gtest/gtest.h>

#include "common/hex_dump_testing.h"
#include "wal/commit_builder.h"
#include "wal/log_harness_testing.h"
#include "wal/segment_maker_testing.h"

namespace tsdbd::wal {
namespace {

constexpr uint64_t kSalt = 0x5EED;

// ---- docs/formats/wal.md shows a segment, byte by byte. It must be the one that is written today.

// What a Log writes for a record, two that share a commit, and its end.
std::string ExampleSegment() {
  LogHarness harness;
  harness.options.segment_bytes = 5 * kPageBytes;
  harness.options.make_salt = [] { return 0x1122334455667788; };
  harness.MustOpen();
  std::atomic<bool> done = false;
  EXPECT_TRUE(
      harness.log
          ->Append(
              "one",
              [&](const Status&) {  // on the log's thread, so they wait together
                harness.log->Append("two", nullptr).IgnoreError();
                harness.log->Append("and three", [&](const Status&) { done = true; }).IgnoreError();
              })
          .ok());
  while (!done) {
    std::this_thread::yield();
  }
  EXPECT_TRUE(harness.log->Close().ok());
  return harness.env.Contents("wal/" + SegmentName(1));
}

TEST(WalFormatTest, ThePageShowsTheBytesThatAreWritten) {
  const std::string written = HexDump(ExampleSegment());
  EXPECT_TRUE(HexDumpInDocument("wal.md") == written) << "the page should show\n" << written;
}

TEST(WalFormatTest, TheTestsMakeSegmentsAsTheLogDoes) {
  SegmentMaker maker(1, 0x1122334455667788);
  maker.Add({"one"}).Add({"two", "and three"}).Add({}).AddZeroPages(1);
  EXPECT_TRUE(maker.bytes() == ExampleSegment());
}

// ---- Names

TEST(WalFormatTest, SegmentNamesSortByNumber) {
  EXPECT_EQ(SegmentName(0x1F), "wal-000000000000001f.log");
  EXPECT_LT(SegmentName(9), SegmentName(10));
  EXPECT_LT(SegmentName(0xFF), SegmentName(0x100));
}

TEST(WalFormatTest, OnlyItsOwnNamesAreSegments) {
  for (const uint64_t number : {uint64_t{0}, uint64_t{31}, UINT64_MAX}) {
    EXPECT_EQ(ParseSegmentName(SegmentName(number)), number);
  }
  for (const char* name :
       {"", "LOCK", "wal-1.log", "wal-000000000000001F.log", "wal-000000000000001g.log",
        "wal-000000000000001f.tmp", "spare-00000000000001.log", "wal-+00000000000001f.log"}) {
    EXPECT_FALSE(ParseSegmentName(name)) << name;
  }
}

// ---- Headers

TEST(WalFormatTest, ASegmentHeaderSurvivesTheLossOfEitherCopy) {
  const std::string page = EncodeSegmentHeaderPage(7, kSalt);
  for (const uint64_t lost : {uint64_t{0}, kPageBytes / 2}) {
    std::string damaged = page;
    damaged.replace(lost, kPageBytes / 2, kPageBytes / 2, '\xFF');
    const auto header = DecodeSegmentHeaderPage(damaged);
    ASSERT_TRUE(header);
    EXPECT_EQ(header->number, 7u);
    EXPECT_EQ(header->salt, kSalt);
  }
  EXPECT_FALSE(DecodeSegmentHeaderPage(std::string(kPageBytes, '\0')));
  EXPECT_FALSE(DecodeSegmentHeaderPage(""));
}

TEST(WalFormatTest, ACommitHeaderIsValidUnderItsSaltOnly) {
  CommitHeader header;
  header.number = 5;
  SealCommitHeader(&header, kSalt);
  const std::string_view bytes(reinterpret_cast<const char*>(&header), sizeof(header));
  ASSERT_TRUE(DecodeCommitHeader(bytes, kSalt));
  EXPECT_EQ(DecodeCommitHeader(bytes, kSalt)->number, 5u);
  EXPECT_FALSE(DecodeCommitHeader(bytes, kSalt + 1));
  EXPECT_FALSE(DecodeCommitHeader(bytes.substr(1), kSalt));
}

TEST(WalFormatTest, ARecordIsValidInItsCommitAtItsIndexOnly) {
  const std::string payload = "payload";
  const RecordHeader header = MakeRecordHeader(payload, 3, RecordSeed(kSalt, 1));
  const std::string_view bytes(reinterpret_cast<const char*>(&header), sizeof(header));
  ASSERT_TRUE(DecodeRecordHeader(bytes, RecordSeed(kSalt, 1)));
  EXPECT_FALSE(DecodeRecordHeader(bytes, RecordSeed(kSalt, 2)));
  EXPECT_FALSE(DecodeRecordHeader(bytes, RecordSeed(kSalt + 1, 1)));
  EXPECT_TRUE(PayloadMatches(header, payload));
  EXPECT_FALSE(PayloadMatches(header, "Payload"));
  RecordHeader moved = header;
  moved.index = 4;
  EXPECT_FALSE(DecodeRecordHeader({reinterpret_cast<const char*>(&moved), sizeof(moved)},
                                  RecordSeed(kSalt, 1)));
}

// ---- Commits

TEST(CommitBuilderTest, FillsWholePagesWhateverTheRecords) {
  CommitBuilder builder(1 << 20);
  for (const uint64_t record_bytes : {0, 1, 7, 8, 3943, 3944, 3945, 4096, 100'000}) {
    const std::string record(record_bytes, 'r');
    CommitHeader header;
    header.record_count = 1;
    header.payload_bytes = RecordBytes(record_bytes);
    builder.Begin(header, kSalt);
    builder.Add(record);
    const std::string_view pages = builder.Finish();
    EXPECT_EQ(pages.size() % kPageBytes, 0u);
    EXPECT_EQ(pages.size(), CommitBytes(header.payload_bytes));
    EXPECT_EQ(reinterpret_cast<uintptr_t>(pages.data()) % kPageBytes, 0u);
    EXPECT_EQ(pages.substr(sizeof(CommitHeader) + sizeof(RecordHeader), record_bytes), record);
    EXPECT_EQ(pages.substr(0, sizeof(CommitHeader)),
              pages.substr(pages.size() - sizeof(CommitHeader)));
  }
}

TEST(CommitBuilderTest, ThePagesDependOnTheRecordsOnly) {
  const auto build = [](CommitBuilder* builder, const std::string& record) {
    CommitHeader header;
    header.record_count = 1;
    header.payload_bytes = RecordBytes(record.size());
    builder->Begin(header, kSalt);
    builder->Add(record);
    return std::string(builder->Finish());
  };
  CommitBuilder fresh(1 << 20);
  CommitBuilder used(1 << 20);
  build(&used, std::string(3 * kPageBytes, '\xFF'));
  EXPECT_TRUE(build(&used, "x") == build(&fresh, "x")) << "old bytes leaked into the padding";
}

}  // namespace
}  // namespace tsdbd::wal
