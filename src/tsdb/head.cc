#include "tsdb/head.h"

#include <cstring>
#include <new>
#include <string>

#include "common/check.h"
#include "storage/chunk.h"
#include "tsdb/row_sort.h"

namespace tsdbd::tsdb {
namespace {

size_t GroupBytes(size_t label_count) {
  return sizeof(Group) + label_count * sizeof(index::LabelPair*);
}

size_t BufferBytes(const Group& group, uint32_t rows, bool sequenced) {
  return rows * RowWords(group.column_count(), sequenced) * sizeof(uint64_t);
}

// A buffer's rows as sorted columns.
struct SealScratch {
  std::vector<uint32_t> order;
  std::vector<model::Timestamp> timestamps;
  std::vector<double> values;
  std::vector<const double*> columns;
  std::vector<uint64_t> sequences;
  storage::ChunkEncoder encoder;
  std::string bytes;
};

void ToColumns(const GroupRows& rows, size_t column_count, SealScratch* scratch) {
  const size_t words = RowWords(column_count, rows.sequenced);
  const uint64_t* buffer = rows.buffer;
  if (rows.sorted) {
    scratch->order.resize(rows.row_count);
    std::iota(scratch->order.begin(), scratch->order.end(), 0);
  } else {
    SortRows(
        rows.row_count,
        [&](uint32_t i) { return static_cast<model::Timestamp>(buffer[i * words]); },
        [&](uint32_t i) { return rows.sequenced ? buffer[i * words + words - 1] : 0; },
        &scratch->order);
  }
  const size_t count = scratch->order.size();
  scratch->timestamps.resize(count);
  scratch->sequences.resize(count);
  scratch->values.resize(count * column_count);
  scratch->columns.resize(column_count);
  for (size_t column = 0; column < column_count; ++column) {
    scratch->columns[column] = scratch->values.data() + column * count;
  }
  for (size_t i = 0; i < count; ++i) {
    const uint64_t* row = buffer + scratch->order[i] * words;
    scratch->timestamps[i] = static_cast<model::Timestamp>(row[0]);
    scratch->sequences[i] = row[words - 1];
    for (size_t column = 0; column < column_count; ++column) {
      std::memcpy(&scratch->values[column * count + i], &row[1 + column], sizeof(double));
    }
  }
}

}  // namespace

Head::~Head() {
  for (index::IndexedGroup* indexed : index_.AllGroups()) {
    auto* group = static_cast<Group*>(indexed);
    DropFrozen(group);
    Freeze(group, std::numeric_limits<uint64_t>::max());
    DropFrozen(group);
    DropGroup(group);
  }
}

Group* Head::FindOrCreate(const model::LabelViews& labels, std::string_view column_label,
                          const std::vector<std::string>& column_values) {
  return FindOrCreate(labels, column_label, column_values, /*refusal=*/nullptr);
}

StatusOr<Group*> Head::FindOrAdmit(const model::LabelViews& labels, std::string_view column_label,
                                   const std::vector<std::string>& column_values) {
  Status refusal;
  Group* group = FindOrCreate(labels, column_label, column_values, &refusal);
  RETURN_IF_ERROR(refusal);
  return group;
}

Group* Head::FindOrCreate(const model::LabelViews& labels, std::string_view column_label,
                          const std::vector<std::string>& column_values, Status* refusal) {
  thread_local std::vector<index::LabelPair*> pairs;
  thread_local std::vector<index::IndexedGroup*> overlapping;
  pairs.clear();
  overlapping.clear();
  uint64_t labels_hash = 0;
  for (const model::LabelView& label : labels) {
    pairs.push_back(labels_.InternPair(label.name, label.value));
    labels_hash += pairs.back()->hash;
  }
  index::Schema* schema = labels_.InternSchema(column_label, column_values);
  Group* made = nullptr;
  const auto make = [&]() -> Group* {
    if (refusal == nullptr) {
      limiter_.Add(*schema, pairs);
    } else if (*refusal = limiter_.Admit(*schema, pairs); !refusal->ok()) {
      return nullptr;
    }
    return made = MakeGroup(schema, pairs, labels_hash);
  };
  auto* group =
      static_cast<Group*>(groups_.FindOrCreate(schema, pairs, labels_hash, make, &overlapping));
  if (made == nullptr) {
    for (index::LabelPair* pair : pairs) {
      labels_.Release(pair);
    }
    labels_.Release(schema);
    return group;
  }
  for (index::IndexedGroup* other : overlapping) {
    MarkOrdered(static_cast<Group*>(other));
  }
  if (!overlapping.empty()) {
    MarkOrdered(group);
  }
  index_.Add(group);
  groups_created_.fetch_add(1, std::memory_order_relaxed);
  return group;
}

Group* Head::MakeGroup(index::Schema* schema, const std::vector<index::LabelPair*>& labels,
                       uint64_t labels_hash) {
  SlabPool* pool = &pools_[labels_hash % kPools];
  auto* group = new (pool->Allocate(GroupBytes(labels.size()))) Group();
  group->schema = schema;
  group->labels_hash = labels_hash;
  group->labels = reinterpret_cast<index::LabelPair**>(group + 1);
  group->label_count = static_cast<uint32_t>(labels.size());
  std::copy(labels.begin(), labels.end(), group->labels);
  return group;
}

void Head::MarkOrdered(Group* group) {
  SpinLockGuard guard(&group->lock);
  if (group->ordered) {
    return;
  }
  group->ordered = true;
  GroupRows& rows = group->active;
  if (rows.row_count > 0) {
    Seal(group);
  }
  // The next buffer has wider rows.
  if (rows.buffer != nullptr) {
    RetireBuffer(group, rows.buffer, rows.capacity_rows, rows.sequenced);
    rows.buffer = nullptr;
    rows.capacity_rows = 0;
  }
}

void Head::Append(Group* group, uint64_t generation, model::Timestamp timestamp,
                  const double* values, uint64_t sequence) {
  SpinLockGuard guard(&group->lock);
  GroupRows& rows = group->active;
  if (rows.generation != generation) [[unlikely]] {
    BeginGeneration(group, generation);
  }
  if (rows.row_count == rows.capacity_rows) [[unlikely]] {
    MakeRoom(group);
  }
  const size_t columns = group->column_count();
  uint64_t* row = rows.buffer + rows.row_count * RowWords(columns, rows.sequenced);
  row[0] = static_cast<uint64_t>(timestamp);
  std::memcpy(row + 1, values, columns * sizeof(double));
  if (rows.sequenced) {
    row[1 + columns] = sequence;
  }
  rows.sorted = rows.sorted && timestamp > rows.buffer_max_time;
  rows.buffer_min_time = std::min(rows.buffer_min_time, timestamp);
  rows.buffer_max_time = std::max(rows.buffer_max_time, timestamp);
  rows.min_time = std::min(rows.min_time, timestamp);
  rows.max_time = std::max(rows.max_time, timestamp);
  ++rows.row_count;
  group->next_row.store(row + RowWords(columns, rows.sequenced), std::memory_order_relaxed);
}

void Head::BeginGeneration(Group* group, uint64_t generation) {
  GroupRows& rows = group->active;
  if (!rows.empty()) {
    SetAside(group);
  } else if (rows.buffer != nullptr) {
    RetireBuffer(group, rows.buffer, rows.capacity_rows, rows.sequenced);
  }
  rows = GroupRows();
  rows.generation = generation;
}

void Head::MakeRoom(Group* group) {
  GroupRows& rows = group->active;
  const uint32_t max_rows = MaxBufferRows(group->column_count());
  if (rows.capacity_rows == max_rows) {
    Seal(group);
    return;
  }
  const uint32_t capacity = rows.capacity_rows == 0 ? kFirstBufferRows : rows.capacity_rows * 2;
  if (rows.buffer == nullptr) {
    rows.sequenced = group->ordered;
  }
  auto* buffer = static_cast<uint64_t*>(
      PoolOf(*group)->Allocate(BufferBytes(*group, capacity, rows.sequenced)));
  if (rows.buffer != nullptr) {
    std::memcpy(buffer, rows.buffer, BufferBytes(*group, rows.row_count, rows.sequenced));
    RetireBuffer(group, rows.buffer, rows.capacity_rows, rows.sequenced);
  }
  rows.buffer = buffer;
  rows.capacity_rows = capacity;
}

void Head::Seal(Group* group) {
  thread_local SealScratch scratch;
  GroupRows& rows = group->active;
  ToColumns(rows, group->column_count(), &scratch);
  scratch.bytes.clear();
  scratch.encoder.Encode({.timestamps = scratch.timestamps,
                          .columns = scratch.columns,
                          .sequences = rows.sequenced ? scratch.sequences.data() : nullptr},
                         &scratch.bytes);
  auto* chunk =
      new (PoolOf(*group)->Allocate(sizeof(SealedChunk) + scratch.bytes.size())) SealedChunk();
  std::memcpy(reinterpret_cast<char*>(chunk + 1), scratch.bytes.data(), scratch.bytes.size());
  chunk->size_bytes = static_cast<uint32_t>(scratch.bytes.size());
  chunk->row_count = static_cast<uint32_t>(scratch.timestamps.size());
  AddChunk(group, {.min_time = scratch.timestamps.front(),
                   .max_time = scratch.timestamps.back(),
                   .chunk = chunk});
  if (gate_.HasReaders()) {
    // A reader may be looking at the rows: leave them to it.
    RetireBuffer(group, rows.buffer, rows.capacity_rows, rows.sequenced);
    rows.buffer = static_cast<uint64_t*>(
        PoolOf(*group)->Allocate(BufferBytes(*group, rows.capacity_rows, rows.sequenced)));
  }
  rows.row_count = 0;
  rows.sorted = true;
  rows.buffer_min_time = std::numeric_limits<int64_t>::max();
  rows.buffer_max_time = std::numeric_limits<int64_t>::min();
}

void Head::AddChunk(Group* group, const ChunkEntry& entry) {
  GroupRows& rows = group->active;
  if (rows.chunk_count == rows.chunk_capacity) {
    const uint32_t capacity =
        rows.chunk_capacity == 0 ? kFirstChunkCapacity : rows.chunk_capacity * 2;
    auto* chunks =
        static_cast<ChunkEntry*>(PoolOf(*group)->Allocate(capacity * sizeof(ChunkEntry)));
    if (rows.chunks != nullptr) {
      std::copy_n(rows.chunks, rows.chunk_count, chunks);
      gate_.Retire(FreePooled, PoolOf(*group), rows.chunks,
                   rows.chunk_capacity * sizeof(ChunkEntry));
    }
    rows.chunks = chunks;
    rows.chunk_capacity = capacity;
  }
  rows.chunks_in_order =
      rows.chunks_in_order &&
      (rows.chunk_count == 0 || rows.chunks[rows.chunk_count - 1].max_time < entry.min_time);
  rows.chunks[rows.chunk_count++] = entry;
}

GroupSnapshot Head::Snapshot(Group* group, const model::TimeRange& range) {
  const auto copy = [&](const GroupRows& rows) {
    return rows.empty() || !range.Overlaps({rows.min_time, rows.max_time})
               ? RowsSnapshot()
               : RowsSnapshot(rows, group->column_count());
  };
  SpinLockGuard guard(&group->lock);
  return {.frozen = group->frozen == nullptr ? RowsSnapshot() : copy(*group->frozen),
          .active = copy(group->active),
          .ordered = group->ordered};
}

void Head::PrefetchSnapshot(const Group* group) {
  __builtin_prefetch(group);
  __builtin_prefetch(&group->next_row);  // behind the rows, in their line or the next
}

bool Head::Freeze(Group* group, uint64_t generation) {
  SpinLockGuard guard(&group->lock);
  GroupRows& rows = group->active;
  if (!rows.empty() && rows.generation <= generation) {
    SetAside(group);
    rows = GroupRows();
    rows.generation = group->frozen->generation;
  }
  return group->frozen != nullptr;
}

void Head::SetAside(Group* group) {
  // The generation before has been flushed, or this one would not have ended.
  CHECK(group->frozen == nullptr);
  group->frozen = new (PoolOf(*group)->Allocate(sizeof(GroupRows))) GroupRows(group->active);
}

void Head::DropFrozen(Group* group) {
  GroupRows dropped;
  {
    SpinLockGuard guard(&group->lock);
    if (group->frozen == nullptr) {
      return;
    }
    dropped = *group->frozen;
    PoolOf(*group)->Free(group->frozen, sizeof(GroupRows));
    group->frozen = nullptr;
  }
  if (dropped.buffer != nullptr) {
    RetireBuffer(group, dropped.buffer, dropped.capacity_rows, dropped.sequenced);
  }
  if (dropped.chunks != nullptr) {
    gate_.Retire(FreeChunks, PoolOf(*group), dropped.chunks,
                 uint64_t{dropped.chunk_capacity} << 32 | dropped.chunk_count);
  }
}

void Head::DropGroup(Group* group) {
  keys_.EraseAll(group->keys.load(std::memory_order_relaxed));
  groups_.Erase(group);
  limiter_.Remove(*group->schema, group->label_span());
  index_.Remove(group);
  for (index::LabelPair* pair : group->label_span()) {
    labels_.Release(pair);
  }
  labels_.Release(group->schema);
  groups_dropped_.fetch_add(1, std::memory_order_relaxed);
  gate_.Retire(FreePooled, PoolOf(*group), group, GroupBytes(group->label_count));
}

uint64_t Head::LastGeneration(Group* group) {
  SpinLockGuard guard(&group->lock);
  return group->active.generation;
}

void Head::RetireBuffer(Group* group, uint64_t* buffer, uint32_t capacity_rows, bool sequenced) {
  gate_.Retire(FreePooled, PoolOf(*group), buffer, BufferBytes(*group, capacity_rows, sequenced));
}

void Head::FreePooled(void* pool, void* pointer, size_t size) {
  static_cast<SlabPool*>(pool)->Free(pointer, size);
}

// `counts`: the array's capacity in the upper half, how many there are in the lower.
void Head::FreeChunks(void* pool, void* chunks, size_t counts) {
  auto* entries = static_cast<ChunkEntry*>(chunks);
  for (uint32_t i = 0; i < static_cast<uint32_t>(counts); ++i) {
    FreePooled(pool, entries[i].chunk, sizeof(SealedChunk) + entries[i].chunk->size_bytes);
  }
  FreePooled(pool, chunks, (counts >> 32) * sizeof(ChunkEntry));
}

uint64_t Head::MemoryBytes() const {
  uint64_t bytes =
      labels_.MemoryBytes() + keys_.MemoryBytes() + groups_.MemoryBytes() + index_.MemoryBytes();
  for (const SlabPool& pool : pools_) {
    bytes += pool.used_bytes();
  }
  return bytes;
}

}  // namespace tsdbd::tsdb
