#pragma once
// A block file on its way to disk: written from front to back, with a checksum for each section,
// and the section table and footer at the end. One thread at a time.

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "common/env.h"
#include "common/hash.h"
#include "common/status.h"
#include "storage/block_format.h"

namespace tsdbd::storage {

class SectionFile {
 public:
  explicit SectionFile(std::unique_ptr<File> file) : file_(std::move(file)) {}

  // The file's header; first of all.
  Status AppendHeader();
  // Bytes outside of sections: the chunks.
  Status Append(std::string_view bytes);
  // Where the next byte comes to lie.
  uint64_t offset() const { return flushed_ + buffer_.size(); }

  Status BeginSection(SectionId id);
  Status AppendToSection(std::string_view bytes);
  void EndSection();
  // All three at once.
  Status WriteSection(SectionId id, std::string_view bytes);

  // Section table and footer; then everything is on disk.
  Status Finish();

 private:
  Status Flush();

  const std::unique_ptr<File> file_;
  uint64_t flushed_ = 0;
  std::string buffer_;
  std::vector<SectionEntry> table_;
  XXH3_state_t section_hash_;  // of the open section
};

}  // namespace tsdbd::storage
