#include "common/varint.h"

#include <limits>
#include <vector>

#include <gtest/gtest.h>

namespace tsdbd {
namespace {

TEST(VarintTest, EveryWidthComesBack) {
  std::string bytes;
  std::vector<uint64_t> values = {0};
  for (int bit = 0; bit < 64; ++bit) {
    values.push_back((uint64_t{1} << bit) - 1);
    values.push_back(uint64_t{1} << bit);
  }
  values.push_back(std::numeric_limits<uint64_t>::max());
  for (const uint64_t value : values) {
    AppendVarint(&bytes, value);
  }
  ByteReader reader(bytes);
  for (const uint64_t expected : values) {
    uint64_t value = 1;
    ASSERT_TRUE(reader.Varint(&value));
    EXPECT_EQ(value, expected);
  }
  EXPECT_EQ(reader.left(), 0u);
}

TEST(VarintTest, ZigZagKeepsExtremes) {
  for (const int64_t value : {std::numeric_limits<int64_t>::min(), int64_t{-1}, int64_t{0},
                              int64_t{1}, std::numeric_limits<int64_t>::max()}) {
    EXPECT_EQ(UnZigZag(ZigZag(value)), value);
  }
  EXPECT_EQ(ZigZag(-1), 1u);
}

TEST(ByteReaderTest, RefusesWhatIsCutOffOrTooLong) {
  uint64_t value = 0;
  EXPECT_FALSE(ByteReader("").Varint(&value));
  EXPECT_FALSE(ByteReader("\xff\xff").Varint(&value));
  EXPECT_FALSE(ByteReader(std::string(10, '\xff')).Varint(&value));
  EXPECT_FALSE(ByteReader(std::string(9, '\xff') + '\x02').Varint(&value)) << "more than 64 bits";
  std::string_view bytes;
  ByteReader reader(
      "\x05"
      "abc");
  EXPECT_FALSE(reader.LengthPrefixed(&bytes));
  EXPECT_EQ(reader.left(), 4u) << "a failed read stays where it is";
}

}  // namespace
}  // namespace tsdbd
