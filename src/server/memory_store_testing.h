#pragma once
// MemoryStore: a Store without a disk, for tests of what lies above stores. It can hold back the
// Done of writes, as a slow disk would, and fail them.
//
// Threads: as Store.

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "common/mutex.h"
#include "kv/store.h"

namespace tsdbd::server {

class MemoryStore final : public kv::Store {
 public:
  struct Options {
    bool is_ordered = false;  // scans take bounds, and their cursors are keys
    bool may_block = false;
    size_t max_value_bytes = size_t{1} << 20;
  };

  explicit MemoryStore(Options options) : options_(options) {}
  MemoryStore() : MemoryStore(Options()) {}

  Status Write(const kv::WriteBatch& batch, Done done, uint64_t* version) override;
  Status Update(std::string_view key, const Edit& edit, Done done, uint64_t* version) override;
  std::unique_ptr<kv::ReadView> Read(kv::Consistency consistency) override;
  Status Sync() override { return OkStatus(); }
  Status Clear() override;
  Status Compact() override { return OkStatus(); }
  Status Close() override { return OkStatus(); }
  kv::StoreStats stats() const override;
  bool is_ordered() const override { return options_.is_ordered; }
  bool may_block() const override { return options_.may_block; }

  // From now on writes wait for Release.
  void Hold();
  // Lets the writes that wait end with `status`, in order, and those that follow at once.
  void Release(const Status& status = OkStatus());
  size_t held_count() const;
  // Batches written, and look-ups (a GetMany is one).
  uint64_t batches() const;
  uint64_t look_ups() const;
  // What writes return from now on.
  void FailWrites(Status status);

 private:
  class View;
  struct Value {
    std::string bytes;
    uint64_t version;
    int64_t expires_ns;
  };

  Status Apply(const kv::WriteBatch& batch, uint64_t* version) REQUIRES(write_mutex_)
      EXCLUDES(mutex_);
  void Finish(Done done);

  const Options options_;
  Mutex write_mutex_;  // held while an edit runs, which may read; before mutex_ in the lock order
  mutable Mutex mutex_;
  // Values are shared with the views that saw them.
  std::map<std::string, std::shared_ptr<const Value>, std::less<>> values_ GUARDED_BY(mutex_);
  uint64_t version_ GUARDED_BY(mutex_) = 0;
  uint64_t batches_ GUARDED_BY(mutex_) = 0;
  uint64_t look_ups_ GUARDED_BY(mutex_) = 0;
  bool is_holding_ GUARDED_BY(mutex_) = false;
  std::vector<Done> held_ GUARDED_BY(mutex_);
  Status write_status_ GUARDED_BY(mutex_);
};

}  // namespace tsdbd::server
