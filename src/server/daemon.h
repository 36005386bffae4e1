#pragma once
// Daemon: the whole of tsdbd in one object. Builds its parts in order (pools, routes, HTTP server,
// database, keyspaces, RESP server) and stops them in reverse.
//
// It listens before it recovers: a long replay then shows as 503 at /-/ready and 200 at
// /-/healthy, not as a refused connection, and an address in use is found before minutes of work.
//
// Threads: one thread calls Start and Stop.

#include <cstdint>
#include <memory>

#include "common/status.h"
#include "http/router.h"
#include "http/server.h"
#include "kv/keyspaces.h"
#include "server/config.h"
#include "server/redis_endpoint.h"
#include "server/services.h"
#include "tsdb/database.h"

namespace tsdbd::server {

class Daemon {
 public:
  explicit Daemon(Config config);
  ~Daemon();
  Daemon(const Daemon&) = delete;
  Daemon& operator=(const Daemon&) = delete;

  // Serves when it returns OK. Otherwise the error says what is in the way: the address, the data
  // directory (held by another process, not readable).
  Status Start();

  // Lets answers in flight finish, runs what is queued, writes the head to blocks and closes the
  // log. An error means that the next start has more to replay, not that anything is lost.
  Status Stop();

  uint16_t port() const { return http_.port(); }

 private:
  Status OpenDatabase();
  Status OpenKeyspaces();
  Status StartRedis();
  void AddMetricSources();

  Services services_;
  http::Router router_;
  http::Server http_;
  std::unique_ptr<tsdb::Database> database_;
  std::unique_ptr<kv::Keyspaces> keyspaces_;  // null without kv.enabled
  std::unique_ptr<RedisEndpoint> redis_;      // null without kv.resp_listen
};

}  // namespace tsdbd::server
