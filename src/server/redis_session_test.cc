#include "server/redis_session.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "server/redis_fixture.h"

namespace tsdbd::server {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

class RedisSessionTest : public RedisFixture {};

TEST_F(RedisSessionTest, RepliesComeInTheOrderOfTheirCommands) {
  EXPECT_EQ(Run("SET a 1\nGET a\nINCR a\nGET a\nGET b\nPING"),
            "+OK\r\n$1\r\n1\r\n:2\r\n$1\r\n2\r\n$-1\r\n+PONG\r\n");
}

TEST_F(RedisSessionTest, UnknownCommandsAreNamedWithTheirArguments) {
  EXPECT_EQ(Run("nonsense a b"),
            "-ERR unknown command 'nonsense', with args beginning with: 'a' 'b' \r\n");
  EXPECT_EQ(Run("client|id"), "-ERR unknown command 'client|id', with args beginning with: \r\n");
}

TEST_F(RedisSessionTest, AWrongNumberOfArgumentsIsRefusedAndNothingElseIs) {
  EXPECT_EQ(Run("GET\nSET k\nPING"),
            "-ERR wrong number of arguments for 'get' command\r\n"
            "-ERR wrong number of arguments for 'set' command\r\n+PONG\r\n");
  EXPECT_EQ(Run("CLIENT GETNAME x"),
            "-ERR wrong number of arguments for 'client|getname' command\r\n");
  EXPECT_EQ(Run("CLIENT nonsense"), "-ERR unknown subcommand 'nonsense'. Try CLIENT HELP.\r\n");
}

TEST_F(RedisSessionTest, ConsecutiveWritesShareABatchAndConsecutiveReadsALookUp) {
  EXPECT_EQ(Run("SET a 1\nSET b 2\nMSET c 3 d 4\nSETEX e 100 5"), "+OK\r\n+OK\r\n+OK\r\n+OK\r\n");
  EXPECT_EQ(store().batches(), 1);
  EXPECT_EQ(Run("GET a\nMGET b c\nSTRLEN d\nEXISTS e f"),
            "$1\r\n1\r\n*2\r\n$1\r\n2\r\n$1\r\n3\r\n:1\r\n:1\r\n");
  EXPECT_EQ(store().look_ups(), 1);
}

TEST_F(RedisSessionTest, ALookUpEndsWhereTheValuesAreTooManyForOneReply) {
  RedisOptions options;
  options.max_reply_bytes = 5'000;
  RedisService service(options, &databases_);
  session_ = service.Connect({"127.0.0.1:1", "127.0.0.1:2"});
  std::string keys;
  for (int i = 0; i < 100; ++i) {
    keys += fmt::format(" k{}", i);
    Run(fmt::format("SET k{} {}", i, std::string(100, 'v')));
  }
  EXPECT_THAT(Run(fmt::format("MGET {}", keys.substr(0, keys.find(" k40")))),
              StartsWith("*40\r\n$100\r\nv"));
  const uint64_t before = store().look_ups();
  EXPECT_EQ(Run(fmt::format("MGET {}\nGET none", keys)),
            "-ERR the values are too large for one reply (more than 5000 bytes)\r\n$-1\r\n");
  EXPECT_EQ(store().look_ups() - before, 3);  // two of four parts, and the GET
  // Values that are not replied do not count.
  EXPECT_EQ(Run(fmt::format("EXISTS {0}\nTOUCH {0}\nTTL k1", keys)), ":100\r\n:100\r\n:-1\r\n");
  session_.reset();  // before its service
}

TEST_F(RedisSessionTest, KeysEndsWhenTheClientIsGone) {
  std::string lines;
  for (int i = 0; i < 10'000; ++i) {
    lines += fmt::format("SET k{} v\n", i);
  }
  RunBytes(lines);
  EXPECT_THAT(Run("KEYS *"), StartsWith("*10000\r\n"));
  replies_.Abandon();
  EXPECT_EQ(Run("KEYS *"), "-ERR the client is gone\r\n");
}

TEST_F(RedisSessionTest, AWriteThatCannotBeDoneDoesNotSpoilThoseBesideIt) {
  const std::string long_key(kv::kMaxKeyBytes + 1, 'k');
  const std::string replies = Run("SET a 1\nSET " + long_key.substr(0, 60'000) + " 2\nSET b 3");
  EXPECT_EQ(replies, "+OK\r\n+OK\r\n+OK\r\n");
  std::string input = "*3\r\n$3\r\nSET\r\n$1\r\nx\r\n$1\r\n1\r\n*3\r\n$3\r\nSET\r\n$" +
                      std::to_string(long_key.size()) + "\r\n" + long_key +
                      "\r\n$1\r\n2\r\n*3\r\n$3\r\nSET\r\n$1\r\ny\r\n$1\r\n3\r\n";
  EXPECT_THAT(RunBytes(input), StartsWith("+OK\r\n-ERR a key of"));
  EXPECT_EQ(Run("MGET x y"), "*2\r\n$1\r\n1\r\n$1\r\n3\r\n");
}

TEST_F(RedisSessionTest, AWriteIsAnsweredOnceItIsDurableAndLaterOnesAreExecutedMeanwhile) {
  store().Hold();
  EXPECT_EQ(Run("PING\nSET a 1\nGET a\nINCR a"), "+PONG\r\n");
  EXPECT_EQ(store().held_count(), 2);
  store().Release();
  EXPECT_EQ(TakeReplies(), "+OK\r\n$1\r\n1\r\n:2\r\n");
}

TEST_F(RedisSessionTest, AWriteThatFailsLaterIsAnsweredWithItsError) {
  store().Hold();
  EXPECT_EQ(Run("SET a 1\nSET b 2\nGET a"), "");
  store().Release(Unavailable("the disk is gone"));
  const std::string error = "-MISCONF Errors writing to the log: the disk is gone\r\n";
  EXPECT_EQ(TakeReplies(), error + error + "$1\r\n1\r\n");
}

TEST_F(RedisSessionTest, AWriteThatIsRefusedIsAnsweredWithItsError) {
  store().FailWrites(ResourceExhausted("no space"));
  EXPECT_EQ(Run("SET a 1"), "-MISCONF Errors writing to the log: no space\r\n");
  EXPECT_EQ(Run("INCR a"), "-MISCONF Errors writing to the log: no space\r\n");
  EXPECT_EQ(Run("GET a"), "$-1\r\n");
}

TEST_F(RedisSessionTest, DatabasesAreMadeAtFirstUseAndApart) {
  EXPECT_EQ(Run("SELECT 3\nGET a\nSET a 3\nSELECT 0\nGET a\nSELECT 3\nGET a"),
            "+OK\r\n$-1\r\n+OK\r\n+OK\r\n$-1\r\n+OK\r\n$1\r\n3\r\n");
  EXPECT_EQ(moves_, 1);
  EXPECT_EQ(Run("SELECT 16"), "-ERR DB index is out of range\r\n");
  EXPECT_EQ(Run("SELECT x"), "-ERR value is not an integer or out of range\r\n");
}

TEST_F(RedisSessionTest, QuitIsTheLastCommand) {
  EXPECT_EQ(Run("QUIT\nSET a 1"), "+OK\r\n");
  EXPECT_TRUE(session_->wants_close());
  EXPECT_EQ(store().batches(), 0);
}

TEST_F(RedisSessionTest, WhoSpeaksHttpIsNotAnswered) {
  EXPECT_EQ(Run("POST / HTTP/1.1\nHost: example.com\nSET a 1"), "");
  EXPECT_TRUE(session_->wants_close());
  EXPECT_EQ(store().batches(), 0);
}

TEST_F(RedisSessionTest, HelloChoosesTheProtocol) {
  EXPECT_THAT(Run("HELLO"), StartsWith("*14\r\n$6\r\nserver\r\n$5\r\nredis\r\n"));
  EXPECT_THAT(Run("HELLO 3 SETNAME me"), StartsWith("%7\r\n$6\r\nserver\r\n"));
  EXPECT_EQ(Run("GET none\nCLIENT GETNAME"), "_\r\n$2\r\nme\r\n");
  EXPECT_EQ(Run("CONFIG GET save"), "%1\r\n$4\r\nsave\r\n$0\r\n\r\n");
  EXPECT_EQ(Run("HELLO 4"), "-NOPROTO unsupported protocol version\r\n");
  EXPECT_EQ(Run("RESET\nGET none"), "+RESET\r\n$-1\r\n");
}

TEST_F(RedisSessionTest, CommandsAndErrorsAreCounted) {
  Run("GET a\nGET b\nSET a x\nSET b y\nINCR a\nGET\nnonsense");
  using Count = std::pair<uint64_t, uint64_t>;  // calls and errors
  std::map<std::string, Count> counts;
  for (const RedisCommandCount& count : service_.CommandCounts()) {
    counts[std::string(count.name)] = {count.calls, count.errors};
  }
  EXPECT_EQ(counts["get"], Count(2, 1));
  EXPECT_EQ(counts["set"], Count(2, 0));
  EXPECT_EQ(counts["incr"], Count(1, 1));
  EXPECT_EQ(service_.unknown_commands(), 1);
}

TEST_F(RedisSessionTest, LongRepliesAreMadeInPieces) {
  std::string value(900'000, 'v');
  RunBytes("*3\r\n$3\r\nSET\r\n$1\r\na\r\n$900000\r\n" + value + "\r\n");
  resp::RequestParser parser;
  resp::CommandBatch batch;
  parser.Parse("GET a\nGET a\nGET a\nGET a\n", 100, &batch);
  EXPECT_EQ(session_->Execute(batch, resp::Place::kLoop, &replies_).executed, 2);
}

class RedisPasswordTest : public RedisFixture {
 protected:
  RedisPasswordTest() : RedisFixture({}, "secret") {}
};

TEST_F(RedisPasswordTest, NothingIsDoneBeforeThePasswordIsGiven) {
  EXPECT_FALSE(session_->is_trusted());
  EXPECT_EQ(Run("GET a\nAUTH wrong\nSET a 1"),
            "-NOAUTH Authentication required.\r\n"
            "-WRONGPASS invalid username-password pair or user is disabled.\r\n"
            "-NOAUTH Authentication required.\r\n");
  EXPECT_THAT(Run("HELLO 3"), StartsWith("-NOAUTH HELLO must be called"));
  EXPECT_EQ(Run("AUTH default secret\nSET a 1"), "+OK\r\n+OK\r\n");
  EXPECT_TRUE(session_->is_trusted());
  EXPECT_EQ(Run("RESET\nGET a"), "+RESET\r\n-NOAUTH Authentication required.\r\n");
  EXPECT_THAT(Run("HELLO 2 AUTH default secret"), HasSubstr("proto"));
  EXPECT_EQ(Run("GET a"), "$1\r\n1\r\n");
}

class RedisBlockingStoreTest : public RedisFixture {
 protected:
  RedisBlockingStoreTest() : RedisFixture({.is_ordered = true, .may_block = true}) {}
};

TEST_F(RedisBlockingStoreTest, CommandsThatMayWaitMoveToThePool) {
  EXPECT_EQ(Run("PING\nSET a 1\nGET a"), "+PONG\r\n+OK\r\n$1\r\n1\r\n");
  EXPECT_EQ(moves_, 1);
}

TEST_F(RedisBlockingStoreTest, CursorsThatAreNoNumbersAreKept) {
  for (const char c : std::string("abcdefghijklmnopqrstuvwxy")) {
    Run(fmt::format("SET {} 1", c));
  }
  EXPECT_THAT(Run("SCAN 0 COUNT 20"), StartsWith("*2\r\n$1\r\n1\r\n*20\r\n$1\r\na\r\n"));
  EXPECT_EQ(Run("SCAN 1 COUNT 20"),
            "*2\r\n$1\r\n0\r\n*5\r\n$1\r\nu\r\n$1\r\nv\r\n$1\r\nw\r\n$1\r\nx\r\n$1\r\ny\r\n");
  EXPECT_EQ(Run("SCAN 7"), "-ERR invalid cursor\r\n");
}

TEST(RedisCursorsTest, TheOldestCursorsAreForgotten) {
  RedisCursors cursors;
  const uint64_t first = cursors.Keep("first");
  EXPECT_NE(first, 0);
  EXPECT_EQ(cursors.Find(first), "first");
  for (int i = 0; i < 16'384; ++i) {
    cursors.Keep("more");
  }
  EXPECT_EQ(cursors.Find(first), std::nullopt);
  EXPECT_EQ(cursors.Find(first + 1), "more");
  EXPECT_EQ(cursors.Find(0), std::nullopt);
  EXPECT_EQ(cursors.Find(1'000'000), std::nullopt);
}

}  // namespace
}  // namespace tsdbd::server
