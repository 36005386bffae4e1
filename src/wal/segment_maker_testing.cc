#include "wal/segment_maker_testing.h"

namespace tsdbd::wal {

SegmentMaker::SegmentMaker(uint64_t number, uint64_t salt, uint64_t last_commit)
    : salt_(salt), last_commit_(last_commit), bytes_(EncodeSegmentHeaderPage(number, salt)) {}

SegmentMaker& SegmentMaker::Add(const std::vector<std::string>& records, uint64_t generation) {
  return AddUnsynced(records, last_commit_, generation);
}

SegmentMaker& SegmentMaker::AddUnsynced(const std::vector<std::string>& records,
                                        uint64_t durable_through, uint64_t generation) {
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

SegmentMaker& SegmentMaker::AddZeroPages(uint64_t count) {
  bytes_.append(count * kPageBytes, '\0');
  return *this;
}

}  // namespace tsdbd::wal
