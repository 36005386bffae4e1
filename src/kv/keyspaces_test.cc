#include "kv/keyspaces.h"

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <thread>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/check.h"
#include "common/hex_dump_testing.h"

namespace tsdbd::kv {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

namespace fs = std::filesystem;

class KeyspacesTest : public testing::Test {
 protected:
  KeyspacesTest() {
    std::string path = (fs::temp_directory_path() / "tsdbd-keyspaces-XXXXXX").string();
    CHECK(mkdtemp(path.data()) != nullptr);
    folder_ = path;
    options_.directory = folder_ / "kv";
    options_.sync_mode = SyncMode::kNone;
    options_.now_ns = [] { return int64_t{1000}; };
    Reopen();
  }
  ~KeyspacesTest() override {
    keyspaces_.reset();
    fs::remove_all(folder_);
  }

  void Reopen() {
    keyspaces_.reset();
    auto opened = Keyspaces::Open(Env::Default(), options_);
    ASSERT_TRUE(opened.ok()) << ToString(opened.status());
    keyspaces_ = *std::move(opened);
  }

  std::shared_ptr<Keyspace> Create(std::string_view name, KeyspaceDefinition definition = {}) {
    auto created = keyspaces_->Create(name, definition);
    EXPECT_TRUE(created.ok()) << ToString(created.status());
    return created.ok() ? *created : nullptr;
  }

  std::shared_ptr<Keyspace> Find(std::string_view name) {
    auto found = keyspaces_->Find(name);
    EXPECT_TRUE(found.ok()) << ToString(found.status());
    return found.ok() ? *found : nullptr;
  }

  std::vector<std::string> Names() {
    std::vector<std::string> names;
    for (const KeyspaceInfo& info : keyspaces_->List()) {
      names.push_back(info.name);
    }
    return names;
  }

  fs::path DefinitionOf(const std::string& name) {
    return fs::path(options_.directory) / name / "definition";
  }

  static std::string ReadAll(const fs::path& path) {
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
  }
  static void WriteAll(const fs::path& path, const std::string& text) {
    std::ofstream(path, std::ios::binary) << text;
  }

