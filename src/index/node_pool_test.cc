#include "index/node_pool.h"

#include <cstring>
#include <map>
#include <random>
#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace tsdbd::index {
namespace {

TEST(NodePoolTest, BlocksAreAlignedToCacheLines) {
  NodePool& pool = NodePool::Instance();
  for (const size_t size : {64u, 1000u, 4096u, 5000u, 100'000u, 1u << 20, 3u << 20}) {
    void* block = pool.Allocate(size);
    EXPECT_EQ(reinterpret_cast<uintptr_t>(block) % 64, 0u) << size;
    pool.Free(block, size);
  }
}

TEST(NodePoolTest, RoundingUpAgainChangesNothing) {
  for (size_t size = 1; size < 300'000; size += 777) {
    const size_t rounded = NodePool::RoundUp(size);
    EXPECT_GE(rounded, size);
    EXPECT_EQ(NodePool::RoundUp(rounded), rounded);
  }
}

TEST(NodePoolTest, BlocksInUseNeverOverlap) {
  const uint64_t seed = std::random_device()();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937_64 random(seed);
  NodePool& pool = NodePool::Instance();
  std::map<char*, size_t> blocks;
  const auto free_one = [&](std::map<char*, size_t>::iterator at) {
    // Still what was written there, from end to end.
    const char mark = at->first[0];
    for (size_t i = 0; i < at->second; i += 509) {
      ASSERT_EQ(at->first[i], mark);
    }
    pool.Free(at->first, at->second);
    blocks.erase(at);
  };
  for (int step = 0; step < 20'000; ++step) {
    if (blocks.size() < 200 && random() % 3 != 0) {
      const size_t size = 1 + random() % (random() % 50 == 0 ? 1'500'000 : 70'000);
      auto* block = static_cast<char*>(pool.Allocate(size));
      const auto next = blocks.lower_bound(block);
      ASSERT_TRUE(next == blocks.end() || block + size <= next->first);
      ASSERT_TRUE(next == blocks.begin() ||
                  std::prev(next)->first + std::prev(next)->second <= block);
      std::memset(block, static_cast<int>(random() % 256), size);
      blocks[block] = size;
    } else if (!blocks.empty()) {
      free_one(std::next(blocks.begin(), static_cast<int64_t>(random() % blocks.size())));
    }
  }
  while (!blocks.empty()) {
    free_one(blocks.begin());
  }
}

}  // namespace
}  // namespace tsdbd::index
