#include "kv/rocks_space.h"

#include <algorithm>
#include <limits>

namespace tsdbd::kv {

Status RocksSpace::Take(size_t size_bytes) {
  const int64_t now_ns = MonotonicNanos();
  if (now_ns >= ask_again_ns_.load()) {
    ASSIGN_OR_RETURN(const uint64_t free_bytes, free_bytes_(directory_));
    left_bytes_.store(
        static_cast<int64_t>(std::min<uint64_t>(free_bytes, std::numeric_limits<int64_t>::max())));
    ask_again_ns_.store(now_ns + kAskPauseNanos);
  }
  const auto taken_bytes = static_cast<int64_t>(size_bytes);
  const int64_t left_bytes = left_bytes_.load();
  if (left_bytes - taken_bytes < kReserveBytes) {
    return ResourceExhausted(
        "write {} bytes to {}: its disk has {} bytes left, of which {} are kept", size_bytes,
        directory_, left_bytes, kReserveBytes);
  }
  left_bytes_.fetch_sub(taken_bytes);
  return OkStatus();
}

}  // namespace tsdbd::kv