  void WaitUntilGone(const fs::path& path) {
    for (int i = 0; i < 1000 && fs::exists(path); ++i) {
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
    EXPECT_FALSE(fs::exists(path)) << path;
  }

  fs::path folder_;
  KeyspacesOptions options_;
  std::unique_ptr<Keyspaces> keyspaces_;
};

TEST_F(KeyspacesTest, WhatWasCreatedIsThereAfterARestart) {
  const KeyspaceDefinition integers{.key_type = KeyType::kInteger,
                                    .backend = Backend::kRocks,
                                    .default_ttl_ns = 5 * kNanosPerSecond};
  ASSERT_TRUE(Create("devices")->store().Put("a", "1").ok());
  ASSERT_TRUE(Create("counts", integers)->store().Put("12345678", "2").ok());
  for (int round = 0; round < 3; ++round) {
    EXPECT_THAT(Names(), ElementsAre("counts", "devices"));
    EXPECT_EQ(Find("devices")->store().Get("a").value(), "1");
    EXPECT_EQ(Find("devices")->definition(), KeyspaceDefinition());
    EXPECT_EQ(Find("counts")->store().Get("12345678").value(), "2");
    EXPECT_EQ(Find("counts")->definition(), integers);
    Reopen();
  }
}

TEST_F(KeyspacesTest, KeyspacesDoNotSeeEachOthersKeys) {
  ASSERT_TRUE(Create("a")->store().Put("key", "of a").ok());
  Create("b");
  EXPECT_TRUE(absl::IsNotFound(Find("b")->store().Get("key").status()));
}

TEST_F(KeyspacesTest, RefusesNamesThatAreNoFolders) {
  for (const std::string& name :
       {std::string(), std::string("."), std::string(".."), std::string(".a"), std::string("a/b"),
        std::string("a b"), std::string("\0", 1), std::string("ä"), std::string(65, 'a')}) {
    EXPECT_TRUE(absl::IsInvalidArgument(keyspaces_->Create(name, {}).status())) << name;
    EXPECT_TRUE(absl::IsNotFound(keyspaces_->Find(name).status())) << name;
    EXPECT_TRUE(absl::IsNotFound(keyspaces_->Drop(name))) << name;
  }
  Create("A-z_0.9");
  Create(std::string(64, 'a'));
}

TEST_F(KeyspacesTest, ThereIsOneOfAName) {
  ASSERT_TRUE(Create("a")->store().Put("key", "kept").ok());
  EXPECT_EQ(keyspaces_->Create("a", {}).status().code(), StatusCode::kAlreadyExists);
  EXPECT_EQ(Find("a")->store().Get("key").value(), "kept");
}

TEST_F(KeyspacesTest, ThereAreNotMoreThanTheLimit) {
  options_.max_keyspaces = 2;
  Reopen();
  Create("a");
  Create("b");
  EXPECT_EQ(keyspaces_->Create("c", {}).status().code(), StatusCode::kFailedPrecondition);
  ASSERT_TRUE(keyspaces_->Drop("a").ok());
  Create("c");
}

TEST_F(KeyspacesTest, ADroppedKeyspaceStaysAway) {
  ASSERT_TRUE(Create("a")->store().Put("key", "v").ok());
  ASSERT_TRUE(keyspaces_->Drop("a").ok());
  EXPECT_TRUE(absl::IsNotFound(keyspaces_->Find("a").status()));
  EXPECT_TRUE(absl::IsNotFound(keyspaces_->Drop("a")));
  WaitUntilGone(DefinitionOf("a").parent_path());
  Reopen();
  EXPECT_THAT(Names(), ElementsAre());
}

TEST_F(KeyspacesTest, OneThatIsInUseWhenItIsDroppedWorksUntilItIsLetGo) {
  auto used = Create("a");
  ASSERT_TRUE(used->store().Put("key", "old").ok());
  const auto view = used->store().Read(Consistency::kLatest);
  ASSERT_TRUE(keyspaces_->Drop("a").ok());
  EXPECT_TRUE(used->is_dropped());
  EXPECT_EQ(used->store().Get("key").value(), "old");
  // One of the same name is another one.
  auto next = Create("a", {.key_type = KeyType::kBytes, .backend = Backend::kRocks});
  EXPECT_TRUE(absl::IsNotFound(next->store().Get("key").status()));
  ASSERT_TRUE(next->store().Put("key", "new").ok());
  ASSERT_TRUE(used->store().Put("other", "x").ok());
  ASSERT_TRUE(used->store().Compact().ok());
}

TEST_F(KeyspacesTest, FilesOfADropThatACrashEndedAreRemovedAtTheNextStart) {
  ASSERT_TRUE(Create("gone")->store().Put("key", "old").ok());
  ASSERT_TRUE(Create("again")->store().Put("key", "old").ok());
  keyspaces_.reset();
  fs::rename(DefinitionOf("gone"), DefinitionOf("gone").replace_filename("dropped"));
  fs::create_directories(DefinitionOf("again").replace_filename("store-7"));
  WriteAll(DefinitionOf("again").replace_filename("store-7") / "file", "bytes");
  Reopen();
  EXPECT_THAT(Names(), ElementsAre("again"));
  EXPECT_FALSE(fs::exists(DefinitionOf("gone").parent_path()));
  EXPECT_FALSE(fs::exists(DefinitionOf("again").replace_filename("store-7")));
  EXPECT_EQ(Find("again")->store().Get("key").value(), "old");
}

TEST_F(KeyspacesTest, ACreateThatACrashEndedLeavesNothing) {
  keyspaces_.reset();
  fs::create_directories(DefinitionOf("a").replace_filename("store-1"));
  Reopen();
  EXPECT_THAT(Names(), ElementsAre());
  Create("a");
}

TEST_F(KeyspacesTest, OneThatCannotBeOpenedIsSetAsideAndTheOthersWork) {
  ASSERT_TRUE(Create("good")->store().Put("key", "v").ok());
  ASSERT_TRUE(Create("bad")->store().Put("key", "v").ok());
  keyspaces_.reset();
  const std::string text = ReadAll(DefinitionOf("bad"));
  WriteAll(DefinitionOf("bad"), text.substr(0, text.size() / 2));
  Reopen();
  EXPECT_THAT(Names(), ElementsAre("bad", "good"));
  EXPECT_EQ(Find("good")->store().Get("key").value(), "v");
  const Status status = keyspaces_->Find("bad").status();
  EXPECT_TRUE(absl::IsUnavailable(status));
  EXPECT_THAT(std::string(Message(status)), HasSubstr("bad/definition"));
  EXPECT_EQ(keyspaces_->Create("bad", {}).status().code(), StatusCode::kAlreadyExists);
  // Mended, it is back with all it had.
  WriteAll(DefinitionOf("bad"), text);
  Reopen();
  EXPECT_EQ(Find("bad")->store().Get("key").value(), "v");
}

TEST_F(KeyspacesTest, AMissingStoreOrDefinitionIsNotANewStart) {
  ASSERT_TRUE(Create("a")->store().Put("key", "v").ok());
  ASSERT_TRUE(Create("b")->store().Put("key", "v").ok());
  keyspaces_.reset();
  fs::remove_all(DefinitionOf("a").replace_filename("store-1"));
  fs::remove(DefinitionOf("b"));
  Reopen();
  EXPECT_TRUE(absl::IsUnavailable(keyspaces_->Find("a").status()));
  EXPECT_TRUE(absl::IsUnavailable(keyspaces_->Find("b").status()));
  EXPECT_TRUE(fs::exists(DefinitionOf("b").replace_filename("store-1")));
}

TEST_F(KeyspacesTest, OneThatIsSetAsideCanBeDropped) {
  Create("a");
  keyspaces_.reset();
  WriteAll(DefinitionOf("a"), "");
  Reopen();
  ASSERT_TRUE(keyspaces_->Drop("a").ok());
  EXPECT_FALSE(fs::exists(DefinitionOf("a").parent_path()));
  Create("a");
}

TEST_F(KeyspacesTest, AnEntryLivesForAsLongAsItsWriteOrItsKeyspaceSays) {
  const auto forever = Create("forever");
  const auto brief = Create("brief", {.default_ttl_ns = 50});
  EXPECT_EQ(forever->ExpiryAt(1000), kNeverExpires);
  EXPECT_EQ(forever->ExpiryAt(1000, 7), 1007);
  EXPECT_EQ(brief->ExpiryAt(1000), 1050);
  EXPECT_EQ(brief->ExpiryAt(1000, 7), 1007);
  EXPECT_EQ(brief->ExpiryAt(1000, kNeverExpires - 1), kNeverExpires);
}

TEST_F(KeyspacesTest, ClosedKeyspacesTakeNoWrites) {
  const auto keyspace = Create("a");
  ASSERT_TRUE(keyspaces_->Close().ok());
  ASSERT_TRUE(keyspaces_->Close().ok());
  EXPECT_TRUE(absl::IsUnavailable(keyspace->store().Put("key", "v")));
}

TEST(KeyspaceDefinitionTest, ReadsWhatItWrote) {
  for (const KeyType key_type : {KeyType::kBytes, KeyType::kInteger}) {
    for (const Backend backend : {Backend::kAlex, Backend::kRocks}) {
      for (const int64_t ttl_ns : {int64_t{0}, int64_t{1}, kNeverExpires}) {
        const KeyspaceDefinition written{
            .key_type = key_type, .backend = backend, .default_ttl_ns = ttl_ns};
        KeyspaceDefinition read;
        uint64_t number = 0;
        ASSERT_TRUE(DecodeDefinition(EncodeDefinition(written, 12), &read, &number).ok());
        EXPECT_EQ(read, written);
        EXPECT_EQ(number, 12);
      }
    }
  }
}

// docs/formats/keyspace.md shows this one.
TEST(KeyspaceDefinitionTest, ThePageShowsTheBytesThatAreWritten) {
  const KeyspaceDefinition definition{.key_type = KeyType::kInteger,
                                      .backend = Backend::kRocks,
                                      .default_ttl_ns = 30 * kNanosPerDay};
  const std::string written = HexDump(EncodeDefinition(definition, 3));
  EXPECT_TRUE(HexDumpInDocument("keyspace.md") == written) << "the page should show\n" << written;
}

TEST(KeyspaceDefinitionTest, NoticesEveryFlippedBitAndEveryCut) {
  const std::string good = EncodeDefinition({.default_ttl_ns = 1234}, 3);
  KeyspaceDefinition definition;
  uint64_t number = 0;
  ASSERT_TRUE(DecodeDefinition(good, &definition, &number).ok());
  for (size_t i = 0; i < good.size(); ++i) {
    EXPECT_TRUE(absl::IsDataLoss(DecodeDefinition(good.substr(0, i), &definition, &number)));
    for (int bit = 0; bit < 8; ++bit) {
      std::string bad = good;
      bad[i] = static_cast<char>(bad[i] ^ (1 << bit));
      EXPECT_TRUE(absl::IsDataLoss(DecodeDefinition(bad, &definition, &number))) << i;
    }
  }
  EXPECT_TRUE(absl::IsDataLoss(DecodeDefinition(good + good, &definition, &number)));
}

}  // namespace
}  // namespace tsdbd::kv
