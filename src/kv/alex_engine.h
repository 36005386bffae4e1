#pragma once
// AlexStore itself; private to kv/alex_*.cc. What it promises is in kv/store.h.
//
// A write appends its records to the log, then changes the index, both under one lock; then it
// waits for the log's sync. A reader looks into the index and reads the record where it lies,
// without a lock: the pin that its view holds keeps replaced nodes of the index and removed
// segments in memory.
//
// Why nothing deleted returns. A start takes the index from a checkpoint (or nothing) and applies
// the log from the checkpoint's position on, in log order. Compaction copies live records to the
// end of the log under the write lock, so that what replaces them always comes later in the log;
// the copies are on disk before the old segment goes, and one segment goes before the next is
// looked at. So whatever subset of removals a crash leaves, the last record of each living key is
// there, and the question is only whether a put without its delete can be. A delete is copied
// forward unless (a) its key is alive, when a later put follows it, or (b) no segment before its
// own holds a put that is dead: then no put is left that it would have to kill, since all of those
// lie before it. A checkpoint can be older than both put and delete's removal: its entry leads to
// a segment that is gone, and is dropped when it is read.

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "common/env.h"
#include "common/epoch.h"
#include "common/mutex.h"
#include "kv/alex_store.h"
#include "kv/checkpoint.h"
#include "kv/group_sync.h"
#include "kv/history.h"
#include "kv/key_index.h"
#include "kv/log_recovery.h"
#include "kv/store.h"
#include "kv/value_log.h"

namespace tsdbd::kv {

class AlexStore final : public Store {
 public:
  AlexStore(Env* env, AlexStoreOptions options);
  ~AlexStore() override;

  Status Open(RecoveryReport* report);

  Status Write(const WriteBatch& batch, Done done, uint64_t* version) override;
  Status Update(std::string_view key, const Edit& edit, Done done, uint64_t* version) override;
  std::unique_ptr<ReadView> Read(Consistency consistency) override;
  Status Sync() override { return group_->Sync(); }
  Status Clear() override;
  Status Compact() override;
  Status Close() override;
  StoreStats stats() const override;
  bool is_ordered() const override { return is_integer_; }
  bool may_block() const override { return false; }

 private:
  friend class AlexView;

  // What a write computes about an operation before it takes the lock, and where its record is.
  struct Prepared {
    uint64_t index_key = 0;
    uint64_t value_hash = 0;
    uint64_t record_bytes = 0;
    Position position = 0;
  };
  // What compaction moves under one hold of the write lock.
  struct MoveBatch {
    struct Item {
      Position position;
      Record record;
      uint64_t value_hash;
    };
    std::vector<Item> items;
    uint64_t bytes = 0;
  };
  // What a Clear takes away: to be freed without the write lock, as that takes time for each key.
  struct Cleared {
    KeyIndex::Remains index;
    std::set<ExpiryEntry> expiries;
  };
  // A segment to compact.
  struct Pick {
    LogSegment* segment = nullptr;
    double dead_share = 0;
    bool drops_deletes = false;  // no put is left that they would have to kill
  };

  // ---- Reading (any thread with a pin; the write lock where it says so)

  Status CheckKey(std::string_view key) const;
  bool IsKey(std::string_view key) const { return is_integer_ ? key.size() == 8 : true; }
  uint64_t IndexKeyOf(std::string_view key) const {
    return is_integer_ ? IntegerOfKey(key) : hash_(key);
  }
  RecordState ReadRecordAt(Position position, Record* record) const {
    const LogSegment* const segment = log_.Find(position);
    return ReadRecord(segment->bytes(), segment->salt(), OffsetOf(position), record);
  }
  Status DamagedRecord(Position position) const;
  bool HasExpired(const Record& record) const {
    return record.has_expiry() && record.expires_ns <= options_.now_ns();
  }

  // ---- Writing

  Status Validate(std::span<const WriteBatch::Operation> operations) const;
  void Prepare(std::span<const WriteBatch::Operation> operations,
               std::span<Prepared> prepared) const;
  Record RecordOf(const WriteBatch::Operation& operation, const Prepared& prepared) const;
  Status Admit() REQUIRES(write_mutex_);
  Status Apply(std::span<const WriteBatch::Operation> operations, std::span<Prepared> prepared)
      REQUIRES(write_mutex_);
  void ChangeIndex(const WriteBatch::Operation& operation, const Prepared& prepared)
      REQUIRES(write_mutex_);
  // The index no longer leads to the record at `position`.
  void Forget(Position position) REQUIRES(write_mutex_);
  // For snapshots; takes time for each key.
  void AddAllToHistory() REQUIRES(write_mutex_);
  Cleared ResetIndex() REQUIRES(write_mutex_);

