#include "index/node_pool.h"

#include <algorithm>
#include <bit>
#include <cstdlib>
#include <new>

#include <sys/mman.h>

#include "common/check.h"

// Under AddressSanitizer each block is one of its own, so that it sees who uses a freed one.
#if defined(__SANITIZE_ADDRESS__)
#define TSDBD_POOL_NODES 0
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define TSDBD_POOL_NODES 0
#endif
#endif
#ifndef TSDBD_POOL_NODES
#define TSDBD_POOL_NODES 1
#endif

namespace tsdbd::index {
namespace {

constexpr std::align_val_t kLine{64};
constexpr bool kIsOn = TSDBD_POOL_NODES != 0;

}  // namespace

NodePool& NodePool::Instance() {
  static NodePool* const instance = new NodePool();
  return *instance;
}

size_t NodePool::RoundUp(size_t size) {
  const size_t step = IsPooled(size) ? kUnitBytes : static_cast<size_t>(kLine);
  return (size + step - 1) / step * step;
}

void* NodePool::Allocate(size_t size) {
  if (!kIsOn || !IsPooled(size)) {
    return ::operator new(size, kLine);
  }
  const size_t count = RoundUp(size) / kUnitBytes;
  MutexLock lock(&mutex_);
  // The newest regions have most room.
  for (auto it = regions_.rbegin(); it != regions_.rend(); ++it) {
    Region* region = *it;
    if (region->longest_free < count) {
      continue;
    }
    const size_t begin = FindRun(*region, count);
    if (begin < kUnits) {
      Mark(region, begin, count, true);
      return reinterpret_cast<char*>(region) + begin * kUnitBytes;
    }
    region->longest_free = count - 1;
  }
  Region* region = NewRegion();
  regions_.push_back(region);
  Mark(region, kHeaderUnits, count, true);
  return reinterpret_cast<char*>(region) + kHeaderUnits * kUnitBytes;
}

void NodePool::Free(void* pointer, size_t size) {
  if (!kIsOn || !IsPooled(size)) {
    ::operator delete(pointer, kLine);
    return;
  }
  const auto address = reinterpret_cast<uintptr_t>(pointer);
  auto* region = reinterpret_cast<Region*>(address / kRegionBytes * kRegionBytes);
  MutexLock lock(&mutex_);
  Mark(region, address % kRegionBytes / kUnitBytes, RoundUp(size) / kUnitBytes, false);
  region->longest_free = kUnits;
  // One empty region is kept for the next to ask.
  if (region->used_units == kHeaderUnits && regions_.size() > 1) {
    regions_.erase(std::find(regions_.begin(), regions_.end(), region));
    std::free(region);
  }
}

NodePool::Region* NodePool::NewRegion() {
  void* memory = std::aligned_alloc(kRegionBytes, kRegionBytes);
  CHECK(memory != nullptr);
  // Only advice: without huge pages all works as well, if slower.
  madvise(memory, kRegionBytes, MADV_HUGEPAGE);
  auto* region = new (memory) Region{};
  region->longest_free = kUnits;
  Mark(region, 0, kHeaderUnits, true);
  return region;
}

size_t NodePool::FindRun(const Region& region, size_t count) {
  size_t begin = 0;
  while (begin + count <= kUnits) {
    // Over what is used, a word at a time.
    const auto used = std::countr_one(region.is_used[begin / 64] >> begin % 64);
    if (used > 0) {
      begin += static_cast<size_t>(used);
      continue;
    }
    size_t end = begin;
    while (end < kUnits && end - begin < count) {
      const uint64_t word = region.is_used[end / 64] >> end % 64;
      const size_t in_word = 64 - end % 64;
      const auto free = std::min<size_t>(static_cast<size_t>(std::countr_zero(word)), in_word);
      end += free;
      if (free < in_word) {
        break;
      }
    }
    if (end - begin >= count) {
      return begin;
    }
    begin = end;
  }
  return kUnits;
}

void NodePool::Mark(Region* region, size_t begin, size_t count, bool is_used) {
  for (size_t i = begin; i < begin + count; ++i) {
    const uint64_t bit = uint64_t{1} << i % 64;
    CHECK(((region->is_used[i / 64] & bit) != 0) != is_used);
    region->is_used[i / 64] ^= bit;
  }
  region->used_units += is_used ? count : -count;
}

}  // namespace tsdbd::index
