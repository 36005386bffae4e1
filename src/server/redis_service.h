#pragma once
// RedisService: the key-value engine as Redis' clients see it: what the sessions of one RESP server
// share. Databases are keyspaces: number n is the n-th name of the options.
//
// Threads: everything may be called from any thread.

#include <array>
#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/clock.h"
#include "common/mutex.h"
#include "common/status.h"
#include "kv/store.h"
#include "resp/session.h"
#include "server/redis_command.h"

namespace tsdbd::server {

struct RedisDatabase {
  std::shared_ptr<kv::Store> store;
  int64_t default_ttl_ns = 0;  // of entries whose write does not say; 0: they never expire
};

// Where the databases come from. Any thread.
class RedisDatabases {
 public:
  virtual ~RedisDatabases() = default;
  virtual size_t count() const = 0;
  // Its store is null if it was never used. Quick.
  virtual RedisDatabase Find(size_t index) = 0;
  // Makes it if need be, which waits for the disk.
  virtual StatusOr<RedisDatabase> Open(size_t index) = 0;
};

struct RedisOptions {
  std::string password;  // empty: none
  uint16_t port = 0;     // as INFO and CONFIG GET tell it
  int max_connections = 10'000;
  size_t max_value_bytes = size_t{64} << 20;
  size_t max_reply_bytes = size_t{256} << 20;  // of one command
  std::string_view sync_mode = "always";       // "always", "everysec" or "no", in Redis' words
};

// A connection as CLIENT LIST shows it. The atomics are written by its session.
struct RedisClient {
  uint64_t id = 0;
  resp::Peer peer;
  int64_t connected_ns = 0;  // monotonic
  std::atomic<int64_t> active_ns = 0;
  std::atomic<size_t> database = 0;
  std::atomic<int> protocol = 2;
  std::atomic<const RedisCommand*> last_command = nullptr;

  Mutex mutex;
  std::string name GUARDED_BY(mutex);
  std::string library_name GUARDED_BY(mutex);
  std::string library_version GUARDED_BY(mutex);
};

// Cursors of keyspaces whose own ones are no numbers: the newest of them, by a number that is never
// zero. A client that comes back with an older one must begin anew.
class RedisCursors {
 public:
  uint64_t Keep(std::string cursor) EXCLUDES(mutex_);
  std::optional<std::string> Find(uint64_t number) EXCLUDES(mutex_);

 private:
  // Scans that go on at the same time; more than clients have.
  static constexpr size_t kCapacity = 16'384;

  Mutex mutex_;
  uint64_t last_number_ GUARDED_BY(mutex_) = 0;
  std::vector<std::string> cursors_ GUARDED_BY(mutex_);  // a ring
};

struct RedisCommandCount {
  std::string_view name;
  uint64_t calls = 0;
  uint64_t errors = 0;
};

class RedisService final : public resp::Service {
 public:
  // `databases` outlives it.
  RedisService(RedisOptions options, RedisDatabases* databases);
  ~RedisService() override;

  std::unique_ptr<resp::Session> Connect(const resp::Peer& peer) override;

  const RedisOptions& options() const { return options_; }
  // Known once the server listens.
  void set_port(uint16_t port) { port_.store(port); }
  uint16_t port() const { return port_.load(); }
  RedisDatabases& databases() { return *databases_; }
  RedisCursors& cursors() { return cursors_; }
  int64_t start_ns() const { return start_ns_; }

  void Disconnect(uint64_t id) EXCLUDES(mutex_);
  std::vector<std::shared_ptr<RedisClient>> Clients() EXCLUDES(mutex_);

  void CountCalls(const RedisCommand* command, uint64_t count);
  void CountError(const RedisCommand* command);
  // Names that are no commands.
  void CountUnknown() { unknown_commands_.fetch_add(1, std::memory_order_relaxed); }
  uint64_t unknown_commands() const { return unknown_commands_.load(std::memory_order_relaxed); }
  uint64_t connections_accepted() EXCLUDES(mutex_);
  // Of the commands that were called.
  std::vector<RedisCommandCount> CommandCounts() const;

 private:
  struct Count {
    std::atomic<uint64_t> calls = 0;
    std::atomic<uint64_t> errors = 0;
  };

  const RedisOptions options_;
  RedisDatabases* const databases_;
  const int64_t start_ns_ = WallNanos();
  std::vector<Count> counts_;  // by the command's index in the table
  std::atomic<uint64_t> unknown_commands_ = 0;
  std::atomic<uint16_t> port_ = 0;
  RedisCursors cursors_;

  Mutex mutex_;
  uint64_t last_client_id_ GUARDED_BY(mutex_) = 0;
  std::map<uint64_t, std::shared_ptr<RedisClient>> clients_ GUARDED_BY(mutex_);
};

// A failed read or write as a client sees it.
std::string RedisErrorText(const Status& status);

}  // namespace tsdbd::server
