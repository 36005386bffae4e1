#pragma once
// The backend AlexStore: an append-only log of records (kv/value_log.h), an ALEX index over the
// positions of the newest ones (kv/key_index.h), checkpoints of it, and compaction. Integer
// keyspaces are ordered; byte keyspaces are walked in the order of the keys' hashes.
//
// It is made for data whose index fits in memory: 16 bytes and some slack for each key. Values are
// read from where they lie in the page cache.

#include <cstdint>
#include <functional>
#include <memory>
#include <string_view>

#include "common/clock.h"
#include "common/env.h"
#include "common/status.h"
#include "kv/recovery_report.h"
#include "kv/store.h"

namespace tsdbd::kv {

// What tests and benchmarks choose besides.
struct AlexStoreOptions {
  StoreOptions store;
  uint64_t min_segment_bytes = 1 << 20;
  uint64_t max_segment_bytes = 64 << 20;
  // A start replays at most about so much of the log, at some 1 GB/s.
  uint64_t checkpoint_interval_bytes = 256 << 20;
  bool checkpoint_at_close = true;
  // Whether dead space and expired keys are looked for in the background.
  bool has_upkeep = true;
  int64_t upkeep_interval_ms = 500;
  // Of byte keys; null: XXH3.
  uint64_t (*hash)(std::string_view key) = nullptr;
  std::function<uint64_t()> make_salt = {};     // of segments; random if unset
  std::function<int64_t()> now_ns = WallNanos;  // for expiry
};

// Opens or makes the store in the directory. Damaged records do not fail it: they are in `report`
// (may be null), and reading their keys gives kDataLoss where the keys are known.
StatusOr<std::unique_ptr<Store>> OpenAlexStore(Env* env, const AlexStoreOptions& options,
                                               RecoveryReport* report);
StatusOr<std::unique_ptr<Store>> OpenAlexStore(Env* env, const StoreOptions& options,
                                               RecoveryReport* report);

}  // namespace tsdbd::kv
