#pragma once
// Services: what the routes share. Built by the daemon (daemon.h), outlives every request.
//
// Threads: all of it may be used from any thread. The database and the engine are there only after
// SetDatabase; requests that need them are turned away until then (RefuseUntilServing).

#include <atomic>
#include <cstdint>
#include <string>

#include "common/clock.h"
#include "common/thread_pool.h"
#include "http/router.h"
#include "kv/keyspaces.h"
#include "query/engine.h"
#include "server/config.h"
#include "server/database_names.h"
#include "server/metadata_store.h"
#include "server/metrics.h"
#include "tsdb/database.h"

namespace tsdbd::server {

class Services {
 public:
  explicit Services(Config config);

  const Config& config() const { return config_; }
  Metrics& metrics() { return metrics_; }
  DatabaseNames& database_names() { return database_names_; }
  MetadataStore& metadata() { return metadata_; }
  // Queries; large writes and flushes; and what people and scrapers ask, so that a crowd of queries
  // cannot hide it.
  ThreadPool& query_pool() { return query_pool_; }
  ThreadPool& write_pool() { return write_pool_; }
  ThreadPool& admin_pool() { return admin_pool_; }

  bool serving() const { return database_.load(std::memory_order_acquire) != nullptr; }
  tsdb::Database& database() { return *database_.load(std::memory_order_acquire); }
  // Null without kv.enabled. There when the database is.
  kv::Keyspaces* keyspaces() const { return keyspaces_; }
  query::Engine engine() { return query::Engine(&database()); }
  int64_t start_nanos() const { return start_nanos_; }

  // Before SetDatabase.
  void SetKeyspaces(kv::Keyspaces* keyspaces) { keyspaces_ = keyspaces; }
  // The recovered database. From now on requests are served.
  void SetDatabase(tsdb::Database* database) {
    database_.store(database, std::memory_order_release);
  }
  // Runs what the pools have queued and ends their threads.
  void StopPools();

  // What `router` decides, except that until the database is there only the pages that tell so are
  // served, and everything else is a 503.
  http::HeadDecision RefuseUntilServing(const http::Router& router, http::Request* request) const;

 private:
  const Config config_;
  const int64_t start_nanos_ = WallNanos();
  Metrics metrics_;
  DatabaseNames database_names_;
  MetadataStore metadata_;
  ThreadPool query_pool_;
  ThreadPool write_pool_;
  ThreadPool admin_pool_;
  kv::Keyspaces* keyspaces_ = nullptr;  // constant once database_ is set
  std::atomic<tsdb::Database*> database_ = nullptr;
};

}  // namespace tsdbd::server
