#include "server/config.h"

#include <fstream>
#include <sstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace tsdbd::server {
namespace {

using ::testing::HasSubstr;

std::string ReadReferenceFile() {
  std::ifstream file(TSDBD_SOURCE_DIR "/config/tsdbd.toml");
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

std::string ErrorOf(std::string_view text) {
  Config config;
  return std::string(Message(ReadConfigText(text, "test.toml", &config)));
}

TEST(ConfigTest, TheReferenceFileHasExactlyTheDefaults) {
  Config from_file;
  // Every value is changed first, so that a key which the file leaves out is noticed.
  for (const ConfigKey& key : ConfigKeys(&from_file)) {
    for (const char* other : {"other", "1h1m", "3MiB", "17", "debug", "[::1]:1", "json", "none",
                              "field_label", "refuse", "true", "false", "36h", "66KiB"}) {
      const std::string before = key.show();
      if (key.set(std::string(other)).ok() && key.show() != before) {
        break;
      }
    }
  }
  const std::string changed = ConfigText(from_file);
  const std::string text = ReadReferenceFile();
  const Status status = ReadConfigText(text, "config/tsdbd.toml", &from_file);
  ASSERT_TRUE(status.ok()) << Message(status);
  EXPECT_EQ(ConfigText(from_file), ConfigText(Config()));
  EXPECT_NE(changed, ConfigText(Config()));
}

TEST(ConfigTest, TheReferenceFileHasEveryKeyWithItsValueAsTheTextShowsIt) {
  Config config;
  const std::string file = fmt::format("\n{}", ReadReferenceFile());
  std::stringstream lines(ConfigText(config));
  for (std::string line; std::getline(lines, line);) {
    EXPECT_THAT(file, HasSubstr(fmt::format("\n{}\n", line)));
  }
}

TEST(ConfigTest, TheDefaultsAreAllowed) {
  EXPECT_TRUE(CheckConfig(Config()).ok());
}

TEST(ConfigTest, TheTextOfAConfigurationReadsBackTheSame) {
  Config config;
  ASSERT_TRUE(SetConfigKey("data_dir", "a \"quoted\\ place", &config).ok());
  ASSERT_TRUE(SetConfigKey("http.listen", "[::1]:80", &config).ok());
  ASSERT_TRUE(SetConfigKey("storage.retention", "30d", &config).ok());
  Config copy;
  ASSERT_TRUE(ReadConfigText(ConfigText(config), "copy", &copy).ok());
  EXPECT_EQ(ConfigText(copy), ConfigText(config));
  EXPECT_EQ(copy.data_dir, "a \"quoted\\ place");
  EXPECT_EQ(copy.http.host, "::1");
}

TEST(ConfigTest, RetentionRulesAreReadCheckedAndShown) {
  Config config;
  const std::string text =
      "[[retention]]\nmatch = '{__name__=~\"debug_.*\"}'\nage = '7d'\n"
      "[[retention]]\nmatch = 'up'\nage = '2h'\n";
  ASSERT_TRUE(ReadConfigText(text, "f", &config).ok());
  ASSERT_EQ(config.retention.size(), 2u);
  EXPECT_EQ(config.retention[1].age_ns, 2 * 3'600 * kNanosPerSecond);
  EXPECT_EQ(RetentionRules(config)->at(0).selector.size(), 1u);
  EXPECT_TRUE(CheckConfig(config).ok());
  Config copy;
  ASSERT_TRUE(ReadConfigText(ConfigText(config), "copy", &copy).ok());
  EXPECT_EQ(ConfigText(copy), ConfigText(config));
  config.retention[0].match = "{";
  EXPECT_THAT(std::string(Message(CheckConfig(config))), HasSubstr("retention.match"));
  EXPECT_THAT(ErrorOf("[[retention]]\nmatch = 'up'\n"), HasSubstr("needs match and age"));
  EXPECT_THAT(ErrorOf("[[retention]]\nage = '1d'\nx = 1\n"), HasSubstr("retention.x: there is no"));
}

TEST(ConfigTest, AFileSetsWhatItSaysAndNothingElse) {
  Config config;
  const Status status = ReadConfigText(
      "data_dir = '/x'\n[http]\nlisten = '0.0.0.0:9000'\nidle_timeout = '3s'\n"
      "[wal]\nsync = 'interval'\nsync_interval='20ms'\n[head]\nmemory = '64MiB'\n",
      "f", &config);
  ASSERT_TRUE(status.ok()) << Message(status);
  EXPECT_EQ(config.data_dir, "/x");
  EXPECT_EQ(config.http.host, "0.0.0.0");
  EXPECT_EQ(config.http.port, 9000);
  EXPECT_EQ(config.http.idle_timeout_ms, 3'000);
  EXPECT_EQ(config.database.wal.sync_mode, wal::SyncMode::kInterval);
  EXPECT_EQ(config.database.wal.sync_interval_ms, 20);
  EXPECT_EQ(config.database.head_limit_bytes, 64U << 20);
  EXPECT_EQ(config.http.progress_timeout_ms, Config().http.progress_timeout_ms);
}

TEST(ConfigTest, AnUnknownKeyIsNamedWithFileAndLine) {
  EXPECT_EQ(ErrorOf("\n[http]\nlistn = 'x'\n"), "test.toml:3: http.listn: there is no such key");
  EXPECT_EQ(ErrorOf("colour = 1\n"), "test.toml:1: colour: there is no such key");
  EXPECT_EQ(ErrorOf("[colours]\n"), "test.toml:1: colours: there is no such section");
  EXPECT_EQ(ErrorOf("[http.tls]\nx=1\n"), "test.toml:1: http.tls: there is no such key");
}

TEST(ConfigTest, ABadValueIsNamedWithFileLineAndReason) {
  EXPECT_EQ(ErrorOf("[http]\nidle_timeout = 10\n"),
            "test.toml:2: http.idle_timeout: 10 is not a duration in quotes (like \"10s\")");
  EXPECT_THAT(ErrorOf("[http]\nidle_timeout = '10x'\n"),
              HasSubstr("test.toml:2: http.idle_timeout: '10x' is not a duration"));
  EXPECT_EQ(ErrorOf("[http]\nidle_timeout = '2d'\n"),
            "test.toml:2: http.idle_timeout: 2d is not between 1ms and 1h");
  EXPECT_EQ(ErrorOf("[http]\nmax_connections = 0\n"),
            "test.toml:2: http.max_connections: 0 is not between 1 and 1000000");
  EXPECT_EQ(ErrorOf("[http]\nmax_connections = -1\n"),
            "test.toml:2: http.max_connections: -1 is not between 1 and 1000000");
  EXPECT_EQ(ErrorOf("[http]\nmax_connections = 1.5\n"),
            "test.toml:2: http.max_connections: 1.5 is not a whole number");
  EXPECT_EQ(ErrorOf("[write]\nkeep_utf8 = 1\n"),
            "test.toml:2: write.keep_utf8: 1 is neither true nor false");
  EXPECT_EQ(ErrorOf("[wal]\nsync = 'allways'\n"),
            "test.toml:2: wal.sync: 'allways' is none of: always, interval, none");
  EXPECT_EQ(ErrorOf("[http]\nmax_head = '1TiB'\n"),
            "test.toml:2: http.max_head: 1TiB is not between 1KiB and 1MiB");
  EXPECT_EQ(ErrorOf("data_dir = ['a']\n"), "test.toml:1: data_dir: not a single value");
  EXPECT_EQ(ErrorOf("data_dir = 5\n"), "test.toml:1: data_dir: 5 is not a text in quotes");
}

TEST(ConfigTest, ASyntaxErrorIsNamedWithFileAndLine) {
  EXPECT_THAT(ErrorOf("data_dir = 'a'\n[http\n"), HasSubstr("test.toml:2: "));
  EXPECT_THAT(ErrorOf("a = 1\na = 2\n"), HasSubstr("test.toml:2: "));
}

TEST(ConfigTest, ListenAddressesMustNameHostAndPort) {
  for (const char* bad : {"", "8086", ":8086", "localhost", "localhost:", "localhost:x", "a:70000",
                          "::1:8086", "[]:1", "a:-1", "a: 1"}) {
    Config config;
    EXPECT_FALSE(SetConfigKey("http.listen", bad, &config).ok()) << bad;
  }
}

TEST(ConfigTest, FlagTextSetsEveryKindOfKey) {
  Config config;
  EXPECT_TRUE(SetConfigKey("http.max_connections", "5", &config).ok());
  EXPECT_TRUE(SetConfigKey("write.keep_utf8", "true", &config).ok());
  EXPECT_TRUE(SetConfigKey("write.string_fields", "refuse", &config).ok());
  EXPECT_TRUE(SetConfigKey("storage.retention", "forever", &config).ok());
  EXPECT_EQ(config.http.max_connections, 5);
  EXPECT_TRUE(config.write.keep_utf8);
  EXPECT_EQ(config.write.string_fields, ingest::StringFieldPolicy::kRefuse);
  EXPECT_EQ(Message(SetConfigKey("http.max_connections", "5x", &config)),
            "http.max_connections: '5x' is not a whole number");
  EXPECT_EQ(Message(SetConfigKey("a.b", "5", &config)), "a.b: there is no such key");
}

TEST(ConfigTest, RulesBetweenKeysAreChecked) {
  Config config;
  config.http.max_bodies_total_bytes = 1 << 20;
  EXPECT_THAT(std::string(Message(CheckConfig(config))), HasSubstr("http.body_memory"));
  config = Config();
  config.database.retention_ns = kNanosPerDay / 2;
  EXPECT_THAT(std::string(Message(CheckConfig(config))), HasSubstr("storage.partition"));
  config = Config();
  config.kv.resp.server.max_memory_bytes = config.kv.keyspaces.max_value_bytes * 2;
  EXPECT_TRUE(CheckConfig(config).ok());  // nobody can send it
  config.kv.resp.enabled = true;
  EXPECT_THAT(std::string(Message(CheckConfig(config))),
              HasSubstr("kv.resp_memory (134217728 bytes) is less than two and a half times "
                        "kv.max_value (67108864 bytes)"));
  config.kv.keyspaces.max_value_bytes = size_t{50} << 20;
  EXPECT_TRUE(CheckConfig(config).ok());
}

}  // namespace
}  // namespace tsdbd::server
