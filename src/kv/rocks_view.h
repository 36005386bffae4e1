#pragma once
// RocksView: a ReadView of a RocksStore. Holds what it handed out: blocks, hot values, copies.

#include <cstdint>
#include <forward_list>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <rocksdb/slice.h>

#include "kv/rocks_state.h"

namespace tsdbd::kv {

// What the views of one entry point to.
struct PinnedRecord {
  HotValues::Pointer hot;  // or else:
  std::string key;
  rocksdb::PinnableSlice record;
};

// The newest entry of `key`, from the hot values or from the database. Statuses as of
// ReadView::Get.
Status ReadLatest(RocksState* state, std::string_view key, PinnedRecord* pinned, Entry* entry);

class RocksView final : public ReadView {
 public:
  RocksView(RocksState* state, Consistency consistency);
  ~RocksView() override;

  Status Get(std::string_view key, Entry* entry) override;
  void GetMany(std::span<const std::string_view> keys, std::span<Entry> entries,
               std::span<Status> statuses) override;
  Status Scan(const ScanRange& range, const EntryVisitor& visitor, std::string* cursor) override;

 private:
  int64_t NowNanos() const { return snapshot_ != nullptr ? taken_ns_ : state_->now_ns(); }
  rocksdb::ReadOptions ReadOptions() const;
  Status CheckRange(const ScanRange& range) const;
  std::string_view Keep(std::string_view bytes);

  RocksState* const state_;
  const rocksdb::Snapshot* snapshot_ = nullptr;  // null: latest
  int64_t taken_ns_ = 0;                         // of the snapshot

  std::forward_list<PinnedRecord> pinned_;
  std::vector<std::unique_ptr<rocksdb::PinnableSlice[]>> pinned_many_;
  // Copies, in pieces.
  std::vector<std::unique_ptr<char[]>> kept_;
  size_t kept_room_bytes_ = 0;  // left in the last piece
  char* kept_end_ = nullptr;
};

}  // namespace tsdbd::kv
