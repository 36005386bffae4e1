#pragma once
// AlexView: how an AlexStore is read; private to kv/alex_*.cc.

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <absl/container/flat_hash_map.h>

#include "kv/alex_engine.h"

namespace tsdbd::kv {

class AlexView final : public ReadView {
 public:
  AlexView(AlexStore* store, Consistency consistency);
  ~AlexView() override;

  Status Get(std::string_view key, Entry* entry) override;
  void GetMany(std::span<const std::string_view> keys, std::span<Entry> entries,
               std::span<Status> statuses) override;
  void FindMany(std::span<const std::string_view> keys, std::span<Entry> entries,
                std::span<Status> statuses) override;
  Status Scan(const ScanRange& range, const EntryVisitor& visitor, std::string* cursor) override;

 private:
  // How much of a record is read, and checked.
  enum class Part { kAll, kKey };

  // Index keys, both included, and the direction.
  struct Interval {
    uint64_t first = 0;
    uint64_t last = UINT64_MAX;
    bool is_empty = false;
    bool is_descending = false;
  };
  // What of a scan is still to come, and what came of it.
  struct ScanState {
    const EntryVisitor* visitor;
    bool keys_only = false;
    size_t left = 0;
    size_t visited = 0;
    bool is_over = false;
    uint64_t next = 0;  // if it is over: the index key to go on with
  };

  void PrefetchAt(Position position) const;
  // Fill in `entry` if the record at `position` is this key's and visible.
  bool IsAt(Position position, uint64_t index_key, std::string_view key, Entry* entry) const;
  enum class Match { kYes, kExpired, kDamaged, kNo };
  Match MatchAt(Position position, std::string_view key, Part part, Entry* entry) const;
  Status Find(uint64_t index_key, std::string_view key, Position first, Part part,
              Entry* entry) const;
  void ReadMany(std::span<const std::string_view> keys, Part part, std::span<Entry> entries,
                std::span<Status> statuses);
  bool IsVisible(const Record& record) const;
  // Key and version, as far as they can be checked without the value.
  bool ReadKeyAt(Position position, Record* record) const;

  StatusOr<Interval> IntervalOf(const ScanRange& range) const;
  // The index's next pairs, with all that the interval has beside them up to the last of them.
  // Returns false if there is no more behind these.
  bool CollectPage(Interval* rest, size_t size);
  void AddBeside(uint64_t first, uint64_t last);
  void VisitPage(ScanState* state);
  void VisitGroup(std::span<const KeyIndex::Pair> group, ScanState* state);

  AlexStore* const store_;
  const EpochGate::Pin pin_;
  const bool is_snapshot_;
  uint64_t version_ = UINT64_MAX;  // the newest that is seen
  int64_t now_ns_ = 0;             // of the snapshot
  uint64_t read_count_ = 0;
  std::vector<KeyIndex::Pair> page_;
  std::vector<Entry> group_;
  absl::flat_hash_map<Position, size_t> large_;  // of a GetMany: read records, by their index
};

}  // namespace tsdbd::kv
