#pragma once
// SegmentImage: one segment file in memory, and finding commits and records in it however damaged
// it is. Believes no byte that a checksum does not vouch for. Which damage matters is not known
// here but in recovery.cc. One thread.

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/env.h"
#include "common/status.h"
#include "wal/format.h"

namespace tsdbd::wal {

class SegmentImage {
 public:
  // Larger files were not written by us: the longest record there is (1 GiB) makes half of it.
  static constexpr uint64_t kMaxFileBytes = 2ULL << 30;

  // Reads the file, reusing this image's memory. Parts that the disk does not give back are read
  // as zeros and noted in has_unreadable_parts().
  Status Load(Env* env, const std::string& path, uint64_t number);

  // False: nothing of the segment can be read, for its salt is unknown.
  bool valid() const { return valid_; }
  bool has_unreadable_parts() const { return has_unreadable_parts_; }
  uint64_t file_bytes() const { return file_bytes_; }

  // The valid commit with the lowest offset that is not below `from`, found by the header at its
  // begin or the copy at its end.
  std::optional<CommitHeader> NextCommit(uint64_t from) const;

  // Visits the commit's intact records in order until the visitor fails, and returns that failure.
  // `visit` gets a record's bytes and its offset in the file; `lost` gets the offset of each
  // stretch of damage and how many records it took.
  using VisitRecord = std::function<Status(std::string_view bytes, uint64_t offset)>;
  using RecordsLost = std::function<void(uint64_t offset, uint64_t count)>;
  Status VisitRecords(const CommitHeader& commit, const VisitRecord& visit,
                      const RecordsLost& lost) const;
  // Whether every byte of every record is there.
  bool IsIntact(const CommitHeader& commit) const;

 private:
  void ReadContents(const File& file);
  std::optional<CommitHeader> HeaderAt(uint64_t offset) const;
  // The next intact record header at or after `offset` with at least the given index.
  struct FoundRecord {
    RecordHeader header;
    uint64_t offset = 0;
  };
  std::optional<FoundRecord> FindRecord(const CommitHeader& commit, uint64_t offset, uint32_t index,
                                        uint64_t end) const;

  std::unique_ptr<char[]> buffer_;
  uint64_t capacity_bytes_ = 0;
  std::string_view contents_;  // the file, zero-padded to whole pages
  uint64_t file_bytes_ = 0;
  uint64_t salt_ = 0;
  bool valid_ = false;
  bool has_unreadable_parts_ = false;
};

}  // namespace tsdbd::wal
