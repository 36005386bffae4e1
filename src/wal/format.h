#pragma once
// The bytes of a segment file: what docs/formats/wal.md describes, and nothing else. Pure
// functions.
//
// A segment is pages of 4 KiB: one header page, then commits, each from a page's first byte to a
// page's last. All numbers are little-endian.

#include <bit>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace tsdbd::wal {

static_assert(std::endian::native == std::endian::little, "structs go to the disk as they are");

// What the kernel and most disks write as one: a commit never shares a page with another, so
// writing one can never tear the one before it.
inline constexpr uint64_t kPageBytes = 4096;

inline constexpr uint32_t kFormatVersion = 1;

// First 64 bytes of the header page, and again in its second half, so that no single sector takes
// the salt away, without which nothing in the segment can be checked.
struct SegmentHeader {
  char magic[8] = {'t', 's', 'd', 'b', 'd', 'w', 'a', 'l'};
  uint32_t version = kFormatVersion;
  uint32_t page_bytes = kPageBytes;
  uint64_t number = 0;  // as in the file's name
  uint64_t salt = 0;    // seeds every other checksum of the segment
  uint64_t reserved[3] = {};
  uint64_t checksum = 0;
};
static_assert(sizeof(SegmentHeader) == 64);

// First 64 bytes of a commit and, the same bytes again, the last 64 of its last page.
struct CommitHeader {
  static constexpr uint32_t kMagic = 0x4D4D4F43;  // "COMM"

  uint32_t magic = kMagic;
  uint32_t record_count = 0;
  uint64_t number = 0;           // from 1; never used twice in a log
  uint64_t previous = 0;         // the good commit before it in the log; 0: none
  uint64_t durable_through = 0;  // newest commit known to be on disk when this one was written
  uint64_t generation = 0;
  uint64_t offset = 0;         // of this commit in the file: a page at the wrong place is no commit
  uint64_t payload_bytes = 0;  // records with their headers and padding
  uint64_t checksum = 0;
};
static_assert(sizeof(CommitHeader) == 64);

struct RecordHeader {
  uint32_t length = 0;  // of the payload that follows
  uint32_t index = 0;   // in the commit, from 0
  uint64_t header_checksum = 0;
  uint64_t payload_checksum = 0;
};
static_assert(sizeof(RecordHeader) == 24);

// Records start at multiples of this, so that a reader can find the next one after damage.
inline constexpr uint64_t kRecordAlignment = 8;

constexpr uint64_t RoundUp(uint64_t value, uint64_t multiple) {
  return (value + multiple - 1) / multiple * multiple;
}
// What a record of `length` bytes adds to its commit's payload.
constexpr uint64_t RecordBytes(uint64_t length) {
  return RoundUp(sizeof(RecordHeader) + length, kRecordAlignment);
}
// The size of a commit on disk.
constexpr uint64_t CommitBytes(uint64_t payload_bytes) {
  return RoundUp(2 * sizeof(CommitHeader) + payload_bytes, kPageBytes);
}

std::string EncodeSegmentHeaderPage(uint64_t number, uint64_t salt);
// From either copy. `page` may be shorter than a page.
std::optional<SegmentHeader> DecodeSegmentHeaderPage(std::string_view page);

void SealCommitHeader(CommitHeader* header, uint64_t salt);
// Nothing unless magic and checksum are right.
std::optional<CommitHeader> DecodeCommitHeader(std::string_view bytes, uint64_t salt);

// Seeds the checksums of a commit's records.
uint64_t RecordSeed(uint64_t salt, uint64_t commit_number);
RecordHeader MakeRecordHeader(std::string_view payload, uint32_t index, uint64_t seed);
// Nothing unless the header's own checksum is right; says nothing about the payload.
std::optional<RecordHeader> DecodeRecordHeader(std::string_view bytes, uint64_t seed);
bool PayloadMatches(const RecordHeader& header, std::string_view payload);

// wal-<16 hex digits>.log
std::string SegmentName(uint64_t number);
std::optional<uint64_t> ParseSegmentName(std::string_view name);

}  // namespace tsdbd::wal
