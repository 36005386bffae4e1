#pragma once
// SlabPool: memory for very many small objects that live long: carved from large slabs, kept on a
// free list per size class, never returned to the system. Compared with malloc: no header, no
// thread cache to fill, and the bytes in use are known at any time.
// Thread-safe; meant to be instantiated several times (one a shard), so its lock is rarely waited
// for.

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "common/mutex.h"

namespace tsdbd {

class SlabPool {
 public:
  SlabPool() = default;
  ~SlabPool();
  SlabPool(const SlabPool&) = delete;
  SlabPool& operator=(const SlabPool&) = delete;

  // `size` bytes, 16-byte aligned, not zeroed. Sizes over kMaxPooledBytes come from malloc.
  void* Allocate(size_t size);
  // `size` as given to Allocate.
  void Free(void* pointer, size_t size);

  // Bytes handed out, rounded up to their size classes.
  uint64_t used_bytes() const { return used_bytes_.load(std::memory_order_relaxed); }

  static constexpr size_t kMaxPooledBytes = 4096;

 private:
  // Classes of 16 bytes up to 512, of 128 bytes up to 4096: at most an eighth is wasted.
  static constexpr size_t kFineStep = 16;
  static constexpr size_t kFineLimit = 512;
  static constexpr size_t kCoarseStep = 128;
  static constexpr size_t kFineClasses = kFineLimit / kFineStep;
  static constexpr size_t kClasses = kFineClasses + (kMaxPooledBytes - kFineLimit) / kCoarseStep;
  // Large enough to cost nothing per object, small beside any real data set.
  static constexpr size_t kSlabBytes = 128 * 1024;

  struct FreeNode {
    FreeNode* next;
  };

  static size_t ClassOf(size_t size) {
    return size <= kFineLimit ? (size + kFineStep - 1) / kFineStep - (size > 0)
                              : kFineClasses + (size - kFineLimit - 1) / kCoarseStep;
  }
  static size_t ClassBytes(size_t size_class) {
    return size_class < kFineClasses ? (size_class + 1) * kFineStep
                                     : kFineLimit + (size_class - kFineClasses + 1) * kCoarseStep;
  }

  std::atomic<uint64_t> used_bytes_ = 0;
  SpinLock lock_;
  std::array<FreeNode*, kClasses> free_ GUARDED_BY(lock_) = {};
  char* next_ GUARDED_BY(lock_) = nullptr;
  size_t left_ GUARDED_BY(lock_) = 0;
  std::vector<void*> slabs_ GUARDED_BY(lock_);
};

}  // namespace tsdbd
