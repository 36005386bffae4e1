#include "server/config.h"

#include <algorithm>
#include <charconv>
#include <optional>

#include <spdlog/common.h>
#include <toml++/toml.h>

#include "query/parser.h"
#include "server/redis_keyspaces.h"

namespace tsdbd::server {
namespace {

constexpr int64_t kNanosPerHour = 3'600 * kNanosPerSecond;
// Longer than any data is kept, short enough for sums of two to fit an int64.
constexpr int64_t kForeverNanos = int64_t{100} * 365 * kNanosPerDay;
constexpr uint64_t kKiB = 1 << 10;
constexpr uint64_t kMiB = 1 << 20;
constexpr uint64_t kTiB = uint64_t{1} << 40;
constexpr uint64_t kMaxDisk = 1024 * kTiB;
constexpr uint64_t kMaxThreads = 256;

// "HOST:PORT" or "[IPV6]:PORT".
Status SplitListen(std::string_view listen, std::string* host, uint16_t* port) {
  const size_t colon = listen.rfind(':');
  std::string_view host_part = listen.substr(0, colon == listen.npos ? 0 : colon);
  if (host_part.size() >= 2 && host_part.front() == '[' && host_part.back() == ']') {
    host_part = host_part.substr(1, host_part.size() - 2);
  } else if (host_part.find(':') != host_part.npos) {
    host_part = {};
  }
  const std::string_view port_part = listen.substr(colon == listen.npos ? 0 : colon + 1);
  uint16_t number = 0;
  const char* end = port_part.data() + port_part.size();
  const auto [stop, error] = std::from_chars(port_part.data(), end, number);
  if (host_part.empty() || error != std::errc() || stop != end) {
    return InvalidArgument("'{}' is not HOST:PORT (like 127.0.0.1:8086, [::1]:8086, 0.0.0.0:8086)",
                           listen);
  }
  *host = host_part;
  *port = number;
  return OkStatus();
}

std::string ShowListen(const std::string& host, uint16_t port) {
  const bool is_ipv6 = host.find(':') != std::string::npos;
  return fmt::format("\"{}:{}\"", is_ipv6 ? fmt::format("[{}]", host) : host, port);
}

ConfigKey ListenKey(std::string name, http::ServerOptions* options) {
  const auto set = [options](const ConfigValue& value) {
    const auto* text = std::get_if<std::string>(&value);
    return SplitListen(text == nullptr ? "" : *text, &options->host, &options->port);
  };
  const auto show = [options] { return ShowListen(options->host, options->port); };
  return {std::move(name), set, show};
}

// As ListenKey, but "" turns the server off.
ConfigKey RespListenKey(std::string name, RespConfig* resp) {
  const auto set = [resp](const ConfigValue& value) -> Status {
    const auto* text = std::get_if<std::string>(&value);
    const bool is_off = text != nullptr && text->empty();
    if (!is_off) {
      RETURN_IF_ERROR(
          SplitListen(text == nullptr ? ":" : *text, &resp->server.host, &resp->server.port));
    }
    resp->enabled = !is_off;
    return OkStatus();
  };
  const auto show = [resp] {
    return resp->enabled ? ShowListen(resp->server.host, resp->server.port) : "\"\"";
  };
  return {std::move(name), set, show};
}

// A duration, or "forever", which is kept as 0.
ConfigKey RetentionKey(std::string name, int64_t* target_ns) {
  ConfigKey duration = DurationKey(name, target_ns, 1, {kNanosPerHour, kForeverNanos});
  const auto set = [target_ns, set_duration = duration.set](const ConfigValue& value) -> Status {
    if (const auto* text = std::get_if<std::string>(&value); text && *text == "forever") {
      *target_ns = 0;
      return OkStatus();
    }
    return set_duration(value);
  };
  const auto show = [target_ns, show_duration = duration.show] {
    return *target_ns == 0 ? "\"forever\"" : show_duration();
  };
  return {std::move(name), set, show};
}

ConfigKey LogLevelKey(std::string name, std::string* target) {
  return ChoiceKey<std::string>(
      std::move(name), target,
      {{"debug", "debug"}, {"info", "info"}, {"warning", "warning"}, {"error", "error"}});
}

void AddHttpKeys(http::ServerOptions* http, std::vector<ConfigKey>* keys) {
  const std::pair<int64_t, int64_t> kTimeouts = {kNanosPerMilli, kNanosPerHour};
  keys->push_back(ListenKey("http.listen", http));
  keys->push_back(CountKey("http.threads", &http->loop_count, {0, kMaxThreads}));
  keys->push_back(CountKey("http.max_connections", &http->max_connections, {1, 1'000'000}));
  keys->push_back(SizeKey("http.max_head", &http->max_head_bytes, {kKiB, kMiB}));
  keys->push_back(SizeKey("http.body_memory", &http->max_bodies_total_bytes, {kMiB, kTiB}));
  keys->push_back(SizeKey("http.stream_memory", &http->max_stream_bytes, {64 * kKiB, 64 * kMiB}));
  keys->push_back(
      DurationKey("http.idle_timeout", &http->idle_timeout_ms, kNanosPerMilli, kTimeouts));
  keys->push_back(
      DurationKey("http.progress_timeout", &http->progress_timeout_ms, kNanosPerMilli, kTimeouts));
  keys->push_back(
      DurationKey("http.stall_timeout", &http->write_stall_timeout_ms, kNanosPerMilli, kTimeouts));
  keys->push_back(
      DurationKey("http.shutdown_grace", &http->shutdown_grace_ms, kNanosPerMilli, kTimeouts));
}

void AddWriteKeys(WriteConfig* write, std::vector<ConfigKey>* keys) {
  // The largest body's log record must fit the log's bound of 256 MiB with room to spare.
  keys->push_back(SizeKey("write.max_body", &write->max_body_bytes, {kKiB, 128 * kMiB}));
  keys->push_back(CountKey("write.threads", &write->thread_count, {1, kMaxThreads}));
  keys->push_back(CountKey("write.queue", &write->queue_capacity, {0, 100'000}));
  keys->push_back(SizeKey("write.max_line", &write->max_line_bytes, {kKiB, 128 * kMiB}));
  keys->push_back(CountKey("write.max_fields", &write->max_fields, {1, 65'536}));
  keys->push_back(ChoiceKey<ingest::NamingConvention>(
      "write.naming", &write->naming,
      {{"measurement_field", ingest::NamingConvention::kMeasurementField},
       {"value_as_measurement", ingest::NamingConvention::kValueAsMeasurement},
       {"field_label", ingest::NamingConvention::kFieldLabel}}));
  keys->push_back(TextKey("write.database_label", &write->database_label));
  keys->push_back(BoolKey("write.keep_utf8", &write->keep_utf8));
  keys->push_back(
      ChoiceKey<ingest::StringFieldPolicy>("write.string_fields", &write->string_fields,
                                           {{"drop", ingest::StringFieldPolicy::kDrop},
                                            {"refuse", ingest::StringFieldPolicy::kRefuse}}));
  keys->push_back(
      DurationKey("write.future_limit", &write->future_limit_ns, 1, {0, kForeverNanos}));
}

void AddDatabaseKeys(tsdb::DatabaseOptions* database, std::vector<ConfigKey>* keys) {
  wal::LogOptions* wal = &database->wal;
  keys->push_back(ChoiceKey<wal::SyncMode>("wal.sync", &wal->sync_mode,
                                           {{"always", wal::SyncMode::kAlways},
                                            {"interval", wal::SyncMode::kInterval},
                                            {"none", wal::SyncMode::kNone}}));
  keys->push_back(DurationKey("wal.sync_interval", &wal->sync_interval_ms, kNanosPerMilli,
                              {kNanosPerMilli, kNanosPerHour}));
  keys->push_back(SizeKey("wal.segment_size", &wal->segment_bytes, {kMiB, 1'024 * kMiB}));
  keys->push_back(SizeKey("wal.queue_memory", &wal->max_queued_bytes, {kMiB, kTiB}));
  keys->push_back(SizeKey("head.memory", &database->head_limit_bytes, {kMiB, kTiB}));
  keys->push_back(SizeKey("head.max_log", &database->wal_limit_bytes, {kMiB, kTiB}));
  keys->push_back(DurationKey("head.max_age", &database->head_max_age_ms, kNanosPerMilli,
                              {kNanosPerSecond, 30 * kNanosPerDay}));
  keys->push_back(CountKey("head.max_labels", &database->max_labels, {2, 10'000}));
  tsdb::SeriesLimits* limits = &database->series_limits;
  keys->push_back(CountKey("head.max_series", &limits->in_all, {0, 1'000'000'000}));
  keys->push_back(CountKey("head.max_series_per_metric", &limits->per_metric, {0, 1'000'000'000}));
  keys->push_back(DurationKey("storage.partition", &database->partition_ns, 1,
                              {kNanosPerHour, 365 * kNanosPerDay}));
  keys->push_back(RetentionKey("storage.retention", &database->retention_ns));
  keys->push_back(SizeKey("storage.retention_size", &database->retention_bytes, {0, kMaxDisk}));
  keys->push_back(SizeKey("storage.compaction_rate", &database->compaction_rate_bytes, {0, kTiB}));
}

void AddQueryKeys(QueryConfig* query, std::vector<ConfigKey>* keys) {
  query::QueryOptions* options = &query->options;
  keys->push_back(CountKey("query.threads", &query->thread_count, {1, kMaxThreads}));
  keys->push_back(CountKey("query.queue", &query->queue_capacity, {0, 100'000}));
  keys->push_back(
      DurationKey("query.timeout", &options->timeout_ns, 1, {kNanosPerMilli, 24 * kNanosPerHour}));
  keys->push_back(DurationKey("query.lookback", &options->lookback_delta_ns, 1,
                              {kNanosPerMilli, kNanosPerDay}));
  keys->push_back(CountKey("query.max_series", &options->max_series, {1, 1'000'000'000}));
  keys->push_back(CountKey("query.max_samples", &options->max_samples, {1, 1'000'000'000'000}));
  keys->push_back(SizeKey("query.max_memory", &options->max_memory_bytes,
                          {uint64_t{1} << 20, uint64_t{1} << 40}));
  keys->push_back(DurationKey("query.subquery_step", &options->default_subquery_step_ns, 1,
                              {kNanosPerMilli, 24 * kNanosPerHour}));
  keys->push_back(CountKey("query.max_points", &options->max_points_per_series, {1, 10'000'000}));
  query::ParserOptions* parser = &options->parser;
  keys->push_back(CountKey("query.max_nesting", &parser->max_nesting, {1, query::kMaxNesting}));
  keys->push_back(BoolKey("query.experimental_functions", &parser->experimental_functions));
  keys->push_back(BoolKey("query.duration_expressions", &parser->duration_expressions));
  keys->push_back(BoolKey("query.extended_ranges", &parser->extended_ranges));
  keys->push_back(BoolKey("query.fill_modifiers", &parser->fill_modifiers));
}

void AddKvKeys(KvConfig* config, std::vector<ConfigKey>* keys) {
  kv::KeyspacesOptions* options = &config->keyspaces;
  keys->push_back(BoolKey("kv.enabled", &config->enabled));
  keys->push_back(ChoiceKey<kv::SyncMode>("kv.sync", &options->sync_mode,
                                          {{"always", kv::SyncMode::kAlways},
                                           {"interval", kv::SyncMode::kInterval},
                                           {"none", kv::SyncMode::kNone}}));
  keys->push_back(DurationKey("kv.sync_interval", &options->sync_interval_ms, kNanosPerMilli,
                              {kNanosPerMilli, kNanosPerHour}));
  keys->push_back(SizeKey("kv.max_value", &options->max_value_bytes, {kKiB, 512 * kMiB}));
  keys->push_back(SizeKey("kv.max_batch", &config->max_batch_bytes, {kKiB, 512 * kMiB}));
  keys->push_back(CountKey("kv.max_keyspaces", &options->max_keyspaces, {1, 10'000}));
  keys->push_back(SizeKey("kv.segment_size", &options->max_segment_bytes, {kMiB, 1024 * kMiB}));
  keys->push_back(SizeKey("kv.rocksdb_cache", &options->rocks_cache_bytes, {kMiB, kTiB}));
  keys->push_back(SizeKey("kv.hot_cache", &options->hot_bytes, {0, kTiB}));
  resp::ServerOptions* server = &config->resp.server;
  keys->push_back(RespListenKey("kv.resp_listen", &config->resp));
  keys->push_back(TextKey("kv.resp_password", &config->resp.password));
  keys->push_back(TextKey("kv.resp_databases", &config->resp.databases));
  keys->push_back(CountKey("kv.resp_threads", &server->loop_count, {0, kMaxThreads}));
  keys->push_back(CountKey("kv.resp_max_connections", &server->max_connections, {1, 1'000'000}));
  keys->push_back(CountKey("kv.resp_pool_threads", &server->pool_thread_count, {1, kMaxThreads}));
  keys->push_back(SizeKey("kv.resp_memory", &server->max_memory_bytes, {kMiB, kTiB}));
}

// Of one table of [[retention]].
std::vector<ConfigKey> RetentionRuleKeys(RetentionConfig* rule) {
  return {TextKey("match", &rule->match),
          DurationKey("age", &rule->age_ns, 1, {kNanosPerHour, kForeverNanos})};
}

std::optional<ConfigValue> ValueOf(const toml::node& node) {
  if (const auto* text = node.as_string()) {
    return ConfigValue(text->get());
  }
  if (const auto* truth = node.as_boolean()) {
    return ConfigValue(truth->get());
  }
  if (const auto* whole = node.as_integer()) {
    return ConfigValue(whole->get());
  }
  if (const auto* real = node.as_floating_point()) {
    return ConfigValue(real->get());
  }
  return std::nullopt;
}

// Applies a parsed file, key by key in the order of their lines.
class FileReader {
 public:
  FileReader(const std::string& file_name, Config* config)
      : file_name_(file_name), config_(config), keys_(ConfigKeys(config)) {}

  Status Read(const toml::table& table) {
    for (const auto& [key, node] : table) {
      const toml::table* section = node.as_table();
      const std::string name(key.str());
      if (name == "retention" && node.is_array_of_tables()) {
        RETURN_IF_ERROR(ReadRetention(*node.as_array()));
        continue;
      }
      RETURN_IF_ERROR(section == nullptr ? Set(name, key.source(), node)
                                         : ReadSection(name, key.source(), *section));
    }
    return OkStatus();
  }

 private:
  Status ReadSection(const std::string& section, const toml::source_region& where,
                     const toml::table& table) {
    const bool known = std::any_of(keys_.begin(), keys_.end(), [&](const ConfigKey& key) {
      return key.name.starts_with(section + ".");
    });
    if (!known) {
      return Refuse(where, section, "there is no such section");
    }
    for (const auto& [key, node] : table) {
      RETURN_IF_ERROR(Set(fmt::format("{}.{}", section, key.str()), key.source(), node));
    }
    return OkStatus();
  }

  Status ReadRetention(const toml::array& tables) {
    config_->retention.clear();
    for (const toml::node& node : tables) {
      RetentionConfig& rule = config_->retention.emplace_back();
      const std::vector<ConfigKey> keys = RetentionRuleKeys(&rule);
      for (const auto& [key, value] : *node.as_table()) {
        RETURN_IF_ERROR(SetOf(keys, std::string(key.str()), "retention.", key.source(), value));
      }
      if (rule.match.empty() || rule.age_ns == 0) {
        return Refuse(node.source(), "retention", "needs match and age");
      }
    }
    return OkStatus();
  }

  Status Set(const std::string& name, const toml::source_region& where, const toml::node& node) {
    return SetOf(keys_, name, "", where, node);
  }

  Status SetOf(const std::vector<ConfigKey>& keys, const std::string& key_name,
               std::string_view prefix, const toml::source_region& where, const toml::node& node) {
    const std::string name = fmt::format("{}{}", prefix, key_name);
    const auto key = std::find_if(keys.begin(), keys.end(),
                                  [&](const ConfigKey& known) { return known.name == key_name; });
    if (key == keys.end()) {
      return Refuse(where, name, "there is no such key");
    }
    const std::optional<ConfigValue> value = ValueOf(node);
    if (!value) {
      return Refuse(where, name, "not a single value");
    }
    const Status status = key->set(*value);
    return status.ok() ? status : Refuse(where, name, Message(status));
  }

  Status Refuse(const toml::source_region& where, const std::string& name,
                std::string_view reason) const {
    return InvalidArgument("{}:{}: {}: {}", file_name_, where.begin.line, name, reason);
  }

  const std::string& file_name_;
  Config* const config_;
  const std::vector<ConfigKey> keys_;
};

}  // namespace

std::vector<ConfigKey> ConfigKeys(Config* config) {
  std::vector<ConfigKey> keys;
  keys.push_back(TextKey("data_dir", &config->data_dir));
  AddHttpKeys(&config->http, &keys);
  keys.push_back(BoolKey("http.admin_api", &config->admin_api));
  AddWriteKeys(&config->write, &keys);
  AddDatabaseKeys(&config->database, &keys);
  AddQueryKeys(&config->query, &keys);
  AddKvKeys(&config->kv, &keys);
  keys.push_back(LogLevelKey("log.level", &config->log.level));
  keys.push_back(ChoiceKey<LogFormat>("log.format", &config->log.format,
                                      {{"text", LogFormat::kText}, {"json", LogFormat::kJson}}));
  keys.push_back(BoolKey("debug.pages", &config->debug_pages));
  return keys;
}

Status ReadConfigText(std::string_view text, const std::string& file_name, Config* config) {
  try {
    return FileReader(file_name, config).Read(toml::parse(text, file_name));
  } catch (const toml::parse_error& error) {
    return InvalidArgument("{}:{}: {}", file_name, error.source().begin.line, error.description());
  }
}

Status SetConfigKey(std::string_view name, std::string_view text, Config* config) {
  for (const ConfigKey& key : ConfigKeys(config)) {
    if (key.name == name) {
      const Status status = key.set(std::string(text));
      return status.ok() ? status : InvalidArgument("{}: {}", name, Message(status));
    }
  }
  return InvalidArgument("{}: there is no such key", name);
}

Status CheckConfig(const Config& config) {
  if (config.data_dir.empty()) {
    return InvalidArgument("data_dir: empty");
  }
  if (config.write.max_body_bytes > config.http.max_bodies_total_bytes) {
    return InvalidArgument(
        "write.max_body ({} bytes) is larger than http.body_memory ({} bytes): such a body could "
        "never be read",
        config.write.max_body_bytes, config.http.max_bodies_total_bytes);
  }
  const size_t kv_body_bytes =
      std::max(config.kv.keyspaces.max_value_bytes, config.kv.max_batch_bytes);
  if (kv_body_bytes > config.http.max_bodies_total_bytes) {
    return InvalidArgument(
        "kv.max_value or kv.max_batch ({} bytes) is larger than http.body_memory ({} bytes): such "
        "a body could never be read",
        kv_body_bytes, config.http.max_bodies_total_bytes);
  }
  if (config.kv.resp.enabled && !config.kv.enabled) {
    return InvalidArgument("kv.resp_listen is set, but kv.enabled is not");
  }
  // An input buffer grows by half, and while it does the old one is there, too.
  const size_t resp_value_bytes = config.kv.keyspaces.max_value_bytes / 2 * 5;
  if (config.kv.resp.enabled && config.kv.resp.server.max_memory_bytes < resp_value_bytes) {
    return InvalidArgument(
        "kv.resp_memory ({} bytes) is less than two and a half times kv.max_value ({} bytes), "
        "which such a value takes while it comes",
        config.kv.resp.server.max_memory_bytes, config.kv.keyspaces.max_value_bytes);
  }
  const StatusOr<std::vector<std::string>> databases = RedisKeyspaceNames(config.kv.resp.databases);
  if (!databases.ok()) {
    return InvalidArgument("kv.resp_databases: {}", Message(databases.status()));
  }
  RETURN_IF_ERROR(RetentionRules(config).status());
  const int64_t retention_ns = config.database.retention_ns;
  if (retention_ns != 0 && retention_ns < config.database.partition_ns) {
    return InvalidArgument(
        "storage.retention ({} ns) is shorter than storage.partition ({} ns): whole partitions are "
        "dropped",
        retention_ns, config.database.partition_ns);
  }
  return OkStatus();
}

StatusOr<std::vector<tsdb::RetentionRule>> RetentionRules(const Config& config) {
  std::vector<tsdb::RetentionRule> rules;
  for (const RetentionConfig& rule : config.retention) {
    auto selector = query::ParseSeriesSelector(rule.match);
    if (!selector.ok()) {
      return InvalidArgument("retention.match: '{}': {}", rule.match, Message(selector.status()));
    }
    rules.push_back({.selector = *std::move(selector), .age_ns = rule.age_ns});
  }
  return rules;
}

std::string ConfigText(Config config) {
  std::string text;
  std::string section;
  for (const ConfigKey& key : ConfigKeys(&config)) {
    const size_t dot = key.name.find('.');
    const std::string key_section = dot == key.name.npos ? "" : key.name.substr(0, dot);
    if (key_section != section) {
      section = key_section;
      text += fmt::format("\n[{}]\n", section);
    }
    text +=
        fmt::format("{} = {}\n", key.name.substr(dot == key.name.npos ? 0 : dot + 1), key.show());
  }
  for (RetentionConfig& rule : config.retention) {
    text += "\n[[retention]]\n";
    for (const ConfigKey& key : RetentionRuleKeys(&rule)) {
      text += fmt::format("{} = {}\n", key.name, key.show());
    }
  }
  return text;
}

}  // namespace tsdbd::server
