#pragma once
// RedisKeyspaces: the databases of Redis' clients are keyspaces of byte keys, by their place in a
// list of names. One that is not there is made at first use, on the default backend.
//
// Threads: everything may be called from any thread.

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "common/mutex.h"
#include "common/status.h"
#include "kv/keyspaces.h"
#include "server/redis_service.h"

namespace tsdbd::server {

// The names in kv.resp_databases; db0 to db15 if it is empty.
StatusOr<std::vector<std::string>> RedisKeyspaceNames(std::string_view list);

class RedisKeyspaces final : public RedisDatabases {
 public:
  // `keyspaces` outlives it.
  RedisKeyspaces(kv::Keyspaces* keyspaces, std::vector<std::string> names);

  size_t count() const override { return names_.size(); }
  RedisDatabase Find(size_t index) override EXCLUDES(mutex_);
  StatusOr<RedisDatabase> Open(size_t index) override EXCLUDES(mutex_);

 private:
  StatusOr<RedisDatabase> Remember(size_t index, StatusOr<std::shared_ptr<kv::Keyspace>> keyspace)
      EXCLUDES(mutex_);

  kv::Keyspaces* const keyspaces_;
  const std::vector<std::string> names_;

  // What was found, so that a batch of commands costs no look-up by name; keeps nothing alive.
  Mutex mutex_;
  std::vector<std::weak_ptr<kv::Keyspace>> found_ GUARDED_BY(mutex_);
};

}  // namespace tsdbd::server
