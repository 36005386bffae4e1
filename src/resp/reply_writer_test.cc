#include "resp/reply_writer.h"

#include <limits>

#include <gtest/gtest.h>

#include "resp/replies.h"

namespace tsdbd::resp {
namespace {

template <typename Write>
std::string In(Protocol protocol, Write write) {
  std::string out;
  ReplyWriter writer(&out, protocol);
  write(&writer);
  return out;
}

// RESP2, then RESP3.
template <typename Write>
std::pair<std::string, std::string> InBoth(Write write) {
  return {In(Protocol::kResp2, write), In(Protocol::kResp3, write)};
}

using Both = std::pair<std::string, std::string>;

TEST(ReplyWriterTest, SomeTypesAreTheSameInBothProtocols) {
  const Both both = InBoth([](ReplyWriter* reply) {
    reply->Ok();
    reply->Simple("PONG");
    reply->Error("ERR two\r\nlines");
    reply->Integer(std::numeric_limits<int64_t>::min());
    reply->Bulk("a\r\nb");
    reply->Bulk("");
    reply->BeginArray(2);
  });
  EXPECT_EQ(both.first,
            "+OK\r\n+PONG\r\n-ERR two  lines\r\n:-9223372036854775808\r\n$4\r\na\r\nb\r\n"
            "$0\r\n\r\n*2\r\n");
  EXPECT_EQ(both.second, both.first);
}

TEST(ReplyWriterTest, OthersAreReplacedInTheOlderProtocol) {
  EXPECT_EQ(InBoth([](ReplyWriter* reply) { reply->Null(); }), Both("$-1\r\n", "_\r\n"));
  EXPECT_EQ(InBoth([](ReplyWriter* reply) { reply->NullArray(); }), Both("*-1\r\n", "_\r\n"));
  EXPECT_EQ(InBoth([](ReplyWriter* reply) { reply->Boolean(true); }), Both(":1\r\n", "#t\r\n"));
  EXPECT_EQ(InBoth([](ReplyWriter* reply) { reply->Double(1.5); }),
            Both("$3\r\n1.5\r\n", ",1.5\r\n"));
  EXPECT_EQ(
      InBoth([](ReplyWriter* reply) { reply->Double(-std::numeric_limits<double>::infinity()); }),
      Both("$4\r\n-inf\r\n", ",-inf\r\n"));
  EXPECT_EQ(InBoth([](ReplyWriter* reply) { reply->BeginMap(2); }), Both("*4\r\n", "%2\r\n"));
  EXPECT_EQ(InBoth([](ReplyWriter* reply) { reply->BeginSet(2); }), Both("*2\r\n", "~2\r\n"));
  EXPECT_EQ(InBoth([](ReplyWriter* reply) { reply->Verbatim("txt", "text"); }),
            Both("$4\r\ntext\r\n", "=8\r\ntxt:text\r\n"));
}

TEST(RepliesTest, AReplyWhoseWriteIsDoneAlreadyWaitsForNothing) {
  Replies replies(nullptr);
  const auto completion = replies.NewCompletion();
  completion->Succeed();
  replies.AddWaiting("+OK\r\n", 1, completion);
  EXPECT_FALSE(replies.has_parts());
  EXPECT_EQ(*replies.text(), "+OK\r\n");
}

TEST(RepliesTest, WhatComesAfterAWaitingReplyStaysBehindIt) {
  Replies replies(nullptr);
  replies.text()->append("+BEFORE\r\n");
  const auto completion = replies.NewCompletion();
  replies.AddWaiting("+OK\r\n+OK\r\n", 2, completion);
  replies.text()->append("+AFTER\r\n");
  EXPECT_EQ(replies.size_bytes(), 27);
  std::vector<Replies::Part> parts = replies.TakeParts();
  ASSERT_EQ(parts.size(), 2);
  EXPECT_TRUE(parts[0].is_ready());
  EXPECT_FALSE(parts[1].is_ready());
  EXPECT_EQ(*replies.text(), "+AFTER\r\n");
  completion->Fail("ERR no");
  EXPECT_TRUE(parts[1].is_ready());
  EXPECT_EQ(Replies::BytesOf(std::move(parts[1])), "-ERR no\r\n-ERR no\r\n");
}

}  // namespace
}  // namespace tsdbd::resp
