#include "common/slab_pool.h"

#include <algorithm>
#include <cstring>
#include <random>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

namespace tsdbd {
namespace {

TEST(SlabPoolTest, ObjectsOfAllSizesAreAlignedAndDoNotOverlap) {
  SlabPool pool;
  struct Object {
    unsigned char* pointer;
    size_t size;
    unsigned char fill;
  };
  std::vector<Object> objects;
  for (size_t size = 1; size <= 5000; size += 7) {
    auto* pointer = static_cast<unsigned char*>(pool.Allocate(size));
    ASSERT_EQ(reinterpret_cast<uintptr_t>(pointer) % 16, 0u) << size;
    const auto fill = static_cast<unsigned char>(size);
    std::memset(pointer, fill, size);
    objects.push_back({pointer, size, fill});
  }
  for (const Object& object : objects) {
    for (size_t i = 0; i < object.size; ++i) {
      ASSERT_EQ(object.pointer[i], object.fill) << "size " << object.size;
    }
    pool.Free(object.pointer, object.size);
  }
  EXPECT_EQ(pool.used_bytes(), 0u);
}

TEST(SlabPoolTest, FreedMemoryIsUsedAgainForTheSameSizeClass) {
  SlabPool pool;
  void* first = pool.Allocate(100);
  pool.Free(first, 100);
  EXPECT_EQ(pool.Allocate(97), first);
  pool.Free(first, 97);
}

TEST(SlabPoolTest, UsedBytesCountsRoundedSizes) {
  SlabPool pool;
  void* small = pool.Allocate(17);
  EXPECT_EQ(pool.used_bytes(), 32u);
  void* large = pool.Allocate(10'000);
  EXPECT_EQ(pool.used_bytes(), 10'032u);
  pool.Free(large, 10'000);
  pool.Free(small, 17);
  EXPECT_EQ(pool.used_bytes(), 0u);
}

TEST(SlabPoolTest, ManyThreadsMayAllocateAndFree) {
  SlabPool pool;
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&pool, t] {
      std::mt19937 random(t);
      std::vector<std::pair<char*, size_t>> mine;
      for (int i = 0; i < 20'000; ++i) {
        const size_t size = 1 + random() % 600;
        auto* pointer = static_cast<char*>(pool.Allocate(size));
        std::memset(pointer, t, size);
        mine.emplace_back(pointer, size);
        if (mine.size() > 100) {
          auto [victim, victim_size] = mine[random() % mine.size()];
          ASSERT_EQ(victim[victim_size - 1], t);
          std::swap(mine.back(),
                    *std::find(mine.begin(), mine.end(), std::pair(victim, victim_size)));
          pool.Free(victim, victim_size);
          mine.pop_back();
        }
      }
      for (auto [pointer, size] : mine) {
        pool.Free(pointer, size);
      }
    });
  }
  for (std::thread& thread : threads) {
    thread.join();
  }
  EXPECT_EQ(pool.used_bytes(), 0u);
}

}  // namespace
}  // namespace tsdbd
