#pragma once
// SegmentMaker: a segment's bytes without a Log, commit by commit. For tests of this folder.

#include <string>
#include <vector>

#include "wal/commit_builder.h"
#include "wal/format.h"

namespace tsdbd::wal {

class SegmentMaker {
 public:
  // The first commit is numbered last_commit + 1.
  SegmentMaker(uint64_t number, uint64_t salt, uint64_t last_commit = 0)
      : salt_(salt), last_commit_(last_commit), bytes_(EncodeSegmentHeaderPage(number, salt)) {}

  // As SyncMode::kAlways writes it: the commit before is known to be on disk.
  SegmentMaker& Add(const std::vector<std::string>& records, uint64_t generation = 1) {
    return AddUnsynced(records, last_commit_, generation);
  }

  SegmentMaker& AddUnsynced(const std::vector<std::string>& records, uint64_t durable_through,
                            uint64_t generation = 1) {
    CommitHeader header;
    header.record_count = static_cast<uint32_t>(records.size());
    header.number = last_commit_ + 1;
    header.previous = last_commit_;
    header.durable_through = durable_through;
    header.generation = generation;
    header.offset = bytes_.size();
    for (const std::string& record : records) {
      header.payload_bytes += RecordBytes(record.size());
    }
    builder_.Begin(header, salt_);
    for (const std::string& record : records) {
      builder_.Add(record);
    }
    bytes_ += builder_.Finish();
    last_commit_ = header.number;
    return *this;
  }

  // What is left of a preallocated file.
  SegmentMaker& AddZeroPages(uint64_t count) {
    bytes_.append(count * kPageBytes, '\0');
    return *this;
  }

  uint64_t last_commit() const { return last_commit_; }
  const std::string& bytes() const { return bytes_; }

 private:
  const uint64_t salt_;
  uint64_t last_commit_;
  std::string bytes_;
  CommitBuilder builder_{1 << 20};
};

}  // namespace tsdbd::wal
