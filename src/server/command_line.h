#pragma once
// The command line of tsdbd: defaults, overridden by the file of --config, overridden by flags.

#include <optional>
#include <string>

#include "common/status.h"
#include "server/config.h"

namespace tsdbd::server {

struct CommandLine {
  Config config;
  // Set if there is nothing to run: the text that --help, --version or --print-config asks for.
  std::optional<std::string> print;
};

// kInvalidArgument, or the error of reading the file, with a message that names the flag or key.
StatusOr<CommandLine> ParseCommandLine(int argc, const char* const* argv);

}  // namespace tsdbd::server
