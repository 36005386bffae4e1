#include "wal/commit_builder.h"

#include <algorithm>
#include <cstring>

#include "common/check.h"

namespace tsdbd::wal {

void CommitBuilder::Reserve(uint64_t size_bytes) {
  const bool too_large = capacity_bytes_ > kept_bytes_ && size_bytes <= kept_bytes_;
  if (size_bytes <= capacity_bytes_ && !too_large) {
    return;
  }
  // Doubling, so that slowly growing commits do not allocate each time.
  capacity_bytes_ = std::max(size_bytes, std::min(2 * capacity_bytes_, kept_bytes_));
  capacity_bytes_ = RoundUp(capacity_bytes_, kPageBytes);
  buffer_.reset();
  buffer_.reset(static_cast<char*>(std::aligned_alloc(kPageBytes, capacity_bytes_)));
  CHECK(buffer_ != nullptr);
}

void CommitBuilder::Begin(const CommitHeader& header, uint64_t salt) {
  Reserve(CommitBytes(header.payload_bytes));
  header_ = header;
  SealCommitHeader(&header_, salt);
  record_seed_ = RecordSeed(salt, header.number);
  records_added_ = 0;
  std::memcpy(buffer_.get(), &header_, sizeof(header_));
  used_bytes_ = sizeof(header_);
}

void CommitBuilder::Add(std::string_view record) {
  const uint64_t size_bytes = RecordBytes(record.size());
  CHECK(used_bytes_ + size_bytes <= sizeof(header_) + header_.payload_bytes);
  char* out = buffer_.get() + used_bytes_;
  // The last word first: what the payload does not cover of it is padding.
  std::memset(out + size_bytes - kRecordAlignment, 0, kRecordAlignment);
  char* payload = out + sizeof(RecordHeader);
  if (!record.empty()) {
    std::memcpy(payload, record.data(), record.size());
  }
  const RecordHeader header =
      MakeRecordHeader({payload, record.size()}, records_added_, record_seed_);
  std::memcpy(out, &header, sizeof(header));
  used_bytes_ += size_bytes;
  ++records_added_;
}

std::string_view CommitBuilder::Finish() {
  CHECK(records_added_ == header_.record_count);
  CHECK(used_bytes_ == sizeof(header_) + header_.payload_bytes);
  const uint64_t total_bytes = CommitBytes(header_.payload_bytes);
  const uint64_t trailer_offset = total_bytes - sizeof(header_);
  std::memset(buffer_.get() + used_bytes_, 0, trailer_offset - used_bytes_);
  std::memcpy(buffer_.get() + trailer_offset, &header_, sizeof(header_));
  return {buffer_.get(), total_bytes};
}

}  // namespace tsdbd::wal
