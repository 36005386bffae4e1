#include "storage/roaring_check.h"

#include <cstring>
#include <random>
#include <string>
#include <vector>

#include <gtest/gtest.h>
#include <roaring/roaring.hh>

namespace tsdbd::storage {
namespace {

std::string Serialize(Roaring bitmap, bool with_runs = true) {
  if (with_runs) {
    bitmap.runOptimize();
  }
  std::string bytes(bitmap.getSizeInBytes(), '\0');
  bitmap.write(bytes.data());
  return bytes;
}

// One of each kind of container: array, run, bit set.
Roaring Mixed() {
  Roaring bitmap;
  for (uint32_t i = 0; i < 100; ++i) {
    bitmap.add(7 * i);
  }
  bitmap.addRange(70'000, 80'000);
  for (uint32_t i = 0; i < 20'000; ++i) {
    bitmap.add(140'000 + 3 * i);
  }
  return bitmap;
}

TEST(RoaringCheckTest, WellFormedBitmapsPass) {
  std::mt19937_64 random(1);
  for (int round = 0; round < 60; ++round) {
    Roaring bitmap;
    for (size_t i = random() % 20'000; i > 0; --i) {
      bitmap.add(static_cast<uint32_t>(random() % (1u << (4 + round % 20))));
    }
    bitmap.addRange(100, 100 + random() % 3000);
    const uint64_t limit = bitmap.isEmpty() ? 0 : uint64_t{bitmap.maximum()} + 1;
    for (const bool with_runs : {false, true}) {
      const std::string bytes = Serialize(bitmap, with_runs);
      ASSERT_TRUE(IsRoaringBitmap(bytes, bitmap.cardinality(), limit)) << round;
      ASSERT_FALSE(IsRoaringBitmap(bytes, bitmap.cardinality() + 1, limit));
      ASSERT_TRUE(limit == 0 || !IsRoaringBitmap(bytes, bitmap.cardinality(), limit - 1));
    }
  }
}

TEST(RoaringCheckTest, FullRangeOfValuesPasses) {
  Roaring bitmap;
  bitmap.add(0);
  bitmap.add(UINT32_MAX);
  bitmap.addRange(uint64_t{1} << 16, uint64_t{1} << 17);  // a whole container
  EXPECT_TRUE(IsRoaringBitmap(Serialize(bitmap), 2 + (1 << 16), uint64_t{1} << 32));
}

TEST(RoaringCheckTest, CutBitmapsAreRefused) {
  const Roaring bitmap = Mixed();
  const std::string bytes = Serialize(bitmap);
  for (size_t size = 0; size < bytes.size(); size += size < 300 ? 1 : 97) {
    EXPECT_FALSE(IsRoaringBitmap(std::string_view(bytes).substr(0, size), bitmap.cardinality(),
                                 uint64_t{1} << 32))
        << size;
  }
}

// Whatever passes must be a set of the right size when it is walked.
TEST(RoaringCheckTest, DamagedBitmapsThatPassAreStillSets) {
  const uint64_t seed = std::random_device()();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937_64 random(seed);
  const Roaring original = Mixed();
  const std::string bytes = Serialize(original);
  const uint64_t limit = original.maximum() + 1;
  size_t passed = 0;
  for (int round = 0; round < 4000; ++round) {
    std::string damaged = bytes;
    const size_t range = round % 2 ? 300 : damaged.size();
    damaged[random() % range] = static_cast<char>(random());
    if (!IsRoaringBitmap(damaged, original.cardinality(), limit)) {
      continue;
    }
    ++passed;
    const Roaring bitmap(roaring_bitmap_portable_deserialize_safe(damaged.data(), damaged.size()));
    int64_t previous = -1;
    uint64_t count = 0;
    for (const uint32_t value : bitmap) {
      ASSERT_GT(int64_t{value}, previous);
      ASSERT_LT(value, limit);
      previous = value;
      ++count;
    }
    ASSERT_EQ(count, original.cardinality());
  }
  EXPECT_LT(passed, 1000u);  // the others were seen to be damaged
}

}  // namespace
}  // namespace tsdbd::storage
