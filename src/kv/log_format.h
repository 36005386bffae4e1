#pragma once
// The bytes of a segment of the value log: what docs/formats/kv.md describes, and nothing else.
// Pure functions; those that every read needs are inline.
//
// A segment is a page with its header, and then records, each at a multiple of 8. All numbers are
// little-endian, except keys.

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <string>
#include <string_view>

#include "common/hash.h"
#include "kv/store.h"

namespace tsdbd::kv {

static_assert(std::endian::native == std::endian::little, "structs go to the disk as they are");

// Two pages of the disk and of the kernel, so that each copy of the header has one of its own.
inline constexpr uint64_t kLogPageBytes = 8192;
inline constexpr uint32_t kLogFormatVersion = 1;
inline constexpr uint64_t kRecordAlignment = 8;

// Where a record lies: segment number and offset in it, in units of 8 bytes. Comparing positions
// compares places in the log. 0 is none: numbers start at 1.
using Position = uint64_t;
inline constexpr uint64_t kMaxSegmentBytes = uint64_t{32} << 30;

constexpr Position MakePosition(uint64_t segment, uint64_t offset) {
  return segment << 32 | offset / kRecordAlignment;
}
constexpr uint32_t SegmentOf(Position position) {
  return static_cast<uint32_t>(position >> 32);
}
constexpr uint64_t OffsetOf(Position position) {
  return (position & UINT32_MAX) * kRecordAlignment;
}

// First 64 bytes of the header page, and again in its second half, so that no single bad page of
// the disk takes the salt away, without which nothing in the segment can be read.
struct LogSegmentHeader {
  char magic[8] = {'t', 's', 'd', 'b', 'd', 'k', 'v', 'l'};
  uint32_t format_version = kLogFormatVersion;
  uint32_t key_type = 0;
  uint64_t number = 0;  // as in the file's name
  uint64_t salt = 0;    // seeds the checksums of the segment's records
  uint64_t reserved[3] = {};
  uint64_t checksum = 0;
};
static_assert(sizeof(LogSegmentHeader) == 64);

std::string EncodeLogSegmentHeader(uint64_t number, uint64_t salt, KeyType key_type);
// From either copy. `page` may be shorter than a page.
std::optional<LogSegmentHeader> DecodeLogSegmentHeader(std::string_view page);

// log-<8 hex digits>.kvl
std::string LogSegmentName(uint32_t number);
std::optional<uint32_t> ParseLogSegmentName(std::string_view name);

enum class RecordKind : uint8_t {
  kPut = 1,
  kDelete = 2,
  kMark = 3,   // value: a MarkValue
  kClear = 4,  // everything before it in the log is gone
};

struct MarkValue {
  Position durable_through = 0;  // the log up to here was known to be on disk
  Position previous_end = 0;     // in a segment's first record: where the segment before it ends
};
static_assert(sizeof(MarkValue) == 16);

// Then: expiry (8 bytes, if kHasExpiry), key (unless kKeyIsIndexKey), value, zeros to a multiple of
// 8.
struct RecordHeader {
  static constexpr uint32_t kKindMask = 0x0F;
  static constexpr uint32_t kHasExpiry = 0x10;
  static constexpr uint32_t kMoreFollows = 0x20;  // of the same batch
  static constexpr uint32_t kKeyIsIndexKey = 0x40;
  static constexpr int kKeyBytesShift = 8;

  uint32_t header_check = 0;  // of what follows in the header, at this place
  uint32_t body_check = 0;    // of what follows the header
  uint32_t value_bytes = 0;
  uint32_t flags_and_key_bytes = 0;
  uint64_t version = 0;
  char index_key[8] = {};  // the integer key, or the hash of the byte key; most significant first

  uint32_t key_bytes() const { return flags_and_key_bytes >> kKeyBytesShift; }
  RecordKind kind() const { return static_cast<RecordKind>(flags_and_key_bytes & kKindMask); }
  bool has_expiry() const { return (flags_and_key_bytes & kHasExpiry) != 0; }
  bool key_is_index_key() const { return (flags_and_key_bytes & kKeyIsIndexKey) != 0; }
  bool more_follows() const { return (flags_and_key_bytes & kMoreFollows) != 0; }
  uint64_t body_bytes() const { return (has_expiry() ? 8 : 0) + key_bytes() + value_bytes; }
  uint64_t record_bytes() const;
};
static_assert(sizeof(RecordHeader) == 32);

constexpr uint64_t AlignRecord(uint64_t bytes) {
  return (bytes + kRecordAlignment - 1) / kRecordAlignment * kRecordAlignment;
}
inline uint64_t RecordHeader::record_bytes() const {
  return AlignRecord(sizeof(RecordHeader) + body_bytes());
}

// A record to be written, or one that was read. When read, the views lie in the segment.
struct Record {
  RecordKind kind = RecordKind::kPut;
  bool more_follows = false;
  uint64_t version = 0;
  uint64_t index_key = 0;
  int64_t expires_ns = kNeverExpires;
  bool key_is_index_key = false;  // then `key` is not written
  std::string_view key = {};      // when read, the whole key in any case
  std::string_view value = {};
  uint64_t stored_bytes = 0;  // when read: up to the next record

