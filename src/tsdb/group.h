#pragma once
// The head's memory of one series group: row buffers, sealed chunks, and what the WAL knows of it.
//
// Memory that readers may have seen is never changed: rows are only added behind the count that a
// reader copied, and a buffer or array of chunks that grows, or a buffer that is sealed, is retired
// through the EpochGate. So a reader's snapshot of a group is a few words,
// copied under the group's spin lock, whatever the group holds.

#include <atomic>
#include <cstdint>
#include <limits>

#include "common/mutex.h"
#include "index/group_table.h"
#include "index/key_table.h"
#include "model/sample.h"

namespace tsdbd::tsdb {

// An encoded run of rows; the chunk's bytes (storage/chunk.h) follow the struct. Immutable.
struct SealedChunk {
  uint32_t size_bytes = 0;
  uint32_t row_count = 0;

  std::string_view bytes() const { return {reinterpret_cast<const char*>(this + 1), size_bytes}; }
};

// Sealed chunks are kept in arrays, in the order in which they were sealed, with what a reader must
// know to pass one by: a walk over them touches no chunk that it does not read, and fetches those
// that it does side by side.
struct ChunkEntry {
  model::Timestamp min_time = 0;
  model::Timestamp max_time = 0;
  SealedChunk* chunk = nullptr;
};

// The rows of one group and one generation. The open buffer is row-major, because a row then
// touches one or two cache lines however many columns it has: [timestamp, values..., sequence?].
struct GroupRows {
  uint64_t* buffer = nullptr;
  uint32_t row_count = 0;       // in the buffer
  uint32_t capacity_rows = 0;   // of the buffer
  bool sorted = true;           // the buffer's timestamps rise strictly
  bool sequenced = false;       // the buffer's rows carry write sequence numbers
  bool chunks_in_order = true;  // each chunk lies behind the one sealed before it
  uint64_t generation = 0;
  ChunkEntry* chunks = nullptr;
  uint32_t chunk_count = 0;
  uint32_t chunk_capacity = 0;
  model::Timestamp buffer_min_time = std::numeric_limits<int64_t>::max();
  model::Timestamp buffer_max_time = std::numeric_limits<int64_t>::min();
  // Of buffer and chunks.
  model::Timestamp min_time = std::numeric_limits<int64_t>::max();
  model::Timestamp max_time = std::numeric_limits<int64_t>::min();

  bool empty() const { return row_count == 0 && chunk_count == 0; }
};

// What a reader copies of GroupRows: a query over a million groups keeps a million of them.
struct RowsSnapshot {
  RowsSnapshot() = default;
  RowsSnapshot(const GroupRows& rows, size_t columns)
      : buffer(rows.buffer),
        chunks(rows.chunks),
        generation(rows.generation),
        chunk_count(rows.chunk_count),
        column_count(static_cast<uint16_t>(columns)),
        row_count(static_cast<uint8_t>(rows.row_count)),
        sorted(rows.sorted),
        sequenced(rows.sequenced),
        chunks_in_order(rows.chunks_in_order) {}

  bool empty() const { return row_count == 0 && chunk_count == 0; }

  const uint64_t* buffer = nullptr;
  const ChunkEntry* chunks = nullptr;
  uint64_t generation = 0;
  uint32_t chunk_count = 0;
  uint16_t column_count = 0;
  uint8_t row_count = 0;  // in the buffer, which has kMaxBufferRows at most
  bool sorted : 1 = true;
  bool sequenced : 1 = false;
  bool chunks_in_order : 1 = true;
};
static_assert(sizeof(RowsSnapshot) == 32);

struct Group : index::IndexedGroup {
  // First what queries look at, since they look at many groups: together with the base, two cache
  // lines.
  SpinLock lock;
  // Whether another group of the head shares a series with this one, so that its rows must carry
  // write sequence numbers. Never set back.
  bool ordered GUARDED_BY(lock) = false;
  GroupRows* frozen GUARDED_BY(lock) = nullptr;  // of the generation that is being flushed
  GroupRows active GUARDED_BY(lock);

  // Where the next row will lie: a hint, to prefetch it.
  std::atomic<const void*> next_row = nullptr;

  // The group's number in the WAL of a generation: (generation << 32) | number.
  std::atomic<uint64_t> wal_reference = 0;
  // How often the WAL of a generation has its definition: (generation << 2) | 0, 1 or 2. Two, so
  // that one damaged record never makes later ones unreadable.
  std::atomic<uint64_t> wal_definitions = 0;
  // The batch that last decided to log the definition; only to do so once in a batch.
  std::atomic<uint64_t> defining_batch = 0;

  std::atomic<index::RawKey*> keys = nullptr;

  size_t column_count() const { return schema->column_count(); }
};

// Where most series end before they have more.
inline constexpr uint32_t kFirstChunkCapacity = 4;

// 64-bit words of one buffered row.
inline size_t RowWords(size_t column_count, bool sequenced) {
  return 1 + column_count + sequenced;
}

// Buffers start small, since most series of a churning set get few rows, and stop growing where a
// sealed chunk is efficient: at about 3 KiB, or 1 KiB for the narrow groups that are the most
// numerous.
inline constexpr uint32_t kFirstBufferRows = 4;
inline constexpr uint32_t kMaxBufferRows = 64;
inline uint32_t MaxBufferRows(size_t column_count) {
  if (column_count <= 2) {
    return kMaxBufferRows;
  }
  return column_count <= 16 ? 32 : 16;
}

}  // namespace tsdbd::tsdb
