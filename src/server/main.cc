// tsdbd: reads the configuration, starts the daemon, waits for a signal, stops it.
// Exit status: 0 after a stop by signal, 1 if it could not start or close, 2 for a wrong command
// line or configuration.

#include <cstdio>
#include <memory>
#include <string>

#include <spdlog/spdlog.h>
#include <sys/resource.h>

#include "server/command_line.h"
#include "server/daemon.h"
#include "server/logging.h"
#include "server/stop_signals.h"

// jemalloc reads this at start. Freed pages go back to the system after a second instead of ten,
// from a thread of its own, so that neither a burst nor a flush stays resident and no request pays
// for the return; straight back (muzzy 0), because lazily freed pages still count as resident.
extern "C" {
extern const char* malloc_conf;
const char* malloc_conf = "background_thread:true,dirty_decay_ms:1000,muzzy_decay_ms:0";
}

namespace tsdbd::server {
namespace {

// One descriptor per connection and some per block: the usual soft bound of 1,024 is for programs
// that use select().
void RaiseDescriptorLimit() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
  }
}

int Run(Config config) {
  SetUpLogging(config.log);
  StopSignals* const signals = StopSignals::Install();
  RaiseDescriptorLimit();
  Daemon daemon(std::move(config));
  if (const Status status = daemon.Start(); !status.ok()) {
    spdlog::error("cannot start: {}", Message(status));
    return 1;
  }
  signals->ExpectWait();
  spdlog::info("stopping signal={}", signals->Wait());
  if (const Status status = daemon.Stop(); !status.ok()) {
    spdlog::error("not closed cleanly: {}", Message(status));
    return 1;
  }
  return 0;
}

}  // namespace
}  // namespace tsdbd::server

int main(int argc, char** argv) {
  auto line = tsdbd::server::ParseCommandLine(argc, argv);
  if (!line.ok()) {
    const std::string message(tsdbd::Message(line.status()));
    std::fprintf(stderr, "tsdbd: %s\n", message.c_str());
    return 2;
  }
  if (line->print) {
    std::fputs(line->print->c_str(), stdout);
    return 0;
  }
  return tsdbd::server::Run(std::move(line->config));
}