  bool has_expiry() const { return expires_ns != kNeverExpires; }
  // stored_bytes, when written.
  uint64_t BytesToStore() const {
    return AlignRecord(sizeof(RecordHeader) + (has_expiry() ? 8 : 0) +
                       (key_is_index_key ? 0 : key.size()) + value.size());
  }
};
inline constexpr uint64_t kMarkRecordBytes = sizeof(RecordHeader) + sizeof(MarkValue);

namespace internal {

// Differs from place to place and from segment to segment, so that what a reused block held before,
// or a copy of a record somewhere else, never passes.
inline uint64_t HeaderHash(const char* at, uint64_t salt, uint64_t offset) {
  return MixHash(Hash64({at + 8, sizeof(RecordHeader) - 8}), salt + offset);
}
// The hash of the value is apart, so that a writer can compute it before it takes its lock.
inline uint64_t BodyHash(uint64_t header_hash, std::string_view head, uint64_t value_hash) {
  return MixHash(header_hash + (head.empty() ? 0 : Hash64(head)), value_hash);
}

}  // namespace internal

inline uint64_t ValueHash(std::string_view value) {
  return Hash64(value);
}

// Writes `record` at `to`, which is byte `offset` of its segment and has room. The padding is left
// as it is: zeros. Returns its size.
uint64_t WriteRecord(const Record& record, uint64_t value_hash, uint64_t salt, uint64_t offset,
                     char* to);

enum class RecordState {
  kIntact,
  kBadBody,    // the header is right: *record has all but key, value and expiry
  kMended,     // ReadOrMendRecord only: one byte of the header is wrong; *record is right
  kBadHeader,  // or there is no record
};

namespace internal {

// `header` is known to be right; `at` is where the record begins.
inline RecordState ReadBody(const RecordHeader& header, uint64_t header_hash, const char* at,
                            Record* record) {
  record->kind = header.kind();
  record->more_follows = header.more_follows();
  record->version = header.version;
  record->index_key = IntegerOfKey({header.index_key, 8});
  record->expires_ns = kNeverExpires;
  record->key_is_index_key = header.key_is_index_key();
  record->stored_bytes = header.record_bytes();
  const char* body = at + sizeof(header);
  const uint64_t head_bytes = (header.has_expiry() ? 8 : 0) + header.key_bytes();
  record->value = {body + head_bytes, header.value_bytes};
  const uint64_t body_hash = BodyHash(header_hash, {body, head_bytes}, ValueHash(record->value));
  if (header.body_check != static_cast<uint32_t>(body_hash)) [[unlikely]] {
    return RecordState::kBadBody;
  }
  if (header.has_expiry()) {
    std::memcpy(&record->expires_ns, body, 8);
    body += 8;
  }
  record->key = header.key_is_index_key()
                    ? std::string_view(at + offsetof(RecordHeader, index_key), 8)
                    : std::string_view(body, header.key_bytes());
  return RecordState::kIntact;
}

}  // namespace internal

// The record at `offset` of `segment` (the whole file).
inline RecordState ReadRecord(std::string_view segment, uint64_t salt, uint64_t offset,
                              Record* record) {
  if (offset + sizeof(RecordHeader) > segment.size()) [[unlikely]] {
    return RecordState::kBadHeader;
  }
  const char* const at = segment.data() + offset;
  const uint64_t header_hash = internal::HeaderHash(at, salt, offset);
  RecordHeader header;
  std::memcpy(&header, at, sizeof(header));
  if (header.header_check != static_cast<uint32_t>(header_hash) ||
      header.record_bytes() > segment.size() - offset) [[unlikely]] {
    return RecordState::kBadHeader;
  }
  return internal::ReadBody(header, header_hash, at, record);
}

// The header of the record that is said to be at `offset`; nothing if it is damaged.
inline std::optional<RecordHeader> ReadRecordHeader(std::string_view segment, uint64_t salt,
                                                    uint64_t offset) {
  if (offset + sizeof(RecordHeader) > segment.size()) {
    return std::nullopt;
  }
  const char* const at = segment.data() + offset;
  RecordHeader header;
  std::memcpy(&header, at, sizeof(header));
  if (header.header_check != static_cast<uint32_t>(internal::HeaderHash(at, salt, offset)) ||
      header.record_bytes() > segment.size() - offset) {
    return std::nullopt;
  }
  return header;
}

// Like ReadRecord; where the header is wrong, it looks whether changing a single byte of it makes
// the whole record right: then that was the damage. Else nobody could say whose newest value was
// lost, and an older one would be served.
RecordState ReadOrMendRecord(std::string_view segment, uint64_t salt, uint64_t offset,
                             Record* record);

}  // namespace tsdbd::kv
