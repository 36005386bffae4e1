#include "ingest/snappy_block.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace tsdbd::ingest {
namespace {

using ::testing::HasSubstr;

constexpr size_t kLimit = size_t{64} << 20;

TEST(SnappyBlockTest, WhatWasCompressedIsReadBack) {
  SnappyDecoder decoder;
  for (const size_t size :
       {size_t{100'000}, size_t{0}, size_t{1}, size_t{70'000}, size_t{300'000}}) {
    std::string bytes;
    for (size_t i = 0; i < size; ++i) {
      bytes.push_back(static_cast<char>(i * i >> 7));
    }
    const auto decoded = decoder.Decode(SnappyBlock(bytes), kLimit);
    ASSERT_TRUE(decoded.ok()) << size;
    EXPECT_EQ(*decoded, bytes);
    decoder.Trim(size_t{64} << 10);
  }
}

TEST(SnappyBlockTest, TheMostRepetitiveContentsAreNotTakenForALie) {
  const std::string bytes(size_t{10} << 20, 'a');
  SnappyDecoder decoder;
  const auto decoded = decoder.Decode(SnappyBlock(bytes), kLimit);
  ASSERT_TRUE(decoded.ok()) << decoded.status();
  EXPECT_EQ(*decoded, bytes);
}

struct BadBlock {
  const char* what;
  std::string block;
  StatusCode code;
  const char* reason;
};

TEST(SnappyBlockTest, BadBlocksAreRefused) {
  const std::string good = SnappyBlock("the quick brown fox jumps over the lazy dog");
  const BadBlock cases[] = {
      {"empty", "", StatusCode::kInvalidArgument, "does not begin with a size"},
      {"a size without an end", "\xff\xff", StatusCode::kInvalidArgument, "begin with a size"},
      {"4 GiB in 7 bytes", std::string("\xff\xff\xff\xff\x0f\x00\x61", 7),
       StatusCode::kResourceExhausted, "declares 4294967295 bytes"},
      {"more than 32 bits", "\xff\xff\xff\xff\x7f", StatusCode::kInvalidArgument, "begin with"},
      {"60 MiB in 7 bytes", std::string("\x80\x80\x80\x1e\x00\x61\x61", 7),
       StatusCode::kInvalidArgument, "its 7 bytes cannot hold the 62914560 declared"},
      {"cut", good.substr(0, good.size() - 1), StatusCode::kInvalidArgument, "damaged"},
      {"longer than declared", good + std::string("\x00\x61", 2), StatusCode::kInvalidArgument,
       "damaged"},
      {"a copy from before the start", std::string("\x04\x0d\x08", 3), StatusCode::kInvalidArgument,
       "damaged"},
      {"text", "plain text is no block", StatusCode::kInvalidArgument, "damaged"},
  };
  SnappyDecoder decoder;
  for (const BadBlock& bad : cases) {
    const auto decoded = decoder.Decode(bad.block, kLimit);
    EXPECT_EQ(decoded.status().code(), bad.code) << bad.what << ": " << decoded.status();
    EXPECT_THAT(std::string(Message(decoded.status())), HasSubstr(bad.reason)) << bad.what;
  }
}

TEST(SnappyBlockTest, TheLimitItselfIsAllowed) {
  SnappyDecoder decoder;
  EXPECT_TRUE(decoder.Decode(SnappyBlock("12345678"), 8).ok());
  EXPECT_EQ(decoder.Decode(SnappyBlock("123456789"), 8).status().code(),
            StatusCode::kResourceExhausted);
}

}  // namespace
}  // namespace tsdbd::ingest
