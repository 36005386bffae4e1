#pragma once
// Keyspaces: all keyspaces of a data directory, each a Store in a folder of its own:
//
//   <directory>/<name>/definition     what it is (keyspace_definition.h)
//   <directory>/<name>/store-<n>/     the Store; a keyspace of the same name made later has another
//   <directory>/<name>/dropped        instead of `definition`: to be removed
//
// Threads: everything may be called from any thread. Find takes a lock for a look-up; Create and
// Drop wait for the disk. The Keyspaces outlives the requests that use it.
//
// Invariants
// 1. A keyspace is there once its definition is on disk, and gone once that has been renamed.
// 2. Dropping one in use is safe: it lives, without a name, until the last user lets go of it, on
//    whatever thread; then it is destroyed and its files are removed on a thread of this.
// 3. One that cannot be opened is set aside: Find says why, its files stay as they are, the others
//    work.

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/clock.h"
#include "common/env.h"
#include "common/mutex.h"
#include "common/status.h"
#include "kv/keyspace_definition.h"
#include "kv/rocks_store.h"
#include "kv/store.h"

namespace tsdbd::kv {

struct KeyspacesOptions {
  std::string directory;  // made if it does not exist
  SyncMode sync_mode = SyncMode::kAlways;
  int64_t sync_interval_ms = 100;
  size_t max_value_bytes = size_t{64} << 20;
  // Each has threads and buffers of its own.
  size_t max_keyspaces = 64;
  // To which the log segments of keyspaces on AlexStore grow with them.
  uint64_t max_segment_bytes = 64 << 20;
  // Blocks and memtables of all keyspaces on RocksDB together.
  size_t rocks_cache_bytes = size_t{256} << 20;
  // Hot values of each of them.
  size_t hot_bytes = size_t{32} << 20;
  std::function<int64_t()> now_ns = WallNanos;
};

class Keyspace {
 public:
  Keyspace(std::string name, KeyspaceDefinition definition, std::unique_ptr<Store> store)
      : name_(std::move(name)), definition_(definition), store_(std::move(store)) {}

  const std::string& name() const { return name_; }
  const KeyspaceDefinition& definition() const { return definition_; }
  Store& store() const { return *store_; }
  // For those who hold one for long.
  bool is_dropped() const { return is_dropped_.load(std::memory_order_acquire); }

  // When an entry expires that is written at `now_ns` to live for `ttl_ns`; not given: for as long
  // as the keyspace says.
  int64_t ExpiryAt(int64_t now_ns, std::optional<int64_t> ttl_ns = std::nullopt) const;

 private:
  friend class Keyspaces;

  const std::string name_;
  const KeyspaceDefinition definition_;
  const std::unique_ptr<Store> store_;
  std::atomic<bool> is_dropped_ = false;
};

struct KeyspaceInfo {
  std::string name;
  KeyspaceDefinition definition = {};            // if its file could be read
  Status status = {};                            // why it is unavailable
  std::shared_ptr<Keyspace> keyspace = nullptr;  // null if it is
};

class Keyspaces {
 public:
  // Opens all. Fails only if the directory cannot be read; what is wrong with one keyspace stands
  // in its KeyspaceInfo.
  static StatusOr<std::unique_ptr<Keyspaces>> Open(Env* env, KeyspacesOptions options);
  ~Keyspaces();
  Keyspaces(const Keyspaces&) = delete;
  Keyspaces& operator=(const Keyspaces&) = delete;

  // kNotFound; kUnavailable with the reason for one that could not be opened.
  StatusOr<std::shared_ptr<Keyspace>> Find(std::string_view name) const EXCLUDES(mutex_);

  // Durable when it returns. kInvalidArgument: the name or the definition; kAlreadyExists;
  // kFailedPrecondition: there are max_keyspaces.
  StatusOr<std::shared_ptr<Keyspace>> Create(std::string_view name,
                                             const KeyspaceDefinition& definition)
      EXCLUDES(admin_mutex_, mutex_);
  // Durable when it returns OK; the files go later. Also for one that is set aside. After an error
  // it may be gone (kNotFound from then on) and be back after a power cut.
  Status Drop(std::string_view name) EXCLUDES(admin_mutex_, mutex_);

  // By name.
  std::vector<KeyspaceInfo> List() const EXCLUDES(mutex_);

  // Closes all stores, also those of dropped keyspaces that are still in use; the first error.
  // Nobody may write any more. Idempotent.
  Status Close() EXCLUDES(admin_mutex_, mutex_);

  // Memory that the keyspaces on RocksDB share.
  uint64_t shared_cache_bytes() const { return UsedBytes(*rocks_cache_); }
  const KeyspacesOptions& options() const { return options_; }

 private:
  class Remover;

  Keyspaces(Env* env, KeyspacesOptions options);
  // Opens the keyspace in folder `name`; nothing if the folder is what is left of one.
  std::optional<KeyspaceInfo> OpenFolder(const std::string& name) REQUIRES(admin_mutex_);
  Status OpenDefined(KeyspaceInfo* info) REQUIRES(admin_mutex_);
  // Those of keyspaces of the same name that were dropped.
  Status RemoveOtherStores(const std::string& folder, const std::string& store_path)
      REQUIRES(admin_mutex_);
  StatusOr<std::unique_ptr<Store>> OpenStore(const KeyspaceDefinition& definition,
                                             const std::string& directory);
  std::shared_ptr<Keyspace> Share(std::string name, const KeyspaceDefinition& definition,
                                  std::unique_ptr<Store> store, std::string store_path);
  StatusOr<uint64_t> NextStoreNumber(const std::string& folder);
  std::string FolderOf(std::string_view name) const;

  Env* const env_;
  const KeyspacesOptions options_;
  const std::shared_ptr<RocksCache> rocks_cache_;
  // Shared with the keyspaces that users still hold.
  const std::shared_ptr<Remover> remover_;

  Mutex admin_mutex_;  // one Create, Drop or Close at a time; before mutex_
  mutable SharedMutex mutex_;
  std::map<std::string, KeyspaceInfo, std::less<>> keyspaces_ GUARDED_BY(mutex_);
};

}  // namespace tsdbd::kv
