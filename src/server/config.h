#pragma once
// Config: everything that can be set, read from config/tsdbd.toml and the command line, with the
// defaults of a daemon that runs without either. What each key means and why its default is what it
// is stands in config/tsdbd.toml; a test keeps the two alike.
//
// Threads: plain data; built at start-up, constant afterwards.

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "common/clock.h"
#include "common/status.h"
#include "http/server.h"
#include "ingest/line_key_decoder.h"
#include "ingest/line_protocol.h"
#include "kv/keyspaces.h"
#include "query/engine.h"
#include "resp/server.h"
#include "server/config_keys.h"
#include "tsdb/database.h"

namespace tsdbd::server {

enum class LogFormat { kText, kJson };

struct WriteConfig {
  size_t max_body_bytes = size_t{64} << 20;
  size_t thread_count = 2;
  size_t queue_capacity = 64;
  size_t max_line_bytes = size_t{1} << 20;
  size_t max_fields = 4096;
  ingest::NamingConvention naming = ingest::NamingConvention::kMeasurementField;
  std::string database_label = "db";  // empty: none
  bool keep_utf8 = false;
  ingest::StringFieldPolicy string_fields = ingest::StringFieldPolicy::kDrop;
  int64_t future_limit_ns = kNanosPerDay;
};

struct QueryConfig {
  size_t thread_count = 2;
  size_t queue_capacity = 64;
  query::QueryOptions options = {  // what one query may do
      .parser = {.experimental_functions = true,
                 .duration_expressions = true,
                 .extended_ranges = true,
                 .fill_modifiers = true}};
};

struct RespConfig {
  bool enabled = false;  // kv.resp_listen is not empty
  resp::ServerOptions server;
  std::string password;   // empty: none
  std::string databases;  // names with commas between them; empty: db0 to db15
};

struct KvConfig {
  bool enabled = true;
  kv::KeyspacesOptions keyspaces;  // without its directory
  size_t max_batch_bytes = size_t{64} << 20;
  RespConfig resp;
};

struct LogConfig {
  std::string level = "info";
  LogFormat format = LogFormat::kText;
};

// [[retention]]: samples of the series that `match` selects are kept for `age_ns` only.
struct RetentionConfig {
  std::string match;
  int64_t age_ns = 0;
};

struct Config {
  std::string data_dir = "data";
  http::ServerOptions http;
  WriteConfig write;
  tsdb::DatabaseOptions database;  // without its data_dir and its retention rules
  std::vector<RetentionConfig> retention;
  QueryConfig query;
  KvConfig kv;
  LogConfig log;
  bool debug_pages = false;
  bool admin_api = false;
};

// Every key there is, bound to `config`, in the order of config/tsdbd.toml.
std::vector<ConfigKey> ConfigKeys(Config* config);

// Sets what the TOML `text` says. kInvalidArgument, "FILE:LINE: KEY: reason", for the first
// unknown key, bad value or syntax error.
Status ReadConfigText(std::string_view text, const std::string& file_name, Config* config);

// Sets one key from a flag's text. kInvalidArgument, "KEY: reason".
Status SetConfigKey(std::string_view name, std::string_view text, Config* config);

// Rules that concern more than one key. kInvalidArgument naming the keys.
Status CheckConfig(const Config& config);

// config.retention as the database wants it. kInvalidArgument for a selector that is none.
StatusOr<std::vector<tsdb::RetentionRule>> RetentionRules(const Config& config);

// The configuration as TOML, without comments.
std::string ConfigText(Config config);

}  // namespace tsdbd::server
