#include "server/daemon.h"

#include <utility>

#include <spdlog/spdlog.h>

#include "common/clock.h"
#include "common/env.h"
#include "server/routes.h"

namespace tsdbd::server {
namespace {

double SecondsSince(int64_t start_nanos) {
  return static_cast<double>(MonotonicNanos() - start_nanos) / kNanosPerSecond;
}

void LogRecovery(const tsdb::Database& database, double seconds) {
  const wal::RecoveryReport& report = database.recovery();
  for (const wal::Damage& damage : report.damages) {
    spdlog::error("wal damaged file={} offset={} what=\"{}\"", damage.path, damage.offset,
                  damage.what);
  }
  if (report.torn_tail) {
    spdlog::warn("wal cut at an unfinished commit file={} offset={}", report.torn_tail->path,
                 report.torn_tail->offset);
  }
  const tsdb::DatabaseStats stats = database.Stats();
  spdlog::info(
      "recovered seconds={:.3f} segments={} records={} rows={} series={} damaged_places={}",
      seconds, report.segments, report.records, stats.rows_recovered, stats.series,
      report.damage_count);
}

}  // namespace

Daemon::Daemon(Config config)
    : services_(std::move(config)), http_(services_.config().http, [this](http::Request* request) {
        return services_.RefuseUntilServing(router_, request);
      }) {
  AddAllRoutes(&services_, &router_);
  AddMetricSources();
}

Daemon::~Daemon() {
  // For a start that failed, or a caller that did not stop: nobody may use what goes away next.
  http_.Stop();
  redis_.reset();
  services_.StopPools();
}

Status Daemon::Start() {
  RETURN_IF_ERROR(http_.Start());
  spdlog::info("listening address={} port={}", services_.config().http.host, http_.port());
  RETURN_IF_ERROR(OpenDatabase());
  RETURN_IF_ERROR(OpenKeyspaces());
  services_.SetKeyspaces(keyspaces_.get());
  RETURN_IF_ERROR(StartRedis());
  services_.SetDatabase(database_.get());
  spdlog::info("ready data_dir={}", services_.config().data_dir);
  return OkStatus();
}

Status Daemon::OpenDatabase() {
  const int64_t start_nanos = MonotonicNanos();
  tsdb::DatabaseOptions options = services_.config().database;
  options.data_dir = services_.config().data_dir;
  ASSIGN_OR_RETURN(options.retention_rules, RetentionRules(services_.config()));
  ASSIGN_OR_RETURN(database_, tsdb::Database::Open(Env::Default(), std::move(options)));
  LogRecovery(*database_, SecondsSince(start_nanos));
  return OkStatus();
}

// After the database, whose lock keeps other processes out of the data directory.
Status Daemon::OpenKeyspaces() {
  const KvConfig& config = services_.config().kv;
  if (!config.enabled) {
    return OkStatus();
  }
  const int64_t start_nanos = MonotonicNanos();
  kv::KeyspacesOptions options = config.keyspaces;
  options.directory = services_.config().data_dir + "/kv";
  ASSIGN_OR_RETURN(keyspaces_, kv::Keyspaces::Open(Env::Default(), std::move(options)));
  size_t unavailable = 0;
  const std::vector<kv::KeyspaceInfo> infos = keyspaces_->List();
  for (const kv::KeyspaceInfo& info : infos) {
    unavailable += info.keyspace == nullptr ? 1 : 0;
  }
  spdlog::info("opened kv seconds={:.3f} keyspaces={} set_aside={}", SecondsSince(start_nanos),
               infos.size(), unavailable);
  return OkStatus();
}

Status Daemon::StartRedis() {
  const RespConfig& config = services_.config().kv.resp;
  if (!config.enabled) {
    return OkStatus();
  }
  auto redis = std::make_unique<RedisEndpoint>(services_.config().kv, keyspaces_.get());
  RETURN_IF_ERROR(redis->Start());
  redis_ = std::move(redis);
  spdlog::info("resp listening address={} port={}", config.server.host, redis_->port());
  return OkStatus();
}

Status Daemon::Stop() {
  const int64_t start_nanos = MonotonicNanos();
  http_.Stop();
  if (redis_ != nullptr) {
    redis_->Stop();
  }
  services_.StopPools();
  const Status keyspaces = keyspaces_ != nullptr ? keyspaces_->Close() : OkStatus();
  const Status database = database_ != nullptr ? database_->Close() : OkStatus();
  RETURN_IF_ERROR(keyspaces);
  RETURN_IF_ERROR(database);
  spdlog::info("stopped seconds={:.3f}", SecondsSince(start_nanos));
  return OkStatus();
}

void Daemon::AddMetricSources() {
  Metrics& metrics = services_.metrics();
  metrics.AddSource(CollectProcess);
  metrics.AddSource(CollectMalloc);
  metrics.AddSource([](MetricWriter* writer) { CollectStages(TakeStageReport(), writer); });
  metrics.AddSource([this](MetricWriter* writer) { CollectHttp(http_.statistics(), writer); });
  for (ThreadPool* pool :
       {&services_.query_pool(), &services_.write_pool(), &services_.admin_pool()}) {
    metrics.AddSource([pool](MetricWriter* writer) { CollectPool(*pool, writer); });
  }
  metrics.AddSource([this](MetricWriter* writer) {
    writer->Gauge("tsdbd_ready", "1 once the data directory is recovered.",
                  services_.serving() ? 1 : 0);
    if (services_.serving()) {
      CollectDatabase(services_.database(), writer);
      if (services_.keyspaces() != nullptr) {
        CollectKeyspaces(*services_.keyspaces(), writer);
      }
      if (redis_ != nullptr) {
        redis_->Collect(writer);
      }
    }
  });
}

}  // namespace tsdbd::server
