#include "storage/block_manager.h"

#include <thread>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/clock.h"
#include "common/fault_env_testing.h"
#include "storage/block_model_testing.h"

namespace tsdbd::storage {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;

// The manager under test on a file system that can fail. Blocks hold one group of one row, whose
// label `id` says which block it is.
class BlockManagerTest : public testing::Test {
 protected:
  BlockManagerTest() { Reopen(); }

  void Reopen() {
    manager_.reset();
    StatusOr<std::unique_ptr<BlockManager>> manager = BlockManager::Open(env_.get(), "/data");
    ASSERT_TRUE(manager.ok()) << ToString(manager.status());
    manager_ = *std::move(manager);
  }

  static BlockMeta MetaOf(int64_t day, uint64_t generation_min, uint64_t generation_max) {
    BlockMeta meta;
    meta.partition_start = day * kNanosPerDay;
    meta.partition_end = (day + 1) * kNanosPerDay;
    meta.generation_min = generation_min;
    meta.generation_max = generation_max;
    return meta;
  }

  Status WriteTemp(const std::string& path, const BlockMeta& meta, const std::string& id) {
    ModelGroup group;
    group.labels = {{"id", id}};
    group.column_label = "__name__";
    group.column_values = {"up"};
    group.timestamps = {meta.partition_start + 5};
    group.columns = {{1}};
    return WriteModelBlock(env_.get(), path, meta, {group}).status();
  }

  Status Publish(const std::vector<std::pair<BlockMeta, std::string>>& blocks) {
    std::vector<std::string> paths;
    for (const auto& [meta, id] : blocks) {
      paths.push_back(manager_->NewTempPath());
      RETURN_IF_ERROR(WriteTemp(paths.back(), meta, id));
    }
    return manager_->Publish(paths);
  }

  static std::string IdOf(const Block& block) {
    const StatusOr<std::vector<std::string_view>> ids = block.LabelValues("id", {});
    return ids.ok() && ids->size() == 1 ? std::string(ids->front()) : "?";
  }

  std::vector<std::string> LiveIds() const {
    std::vector<std::string> ids;
    for (const auto& block : *manager_->Snapshot()) {
      ids.push_back(IdOf(*block));
    }
    return ids;
  }

  std::vector<std::string> Files(const std::string& folder) {
    return env_->List("/data/" + folder).value();
  }

