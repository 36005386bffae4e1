#pragma once
// The records of a block file as they lie on disk (docs/formats/block.md). Little-endian, read in
// place; every section begins at a multiple of kSectionAlignment.

#include <bit>
#include <cstddef>
#include <cstdint>

namespace tsdbd::storage {

static_assert(std::endian::native == std::endian::little, "blocks are read in place");

inline constexpr char kBlockMagic[] = "TSDBDBLK";  // first and last 8 bytes of the file
inline constexpr size_t kBlockMagicSize = 8;
inline constexpr uint32_t kBlockVersion = 1;
inline constexpr size_t kSectionAlignment = 8;

// Never reused. A reader skips the sections it does not know.
enum class SectionId : uint32_t {
  kMeta = 1,
  kStrings = 2,        // bytes that StringRefs point into
  kNames = 3,          // NameRecord, sorted by name
  kPairs = 4,          // PairRecord, sorted by name, then value
  kPostings = 5,       // roaring bitmaps of group numbers, portable format
  kSchemas = 6,        // SchemaRecord
  kSchemaColumns = 7,  // StringRef
  kGroups = 8,         // GroupRecord
  kGroupLabels = 9,    // uint32_t: index of a PairRecord
  kChunks = 10,        // ChunkRef
};

struct FileHeader {
  char magic[kBlockMagicSize];
  uint32_t version;
  uint32_t reserved;
};
static_assert(sizeof(FileHeader) == 16);

struct SectionEntry {
  SectionId id;
  uint32_t reserved;
  uint64_t offset;
  uint64_t size;
  uint64_t checksum;  // XXH3 of the section's bytes
};
static_assert(sizeof(SectionEntry) == 32);

// The last bytes of the file; the section table lies right before them.
struct Footer {
  uint32_t section_count;
  uint32_t version;
  uint64_t table_checksum;  // XXH3 of the section table, with SectionTableSeed
  char magic[kBlockMagicSize];
};
static_assert(sizeof(Footer) == 24);
// So that the checksum covers the footer's own fields too.
inline uint64_t SectionTableSeed(const Footer& footer) {
  return footer.section_count | uint64_t{footer.version} << 32;
}

// The beginning of kMeta. Behind it: the parents' names, each a u32 size and the bytes.
struct MetaRecord {
  int64_t partition_start;
  int64_t partition_end;
  uint64_t generation_min;
  uint64_t generation_max;
  int64_t min_time;
  int64_t max_time;
  uint64_t group_count;
  uint64_t series_count;
  uint64_t chunk_count;
  uint64_t row_count;
  uint64_t sample_count;
  uint32_t level;
  uint32_t parent_count;
};
static_assert(sizeof(MetaRecord) == 96);

struct StringRef {
  uint64_t offset;
  uint32_t size;
  uint32_t reserved;
};
static_assert(sizeof(StringRef) == 16);

// A set of group numbers. One alone stands here itself.
struct PostingsRef {
  uint64_t offset;  // into kPostings; or the group, if group_count == 1
  uint32_t size;    // 0 if group_count <= 1
  uint32_t group_count;
};
static_assert(sizeof(PostingsRef) == 16);

struct NameRecord {
  StringRef name;
  uint32_t first_pair;
  uint32_t pair_count;
};
static_assert(sizeof(NameRecord) == 24);

struct PairRecord {
  uint64_t value_offset;
  uint32_t value_size;
  uint32_t name;  // index of the NameRecord
  PostingsRef groups;
};
static_assert(sizeof(PairRecord) == 32);

struct SchemaRecord {
  StringRef column_label;
  PostingsRef groups;
  uint32_t first_column;  // index into kSchemaColumns
  uint32_t column_count;
};
static_assert(sizeof(SchemaRecord) == 40);

struct GroupRecord {
  uint64_t labels_hash;
  uint32_t first_label;  // index into kGroupLabels
  uint32_t label_count;
  uint32_t first_chunk;  // index into kChunks
  uint32_t chunk_count;
  uint32_t schema;
  uint32_t flags;
};
static_assert(sizeof(GroupRecord) == 32);
inline constexpr uint32_t kGroupOrdered = 1;  // chunks carry write sequence numbers

// A chunk in the file.
struct ChunkRef {
  uint64_t offset;
  uint32_t size;
  uint32_t row_count;
  int64_t min_time;
  int64_t max_time;
  uint64_t checksum;  // XXH3 of the chunk's bytes
};
static_assert(sizeof(ChunkRef) == 40);

}  // namespace tsdbd::storage