  // ---- Recovery (the opening thread)

  Status Recover(RecoveryReport* report) REQUIRES(write_mutex_);
  void LoadCheckpoint(const Checkpoint& checkpoint, const RecoveredLog& log) REQUIRES(write_mutex_);
  void Replay(LogSegment* segment, Position position, const Record& record, RecordState state)
      REQUIRES(write_mutex_);
  void ReplayPut(LogSegment* segment, Position position, const Record& record, RecordState state)
      REQUIRES(write_mutex_);
  void ReplayDelete(const Record& record, RecordState state) REQUIRES(write_mutex_);

  // ---- Upkeep (the upkeep thread, or a caller with upkeep_mutex_)

  void WakeUpkeep();
  void RunUpkeep();
  void DoUpkeep();
  void SweepExpired();
  Status WriteCheckpoint() REQUIRES(upkeep_mutex_);
  Status WriteCheckpointKeys(const CheckpointHeader& header, CheckpointWriter* writer);
  Status WriteCheckpointExpiries(const CheckpointHeader& header, CheckpointWriter* writer);

  // The segment with the largest dead share, if that is at least `min_dead_share`; else one of many
  // small ones.
  Pick PickSegment(double min_dead_share) REQUIRES(upkeep_mutex_) EXCLUDES(write_mutex_);
  // False if no segment is worth it.
  StatusOr<bool> CompactOne(double min_dead_share, bool is_throttled) REQUIRES(upkeep_mutex_);
  Status CompactSegment(const Pick& pick, bool is_throttled) REQUIRES(upkeep_mutex_);
  Status MoveRecords(const Pick& pick, bool is_throttled);
  void KeepWorthMoving(MoveBatch* batch) const;
  Status Move(const MoveBatch& batch);
  // So that a start knows that all before was on disk even where its segments are gone.
  Status MarkAndSync();
  bool IsStopping();
  // Tells of a failure of the background, once while it stays the same.
  void Report(const char* what, const Status& status);

  Env* const env_;
  const AlexStoreOptions options_;
  const bool is_integer_;
  uint64_t (*const hash_)(std::string_view key);

  std::unique_ptr<FileLock> directory_lock_;
  mutable EpochGate gate_;
  ValueLog log_;
  KeyIndex index_;
  History history_;
  std::unique_ptr<GroupSync> group_;

  // One checkpoint, compaction or Clear at a time; before write_mutex_ in the lock order.
  Mutex upkeep_mutex_;
  // Small segments with lower numbers are moved to the end of the log, one after the other.
  uint32_t small_end_ GUARDED_BY(upkeep_mutex_) = 0;
  // Of bytes appended so far; written under write_mutex_.
  std::atomic<uint64_t> bytes_since_checkpoint_ = 0;

  mutable Mutex write_mutex_;
  uint64_t version_ GUARDED_BY(write_mutex_) = 0;  // of the newest write
  uint64_t live_bytes_ GUARDED_BY(write_mutex_) = 0;
  std::set<ExpiryEntry> expiries_ GUARDED_BY(write_mutex_);
  WriteBatch update_batch_ GUARDED_BY(write_mutex_);  // kept for its memory
  std::vector<Prepared> update_prepared_ GUARDED_BY(write_mutex_);
  bool is_closed_ GUARDED_BY(write_mutex_) = false;

  std::atomic<uint64_t> write_count_ = 0;
  std::atomic<uint64_t> compaction_count_ = 0;
  mutable std::atomic<uint64_t> damaged_count_ = 0;

  Mutex close_mutex_;  // before all others in the lock order
  bool close_was_called_ GUARDED_BY(close_mutex_) = false;
  Status close_status_ GUARDED_BY(close_mutex_);

  Mutex wake_mutex_;
  CondVar wake_;
  bool is_stopping_ GUARDED_BY(wake_mutex_) = false;
  bool is_woken_ GUARDED_BY(wake_mutex_) = false;
  Status reported_;  // the upkeep thread's
  std::thread upkeep_;
};

}  // namespace tsdbd::kv
