#pragma once
// Durations and sizes as people write them in configuration files, flags and URLs.

#include <cstdint>
#include <string>
#include <string_view>

#include "common/status.h"

namespace tsdbd::server {

// "500ms", "10s", "1h30m", "1.5d", "0": ns. Units: ns us ms s m h d w y (365 d). Not negative.
StatusOr<int64_t> ParseDuration(std::string_view text);

// "64MiB", "1.5 GiB", "4096": bytes. Units: B, KiB MiB GiB TiB (powers of 1,024), kB MB GB TB.
StatusOr<uint64_t> ParseSize(std::string_view text);

// The shortest text of whole units that parses to the same value: "1h30m", "64MiB".
std::string FormatDuration(int64_t nanos);
std::string FormatSize(uint64_t bytes);

}  // namespace tsdbd::server
