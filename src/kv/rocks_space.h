#pragma once
// RocksSpace: refuses writes while the disk still has some space, so that RocksDB never fills it:
// it cannot always go on after that (RocksState::Resume).
//
// Threads: everything may be called from any thread.

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>

#include "common/clock.h"
#include "common/status.h"

namespace tsdbd::kv {

// What is left for that which no check precedes: flushes of two full memtables of 32 MiB, or what
// others write to the disk within kAskPauseNanos.
inline constexpr int64_t kReserveBytes = int64_t{64} << 20;

class RocksSpace {
 public:
  using FreeBytes = std::function<StatusOr<uint64_t>(const std::string& directory)>;

  RocksSpace(std::string directory, FreeBytes free_bytes)
      : directory_(std::move(directory)), free_bytes_(std::move(free_bytes)) {}

  // Before a write of about so many bytes. kResourceExhausted if it would touch the reserve.
  Status Take(size_t size_bytes);

 private:
  // A write takes some microseconds, and asking the file system another.
  static constexpr int64_t kAskPauseNanos = 50 * kNanosPerMilli;

  const std::string directory_;
  const FreeBytes free_bytes_;

  // Threads that find the answer too old ask beside each other; each answer is as good.
  std::atomic<int64_t> ask_again_ns_ = 0;
  // When last asked, less what was taken since.
  std::atomic<int64_t> left_bytes_ = 0;
};

}  // namespace tsdbd::kv
