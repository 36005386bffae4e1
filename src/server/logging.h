#pragma once
// The daemon's log: one line per event on stderr, never one per request. A line is a short sentence
// with its figures as key=value:
//
//   2026-03-01T12:00:00.123Z info recovered data_dir=data rows=1000000 seconds=0.41
//
// or, for collectors, the same as {"time":…,"level":…,"message":…}. Everywhere else in the project
// just calls spdlog::info and its siblings.

#include "server/config.h"

namespace tsdbd::server {

// Replaces spdlog's default logger. Call once, before other threads exist.
void SetUpLogging(const LogConfig& config);

}  // namespace tsdbd::server
