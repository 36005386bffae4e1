#include "http/body_buffer.h"

#include <string>

#include <gtest/gtest.h>

namespace tsdbd::http {
namespace {

TEST(BodyBufferTest, KeepsItsContentsWhenItGrows) {
  BodyBuffer buffer(std::make_shared<BodyPool>(1 << 20));
  std::string expected;
  for (int i = 0; i < 1'000; ++i) {
    const std::string piece = std::to_string(i);
    ASSERT_TRUE(buffer.Append(piece));
    expected += piece;
  }
  EXPECT_EQ(buffer.view(), expected);
}

TEST(BodyBufferTest, ChargesWhatIsFilledNotWhatIsReserved) {
  const auto pool = std::make_shared<BodyPool>(1'000);
  BodyBuffer buffer(pool);
  buffer.Reserve(1 << 20);
  EXPECT_EQ(pool->used_bytes(), 0u);
  EXPECT_TRUE(buffer.Commit(1'000));
  EXPECT_EQ(pool->used_bytes(), 1'000u);
  EXPECT_FALSE(buffer.Commit(1));
  EXPECT_EQ(buffer.size(), 1'000u);
}

TEST(BodyBufferTest, GivesItsChargeBack) {
  const auto pool = std::make_shared<BodyPool>(1'000);
  {
    BodyBuffer first(pool);
    ASSERT_TRUE(first.Append(std::string(900, 'a')));
    BodyBuffer second = std::move(first);
    EXPECT_EQ(pool->used_bytes(), 900u);
    EXPECT_FALSE(second.Sibling().Append(std::string(200, 'b')));
  }
  EXPECT_EQ(pool->used_bytes(), 0u);
}

TEST(BodyBufferTest, LargeBlocksAreUsedAgain) {
  const auto pool = std::make_shared<BodyPool>(size_t{1} << 30);
  BodyBuffer buffer(pool);
  buffer.Reserve(size_t{2} << 20);
  const char* const block = buffer.Space().data();
  buffer.Clear();
  buffer.Reserve((size_t{2} << 20) - 10);
  EXPECT_EQ(buffer.Space().data(), block);
}

TEST(BodyBufferTest, ManyBuffersFreedAtOnceDoNotAllStay) {
  const auto pool = std::make_shared<BodyPool>(size_t{1} << 30);
  std::vector<BodyBuffer> buffers;
  for (int i = 0; i < 20; ++i) {
    buffers.emplace_back(pool).Reserve(size_t{4} << 20);
  }
  buffers.clear();  // the address sanitizer sees what is freed twice or never
  EXPECT_EQ(pool->used_bytes(), 0u);
}

}  // namespace
}  // namespace tsdbd::http
