#pragma once
// BufferPool: strings whose memory is used again, so that a record costs its producer no
// allocation. Any thread.

#include <string>
#include <vector>

#include "common/mutex.h"

namespace tsdbd::wal {

class BufferPool {
 public:
  std::string Take() EXCLUDES(lock_) {
    SpinLockGuard guard(&lock_);
    if (buffers_.empty()) {
      return {};
    }
    std::string buffer = std::move(buffers_.back());
    buffers_.pop_back();
    kept_bytes_ -= buffer.capacity();
    return buffer;
  }

  void Put(std::string buffer) EXCLUDES(lock_) {
    const size_t capacity_bytes = buffer.capacity();
    if (capacity_bytes < kSmallestBytes) {
      return;
    }
    buffer.clear();
    SpinLockGuard guard(&lock_);
    if (kept_bytes_ + capacity_bytes <= kMaxKeptBytes) {
      kept_bytes_ += capacity_bytes;
      buffers_.push_back(std::move(buffer));
    }
  }

 private:
  // Below this the allocator is as fast.
  static constexpr size_t kSmallestBytes = 1 << 10;
  // A few dozen requests of some 5,000 lines in flight.
  static constexpr size_t kMaxKeptBytes = 16 << 20;

  SpinLock lock_;
  std::vector<std::string> buffers_ GUARDED_BY(lock_);
  size_t kept_bytes_ GUARDED_BY(lock_) = 0;
};

}  // namespace tsdbd::wal
