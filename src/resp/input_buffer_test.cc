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

// How often the buffer is moved while `size` bytes come, of which the sender announces so many at a
// time.
int MovesToHold(size_t size, size_t announced_bytes) {
  MemoryBudget budget(size_t{1} << 30);
  InputBuffer buffer(&budget);
  EXPECT_TRUE(buffer.Append("*"));
  int moves = 0;
  while (buffer.contents().size() < size) {
    const size_t held_bytes = budget.used_bytes();
    const size_t needed_bytes = buffer.contents().size() + announced_bytes;
    EXPECT_TRUE(buffer.Grow(std::min(needed_bytes, size)));
    moves += budget.used_bytes() != held_bytes ? 1 : 0;
    buffer.Commit(std::min(buffer.space().size(), size - buffer.contents().size()));
  }
  return moves;
}

TEST(InputBufferTest, ManyArgumentsOfAnySizeAreCopiedAFewTimes) {
  constexpr size_t kSize = size_t{8} << 20;
  for (const size_t announced_bytes : {size_t{1}, size_t{100}, size_t{20'000}, kSize}) {
    EXPECT_LE(MovesToHold(kSize, announced_bytes), 25) << announced_bytes;
  }
}

TEST(InputBufferTest, TheEndOfALargeArgumentGetsNoMoreThanItNeeds) {
  constexpr size_t kSize = 100'000;
  MemoryBudget budget(size_t{1} << 20);
  InputBuffer buffer(&budget);
  ASSERT_TRUE(buffer.Append(std::string(60'000, 'v')));
  ASSERT_TRUE(buffer.Grow(kSize));
  EXPECT_EQ(budget.used_bytes(), kSize);
  buffer.Commit(39'000);
  ASSERT_TRUE(buffer.Grow(kSize));
  EXPECT_EQ(budget.used_bytes(), kSize);
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
