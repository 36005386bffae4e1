#include "kv/keyspaces.h"

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <set>
#include <thread>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/check.h"
#include "common/fault_env_testing.h"
#include "common/hex_dump_testing.h"
#include "common/sanitizers_testing.h"

namespace tsdbd::kv {
namespace {

using testing::Contains;
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

// The store's own thread, which syncs, waits here for `gate`, and then lets go of the keyspace.
void HoldInACallback(std::shared_ptr<Keyspace> keyspace, const std::atomic<bool>* gate) {
  WriteBatch batch;
  batch.Put("key", "v");
  Keyspace* const unowned = keyspace.get();
  const auto wait = [held = std::move(keyspace), gate](const Status&) { gate->wait(false); };
  ASSERT_TRUE(unowned->store().Write(batch, wait, nullptr).ok());
}

TEST_F(KeyspacesTest, TheLastUserMayBeACallbackOfTheStoreItself) {
  options_.sync_mode = SyncMode::kAlways;
  Reopen();
  std::atomic<bool> gate = false;
  HoldInACallback(Create("a"), &gate);
  ASSERT_TRUE(keyspaces_->Drop("a").ok());
  gate = true;
  gate.notify_all();
  WaitUntilGone(DefinitionOf("a").parent_path());
  ASSERT_TRUE(keyspaces_->Close().ok());  // joins the thread that has removed it
}

TEST_F(KeyspacesTest, CloseWaitsForTheCallbacksOfWhatWasDropped) {
  options_.sync_mode = SyncMode::kAlways;
  Reopen();
  std::atomic<bool> gate = false;
  HoldInACallback(Create("a"), &gate);
  ASSERT_TRUE(keyspaces_->Drop("a").ok());
  std::thread closer([&] { EXPECT_TRUE(keyspaces_->Close().ok()); });
  // Long enough for a Close that does not wait to be through.
  std::this_thread::sleep_for(std::chrono::milliseconds(50));
  gate = true;
  gate.notify_all();
  closer.join();
  EXPECT_FALSE(fs::exists(DefinitionOf("a").parent_path()));
}

TEST_F(KeyspacesTest, OneThatIsLetGoAfterTheCloseIsRemovedWithTheOthers) {
  auto used = Create("a");
  ASSERT_TRUE(keyspaces_->Drop("a").ok());
  ASSERT_TRUE(keyspaces_->Close().ok());
  EXPECT_TRUE(absl::IsUnavailable(used->store().Put("key", "v")));
  used.reset();
  keyspaces_.reset();
  EXPECT_FALSE(fs::exists(DefinitionOf("a").parent_path()));
}

class KeyspacesCrashTest : public testing::Test {
 protected:
  // What may be there of keyspace "a" after a restart.
  using States = std::set<std::string>;
  static constexpr const char* kGone = "gone";
  static constexpr const char* kEmpty = "empty";
  static constexpr const char* kWhole = "whole";  // with the entry that Fill writes

  // Runs `prepare`, and then `act` again and again, ending the process after its first change of
  // the disk, its second, … until it gets to its end (of which the thread sanitizer leaves out
  // most). Whenever that is, "a" must be in one of the
  // states that `act` returned, and if it is gone, it can be made again.
  void EndEverywhere(const std::function<void(FaultEnv*)>& prepare,
                     const std::function<States(FaultEnv*)>& act) {
    for (const CrashMode mode :
         {CrashMode::kKeepAll, CrashMode::kDropUnsynced, CrashMode::kKeepRandomSubset}) {
      bool is_finished = false;
      const uint64_t step = StepUnderThreadSanitizer(7);
      for (uint64_t stop = 0; !is_finished && !HasFailure(); stop += step) {
        SCOPED_TRACE(fmt::format("mode {}, stopped after {}", static_cast<int>(mode), stop));
        FaultEnv env;
        prepare(&env);
        env.StopAfter(stop);
        const States allowed = act(&env);
        is_finished = !env.is_stopped();
        env.Crash(mode, stop);
        env.Restart();
        CheckState(&env, allowed);
      }
    }
  }

  static StatusOr<std::unique_ptr<Keyspaces>> Open(FaultEnv* env) {
    return Keyspaces::Open(env, {.directory = "data", .now_ns = [] { return int64_t{1000}; }});
  }
  static std::unique_ptr<Keyspaces> MustOpen(FaultEnv* env) {
    auto opened = Open(env);
    CHECK(opened.ok());
    return *std::move(opened);
  }
  static Status Fill(Keyspace* keyspace) { return keyspace->store().Put("key", "v"); }
  static void MakeWhole(Keyspaces* keyspaces) {
    const auto created = keyspaces->Create("a", {});
    ASSERT_TRUE(created.ok()) << created.status();
    ASSERT_TRUE(Fill(created->get()).ok());
  }

  static std::string StateOf(const Keyspaces& keyspaces) {
    const auto found = keyspaces.Find("a");
    if (!found.ok()) {
      return absl::IsNotFound(found.status()) ? kGone : ToString(found.status());
    }
    const auto value = (*found)->store().Get("key");
    if (!value.ok()) {
      return absl::IsNotFound(value.status()) ? kEmpty : ToString(value.status());
    }
    return *value == "v" ? kWhole : *value;
  }

