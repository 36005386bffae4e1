#pragma once
// KeyLocks: a lock for each key, out of a fixed number that keys share by their hash. A set of them
// is a mask, and is locked in one order, so that nobody waits in a circle.

#include <array>
#include <bit>
#include <cstdint>
#include <string_view>

#include "common/hash.h"
#include "common/mutex.h"

namespace tsdbd::kv {

class KeyLocks {
 public:
  using Mask = uint32_t;
  static constexpr Mask kAll = ~Mask{0};

  static Mask MaskOf(std::string_view key) { return Mask{1} << (Hash64(key) >> (64 - kCountBits)); }

  // Holds the locks of a mask for a scope.
  class Guard {
   public:
    // The analysis does not follow locks that are chosen at run time.
    Guard(KeyLocks* locks, Mask mask) NO_THREAD_SAFETY_ANALYSIS : locks_(locks), mask_(mask) {
      for (Mask left = mask_; left != 0; left &= left - 1) {
        locks_->locks_[std::countr_zero(left)].mutex.Lock();
      }
    }
    ~Guard() NO_THREAD_SAFETY_ANALYSIS {
      for (Mask left = mask_; left != 0; left &= left - 1) {
        locks_->locks_[std::countr_zero(left)].mutex.Unlock();
      }
    }
    Guard(const Guard&) = delete;
    Guard& operator=(const Guard&) = delete;

   private:
    KeyLocks* const locks_;
    const Mask mask_;
  };

 private:
  // As many as a mask has bits. ThreadSanitizer follows a thread that holds up to 64 locks.
  static constexpr int kCountBits = 5;

  struct alignas(64) Padded {
    Mutex mutex;
  };
  std::array<Padded, size_t{1} << kCountBits> locks_;
};

}  // namespace tsdbd::kv
