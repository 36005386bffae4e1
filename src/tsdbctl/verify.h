#pragma once
// Verify: reads every byte of a data directory that a daemon would serve, checks it, and changes
// nothing. For a folder that no daemon uses: a stopped one's, a snapshot, a backup.

#include <cstdint>
#include <functional>
#include <string>

#include "common/env.h"
#include "common/status.h"

namespace tsdbd::tsdbctl {

struct VerifyReport {
  uint64_t files = 0;  // blocks, log segments and stores that were read
  uint64_t bytes = 0;
  uint64_t damages = 0;  // places; each was told
};

// What is told of one file or store: `damage` says what and where; empty: it is intact.
using Finding = std::function<void(const std::string& path, const std::string& damage)>;

// kFailedPrecondition if a daemon has the folder, kNotFound if it is none. Damage is no error.
StatusOr<VerifyReport> VerifyDataDir(Env* env, const std::string& data_dir, const Finding& finding);

}  // namespace tsdbd::tsdbctl
