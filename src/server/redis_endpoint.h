#pragma once
// RedisEndpoint: where Redis' clients connect: the RESP server, its sessions and their databases.
//
// Threads: Start and Stop from one thread; Collect from any once it has started.

#include <cstdint>

#include "common/status.h"
#include "kv/keyspaces.h"
#include "resp/server.h"
#include "server/config.h"
#include "server/metrics.h"
#include "server/redis_keyspaces.h"
#include "server/redis_service.h"

namespace tsdbd::server {

class RedisEndpoint {
 public:
  // `config` has passed CheckConfig; `keyspaces` outlives it.
  RedisEndpoint(const KvConfig& config, kv::Keyspaces* keyspaces);

  Status Start();
  uint16_t port() const { return server_.port(); }
  // Nobody uses the keyspaces any more when it returns.
  void Stop() { server_.Stop(); }

  void Collect(MetricWriter* writer) const;

 private:
  RedisKeyspaces databases_;
  RedisService service_;
  resp::Server server_;
};

}  // namespace tsdbd::server
