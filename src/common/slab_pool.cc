#include "common/slab_pool.h"

#include <cstdlib>

#include <sys/mman.h>

#include "common/check.h"

namespace tsdbd {
namespace {

void* AllocateFromSystem(size_t size) {
  void* pointer = std::malloc(size);
  CHECK(pointer != nullptr);
  return pointer;
}

// Slabs for all pools of the process, cut from regions that the kernel may back with huge pages:
// the first touch of a region is then one page fault instead of 512, and the random look-ups among
// a million objects miss the TLB far less. Slabs that come back are kept.
class SlabSource {
 public:
  static SlabSource& Instance() {
    static SlabSource* const instance = new SlabSource();
    return *instance;
  }

  void* Take(size_t slab_bytes) {
    MutexLock lock(&mutex_);
    if (!free_.empty()) {
      void* slab = free_.back();
      free_.pop_back();
      return slab;
    }
    if (left_ < slab_bytes) {
      next_ = static_cast<char*>(std::aligned_alloc(kRegionBytes, kRegionBytes));
      CHECK(next_ != nullptr);
      // Only advice: without huge pages all works as well, if slower.
      madvise(next_, kRegionBytes, MADV_HUGEPAGE);
      left_ = kRegionBytes;
    }
    char* slab = next_;
    next_ += slab_bytes;
    left_ -= slab_bytes;
    return slab;
  }

  void GiveBack(const std::vector<void*>& slabs) {
    MutexLock lock(&mutex_);
    free_.insert(free_.end(), slabs.begin(), slabs.end());
  }

 private:
  // The size of a huge page on x86-64, and on arm64 with 4 KiB pages.
  static constexpr size_t kRegionBytes = 2 << 20;

  Mutex mutex_;
  std::vector<void*> free_ GUARDED_BY(mutex_);
  char* next_ GUARDED_BY(mutex_) = nullptr;
  size_t left_ GUARDED_BY(mutex_) = 0;
};

}  // namespace

SlabPool::~SlabPool() {
  SlabSource::Instance().GiveBack(slabs_);
}

void* SlabPool::Allocate(size_t size) {
  if (size > kMaxPooledBytes) {
    used_bytes_.fetch_add(size, std::memory_order_relaxed);
    return AllocateFromSystem(size);
  }
  const size_t size_class = ClassOf(size);
  const size_t bytes = ClassBytes(size_class);
  used_bytes_.fetch_add(bytes, std::memory_order_relaxed);
  SpinLockGuard guard(&lock_);
  if (FreeNode* node = free_[size_class]) {
    free_[size_class] = node->next;
    return node;
  }
  if (left_ < bytes) {
    // What is left of the old slab is lost: under 3 %.
    slabs_.push_back(SlabSource::Instance().Take(kSlabBytes));
    next_ = static_cast<char*>(slabs_.back());
    left_ = kSlabBytes;
  }
  char* pointer = next_;
  next_ += bytes;
  left_ -= bytes;
  return pointer;
}

void SlabPool::Free(void* pointer, size_t size) {
  if (size > kMaxPooledBytes) {
    used_bytes_.fetch_sub(size, std::memory_order_relaxed);
    std::free(pointer);
    return;
  }
  const size_t size_class = ClassOf(size);
  used_bytes_.fetch_sub(ClassBytes(size_class), std::memory_order_relaxed);
  auto* node = static_cast<FreeNode*>(pointer);
  SpinLockGuard guard(&lock_);
  node->next = free_[size_class];
  free_[size_class] = node;
}

}  // namespace tsdbd
