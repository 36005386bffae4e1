// Segments: whatever a file holds, reading the log neither crashes nor gives anything else when the
// log is read again after recovery. Each input is tried as it is and with its checksums made right,
// so that damage gets past them; alone, and with a good segment after it.

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

#include "common/fault_env_testing.h"
#include "common/hash.h"
#include "wal/recovery.h"
#include "wal/segment_maker_testing.h"

namespace tsdbd::wal {
namespace {

constexpr uint64_t kSalt = 1;

template <typename Struct>
Struct Get(const std::string& bytes, uint64_t offset) {
  Struct value;
  std::memcpy(&value, bytes.data() + offset, sizeof(value));
  return value;
}

template <typename Struct>
void Put(const Struct& value, uint64_t offset, std::string* bytes) {
  std::memcpy(bytes->data() + offset, &value, sizeof(value));
}

// Seals the records as far as their lengths lead.
void SealRecords(const CommitHeader& commit, std::string* bytes) {
  uint64_t offset = commit.offset + sizeof(CommitHeader);
  for (uint32_t index = 0; index < commit.record_count; ++index) {
    if (offset + sizeof(RecordHeader) > bytes->size()) {
      return;
    }
    const auto length = Get<RecordHeader>(*bytes, offset).length;
    const uint64_t payload = offset + sizeof(RecordHeader);
    const std::string_view rest = std::string_view(*bytes).substr(payload);
    RecordHeader header = MakeRecordHeader(rest.substr(0, std::min<uint64_t>(length, rest.size())),
                                           index, RecordSeed(kSalt, commit.number));
    Put(header, offset, bytes);
    offset += RecordBytes(length);
  }
}

std::string WithRightChecksums(std::string bytes) {
  const std::string header_page = EncodeSegmentHeaderPage(1, kSalt);
  bytes.replace(0, std::min<size_t>(bytes.size(), kPageBytes), header_page);
  for (uint64_t page = kPageBytes; page + sizeof(CommitHeader) <= bytes.size();
       page += kPageBytes) {
    auto commit = Get<CommitHeader>(bytes, page);
    if (commit.magic != CommitHeader::kMagic) {
      continue;
    }
    commit.offset = page;
    SealCommitHeader(&commit, kSalt);
    Put(commit, page, &bytes);
    SealRecords(commit, &bytes);
  }
  return bytes;
}

std::vector<std::string> Read(FaultEnv* env, RecoveredLog* log) {
  std::vector<std::string> records;
  RecoveryReport report;
  const auto visit = [&](const RecordView& record) {
    records.push_back(
        fmt::format("{} {} {}", record.generation, record.position.offset, record.bytes));
    return OkStatus();
  };
  auto read = ReadLog(env, "wal", 0, visit, &report);
  if (read.ok()) {
    *log = *std::move(read);
  }
  return records;
}

void ReadTwice(const std::string& first, const std::string& second) {
  FaultEnv env;
  env.SetContents("wal/" + SegmentName(1), first);
  if (!second.empty()) {
    env.SetContents("wal/" + SegmentName(2), second);
  }
  RecoveredLog log;
  const std::vector<std::string> records = Read(&env, &log);
  if (!MakeDurable(&env, &log).ok()) {
    std::abort();
  }
  for (const RecoveredSegment& segment : log.empty) {
    env.Remove(segment.path).IgnoreError();
  }
  env.Crash(CrashMode::kKeepAll);
  env.Restart();
  if (Read(&env, &log) != records) {
    std::abort();
  }
}

}  // namespace
}  // namespace tsdbd::wal

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using tsdbd::wal::SegmentMaker;
  static const std::string good_segment = SegmentMaker(2, 2, 3).Add({"good"}).Add({}).bytes();
  const std::string bytes(reinterpret_cast<const char*>(data), size);
  for (const std::string& second : {std::string(), good_segment}) {
    tsdbd::wal::ReadTwice(bytes, second);
    tsdbd::wal::ReadTwice(tsdbd::wal::WithRightChecksums(bytes), second);
  }
  return 0;
}
