#include "storage/section_file.h"

#include <cstring>

namespace tsdbd::storage {
namespace {

// Large enough that the cost of a write call does not matter.
constexpr size_t kWriteBufferBytes = 1 << 20;

template <typename Record>
std::string_view AsBytes(const Record& record) {
  return {reinterpret_cast<const char*>(&record), sizeof(record)};
}

}  // namespace

Status SectionFile::AppendHeader() {
  FileHeader header = {.magic = {}, .version = kBlockVersion, .reserved = 0};
  std::memcpy(header.magic, kBlockMagic, kBlockMagicSize);
  return Append(AsBytes(header));
}

Status SectionFile::Append(std::string_view bytes) {
  buffer_ += bytes;
  return buffer_.size() < kWriteBufferBytes ? OkStatus() : Flush();
}

Status SectionFile::BeginSection(SectionId id) {
  const size_t padding = (kSectionAlignment - offset() % kSectionAlignment) % kSectionAlignment;
  RETURN_IF_ERROR(Append(std::string(padding, '\0')));
  table_.push_back({.id = id, .reserved = 0, .offset = offset(), .size = 0, .checksum = 0});
  XXH3_64bits_reset(&section_hash_);
  return OkStatus();
}

Status SectionFile::AppendToSection(std::string_view bytes) {
  XXH3_64bits_update(&section_hash_, bytes.data(), bytes.size());
  return Append(bytes);
}

void SectionFile::EndSection() {
  table_.back().size = offset() - table_.back().offset;
  table_.back().checksum = XXH3_64bits_digest(&section_hash_);
}

Status SectionFile::WriteSection(SectionId id, std::string_view bytes) {
  RETURN_IF_ERROR(BeginSection(id));
  RETURN_IF_ERROR(AppendToSection(bytes));
  EndSection();
  return OkStatus();
}

Status SectionFile::Finish() {
  const std::string_view table(reinterpret_cast<const char*>(table_.data()),
                               table_.size() * sizeof(SectionEntry));
  Footer footer = {.section_count = static_cast<uint32_t>(table_.size()),
                   .version = kBlockVersion,
                   .table_checksum = 0,
                   .magic = {}};
  footer.table_checksum = Hash64(table, SectionTableSeed(footer));
  std::memcpy(footer.magic, kBlockMagic, kBlockMagicSize);
  const size_t padding = (kSectionAlignment - offset() % kSectionAlignment) % kSectionAlignment;
  RETURN_IF_ERROR(Append(std::string(padding, '\0')));
  RETURN_IF_ERROR(Append(table));
  RETURN_IF_ERROR(Append(AsBytes(footer)));
  RETURN_IF_ERROR(Flush());
  return file_->Sync();
}

Status SectionFile::Flush() {
  RETURN_IF_ERROR(file_->WriteAt(flushed_, buffer_));
  // So that the sync at the end does not have to wait for all of it.
  file_->StartWriteback(flushed_, buffer_.size());
  flushed_ += buffer_.size();
  buffer_.clear();
  return OkStatus();
}

}  // namespace tsdbd::storage
