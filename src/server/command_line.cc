#include "server/command_line.h"

#include <utility>
#include <vector>

#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>

#include "common/env.h"

namespace tsdbd::server {
namespace {

// What the flags say, before it is checked.
struct Flags {
  std::string config_file;
  std::string data_dir;
  std::string listen;
  std::string wal_sync;
  std::string retention;
  std::string log_level;
  std::vector<std::string> settings;  // KEY=VALUE
  bool version = false;
  bool print_config = false;
};

void DeclareFlags(CLI::App* app, Flags* flags) {
  app->add_option("--config", flags->config_file, "Read settings from this TOML file")
      ->type_name("FILE");
  app->add_option("--data-dir", flags->data_dir, "Keep everything here (default: data)")
      ->type_name("DIR");
  app->add_option("--listen", flags->listen, "Serve HTTP here (default: 127.0.0.1:8086)")
      ->type_name("HOST:PORT");
  app->add_option("--wal-sync", flags->wal_sync,
                  "When a write is acknowledged: always (on disk; default), interval=MS or none")
      ->type_name("MODE");
  app->add_option("--retention", flags->retention,
                  "Drop samples older than this, like 30d (default: forever)")
      ->type_name("DURATION");
  app->add_option("--log-level", flags->log_level, "debug, info (default), warning or error")
      ->type_name("LEVEL");
  app->add_option("--set", flags->settings,
                  "Set any key of config/tsdbd.toml, like http.idle_timeout=30s; may be repeated")
      ->type_name("KEY=VALUE")
      ->allow_extra_args(false);
  app->add_flag("--print-config", flags->print_config, "Print all settings as TOML and exit");
  app->add_flag("--version", flags->version, "Print the version and exit");
}

Status SetFlag(std::string_view flag, std::string_view key, const std::string& text,
               Config* config) {
  if (text.empty()) {
    return OkStatus();
  }
  const Status status = SetConfigKey(key, text, config);
  return status.ok() ? status : InvalidArgument("{}: {}", flag, Message(status));
}

// "always", "none", "interval=20": two keys in one flag.
Status SetWalSync(const std::string& text, Config* config) {
  constexpr std::string_view kInterval = "interval=";
  if (!text.starts_with(kInterval)) {
    return SetFlag("--wal-sync", "wal.sync", text, config);
  }
  RETURN_IF_ERROR(SetConfigKey("wal.sync", "interval", config));
  return SetFlag("--wal-sync", "wal.sync_interval", text.substr(kInterval.size()) + "ms", config);
}

Status ApplySettings(const std::vector<std::string>& settings, Config* config) {
  for (const std::string& setting : settings) {
    const size_t equals = setting.find('=');
    if (equals == std::string::npos) {
      return InvalidArgument("--set: '{}' is not KEY=VALUE", setting);
    }
    const Status status =
        SetConfigKey(setting.substr(0, equals), setting.substr(equals + 1), config);
    if (!status.ok()) {
      return InvalidArgument("--set: {}", Message(status));
    }
  }
  return OkStatus();
}

StatusOr<Config> BuildConfig(const Flags& flags) {
  Config config;
  if (!flags.config_file.empty()) {
    ASSIGN_OR_RETURN(const std::string text, ReadFile(Env::Default(), flags.config_file));
    RETURN_IF_ERROR(ReadConfigText(text, flags.config_file, &config));
  }
  RETURN_IF_ERROR(ApplySettings(flags.settings, &config));
  RETURN_IF_ERROR(SetFlag("--data-dir", "data_dir", flags.data_dir, &config));
  RETURN_IF_ERROR(SetFlag("--listen", "http.listen", flags.listen, &config));
  RETURN_IF_ERROR(SetWalSync(flags.wal_sync, &config));
  RETURN_IF_ERROR(SetFlag("--retention", "storage.retention", flags.retention, &config));
  RETURN_IF_ERROR(SetFlag("--log-level", "log.level", flags.log_level, &config));
  RETURN_IF_ERROR(CheckConfig(config));
  return config;
}

}  // namespace

StatusOr<CommandLine> ParseCommandLine(int argc, const char* const* argv) {
  Flags flags;
  CLI::App app("tsdbd: a time-series database daemon", "tsdbd");
  DeclareFlags(&app, &flags);
  CommandLine result;
  try {
    app.parse(argc, argv);
  } catch (const CLI::CallForHelp&) {
    result.print = app.help();
    return result;
  } catch (const CLI::ParseError& error) {
    return InvalidArgument("{} (--help lists the flags)", error.what());
  }
  if (flags.version) {
    result.print = "tsdbd " TSDBD_VERSION "\n";
    return result;
  }
  ASSIGN_OR_RETURN(result.config, BuildConfig(flags));
  if (flags.print_config) {
    result.print = ConfigText(result.config);
  }
  return result;
}

}  // namespace tsdbd::server
