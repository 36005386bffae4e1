#pragma once
// RecoveryReport: what opening an AlexStore found, for the caller to log and to count.

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace tsdbd::kv {

// A place in a file that failed its checks although it had been on disk.
struct Damage {
  std::string path;
  uint64_t offset = 0;
  std::string what;
};

// Where the log was cut: the end of the last write that had reached the disk in full.
struct TornTail {
  std::string path;
  uint64_t offset = 0;
};

struct RecoveryReport {
  uint64_t checkpoint_keys = 0;    // taken from the checkpoint
  std::string checkpoint_problem;  // why it could not be used; empty: it was, or there was none
  uint64_t segments = 0;
  uint64_t records = 0;  // replayed
  uint64_t record_bytes = 0;
  uint64_t damage_count = 0;  // places; the first kMaxListedDamages are listed
  std::vector<Damage> damages;
  std::optional<TornTail> torn_tail;
  int64_t elapsed_ns = 0;

  // A log line per place is useful for the first hundred; beyond that the disk is the news.
  static constexpr size_t kMaxListedDamages = 100;

  void AddDamage(Damage damage) {
    ++damage_count;
    if (damages.size() < kMaxListedDamages) {
      damages.push_back(std::move(damage));
    }
  }
};

}  // namespace tsdbd::kv
