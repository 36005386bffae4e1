#include "server/redis_endpoint.h"

#include <algorithm>

namespace tsdbd::server {
namespace {

std::string_view SyncWord(kv::SyncMode mode) {
  switch (mode) {
    case kv::SyncMode::kAlways:
      return "always";
    case kv::SyncMode::kInterval:
      return "everysec";
    case kv::SyncMode::kNone:
      break;
  }
  return "no";
}

resp::ServerOptions ServerOptionsOf(const KvConfig& config) {
  resp::ServerOptions options = config.resp.server;
  options.request_limits.max_argument_bytes =
      std::max(config.keyspaces.max_value_bytes, kv::kMaxKeyBytes);
  // The largest value with everything beside it.
  options.request_limits.max_request_bytes = std::max(
      options.request_limits.max_request_bytes, 2 * options.request_limits.max_argument_bytes);
  return options;
}

}  // namespace

RedisEndpoint::RedisEndpoint(const KvConfig& config, kv::Keyspaces* keyspaces)
    : databases_(keyspaces, RedisKeyspaceNames(config.resp.databases).value()),
      service_({.password = config.resp.password,
                .port = config.resp.server.port,
                .max_connections = config.resp.server.max_connections,
                .max_value_bytes = config.keyspaces.max_value_bytes,
                // So that one client does not have it all.
                .max_reply_bytes = config.resp.server.max_memory_bytes / 2,
                .sync_mode = SyncWord(config.keyspaces.sync_mode)},
               &databases_),
      server_(ServerOptionsOf(config), &service_) {}

Status RedisEndpoint::Start() {
  RETURN_IF_ERROR(server_.Start());
  service_.set_port(server_.port());
  return OkStatus();
}

void RedisEndpoint::Collect(MetricWriter* writer) const {
  const resp::ServerStatistics statistics = server_.statistics();
  const auto gauge = [&](std::string_view name, std::string_view help, uint64_t value) {
    writer->Gauge(name, help, static_cast<double>(value));
  };
  const auto counter = [&](std::string_view name, std::string_view help, uint64_t value) {
    writer->Counter(name, help, static_cast<double>(value));
  };
  gauge("tsdbd_resp_connections_open", "Open RESP connections.", statistics.connections_open);
  gauge("tsdbd_resp_memory_bytes",
        "Memory of RESP requests that have come in part and of replies that wait to be sent.",
        statistics.memory_bytes);
  counter("tsdbd_resp_connections_total", "RESP connections since start.",
          statistics.connections_accepted);
  counter("tsdbd_resp_connections_refused_total", "RESP connections over the limit.",
          statistics.connections_refused);
  counter("tsdbd_resp_accept_failures_total",
          "RESP connections not accepted for lack of resources.", statistics.accept_failures);
  counter("tsdbd_resp_out_of_memory_total", "RESP connections ended over kv.resp_memory.",
          statistics.out_of_memory);
  counter("tsdbd_resp_connections_timed_out_total", "RESP connections ended for being too slow.",
          statistics.connections_timed_out);
  counter("tsdbd_resp_protocol_errors_total", "RESP connections ended by wrong bytes.",
          statistics.protocol_errors);
  counter("tsdbd_resp_received_bytes_total", "Bytes received over RESP.",
          statistics.received_bytes);
  counter("tsdbd_resp_sent_bytes_total", "Bytes sent over RESP.", statistics.sent_bytes);
  counter("tsdbd_resp_unknown_commands_total", "RESP commands that there are not.",
          service_.unknown_commands());
  for (const RedisCommandCount& count : service_.CommandCounts()) {
    const MetricWriter::Labels labels = {{"command", std::string(count.name)}};
    writer->Counter("tsdbd_resp_commands_total", "RESP commands executed.",
                    static_cast<double>(count.calls), labels);
    writer->Counter("tsdbd_resp_command_errors_total", "RESP commands answered with an error.",
                    static_cast<double>(count.errors), labels);
  }
}

}  // namespace tsdbd::server
