#pragma once
// CommitBuilder: turns records into the pages of one commit, in a buffer that it keeps. One thread.

#include <cstdint>
#include <cstdlib>
#include <memory>
#include <string_view>

#include "wal/format.h"

namespace tsdbd::wal {

class CommitBuilder {
 public:
  // A buffer that grew beyond this for one huge record is given back by the next commit.
  explicit CommitBuilder(uint64_t kept_bytes) : kept_bytes_(kept_bytes) {}

  // `header` tells what precedes the commit; its record_count and payload_bytes must be those of
  // the records that follow.
  void Begin(const CommitHeader& header, uint64_t salt);
  void Add(std::string_view record);
  // Whole pages, starting at a page's address; valid until the next Begin().
  std::string_view Finish();

 private:
  struct FreeDeleter {
    void operator()(char* memory) const { std::free(memory); }
  };

  void Reserve(uint64_t size_bytes);

  const uint64_t kept_bytes_;
  std::unique_ptr<char, FreeDeleter> buffer_;
  uint64_t capacity_bytes_ = 0;

  CommitHeader header_;
  uint64_t record_seed_ = 0;
  uint32_t records_added_ = 0;
  uint64_t used_bytes_ = 0;
};

}  // namespace tsdbd::wal
