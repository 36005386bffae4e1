// The commands, as tables of lines and what they reply. What Redis itself replies to such lines is
// compared in test/integration/redis_test.py.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "server/redis_fixture.h"
#include "server/redis_text.h"

namespace tsdbd::server {
namespace {

using ::testing::HasSubstr;
using ::testing::MatchesRegex;

class RedisCommandsTest : public RedisFixture {
 protected:
  struct Line {
    std::string_view command;
    std::string_view reply;  // without the last line end; inner ones are blanks
  };

  void Expect(std::initializer_list<Line> lines) {
    for (const Line& line : lines) {
      std::string reply = Run(line.command);
      ASSERT_TRUE(reply.ends_with("\r\n")) << line.command;
      reply.resize(reply.size() - 2);
      for (size_t at = reply.find("\r\n"); at != reply.npos; at = reply.find("\r\n")) {
        reply.replace(at, 2, " ");
      }
      EXPECT_EQ(reply, line.reply) << line.command;
    }
  }

  int64_t Number(std::string_view command) {
    const std::string reply = Run(command);
    EXPECT_EQ(reply[0], ':') << command << ": " << reply;
    return std::stoll(reply.substr(1));
  }
};

TEST_F(RedisCommandsTest, SetWithConditions) {
  Expect({{"SET k 1 XX", "$-1"},
          {"SET k 1 NX", "+OK"},
          {"SET k 2 NX", "$-1"},
          {"SET k 3 XX", "+OK"},
          {"SET k 4 GET", "$1 3"},
          {"SET k 5 NX GET", "$1 4"},
          {"GET k", "$1 4"},
          {"SET k 6 NX XX", "-ERR syntax error"},
          {"SET k 6 EX", "-ERR syntax error"},
          {"SET k 6 EX 0", "-ERR invalid expire time in 'set' command"},
          {"SET k 6 EX 10 PX 10", "-ERR syntax error"},
          {"SET k 6 EX 10 KEEPTTL", "-ERR syntax error"},
          {"SET k 6 EX ten", "-ERR value is not an integer or out of range"},
          {"SET k 6 EX 9223372036854775807", "-ERR invalid expire time in 'set' command"},
          {"SET k 6 FOO", "-ERR syntax error"},
          {"GET k", "$1 4"}});
}

TEST_F(RedisCommandsTest, SetForgetsTheExpiryUnlessToldToKeepIt) {
  Expect({{"SET k 1 EX 100", "+OK"},
          {"TTL k", ":100"},
          {"SET k 2 KEEPTTL", "+OK"},
          {"TTL k", ":100"},
          {"APPEND k 3", ":2"},
          {"TTL k", ":100"},
          {"INCR k", ":24"},
          {"TTL k", ":100"},
          {"SETRANGE k 0 9", ":2"},
          {"TTL k", ":100"},
          {"SET k 2", "+OK"},
          {"TTL k", ":-1"},
          {"TTL none", ":-2"},
          {"PTTL none", ":-2"}});
}

TEST_F(RedisCommandsTest, ExpiryAtAMoment) {
  Expect({{"SET k 1 EXAT 4102444800", "+OK"},
          {"EXPIRETIME k", ":4102444800"},
          {"SET k 1 PXAT 4102444800123", "+OK"},
          {"PEXPIRETIME k", ":4102444800123"},
          {"SET k 1 EXAT 1", "+OK"},
          {"GET k", "$-1"},
          {"EXPIRETIME k", ":-2"}});
}

TEST_F(RedisCommandsTest, SetExAndItsLike) {
  Expect({{"SETEX k 100 v", "+OK"},
          {"TTL k", ":100"},
          {"SETEX k 0 v", "-ERR invalid expire time in 'setex' command"},
          {"PSETEX k -1 v", "-ERR invalid expire time in 'psetex' command"},
          {"PSETEX k 100000 v", "+OK"},
          {"TTL k", ":100"},
          {"SETNX k w", ":0"},
          {"SETNX l w", ":1"},
          {"GETSET l x", "$1 w"},
          {"GETSET m y", "$-1"},
          {"GETDEL m", "$1 y"},
          {"GETDEL m", "$-1"}});
}

TEST_F(RedisCommandsTest, GetExChangesTheExpiryOnly) {
  Expect({{"SET k v", "+OK"},
          {"GETEX k EX 100", "$1 v"},
          {"TTL k", ":100"},
          {"GETEX k", "$1 v"},
          {"TTL k", ":100"},
          {"GETEX k PERSIST", "$1 v"},
          {"TTL k", ":-1"},
          {"GETEX k PERSIST EX 1", "-ERR syntax error"},
          {"GETEX none EX 10", "$-1"}});
}

TEST_F(RedisCommandsTest, ManyKeysAtOnce) {
  Expect({{"MSET a 1 b 2 a 3", "+OK"},
          {"MGET a b c", "*3 $1 3 $1 2 $-1"},
          {"MSET a 1 b", "-ERR wrong number of arguments for 'mset' command"},
          {"MSETNX c 1 a 2", ":0"},
          {"EXISTS c", ":0"},
          {"MSETNX c 1 d 2", ":1"},
          {"EXISTS a b c d a none", ":5"},
          {"DEL a b a none", ":2"},
          {"UNLINK c", ":1"},
          {"DEL c", ":0"},
          {"TOUCH d none", ":1"},
          {"DBSIZE", ":1"}});
}

TEST_F(RedisCommandsTest, Numbers) {
  Expect({{"INCR n", ":1"},
          {"INCRBY n 41", ":42"},
          {"DECR n", ":41"},
          {"DECRBY n 1", ":40"},
          {"SET n 9223372036854775807", "+OK"},
          {"INCR n", "-ERR increment or decrement would overflow"},
          {"SET n ' 1'", "+OK"},
          {"INCR n", "-ERR value is not an integer or out of range"},
          {"SET n ''", "+OK"},
          {"INCR n", "-ERR value is not an integer or out of range"},
          {"DECRBY n -9223372036854775808", "-ERR decrement would overflow"},
          {"INCRBY n 1.5", "-ERR value is not an integer or out of range"}});
}

TEST_F(RedisCommandsTest, Fractions) {
  Expect({{"INCRBYFLOAT f 10.5", "$4 10.5"},
          {"INCRBYFLOAT f 0.1", "$4 10.6"},
          {"INCRBYFLOAT f -5", "$3 5.6"},
          {"SET f 5.0e3", "+OK"},
          {"INCRBYFLOAT f 2.0e2", "$4 5200"},
          {"INCRBYFLOAT f abc", "-ERR value is not a valid float"},
          {"INCRBYFLOAT f inf", "-ERR increment would produce NaN or Infinity"}});
}

TEST_F(RedisCommandsTest, PartsOfValues) {
  Expect(
      {{"SET k 'Hello World'", "+OK"},
       {"GETRANGE k 0 4", "$5 Hello"},
       {"GETRANGE k -5 -1", "$5 World"},
       {"GETRANGE k 5 2", "$0 "},
       {"GETRANGE k 0 100", "$11 Hello World"},
       {"GETRANGE k -1 -5", "$0 "},
       {"GETRANGE none 0 1", "$0 "},
       {"GETRANGE k a 1", "-ERR value is not an integer or out of range"},
       {"SETRANGE k 6 Redis", ":11"},
       {"GET k", "$11 Hello Redis"},
       {"SETRANGE z 2 x", ":3"},
       {"STRLEN z", ":3"},
       {"SETRANGE none 5 ''", ":0"},
       {"EXISTS none", ":0"},
       {"SETRANGE z -1 x", "-ERR offset is out of range"},
       {"SETRANGE z 600000000 x", "-ERR string exceeds maximum allowed size (proto-max-bulk-len)"},
       {"STRLEN none", ":0"}});
}

TEST_F(RedisCommandsTest, ExpireWithConditions) {
  Expect({{"EXPIRE k 10", ":0"},
          {"SET k v", "+OK"},
          {"EXPIRE k 100 XX", ":0"},
          {"EXPIRE k 100 GT", ":0"},
          {"EXPIRE k 100 NX", ":1"},
          {"EXPIRE k 100 NX", ":0"},
          {"EXPIRE k 50 GT", ":0"},
          {"EXPIRE k 200 GT", ":1"},
          {"PEXPIRE k 300000 LT", ":0"},
          {"PEXPIRE k 100000 LT", ":1"},
          {"TTL k", ":100"},
          {"EXPIRE k 10 NX XX",
           "-ERR NX and XX, GT or LT options at the same time are not compatible"},
          {"EXPIRE k 10 GT LT", "-ERR GT and LT options at the same time are not compatible"},
          {"EXPIRE k 10 FOO", "-ERR Unsupported option FOO"},
          {"EXPIRE k 9223372036854775807", "-ERR invalid expire time in 'expire' command"},
          {"PERSIST k", ":1"},
          {"PERSIST k", ":0"},
          {"EXPIREAT k 4102444800", ":1"},
          {"PEXPIRETIME k", ":4102444800000"},
          {"EXPIRE k -1", ":1"},
          {"GET k", "$-1"}});
}

TEST_F(RedisCommandsTest, TimesBeforeAndBehindWhatNanosecondsCanSay) {
  Expect({{"SET k v", "+OK"},
          {"EXPIREAT k 9223372036", ":1"},
          {"EXPIREAT k 9223372037", "-ERR invalid expire time in 'expireat' command"},
          {"PEXPIREAT k 9223372036855", "-ERR invalid expire time in 'pexpireat' command"},
          {"EXPIRETIME k", ":9223372036"},
          {"EXPIREAT k -9223372037 GT", ":0"},
          {"EXPIREAT k -9223372037", ":1"},
          {"EXISTS k", ":0"},
          {"SET k v", "+OK"},
          {"PEXPIRE k -9223372036854775808", ":1"},
          {"EXISTS k", ":0"},
          {"SET k v", "+OK"},
          {"EXPIREAT k -9223372036854775808", "-ERR invalid expire time in 'expireat' command"},
          {"EXISTS k", ":1"}});
  databases_.default_ttl_ns = kv::kNeverExpires;
  Expect({{"SET k v", "+OK"}, {"TTL k", ":-1"}});
}

TEST_F(RedisCommandsTest, RenamingTakesTheExpiryAlong) {
  Expect({{"RENAME a b", "-ERR no such key"},
          {"SET a 1 EX 100", "+OK"},
          {"SET b 2", "+OK"},
          {"RENAMENX a b", ":0"},
          {"RENAME a b", "+OK"},
          {"GET a", "$-1"},
          {"GET b", "$1 1"},
          {"TTL b", ":100"},
          {"RENAME b b", "+OK"},
          {"GET b", "$1 1"},
          {"RENAMENX b c", ":1"},
          {"TYPE c", "+string"},
          {"TYPE b", "+none"}});
}

TEST_F(RedisCommandsTest, ScanVisitsEveryKeyOnce) {
  std::string lines;
  for (int i = 0; i < 100; ++i) {
    lines += fmt::format("SET k{:02} v\n", i);
  }
  Run(lines);
  std::string cursor = "0";
  std::string all;
  int pages = 0;
  do {
    const std::string reply = Run(fmt::format("SCAN {} COUNT 7 MATCH k?[0-4]", cursor));
    const size_t begin = reply.find("\r\n", 5) + 2;
    cursor = reply.substr(begin, reply.find("\r\n", begin) - begin);
    all += reply.substr(begin);
    ++pages;
  } while (cursor != "0");
  EXPECT_EQ(pages, 15);
  for (int i = 0; i < 100; ++i) {
    const size_t found = all.find(fmt::format("k{:02}", i));
    EXPECT_EQ(found != all.npos, i % 10 < 5) << i;
  }
  Expect({{"SCAN x", "-ERR invalid cursor"},
          {"SCAN 0 COUNT 0", "-ERR syntax error"},
          {"SCAN 0 COUNT", "-ERR syntax error"},
          {"SCAN 0 TYPE list COUNT 1000", "*2 $1 0 *0"},
          {"SCAN 0 MATCH k55 COUNT 1000 TYPE string", "*2 $1 0 *1 $3 k55"},
          {"KEYS k5[56]", "*2 $3 k55 $3 k56"},
          {"KEYS none", "*0"}});
  EXPECT_THAT(Run("RANDOMKEY"), MatchesRegex("\\$3\r\nk[0-9][0-9]\r\n"));
}

TEST_F(RedisCommandsTest, FlushingRemovesKeysOfOneOrAllDatabases) {
  Expect({{"RANDOMKEY", "$-1"},
          {"SET a 1", "+OK"},
          {"SELECT 1", "+OK"},
          {"SET a 1", "+OK"},
          {"FLUSHDB", "+OK"},
          {"DBSIZE", ":0"},
          {"SELECT 0", "+OK"},
          {"DBSIZE", ":1"},
          {"FLUSHALL NOW", "-ERR syntax error"},
          {"FLUSHALL ASYNC", "+OK"},
          {"DBSIZE", ":0"}});
}

TEST_F(RedisCommandsTest, TheConnection) {
  Expect({{"PING hi", "$2 hi"},
          {"PING a b", "-ERR wrong number of arguments for 'ping' command"},
          {"ECHO hi", "$2 hi"},
          {"CLIENT ID", ":1"},
          {"CLIENT GETNAME", "$-1"},
          {"CLIENT SETNAME 'a b'",
           "-ERR Client names cannot contain spaces, newlines or special characters."},
          {"CLIENT SETNAME me", "+OK"},
          {"CLIENT GETNAME", "$2 me"},
          {"CLIENT SETINFO LIB-NAME lib", "+OK"},
          {"CLIENT NO-EVICT on", "+OK"},
          {"AUTH x",
           "-ERR AUTH <password> called without any password configured for the default user. "
           "Are you sure your configuration is correct?"},
          {"WAIT 1 0", ":0"}});
  EXPECT_THAT(Run("CLIENT LIST"), HasSubstr("name=me age=0 idle=0 flags=N db=0"));
  EXPECT_THAT(Run("CLIENT INFO"), HasSubstr("lib-name=lib"));
  EXPECT_THAT(Run("TIME"), MatchesRegex("\\*2\r\n\\$10\r\n[0-9]+\r\n\\$[0-9]\r\n[0-9]+\r\n"));
}

TEST_F(RedisCommandsTest, TheServer) {
  Run("SET a 1");
  EXPECT_THAT(Run("INFO"), HasSubstr("redis_version:7."));
  EXPECT_THAT(Run("INFO keyspace"), HasSubstr("# Keyspace\r\ndb0:keys=1\r\n"));
  EXPECT_THAT(Run("INFO commandstats"), HasSubstr("cmdstat_set:calls=1,failed_calls=0"));
  Expect({{"CONFIG GET append*", "*4 $11 appendfsync $6 always $10 appendonly $3 yes"},
          {"CONFIG GET none", "*0"},
          {"COMMAND INFO none", "*1 $-1"},
          {"COMMAND LIST FILTERBY PATTERN mge*", "*1 $4 mget"},
          {"COMMAND INFO get",
           "*1 *10 $3 get :2 *2 +readonly +fast :1 :1 :1 *3 +@read +@string +@fast *0 *0 *0"}});
  EXPECT_THAT(Run("COMMAND DOCS get"), HasSubstr("$7\r\nsummary\r\n$"));
  EXPECT_THAT(Run("CLIENT HELP"), HasSubstr("+getname\r\n"));
  const auto count = Number("COMMAND COUNT");
  EXPECT_THAT(Run("COMMAND"), testing::StartsWith(fmt::format("*{}\r\n", count)));
}

TEST_F(RedisCommandsTest, AKeyspaceMayLetItsEntriesExpire) {
  databases_.default_ttl_ns = 100 * kNanosPerSecond;
  Expect({{"SET a 1", "+OK"},
          {"TTL a", ":100"},
          {"SET a 1 EX 50", "+OK"},
          {"TTL a", ":50"},
          {"INCR b", ":1"},
          {"TTL b", ":100"},
          {"PERSIST b", ":1"},
          {"INCR b", ":2"},
          {"TTL b", ":-1"}});
}

TEST(RedisTextTest, PatternsMatchAsInAShell) {
  const std::vector<std::tuple<std::string_view, std::string_view, bool>> cases = {
      {"*", "", true},
      {"*", "abc", true},
      {"a*c", "abc", true},
      {"a*c", "abd", false},
      {"a?c", "abc", true},
      {"a?c", "ac", false},
      {"[abc]x", "bx", true},
      {"[^abc]x", "bx", false},
      {"[a-c]x", "bx", true},
      {"[c-a]x", "bx", true},
      {"[a-c]x", "dx", false},
      {"\\*", "*", true},
      {"\\*", "a", false},
      {"", "", true},
      {"", "a", false},
      {"*a*b*c", "xaybzc", true},
      {"*a*b*c", "xaybz", false},
      {"[", "[", false},
      {"[\\]]", "]", true},
      {"a**b", "ab", true},
      {"a\\", "a\\", true}};
  for (const auto& [pattern, text, expected] : cases) {
    EXPECT_EQ(MatchesGlob(pattern, text), expected) << pattern << " " << text;
  }
}

TEST(RedisTextTest, APatternOfManyStarsTakesNoLongTime) {
  std::string pattern;
  for (int i = 0; i < 100; ++i) {
    pattern += "*a";
  }
  EXPECT_FALSE(MatchesGlob(pattern + "b", std::string(1'000, 'a')));
}

TEST(RedisTextTest, IntegersAreStrict) {
  int64_t value = 0;
  for (const std::string_view text : {"0", "-1", "9223372036854775807", "-9223372036854775808"}) {
    EXPECT_TRUE(ParseRedisInteger(text, &value)) << text;
    EXPECT_EQ(std::to_string(value), text);
  }
  for (const std::string_view text :
       {"", "-", "+1", "01", "-0", " 1", "1 ", "1.0", "9223372036854775808", "0x1"}) {
    EXPECT_FALSE(ParseRedisInteger(text, &value)) << text;
  }
}

}  // namespace
}  // namespace tsdbd::server
