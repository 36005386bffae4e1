#include "storage/bit_packing.h"

#include <memory>
#include <random>
#include <vector>

#include <gtest/gtest.h>

namespace tsdbd::storage {
namespace {

std::vector<unsigned> AllWidths() {
  std::vector<unsigned> widths;
  for (unsigned width = 0; width <= 64; ++width) {
    if (IsPackedWidth(width)) {
      widths.push_back(width);
    }
  }
  return widths;
}

std::vector<uint64_t> RandomValues(size_t count, unsigned width, std::mt19937_64* random) {
  std::vector<uint64_t> values(count);
  for (uint64_t& value : values) {
    value = width == 0 ? 0 : (*random)() >> (64 - width);
  }
  return values;
}

// In memory of exactly its size, so that a sanitizer sees a read beyond it.
std::unique_ptr<char[]> ExactCopy(std::string_view bytes) {
  std::unique_ptr<char[]> copy(new char[bytes.size()]);
  std::copy(bytes.begin(), bytes.end(), copy.get());
  return copy;
}

TEST(BitPackingTest, EveryWidthAndCountComesBack) {
  std::mt19937_64 random(1);
  for (const unsigned width : AllWidths()) {
    for (const size_t count : {0, 1, 2, 7, 8, 9, 15, 16, 63, 64, 100, 127, 128}) {
      const std::vector<uint64_t> values = RandomValues(count, width, &random);
      std::string packed = "prefix";
      PackBits(values.data(), count, width, &packed);
      ASSERT_EQ(packed.size(), 6 + PackedSize(count, width));
      const auto copy = ExactCopy(std::string_view(packed).substr(6));
      const std::string_view bytes(copy.get(), packed.size() - 6);

      std::vector<uint64_t> unpacked(count + kUnpackSlack);
      UnpackBits(bytes, count, width, unpacked.data());
      for (size_t i = 0; i < count; ++i) {
        ASSERT_EQ(unpacked[i], values[i]) << "width " << width << " count " << count;
        ASSERT_EQ(UnpackOne(bytes, i, width), values[i]) << "width " << width << " index " << i;
      }
    }
  }
}

TEST(BitPackingTest, UnpacksTheSameWithBytesBehindTheValues) {
  std::mt19937_64 random(2);
  for (const unsigned width : AllWidths()) {
    const std::vector<uint64_t> values = RandomValues(kMaxUnpackCount, width, &random);
    std::string packed;
    PackBits(values.data(), values.size(), width, &packed);
    packed.append(16, '\xFF');
    std::vector<uint64_t> unpacked(values.size() + kUnpackSlack);
    UnpackBits(packed, values.size(), width, unpacked.data());
    unpacked.resize(values.size());
    ASSERT_EQ(unpacked, values) << "width " << width;
  }
}

TEST(BitPackingTest, WidthIsTheSmallestThatHoldsTheValueAndCanBeRead) {
  EXPECT_EQ(PackedWidth(0), 0u);
  EXPECT_EQ(PackedWidth(1), 1u);
  EXPECT_EQ(PackedWidth(255), 8u);
  EXPECT_EQ(PackedWidth(256), 9u);
  EXPECT_EQ(PackedWidth((uint64_t{1} << 57) - 1), 57u);
  EXPECT_EQ(PackedWidth(uint64_t{1} << 57), 64u);
  EXPECT_EQ(PackedWidth(~uint64_t{0}), 64u);
}

}  // namespace
}  // namespace tsdbd::storage
