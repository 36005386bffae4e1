#include "server/command_line.h"

#include <fstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

namespace tsdbd::server {
namespace {

using ::testing::HasSubstr;

StatusOr<CommandLine> Parse(std::vector<const char*> arguments) {
  arguments.insert(arguments.begin(), "tsdbd");
  return ParseCommandLine(static_cast<int>(arguments.size()), arguments.data());
}

std::string ErrorOf(std::vector<const char*> arguments) {
  return std::string(Message(Parse(std::move(arguments)).status()));
}

// A configuration file that lives as long as this.
class TemporaryFile {
 public:
  explicit TemporaryFile(const std::string& text)
      : path_(testing::TempDir() + "tsdbd_flags_" + std::to_string(getpid()) + ".toml") {
    std::ofstream(path_) << text;
  }
  ~TemporaryFile() { unlink(path_.c_str()); }
  const char* path() const { return path_.c_str(); }

 private:
  const std::string path_;
};

TEST(CommandLineTest, WithoutFlagsThereAreTheDefaults) {
  const auto line = Parse({});
  ASSERT_TRUE(line.ok());
  EXPECT_FALSE(line->print.has_value());
  EXPECT_EQ(ConfigText(line->config), ConfigText(Config()));
}

TEST(CommandLineTest, FlagsSetTheirKeys) {
  const auto line = Parse({"--data-dir", "/d", "--listen=0.0.0.0:1", "--wal-sync", "interval=20",
                           "--retention", "30d", "--log-level", "debug", "--set", "http.threads=3",
                           "--set", "query.timeout=5s"});
  ASSERT_TRUE(line.ok()) << Message(line.status());
  EXPECT_EQ(line->config.data_dir, "/d");
  EXPECT_EQ(line->config.http.port, 1);
  EXPECT_EQ(line->config.database.wal.sync_mode, wal::SyncMode::kInterval);
  EXPECT_EQ(line->config.database.wal.sync_interval_ms, 20);
  EXPECT_EQ(line->config.database.retention_ns, 30 * kNanosPerDay);
  EXPECT_EQ(line->config.log.level, "debug");
  EXPECT_EQ(line->config.http.loop_count, 3);
  EXPECT_EQ(line->config.query.options.timeout_ns, 5 * kNanosPerSecond);
}

TEST(CommandLineTest, FlagsOverrideTheFile) {
  const TemporaryFile file("data_dir = 'from_file'\n[wal]\nsync = 'none'\n");
  const auto line = Parse({"--wal-sync=always", "--config", file.path()});
  ASSERT_TRUE(line.ok()) << Message(line.status());
  EXPECT_EQ(line->config.data_dir, "from_file");
  EXPECT_EQ(line->config.database.wal.sync_mode, wal::SyncMode::kAlways);
}

TEST(CommandLineTest, ErrorsNameTheFlagOrKey) {
  EXPECT_THAT(ErrorOf({"--listen", "8086"}), HasSubstr("--listen: http.listen: '8086' is not"));
  EXPECT_THAT(ErrorOf({"--wal-sync", "sometimes"}), HasSubstr("--wal-sync: wal.sync: 'sometimes'"));
  EXPECT_THAT(ErrorOf({"--wal-sync", "interval=x"}), HasSubstr("--wal-sync: wal.sync_interval"));
  EXPECT_THAT(ErrorOf({"--set", "a.b=1"}), HasSubstr("--set: a.b: there is no such key"));
  EXPECT_THAT(ErrorOf({"--set", "a"}), HasSubstr("'a' is not KEY=VALUE"));
  EXPECT_THAT(ErrorOf({"--colour"}), HasSubstr("--colour"));
  EXPECT_THAT(ErrorOf({"stray"}), HasSubstr("stray"));
  EXPECT_THAT(ErrorOf({"--config", "/no/such/file"}), HasSubstr("/no/such/file"));
}

TEST(CommandLineTest, ErrorsInTheFileNameFileAndLine) {
  const TemporaryFile file("\n[http]\nlisen = 'x'\n");
  EXPECT_EQ(ErrorOf({"--config", file.path()}),
            std::string(file.path()) + ":3: http.lisen: there is no such key");
}

TEST(CommandLineTest, HelpVersionAndPrintConfigRunNothing) {
  EXPECT_THAT(Parse({"--help"})->print.value(), HasSubstr("--wal-sync MODE"));
  EXPECT_THAT(Parse({"--version"})->print.value(), testing::MatchesRegex("tsdbd [0-9.]+\n"));
  EXPECT_EQ(Parse({"--print-config"})->print.value(), ConfigText(Config()));
}

}  // namespace
}  // namespace tsdbd::server
