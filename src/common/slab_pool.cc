#include "common/slab_pool.h"

#include <cstdlib>

#include "common/check.h"

namespace tsdbd {
namespace {

void* AllocateFromSystem(size_t size) {
  void* pointer = std::malloc(size);
  CHECK(pointer != nullptr);
  return pointer;
}

}  // namespace

SlabPool::~SlabPool() {
  for (void* slab : slabs_) {
    std::free(slab);
  }
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
    slabs_.push_back(AllocateFromSystem(kSlabBytes));
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
