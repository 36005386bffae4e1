#pragma once
// NodePool: memory for the nodes of all AlexMaps of the process: blocks of a kilobyte to a
// megabyte, cut from regions that the kernel may back with huge pages. A look-up in a large index
// is a random access: with pages of 4 KiB it would miss the TLB each time as well as the cache.
// Thread-safe.

#include <cstddef>
#include <cstdint>
#include <vector>

#include "common/mutex.h"

namespace tsdbd::index {

class NodePool {
 public:
  static NodePool& Instance();

  // Aligned to cache lines, not zeroed.
  void* Allocate(size_t size);
  // `size` as given to Allocate.
  void Free(void* pointer, size_t size);

  // What Allocate(size) takes: use it all.
  static size_t RoundUp(size_t size);

 private:
  // The size of a huge page on x86-64, and on arm64 with 4 KiB pages.
  static constexpr size_t kRegionBytes = 2 << 20;
  static constexpr size_t kUnitBytes = 1024;
  static constexpr size_t kUnits = kRegionBytes / kUnitBytes;
  static constexpr size_t kWords = kUnits / 64;
  // Smaller blocks would waste too much of a unit, larger ones of a region; malloc has them.
  static constexpr size_t kMinPooledBytes = 4 * kUnitBytes;
  static constexpr size_t kMaxPooledBytes = kRegionBytes / 2;

  // Lies at the region's own beginning.
  struct Region {
    uint64_t is_used[kWords];  // a bit for each unit
    size_t used_units;
    size_t longest_free;  // units; no free run is longer
  };
  static constexpr size_t kHeaderUnits = (sizeof(Region) + kUnitBytes - 1) / kUnitBytes;

  static bool IsPooled(size_t size) { return size >= kMinPooledBytes && size <= kMaxPooledBytes; }
  // The first unit of a free run of `count`, or kUnits.
  static size_t FindRun(const Region& region, size_t count);
  static void Mark(Region* region, size_t begin, size_t count, bool is_used);
  static Region* NewRegion();

  Mutex mutex_;
  std::vector<Region*> regions_ GUARDED_BY(mutex_);
};

}  // namespace tsdbd::index
