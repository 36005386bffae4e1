#pragma once
// SeriesIndex: the inverted index of the head: label → groups, and what matchers select.
//
// New groups are queued on the write path and enter the postings in batches, off it: when somebody
// calls ApplyPending, at the latest before a query looks.
// Threads: every method from any thread. The postings have one lock; Add takes only the queue's.
// Who selects holds an EpochGate::Pin, for as long as it uses what it got.

#include <atomic>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include <absl/container/flat_hash_map.h>
#include <roaring/roaring.hh>

#include "common/mutex.h"
#include "common/status.h"
#include "index/group_table.h"
#include "index/label_store.h"
#include "model/matcher.h"

namespace tsdbd::index {

// Groups that match, each with those of its columns that do.
struct SelectedGroups {
  struct Columns {
    const Schema* schema = nullptr;
    std::vector<uint32_t> columns;  // rising
  };
  struct Entry {
    IndexedGroup* group = nullptr;
    uint32_t columns = 0;  // index into `columns`
  };
  std::vector<Columns> columns;
  std::vector<Entry> groups;
  uint64_t series_count = 0;
};

class SeriesIndex {
 public:
  explicit SeriesIndex(LabelStore* labels) : labels_(labels) {}

  // Queues a new group.
  void Add(IndexedGroup* group);
  // How many are not in the postings yet: in the queue, or on their way from it.
  size_t pending_count() const { return pending_count_.load(std::memory_order_acquire); }
  // Moves the queue into the postings.
  void ApplyPending();
  // Takes a group out (its labels stay interned).
  void Remove(IndexedGroup* group);

  // All matchers must match. kResourceExhausted over max_series (0: no limit).
  StatusOr<SelectedGroups> Select(const std::vector<model::Matcher>& matchers, uint64_t max_series);

  // Of the groups that match; sorted, unique.
  StatusOr<std::vector<std::string>> LabelNames(const std::vector<model::Matcher>& matchers);
  StatusOr<std::vector<std::string>> LabelValues(std::string_view name,
                                                 const std::vector<model::Matcher>& matchers);

  // Every group, in the order of their ids.
  std::vector<IndexedGroup*> AllGroups();
  uint64_t group_count() const;
  uint64_t MemoryBytes() const;

 private:
  // Groups taken from the queue under one hold of the lock: bounds how long a query waits.
  static constexpr size_t kApplyBatch = 1024;

  // Index into SelectedGroups::columns.
  using ColumnsOfSchema = absl::flat_hash_map<const Schema*, uint32_t>;

  void Apply(IndexedGroup* group) REQUIRES(mutex_);
  // The columns of `schema` that all matchers on its column label accept.
  static SelectedGroups::Columns MatchColumns(const Schema& schema,
                                              const std::vector<model::Matcher>& matchers);
  // Groups whose own labels match; those whose column label is not `column_label`, or whose schema
  // is not in `schemas`, may be among them if it says so.
  struct Candidates {
    Roaring groups;
    bool may_have_other_schemas = false;
  };
  Candidates FindCandidates(std::string_view column_label,
                            const std::vector<const Schema*>& schemas,
                            const std::vector<model::Matcher>& matchers) const
      REQUIRES_SHARED(mutex_);
  // Appends the groups of `schemas`, whose column label is `column_label`, that match.
  void AppendMatches(std::string_view column_label, const std::vector<const Schema*>& schemas,
                     const std::vector<model::Matcher>& matchers, const ColumnsOfSchema& columns_of,
                     SelectedGroups* result) const REQUIRES_SHARED(mutex_);
  // *candidates &= the groups whose own label matcher.name() matches.
  void Narrow(const model::Matcher& matcher, Roaring* candidates) const REQUIRES_SHARED(mutex_);

  LabelStore* const labels_;

  mutable SharedMutex mutex_;
  std::vector<IndexedGroup*> groups_ GUARDED_BY(mutex_);  // by id; null: free
  std::vector<uint32_t> free_ids_ GUARDED_BY(mutex_);

  mutable Mutex pending_mutex_;
  std::vector<IndexedGroup*> pending_ GUARDED_BY(pending_mutex_);
  // Not the size of the queue: who sees 0 here may select without waiting for anybody.
  std::atomic<size_t> pending_count_ = 0;
  // Held from taking the queue until it is applied, so that ApplyPending returns only when all
  // that was queued before is visible.
  Mutex apply_mutex_;
};

}  // namespace tsdbd::index
