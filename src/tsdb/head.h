#pragma once
// Head: the part of the database in memory: the index over series groups, and their rows of the
// living generations. Knows neither WAL nor blocks: database.cc and flush.cc join them.
//
// Threads: Resolve, FindOrCreate, Append and Snapshot from any thread, as long as DropGroup does
// not run beside the first three (the database holds its generation lock shared for them and
// exclusively for it). What a reader got is valid while it holds a pin of gate().

#include <array>
#include <atomic>
#include <cstdint>
#include <string_view>
#include <vector>

#include "common/epoch.h"
#include "common/slab_pool.h"
#include "common/status.h"
#include "index/group_table.h"
#include "index/key_table.h"
#include "index/label_store.h"
#include "index/series_index.h"
#include "model/labels.h"
#include "tsdb/group.h"
#include "tsdb/series_limiter.h"

namespace tsdbd::tsdb {

// What a reader copies of a group; valid while the reader has a pin.
struct GroupSnapshot {
  RowsSnapshot frozen;  // empty if none of them can be in the range
  RowsSnapshot active;
  bool ordered = false;  // shares a series with another group
};

class Head {
 public:
  explicit Head(const SeriesLimits& limits = {})
      : labels_(&gate_), index_(&labels_), limiter_(limits) {}
  ~Head();

  EpochGate* gate() const { return &gate_; }
  index::KeyTable* keys() { return &keys_; }
  index::SeriesIndex* index() const { return &index_; }

  // The group with exactly these labels and columns. `labels` are sorted, without `column_label`.
  Group* FindOrCreate(const model::LabelViews& labels, std::string_view column_label,
                      const std::vector<std::string>& column_values);
  // The same, unless it would be a new one and have too many series: kResourceExhausted.
  StatusOr<Group*> FindOrAdmit(const model::LabelViews& labels, std::string_view column_label,
                               const std::vector<std::string>& column_values);

  // Adds a row to the group's rows of `generation`. `sequence` orders it among all writes.
  void Append(Group* group, uint64_t generation, model::Timestamp timestamp, const double* values,
              uint64_t sequence);

  static GroupSnapshot Snapshot(Group* group, const model::TimeRange& range);
  // Fetches what Snapshot looks at, some groups ahead.
  static void PrefetchSnapshot(const Group* group);

  // Sets the group's rows of generations up to `generation` aside, as its frozen rows, of which
  // there must be none. False if it has no such rows.
  bool Freeze(Group* group, uint64_t generation);
  // Frees the frozen rows once no reader has them.
  void DropFrozen(Group* group);
  // Takes a group without rows out of every table.
  void DropGroup(Group* group);
  // The generation of the group's newest row; 0 if it never had one.
  static uint64_t LastGeneration(Group* group);

  uint64_t MemoryBytes() const;
  uint64_t groups_created() const { return groups_created_.load(std::memory_order_relaxed); }
  uint64_t groups_dropped() const { return groups_dropped_.load(std::memory_order_relaxed); }
  uint64_t series_count() const { return groups_.series_count(); }
  const SeriesLimiter& limiter() const { return limiter_; }
  uint64_t label_pair_count() const { return labels_.pair_count(); }

 private:
  static constexpr size_t kPools = 16;

  // `refusal`: null if the limits do not matter. Returns null if it was set.
  Group* FindOrCreate(const model::LabelViews& labels, std::string_view column_label,
                      const std::vector<std::string>& column_values, Status* refusal);
  SlabPool* PoolOf(const Group& group) { return &pools_[group.labels_hash % kPools]; }
  Group* MakeGroup(index::Schema* schema, const std::vector<index::LabelPair*>& labels,
                   uint64_t labels_hash);
  void MarkOrdered(Group* group);
  void BeginGeneration(Group* group, uint64_t generation) REQUIRES(group->lock);
  void SetAside(Group* group) REQUIRES(group->lock);
  void MakeRoom(Group* group) REQUIRES(group->lock);
  void Seal(Group* group) REQUIRES(group->lock);
  void AddChunk(Group* group, const ChunkEntry& entry) REQUIRES(group->lock);
  void RetireBuffer(Group* group, uint64_t* buffer, uint32_t capacity_rows, bool sequenced);
  static void FreePooled(void* pool, void* pointer, size_t size);
  static void FreeChunks(void* pool, void* chunks, size_t counts);

  mutable EpochGate gate_;
  std::array<SlabPool, kPools> pools_;
  index::LabelStore labels_;
  index::KeyTable keys_;
  index::GroupTable groups_;
  mutable index::SeriesIndex index_;
  SeriesLimiter limiter_;
  std::atomic<uint64_t> groups_created_ = 0;
  std::atomic<uint64_t> groups_dropped_ = 0;
};

}  // namespace tsdbd::tsdb