  std::unique_ptr<FaultEnv> env_ = std::make_unique<FaultEnv>();
  std::unique_ptr<BlockManager> manager_;
};

TEST_F(BlockManagerTest, StartsEmpty) {
  EXPECT_THAT(*manager_->Snapshot(), IsEmpty());
  EXPECT_EQ(manager_->Stats().blocks, 0u);
}

TEST_F(BlockManagerTest, PublishedBlocksAreLiveNowAndAfterReopening) {
  ASSERT_TRUE(Publish({{MetaOf(19753, 12, 12), "a"}}).ok());
  EXPECT_THAT(LiveIds(), ElementsAre("a"));
  EXPECT_THAT(Files("blocks"), ElementsAre("20240131T000000Z-0000000012-0000000012-00.block"));
  Reopen();
  EXPECT_THAT(LiveIds(), ElementsAre("a"));
}

TEST_F(BlockManagerTest, BlocksAreInOrderOfPartitionThenGeneration) {
  ASSERT_TRUE(Publish({{MetaOf(20, 2, 2), "late day, old"},
                       {MetaOf(10, 7, 7), "early day, new"},
                       {MetaOf(10, 3, 3), "early day, old"},
                       {MetaOf(20, 11, 11), "late day, new"}})
                  .ok());
  const auto expected =
      ElementsAre("early day, old", "early day, new", "late day, old", "late day, new");
  EXPECT_THAT(LiveIds(), expected);
  Reopen();
  EXPECT_THAT(LiveIds(), expected);
}

TEST_F(BlockManagerTest, SnapshotStaysReadableWhenItsBlocksAreDropped) {
  ASSERT_TRUE(Publish({{MetaOf(10, 1, 1), "old"}, {MetaOf(20, 1, 1), "new"}}).ok());
  const BlockSnapshot before = manager_->Snapshot();
  EXPECT_EQ(manager_->DropBefore(15 * kNanosPerDay), 1u);
  EXPECT_THAT(LiveIds(), ElementsAre("new"));
  EXPECT_THAT(Files("blocks"), SizeIs(1));
  ASSERT_THAT(*before, SizeIs(2));
  EXPECT_TRUE(before->front()->Verify().ok());
  EXPECT_EQ(IdOf(*before->front()), "old");
}

TEST_F(BlockManagerTest, DropsOnlyBlocksWhoseLastSampleIsTooOld) {
  ASSERT_TRUE(Publish({{MetaOf(10, 1, 1), "a"}}).ok());
  const model::Timestamp last = 10 * kNanosPerDay + 5;
  EXPECT_EQ(manager_->DropBefore(last), 0u);
  EXPECT_THAT(LiveIds(), ElementsAre("a"));
  EXPECT_EQ(manager_->DropBefore(last + 1), 1u);
  EXPECT_THAT(LiveIds(), IsEmpty());
}

TEST_F(BlockManagerTest, CompactedBlockTakesThePlaceOfItsParents) {
  ASSERT_TRUE(Publish({{MetaOf(10, 1, 1), "first"}}).ok());
  ASSERT_TRUE(Publish({{MetaOf(10, 2, 2), "second"}, {MetaOf(11, 2, 2), "other day"}}).ok());
  BlockMeta compacted = MetaOf(10, 1, 2);
  compacted.level = 1;
  compacted.parents = {BlockFileName(MetaOf(10, 1, 1)), BlockFileName(MetaOf(10, 2, 2))};
  ASSERT_TRUE(Publish({{compacted, "both"}}).ok());
  EXPECT_THAT(LiveIds(), ElementsAre("both", "other day"));
  EXPECT_THAT(Files("blocks"), SizeIs(2));
  Reopen();
  EXPECT_THAT(LiveIds(), ElementsAre("both", "other day"));
}

TEST_F(BlockManagerTest, ParentsLeftByACrashAreRemovedAtOpen) {
  ASSERT_TRUE(Publish({{MetaOf(10, 1, 1), "parent"}}).ok());
  BlockMeta compacted = MetaOf(10, 1, 1);
  compacted.level = 1;
  compacted.parents = {BlockFileName(MetaOf(10, 1, 1))};
  ASSERT_TRUE(WriteTemp("/data/blocks/" + BlockFileName(compacted), compacted, "child").ok());
  Reopen();
  EXPECT_THAT(LiveIds(), ElementsAre("child"));
  EXPECT_THAT(Files("blocks"), SizeIs(1));
}

TEST_F(BlockManagerTest, ParentsStayIfTheirChildIsDamaged) {
  ASSERT_TRUE(Publish({{MetaOf(10, 1, 1), "parent"}}).ok());
  BlockMeta compacted = MetaOf(10, 1, 1);
  compacted.level = 1;
  compacted.parents = {BlockFileName(MetaOf(10, 1, 1))};
  const std::string path = "/data/blocks/" + BlockFileName(compacted);
  ASSERT_TRUE(WriteTemp(path, compacted, "child").ok());
  std::string contents = env_->Contents(path);
  contents[20] ^= 1;  // in the chunk, which opening does not look at
  env_->SetContents(path, contents);
  Reopen();
  EXPECT_THAT(LiveIds(), ElementsAre("parent"));
  EXPECT_THAT(Files("quarantine"), ElementsAre(BlockFileName(compacted)));
  EXPECT_EQ(manager_->Stats().quarantined, 1u);
}

TEST_F(BlockManagerTest, PublishingTheSameNameAgainReplacesTheBlock) {
  ASSERT_TRUE(Publish({{MetaOf(10, 1, 1), "before the crash"}}).ok());
  const BlockSnapshot before = manager_->Snapshot();
  ASSERT_TRUE(Publish({{MetaOf(10, 1, 1), "after replay"}}).ok());
  EXPECT_THAT(LiveIds(), ElementsAre("after replay"));
  EXPECT_EQ(IdOf(*before->front()), "before the crash");
  Reopen();
  EXPECT_THAT(LiveIds(), ElementsAre("after replay"));
}

TEST_F(BlockManagerTest, TemporaryFilesAreRemovedAndStrangersLeftAlone) {
  env_->SetContents("/data/blocks/17.tmp", "half a block");
  env_->SetContents("/data/blocks/notes.txt", "mine");
  Reopen();
  EXPECT_THAT(Files("blocks"), ElementsAre("notes.txt"));
}

TEST_F(BlockManagerTest, DamagedBlocksGoToQuarantineAndTheRestServes) {
  ASSERT_TRUE(Publish({{MetaOf(10, 1, 1), "good"}, {MetaOf(11, 1, 1), "bad"}}).ok());
  const std::string name = BlockFileName(MetaOf(11, 1, 1));
  std::string contents = env_->Contents("/data/blocks/" + name);
  contents.pop_back();
  env_->SetContents("/data/blocks/" + name, contents);
  env_->SetContents("/data/blocks/empty.block", "");
  Reopen();
  EXPECT_THAT(LiveIds(), ElementsAre("good"));
  EXPECT_THAT(Files("quarantine"), ElementsAre(name, "empty.block"));
  EXPECT_EQ(env_->Contents("/data/quarantine/" + name), contents);
  EXPECT_EQ(manager_->Stats().quarantined, 2u);
  Reopen();
  EXPECT_EQ(manager_->Stats().quarantined, 2u);
}

TEST_F(BlockManagerTest, QuarantineTakesALiveBlockAwayAndKeepsEarlierOnes) {
  env_->SetContents("/data/quarantine/" + BlockFileName(MetaOf(10, 1, 1)), "an earlier one");
  Reopen();
  ASSERT_TRUE(Publish({{MetaOf(10, 1, 1), "a"}, {MetaOf(10, 2, 2), "b"}}).ok());
  const auto block = manager_->Snapshot()->front();
  manager_->Quarantine(block, DataLoss("found by a query"));
  manager_->Quarantine(block, DataLoss("found by another query"));
  EXPECT_THAT(LiveIds(), ElementsAre("b"));
  const std::string name = BlockFileName(MetaOf(10, 1, 1));
  EXPECT_THAT(Files("quarantine"), ElementsAre(name, name + ".1"));
  EXPECT_EQ(manager_->Stats().quarantined, 2u);
}

TEST_F(BlockManagerTest, StatsAddUpTheLiveBlocks) {
  ASSERT_TRUE(Publish({{MetaOf(10, 1, 1), "a"}, {MetaOf(11, 1, 1), "b"}}).ok());
  const BlockStats stats = manager_->Stats();
  EXPECT_EQ(stats.blocks, 2u);
  EXPECT_EQ(stats.groups, 2u);
  EXPECT_EQ(stats.series, 2u);
  EXPECT_EQ(stats.chunks, 2u);
  EXPECT_EQ(stats.samples, 2u);
  EXPECT_EQ(stats.size_bytes, env_->Contents("/data/blocks/" + Files("blocks")[0]).size() +
                                  env_->Contents("/data/blocks/" + Files("blocks")[1]).size());
}

TEST_F(BlockManagerTest, FailedPublicationLeavesNothingBehindAndCanBeRepeated) {
  ASSERT_TRUE(Publish({{MetaOf(10, 1, 1), "old"}}).ok());
  for (const FileOperation operation : {FileOperation::kRename, FileOperation::kSyncDirectory}) {
    for (const uint64_t after : {0, 1}) {
      env_->Inject({.operation = operation, .after = after, .path_part = "/data/blocks"});
      const Status status =
          Publish({{MetaOf(10, 2, 2), "new"}, {MetaOf(11, 2, 2), "new, other day"}});
      env_->ClearFaults();
      if (!status.ok()) {
        EXPECT_THAT(LiveIds(), ElementsAre("old"));
        EXPECT_THAT(Files("blocks"), SizeIs(1));
      }
    }
  }
  ASSERT_TRUE(Publish({{MetaOf(10, 2, 2), "new"}, {MetaOf(11, 2, 2), "new, other day"}}).ok());
  EXPECT_THAT(LiveIds(), ElementsAre("old", "new", "new, other day"));
}

TEST_F(BlockManagerTest, PublishRefusesWhatIsNoBlock) {
  const std::string path = manager_->NewTempPath();
  env_->SetContents(path, "no block");
  EXPECT_EQ(manager_->Publish(std::vector{path}).code(), StatusCode::kDataLoss);
  EXPECT_THAT(Files("blocks"), IsEmpty());
}

// The process dies after each of the changes that this makes to the disk: two flushes, of which
// the second touches two days, a compaction of the first day, retention of the second.
TEST_F(BlockManagerTest, CrashAtEveryStepLosesNothingPublishedAndMixesNothingUp) {
  for (const CrashMode mode :
       {CrashMode::kKeepAll, CrashMode::kDropUnsynced, CrashMode::kKeepRandomSubset}) {
    bool finished = false;
    for (uint64_t steps = 0; !finished; ++steps) {
      SCOPED_TRACE("mode " + std::to_string(static_cast<int>(mode)) + ", dies after step " +
                   std::to_string(steps));
      manager_.reset();
      env_ = std::make_unique<FaultEnv>();
      Reopen();
      env_->StopAfter(steps);
      const bool flushed_first = Publish({{MetaOf(10, 1, 1), "1"}}).ok();
      const bool flushed_second =
          flushed_first && Publish({{MetaOf(10, 2, 2), "2"}, {MetaOf(11, 2, 2), "2b"}}).ok();
      BlockMeta compacted = MetaOf(10, 1, 2);
      compacted.level = 1;
      compacted.parents = {BlockFileName(MetaOf(10, 1, 1)), BlockFileName(MetaOf(10, 2, 2))};
      const bool merged = flushed_second && Publish({{compacted, "1+2"}}).ok();
      if (merged) {
        manager_->DropBefore(11 * kNanosPerDay);
        finished = env_->Exists("/data").ok();  // still alive at the end
      }

      env_->Crash(mode, steps);
      manager_.reset();
      env_->Restart();
      Reopen();
      EXPECT_EQ(manager_->Stats().quarantined, 0u);
      for (const auto& block : *manager_->Snapshot()) {
        EXPECT_TRUE(block->Verify().ok()) << ToString(block->Verify());
      }
      const std::vector<std::string> ids = LiveIds();
      const auto has = [&](const char* id) { return std::ranges::find(ids, id) != ids.end(); };
      // The merged block stands for its parents, never beside them.
      EXPECT_FALSE(has("1+2") && (has("1") || has("2")));
      if (flushed_first && !merged) {
        EXPECT_TRUE(has("1") || has("1+2"));
      }
      if (flushed_second) {
        EXPECT_TRUE(has("2b"));
        EXPECT_TRUE(merged || has("2") || has("1+2"));
      }
      EXPECT_FALSE(merged && (has("1") || has("2")));  // the newest state, dropped or not
      for (const std::string& file : Files("blocks")) {
        EXPECT_TRUE(file.ends_with(".block")) << file;
      }
    }
  }
}

TEST_F(BlockManagerTest, ReadersAndWritersRunTogether) {
  std::atomic<bool> stop = false;
  std::vector<std::thread> readers;
  for (int i = 0; i < 2; ++i) {
    readers.emplace_back([&] {
      while (!stop) {
        const BlockSnapshot snapshot = manager_->Snapshot();
        for (const auto& block : *snapshot) {
          ASSERT_NE(IdOf(*block), "?");
          ASSERT_TRUE(block->Verify().ok());
        }
        manager_->Stats();
      }
    });
  }
  for (int64_t day = 10; day < 40; ++day) {
    ASSERT_TRUE(Publish({{MetaOf(day, 1, 1), "a"}, {MetaOf(day, 2, 2), "b"}}).ok());
    manager_->DropBefore((day - 5) * kNanosPerDay);
    if (day % 10 == 0) {
      manager_->Quarantine(manager_->Snapshot()->front(), DataLoss("test"));
    }
  }
  stop = true;
  for (std::thread& reader : readers) {
    reader.join();
  }
}

// The same on the real file system, with a real map.
TEST(BlockManagerOnDiskTest, PublishedBlocksAreReadFromARealFile) {
  const std::string dir = testing::TempDir() + "/block_manager_test";
  std::vector<ModelGroup> groups;
  {
    const auto manager = BlockManager::Open(Env::Default(), dir);
    ASSERT_TRUE(manager.ok()) << ToString(manager.status());
    (*manager)->DropBefore(model::kMaxTimestamp);
    Random random(3);
    groups = RandomGroups(20, 100, &random);
    const std::string path = (*manager)->NewTempPath();
    ASSERT_TRUE(WriteModelBlock(Env::Default(), path, DefaultMeta(), groups).ok());
    ASSERT_TRUE((*manager)->Publish(std::vector{path}).ok());
  }
  const auto manager = BlockManager::Open(Env::Default(), dir);
  ASSERT_TRUE(manager.ok());
  const BlockSnapshot snapshot = (*manager)->Snapshot();
  ASSERT_THAT(*snapshot, SizeIs(1));
  (*manager)->DropBefore(model::kMaxTimestamp);  // the file goes, the map stays
  const auto read = ReadModelGroups(*snapshot->front());
  ASSERT_TRUE(read.ok());
  EXPECT_EQ(ToText(*read), ToText(groups));
}

}  // namespace
}  // namespace tsdbd::storage
