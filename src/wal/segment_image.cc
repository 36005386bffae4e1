#include "wal/segment_image.h"

#include <algorithm>
#include <cstring>

namespace tsdbd::wal {

Status SegmentImage::Load(Env* env, const std::string& path, uint64_t number) {
  valid_ = false;
  has_unreadable_parts_ = false;
  contents_ = {};
  ASSIGN_OR_RETURN(const auto file, env->Open(path, OpenMode::kReadOnly));
  ASSIGN_OR_RETURN(file_bytes_, file->Size());
  if (file_bytes_ > kMaxFileBytes) {
    return OkStatus();
  }
  ReadContents(*file);
  const auto header = DecodeSegmentHeaderPage(contents_.substr(0, kPageBytes));
  if (header && header->version != kFormatVersion) {
    return FailedPrecondition("{} has WAL format version {}; this program reads version {}", path,
                              header->version, kFormatVersion);
  }
  if (header && header->number == number && header->page_bytes == kPageBytes) {
    salt_ = header->salt;
    valid_ = true;
  }
  return OkStatus();
}

void SegmentImage::ReadContents(const File& file) {
  const uint64_t padded_bytes = RoundUp(file_bytes_, kPageBytes);
  if (padded_bytes > capacity_bytes_) {
    buffer_ = std::make_unique_for_overwrite<char[]>(padded_bytes);
    capacity_bytes_ = padded_bytes;
  }
  contents_ = {buffer_.get(), padded_bytes};
  if (file_bytes_ == 0) {
    return;
  }
  uint64_t filled_bytes = 0;
  if (const auto count = file.ReadAt(0, {buffer_.get(), file_bytes_}); count.ok()) {
    filled_bytes = *count;
  } else {
    for (; filled_bytes < file_bytes_; filled_bytes += kPageBytes) {
      char* page = buffer_.get() + filled_bytes;
      const uint64_t wanted = std::min(kPageBytes, file_bytes_ - filled_bytes);
      const auto page_count = file.ReadAt(filled_bytes, {page, wanted});
      if (!page_count.ok() || *page_count != wanted) {
        std::memset(page, 0, wanted);
        has_unreadable_parts_ = true;
      }
    }
    filled_bytes = file_bytes_;
  }
  std::memset(buffer_.get() + filled_bytes, 0, padded_bytes - filled_bytes);
}

std::optional<CommitHeader> SegmentImage::HeaderAt(uint64_t offset) const {
  const auto header = DecodeCommitHeader(contents_.substr(offset, sizeof(CommitHeader)), salt_);
  return header && header->payload_bytes <= kMaxFileBytes ? header : std::nullopt;
}

std::optional<CommitHeader> SegmentImage::NextCommit(uint64_t from) const {
  if (!valid_) {
    return std::nullopt;
  }
  for (uint64_t page = from; page + kPageBytes <= contents_.size(); page += kPageBytes) {
    const auto header = HeaderAt(page);
    if (header && header->offset == page) {
      return header;
    }
    const auto trailer = HeaderAt(page + kPageBytes - sizeof(CommitHeader));
    if (trailer && trailer->offset >= from && trailer->offset <= page) {
      return trailer;
    }
  }
  return std::nullopt;
}

std::optional<SegmentImage::FoundRecord> SegmentImage::FindRecord(const CommitHeader& commit,
                                                                  uint64_t offset, uint32_t index,
                                                                  uint64_t end) const {
  const uint64_t seed = RecordSeed(salt_, commit.number);
  for (; offset + sizeof(RecordHeader) <= end; offset += kRecordAlignment) {
    const auto header = DecodeRecordHeader(contents_.substr(offset, sizeof(RecordHeader)), seed);
    if (header && header->index >= index && header->index < commit.record_count) {
      return FoundRecord{*header, offset};
    }
  }
  return std::nullopt;
}

Status SegmentImage::VisitRecords(const CommitHeader& commit, const VisitRecord& visit,
                                  const RecordsLost& lost) const {
  uint64_t offset = commit.offset + sizeof(CommitHeader);
  const uint64_t end = std::min<uint64_t>(offset + commit.payload_bytes, contents_.size());
  uint32_t index = 0;
  while (index < commit.record_count) {
    const auto found = FindRecord(commit, offset, index, end);
    const uint32_t found_index = found ? found->header.index : commit.record_count;
    if (found_index > index) {
      lost(offset, found_index - index);
    }
    if (!found) {
      break;
    }
    const uint64_t payload = found->offset + sizeof(RecordHeader);
    index = found_index + 1;
    // A record that runs over the end was cut off; its header says what it was.
    const bool whole = found->header.length <= end - payload;
    const std::string_view bytes = contents_.substr(payload, whole ? found->header.length : 0);
    if (whole && PayloadMatches(found->header, bytes)) {
      RETURN_IF_ERROR(visit(bytes, found->offset));
    } else {
      lost(found->offset, 1);
    }
    offset = whole ? found->offset + RecordBytes(found->header.length) : end;
  }
  return OkStatus();
}

bool SegmentImage::IsIntact(const CommitHeader& commit) const {
  bool intact = CommitBytes(commit.payload_bytes) <= contents_.size() - commit.offset;
  VisitRecords(
      commit, [](std::string_view, uint64_t) { return OkStatus(); },
      [&](uint64_t, uint64_t) { intact = false; })
      .IgnoreError();  // the visitor never fails
  return intact;
}

}  // namespace tsdbd::wal