  static void CheckState(FaultEnv* env, const States& allowed) {
    {
      const auto keyspaces = MustOpen(env);
      const std::string state = StateOf(*keyspaces);
      ASSERT_THAT(allowed, Contains(state));
      if (state == kGone) {
        MakeWhole(keyspaces.get());
      } else {
        ASSERT_TRUE(Fill(keyspaces->Find("a")->get()).ok());
      }
    }
    EXPECT_EQ(StateOf(*MustOpen(env)), kWhole);
  }
};

TEST_F(KeyspacesCrashTest, ACreateThatACrashEndsHasMadeItOrNot) {
  EndEverywhere([](FaultEnv* env) { MustOpen(env); },
                [](FaultEnv* env) -> States {
                  const auto keyspaces = Open(env);
                  if (!keyspaces.ok()) {
                    return {kGone};
                  }
                  const auto created = (*keyspaces)->Create("a", {});
                  if (!created.ok()) {
                    return {kGone, kEmpty};
                  }
                  return Fill(created->get()).ok() ? States{kWhole} : States{kEmpty, kWhole};
                });
}

TEST_F(KeyspacesCrashTest, ACreateThatFailsLeavesNothingThatBlocksTheName) {
  EndEverywhere(
      [](FaultEnv* env) { MustOpen(env); },
      [](FaultEnv* env) -> States {
        const auto keyspaces = Open(env);
        if (keyspaces.ok()) {
          env->Inject(
              {.operation = FileOperation::kSyncDirectory, .times = 1000, .path_part = "store-1"});
          EXPECT_FALSE((*keyspaces)->Create("a", {}).ok());
          EXPECT_EQ(StateOf(**keyspaces), kGone);
          env->ClearFaults();
        }
        return {kGone, kEmpty};
      });
}

TEST_F(KeyspacesCrashTest, ADropThatACrashEndsLeavesAllOrNothing) {
  EndEverywhere([](FaultEnv* env) { MakeWhole(MustOpen(env).get()); },
                [](FaultEnv* env) -> States {
                  const auto keyspaces = Open(env);
                  const bool is_dropped = keyspaces.ok() && (*keyspaces)->Drop("a").ok();
                  return is_dropped ? States{kGone} : States{kGone, kWhole};
                });
}

TEST_F(KeyspacesCrashTest, ADroppedKeyspaceStaysAwayWhereverACrashEndsItsRemovalAtAStart) {
  const auto drop_in_use = [](FaultEnv* env) {
    const auto keyspaces = MustOpen(env);
    MakeWhole(keyspaces.get());
    const auto used = keyspaces->Find("a");
    ASSERT_TRUE(keyspaces->Drop("a").ok());
    env->Crash(CrashMode::kKeepAll);
  };
  EndEverywhere(
      [&](FaultEnv* env) {
        drop_in_use(env);
        env->Restart();
      },
      [](FaultEnv* env) -> States {
        Open(env).IgnoreError();
        return {kGone};
      });
}

TEST_F(KeyspacesCrashTest, OneThatIsMadeBesideADroppedOneIsThereOrNot) {
  EndEverywhere([](FaultEnv* env) { MakeWhole(MustOpen(env).get()); },
                [](FaultEnv* env) -> States {
                  const auto keyspaces = Open(env);
                  if (!keyspaces.ok()) {
                    return {kWhole};
                  }
                  const auto used = (*keyspaces)->Find("a");
                  if (!(*keyspaces)->Drop("a").ok()) {
                    return {kGone, kWhole};
                  }
                  const auto created = (*keyspaces)->Create("a", {});
                  if (!created.ok()) {
                    return {kGone, kEmpty};
                  }
                  return Fill(created->get()).ok() ? States{kWhole} : States{kEmpty, kWhole};
                });
}

TEST_F(KeyspacesCrashTest, ADropThatIsNotDurableTakesNoMoreWritesAndMayBeUndoneByAPowerCut) {
  for (const CrashMode mode : {CrashMode::kKeepAll, CrashMode::kDropUnsynced}) {
    FaultEnv env;
    {
      const auto keyspaces = MustOpen(&env);
      MakeWhole(keyspaces.get());
      const auto used = keyspaces->Find("a");
      env.Inject(
          {.operation = FileOperation::kSyncDirectory, .times = 1000, .path_part = "data/a"});
      const Status status = keyspaces->Drop("a");
      EXPECT_THAT(std::string(Message(status)), HasSubstr("is gone"));
      EXPECT_TRUE((*used)->is_dropped());
      EXPECT_EQ(StateOf(*keyspaces), kGone);
      EXPECT_TRUE(absl::IsNotFound(keyspaces->Drop("a")));
      env.Crash(mode);
    }
    env.ClearFaults();
    env.Restart();
    CheckState(&env, {mode == CrashMode::kKeepAll ? kGone : kWhole});
  }
}

TEST_F(KeyspacesCrashTest, NothingIsRemovedUntilTheDropIsDurable) {
  FaultEnv env;
  {
    const auto keyspaces = MustOpen(&env);
    MakeWhole(keyspaces.get());
    env.Inject({.operation = FileOperation::kSyncDirectory, .times = 1000, .path_part = "data/a"});
    EXPECT_FALSE(keyspaces->Drop("a").ok());
    ASSERT_TRUE(keyspaces->Close().ok());  // waits for the removal
    env.Crash(CrashMode::kDropUnsynced);
  }
  env.ClearFaults();
  env.Restart();
  CheckState(&env, {kWhole});
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
