#pragma once
// SegmentMaker: a segment's bytes without a Log, commit by commit. For tests.

#include <cstdint>
#include <string>
#include <vector>

#include "wal/commit_builder.h"
#include "wal/format.h"

namespace tsdbd::wal {

class SegmentMaker {
 public:
  // The first commit is numbered last_commit + 1.
  SegmentMaker(uint64_t number, uint64_t salt, uint64_t last_commit = 0);

  // As SyncMode::kAlways writes it: the commit before is known to be on disk.
  SegmentMaker& Add(const std::vector<std::string>& records, uint64_t generation = 1);
  SegmentMaker& AddUnsynced(const std::vector<std::string>& records, uint64_t durable_through,
                            uint64_t generation = 1);
  // What is left of a preallocated file.
  SegmentMaker& AddZeroPages(uint64_t count);

  uint64_t last_commit() const { return last_commit_; }
  const std::string& bytes() const { return bytes_; }

 private:
  const uint64_t salt_;
  uint64_t last_commit_;
  std::string bytes_;
  CommitBuilder builder_{1 << 20};
};

}  // namespace tsdbd::wal
