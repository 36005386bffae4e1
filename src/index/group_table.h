#pragma once
// GroupTable: which series exist, by the hash of their labels, and so which group a new raw key
// means, and which groups share a series (same labels reached by lines with different field lists).
//
// Sharing is judged by the 64-bit hash alone, which is enough: a group wrongly taken to share a
// series merely records the order of its writes. Which group a key means is judged by the labels.
// Thread-safe.

#include <array>
#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include <absl/container/flat_hash_map.h>

#include "common/mutex.h"
#include "index/label_store.h"

namespace tsdbd::index {

// What the index knows of a series group. Constant after construction, but for `id`.
struct IndexedGroup {
  static constexpr uint32_t kNoId = ~uint32_t{0};

  Schema* schema = nullptr;
  LabelPair** labels = nullptr;  // sorted by name
  uint32_t label_count = 0;
  uint32_t id = kNoId;       // given and guarded by SeriesIndex
  uint64_t labels_hash = 0;  // sum of the labels' hashes (model::HashLabels)

  std::span<LabelPair* const> label_span() const { return {labels, label_count}; }
  uint64_t SeriesHash(size_t column) const { return labels_hash + schema->column_hashes[column]; }
};

class GroupTable {
 public:
  // The group with exactly this schema and these labels, or what `create` makes, which is then
  // registered under each of its series. *overlapping gets the groups, other than itself, that
  // have one of the new group's series. `create` runs under locks of the table; if it makes none,
  // the result is null.
  IndexedGroup* FindOrCreate(const Schema* schema, std::span<LabelPair* const> labels,
                             uint64_t labels_hash, const std::function<IndexedGroup*()>& create,
                             std::vector<IndexedGroup*>* overlapping);
  void Erase(IndexedGroup* group);

  // Distinct series.
  uint64_t series_count() const;
  uint64_t MemoryBytes() const;

 private:
  struct Prehashed {
    size_t operator()(uint64_t hash) const { return hash; }
  };
  // More than any machine's ingesting threads; a rehash stops only some of them.
  static constexpr size_t kPartBits = 5;
  static constexpr size_t kParts = size_t{1} << kPartBits;
  struct Part {
    mutable Mutex mutex;
    absl::flat_hash_map<uint64_t, IndexedGroup*, Prehashed> first;
    // All groups of a series that has more than one.
    absl::flat_hash_map<uint64_t, std::vector<IndexedGroup*>, Prehashed> shared;
  };

  // Holds the locks of all parts that a group's series are in, taken in the order of the parts.
  class PartsLock;

  static size_t PartIndex(uint64_t series_hash) { return series_hash >> (64 - kPartBits); }
  // The parts of the series in question are locked for these.
  IndexedGroup* Find(const Schema* schema, std::span<LabelPair* const> labels,
                     uint64_t series_hash);
  void Register(IndexedGroup* group, std::vector<IndexedGroup*>* overlapping);

  std::array<Part, kParts> parts_;
};

}  // namespace tsdbd::index
