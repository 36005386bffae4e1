#pragma once
// A block: an immutable file of chunks for one time partition, with its own index (labels ->
// groups -> chunks). Written once by BlockWriter (block_writer.h), read in place through a map.
// Format: docs/formats/block.md. Knows nothing of other blocks: see block_manager.h.
//
// Threads: all methods may run at the same time. Lifetime: every view, span and ChunkView points
// into the map and lives as long as the Block, also after its file was removed.
//
// Checks: Open() looks at the footer only, O(sections). The index is checked, checksums and
// structure, once at its first use (CheckIndex(); Select and Label* call it); the accessors of
// groups may be called after that has succeeded. A chunk is checked when it is read for the first
// time since Open; a disk that changes it under the map later on is not noticed.

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "common/env.h"
#include "common/mutex.h"
#include "common/status.h"
#include "model/labels.h"
#include "model/matcher.h"
#include "model/sample.h"
#include "storage/block_format.h"
#include "storage/block_meta.h"
#include "storage/chunk.h"

namespace tsdbd::storage {

// Answer of Select: group `group` with the columns column_sets[column_set] (rising).
struct SelectedGroup {
  uint32_t group = 0;
  uint32_t column_set = 0;
};
struct BlockSelection {
  std::vector<SelectedGroup> groups;  // rising
  std::vector<std::vector<uint32_t>> column_sets;
};

class Block {
 public:
  static StatusOr<std::shared_ptr<const Block>> Open(Env* env, const std::string& path);
  // The same on bytes that somebody else keeps, 8-byte aligned; `path` is for messages.
  static StatusOr<std::shared_ptr<const Block>> OpenBytes(std::string_view bytes,
                                                          const std::string& path);

  const std::string& path() const { return path_; }
  const BlockMeta& meta() const { return meta_; }
  uint64_t size_bytes() const { return bytes_.size(); }
  // The whole file.
  std::string_view bytes() const { return bytes_; }

  // kDataLoss, naming file and section, from the first damage on.
  Status CheckIndex() const;
  // Reads and checks everything.
  Status Verify() const;

  // The series that match all matchers. No matchers: all series.
  StatusOr<BlockSelection> Select(std::span<const model::Matcher> matchers) const;
  // Sorted, unique; of the series that match.
  StatusOr<std::vector<std::string_view>> LabelNames(
      std::span<const model::Matcher> matchers) const;
  StatusOr<std::vector<std::string_view>> LabelValues(
      std::string_view name, std::span<const model::Matcher> matchers) const;

  // Groups 0 .. group_count() - 1; only after CheckIndex() or Select() returned OK.
  uint32_t group_count() const { return static_cast<uint32_t>(groups_.size()); }
  // The labels that all series of the group share: without the column label. Replaces *labels.
  void GetLabels(uint32_t group, model::LabelViews* labels) const;
  // model::HashLabels of those.
  uint64_t LabelsHash(uint32_t group) const { return groups_[group].labels_hash; }
  // Series i of the group has the further label ColumnLabel = ColumnValue(i), unless it is empty.
  std::string_view ColumnLabel(uint32_t group) const;
  uint32_t ColumnCount(uint32_t group) const;
  std::string_view ColumnValue(uint32_t group, uint32_t column) const;
  // Groups with equal numbers have the same column label and values.
  uint32_t SchemaOf(uint32_t group) const { return groups_[group].schema; }
  // Whether the group's chunks carry write sequence numbers.
  bool IsOrdered(uint32_t group) const;
  // In order of time; they do not overlap.
  std::span<const ChunkRef> Chunks(uint32_t group) const;

  // For LabelValue; kNoName if no group has such a label.
  static constexpr uint32_t kNoName = ~uint32_t{0};
  uint32_t FindName(std::string_view name) const;
  // Of the group's own labels the one with that name; "" if it has none.
  std::string_view LabelValue(uint32_t group, uint32_t name) const;

  // `chunk` is an element of Chunks(group). kDataLoss, naming file and offset, if the bytes fail
  // their checks.
  StatusOr<ChunkView> ReadChunk(uint32_t group, const ChunkRef& chunk) const;
  // Fetches what ReadChunk looks at first.
  void PrefetchChunk(const ChunkRef& chunk) const {
    __builtin_prefetch(bytes_.data() + chunk.offset);
  }
  // ReadChunk that checks even what has been checked before.
  StatusOr<ChunkView> CheckChunk(uint32_t group, const ChunkRef& chunk) const;
  // For readers that go on without a chunk that failed its checks: logs and counts it, once.
  void NoteDamage(const ChunkRef& chunk, const Status& reason) const;
  uint64_t damaged_chunks() const;  // noted since Open

 private:
  friend class BlockSelector;

  Block() = default;
  // Of bytes_ and path_, which are set.
  Status Parse();
  Status ParseSectionTable();
  Status BindSections();
  template <typename Record>
  Status BindArray(SectionId id, std::span<const Record>* records) const;
  StatusOr<std::string_view> FindSection(SectionId id) const;
  Status CheckChecksum(const SectionEntry& section) const;
  Status CheckStructure() const;
  Status CheckOrder() const;
  Status VerifyGroup(uint32_t group, uint64_t* rows, uint64_t* samples) const;

  std::string_view StringAt(const StringRef& string) const {
    return strings_.substr(string.offset, string.size);
  }
  std::string_view PairValue(const PairRecord& pair) const {
    return strings_.substr(pair.value_offset, pair.value_size);
  }
  const SchemaRecord& Schema(uint32_t group) const { return schemas_[groups_[group].schema]; }

  // Constant after Open.
  std::unique_ptr<MappedFile> file_;
  std::string path_;
  std::string_view bytes_;
  BlockMeta meta_;
  std::vector<SectionEntry> section_table_;
  std::string_view strings_;
  std::string_view postings_;
  std::span<const NameRecord> names_;
  std::span<const PairRecord> pairs_;
  std::span<const SchemaRecord> schemas_;
  std::span<const StringRef> schema_columns_;
  std::span<const GroupRecord> groups_;
  std::span<const uint32_t> group_labels_;
  std::span<const ChunkRef> chunks_;

  // Bit i % 64 of word i / 64: chunk i has passed its checks.
  mutable std::vector<std::atomic<uint64_t>> good_chunks_;

  // The outcome of CheckIndex.
  mutable std::atomic<bool> index_is_good_ = false;  // saves the lock
  mutable Mutex check_mutex_;
  mutable bool index_was_checked_ GUARDED_BY(check_mutex_) = false;
  mutable Status index_status_ GUARDED_BY(check_mutex_);
  mutable std::set<uint64_t> damaged_offsets_ GUARDED_BY(check_mutex_);  // of chunks
};

}  // namespace tsdbd::storage
