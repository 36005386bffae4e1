#include "resp/input_buffer.h"

#include <string>

#include <gtest/gtest.h>

namespace tsdbd::resp {
namespace {

TEST(InputBufferTest, BytesStayInOrderWhateverIsAddedAndConsumed) {
  MemoryBudget budget(1 << 20);
  InputBuffer buffer(&budget);
  std::string expected;
  for (int i = 0; i < 1'000; ++i) {
    const std::string piece(static_cast<size_t>(i % 97), static_cast<char>('a' + i % 26));
    ASSERT_TRUE(buffer.Append(piece));
    expected += piece;
    const size_t consumed = std::min<size_t>(static_cast<size_t>(i % 89), expected.size());
    buffer.Consume(consumed);
    expected.erase(0, consumed);
    ASSERT_EQ(buffer.contents(), expected);
  }
  buffer.Consume(expected.size());
  EXPECT_TRUE(buffer.empty());
  EXPECT_EQ(budget.used_bytes(), 0);
}

TEST(InputBufferTest, AnAnnouncementAloneTakesNoMemory) {
  MemoryBudget budget(1 << 20);
  InputBuffer buffer(&budget);
  ASSERT_TRUE(buffer.Append("$1000000"));
  ASSERT_TRUE(buffer.Grow(1'000'000));
  EXPECT_LT(budget.used_bytes(), 40'000);
  size_t size = 8;
  while (size < 500'000) {
    ASSERT_TRUE(buffer.Grow(1'000'000));
    size += buffer.space().size();
    buffer.Commit(buffer.space().size());
    EXPECT_LE(budget.used_bytes(), 2 * size + 40'000);
  }
}

TEST(InputBufferTest, WhatIsOverTheBudgetIsRefusedAndNothingIsLost) {
  MemoryBudget budget(100'000);
  InputBuffer first(&budget);
  InputBuffer second(&budget);
  ASSERT_TRUE(first.Append(std::string(60'000, 'a')));
  ASSERT_TRUE(second.Append("b"));
  EXPECT_FALSE(second.Append(std::string(60'000, 'b')));
  EXPECT_EQ(second.contents(), "b");
  first.Consume(60'000);
  EXPECT_TRUE(second.Append(std::string(60'000, 'b')));
}

}  // namespace
}  // namespace tsdbd::resp
