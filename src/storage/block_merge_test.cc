#include "storage/block_merge.h"

#include <algorithm>
#include <bit>
#include <map>
#include <set>
#include <tuple>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <spdlog/spdlog.h>

#include "common/clock.h"
#include "common/fault_env_testing.h"
#include "storage/block_manager.h"
#include "storage/block_model_testing.h"

namespace tsdbd::storage {
namespace {

using model::Timestamp;
using testing::ElementsAre;

const Timestamp kStart = DefaultMeta().partition_start;

// What a reader sees: series → timestamp → bits of the value. Of equal timestamps the value with
// the highest key (generation, sequence, order) counts.
using Key = std::tuple<uint64_t, uint64_t, uint64_t>;
using Answers = std::map<std::string, std::map<Timestamp, std::pair<Key, uint64_t>>>;
using IsDeleted = std::function<bool(const std::string& series, Timestamp time)>;

std::string SeriesName(const ModelGroup& group, size_t column) {
  std::set<std::string> labels;
  for (const model::Label& label : group.labels) {
    labels.insert(label.name + "=" + label.value);
  }
  if (!group.column_values[column].empty()) {
    labels.insert(group.column_label + "=" + group.column_values[column]);
  }
  std::string name;
  for (const std::string& label : labels) {
    name += label + ",";
  }
  return name;
}

void AddAnswers(uint64_t generation, const std::vector<ModelGroup>& groups, Answers* answers,
                const IsDeleted& is_deleted = nullptr) {
  for (size_t i = 0; i < groups.size(); ++i) {
    for (size_t column = 0; column < groups[i].columns.size(); ++column) {
      const std::string series = SeriesName(groups[i], column);
      for (size_t row = 0; row < groups[i].timestamps.size(); ++row) {
        const Timestamp time = groups[i].timestamps[row];
        if (is_deleted && is_deleted(series, time)) {
          continue;
        }
        const Key key = {generation, groups[i].sequences.empty() ? 0 : groups[i].sequences[row], i};
        auto& slot = (*answers)[series][time];
        if (slot.first <= key) {
          slot = {key, std::bit_cast<uint64_t>(groups[i].columns[column][row])};
        }
      }
    }
  }
}

// Without the keys, which merging changes.
std::string ToText(const Answers& answers) {
  std::string text;
  for (const auto& [series, samples] : answers) {
    text += series + ":";
    for (const auto& [time, sample] : samples) {
      text += fmt::format(" {}={:x}", time - kStart, sample.second);
    }
    text += "\n";
  }
  return text;
}

class BlockMergeTest : public testing::Test {
 protected:
  void SetUp() override { Open(); }
  void Open() {
    auto opened = BlockManager::Open(&env_, "/data");
    ASSERT_TRUE(opened.ok()) << opened.status();
    manager_ = std::move(*opened);
  }

  void Publish(uint64_t generation, const std::vector<ModelGroup>& groups,
               size_t rows_per_chunk = kFlushChunkRows) {
    BlockMeta meta = DefaultMeta();
    meta.generation_min = meta.generation_max = generation;
    const std::string path = manager_->NewTempPath();
    ASSERT_TRUE(WriteModelBlock(&env_, path, meta, groups, rows_per_chunk).ok());
    ASSERT_TRUE(manager_->Publish({{path}}).ok());
  }

  // Merges the live blocks first .. first + count - 1 and publishes the result.
  StatusOr<MergeResult> Merge(size_t first, size_t count,
                              const std::vector<BlockDeletions>& deletions = {}) {
    const BlockSnapshot blocks = manager_->Snapshot();
    std::vector<MergeInput> inputs;
    for (size_t i = first; i < first + count; ++i) {
      inputs.push_back({(*blocks)[i]});
      if (!deletions.empty()) {
        inputs.back().deletions = deletions[i - first];
      }
    }
    const std::string path = manager_->NewTempPath();
    ASSIGN_OR_RETURN(MergeResult result, MergeBlocks(inputs, {.env = &env_, .path = path}));
    if (result.meta.row_count == 0) {
      manager_->Drop(std::span(*blocks).subspan(first, count));
      return result;
    }
    RETURN_IF_ERROR(manager_->Publish({{path}}));
    return result;
  }
  StatusOr<MergeResult> MergeAll() { return Merge(0, manager_->Snapshot()->size()); }

  Answers Read() {
    Answers answers;
    const BlockSnapshot blocks = manager_->Snapshot();
    for (const auto& block : *blocks) {
      EXPECT_TRUE(block->Verify().ok()) << block->Verify();
      const auto groups = ReadModelGroups(*block);
      EXPECT_TRUE(groups.ok()) << groups.status();
      AddAnswers(block->meta().generation_max, *groups, &answers);
    }
    return answers;
  }

  std::vector<ModelGroup> OnlyBlock() {
    const BlockSnapshot blocks = manager_->Snapshot();
    EXPECT_EQ(blocks->size(), 1u);
    return *ReadModelGroups(*blocks->front());
  }

  FaultEnv env_;
  std::unique_ptr<BlockManager> manager_;
};

// A group {host=…} with the fields of `schema`, a letter each, rows at first, first + step, …; the
// values are value, value + 1, ….
ModelGroup Rows(const std::string& host, const std::string& schema, Timestamp first, int64_t step,
                size_t count, double value, uint64_t sequence = 0) {
  ModelGroup group;
  group.labels = {{"host", host}};
  group.column_label = "__name__";
  for (const char column : schema) {
    group.column_values.emplace_back(1, column);
  }
  group.columns.resize(schema.size());
  for (size_t row = 0; row < count; ++row) {
    group.timestamps.push_back(kStart + first + static_cast<int64_t>(row) * step);
    for (auto& column : group.columns) {
      column.push_back(value + static_cast<double>(row));
    }
    if (sequence != 0) {
      group.sequences.push_back(sequence + row);
    }
  }
  return group;
}

std::shared_ptr<const BlockSelection> Series(const Block& block,
                                             const std::vector<model::Matcher>& matchers) {
  return std::make_shared<const BlockSelection>(*block.Select(matchers));
}

TEST_F(BlockMergeTest, BlocksThatFollowEachOtherBecomeOneWithFullChunks) {
  Publish(1, {Rows("a", "xy", 0, 10, 5000, 0)}, kMaxChunkRows);
  Publish(2, {Rows("a", "xy", 50'000, 10, 5000, 5000)});
  const auto result = MergeAll();
  ASSERT_TRUE(result.ok()) << result.status();
  const std::vector<ModelGroup> expected = {Rows("a", "xy", 0, 10, 10'000, 0)};
  EXPECT_EQ(ToText(OnlyBlock()), ToText(expected));
  EXPECT_EQ(result->chunks_copied, 1u) << "the first is full, and nothing lies between its rows";
  EXPECT_EQ(result->chunks_encoded, 2u);
  const BlockMeta& meta = manager_->Snapshot()->front()->meta();
  EXPECT_EQ(meta.level, 1u);
  EXPECT_EQ(meta.generation_min, 1u);
  EXPECT_EQ(meta.generation_max, 2u);
  EXPECT_THAT(meta.parents, testing::SizeIs(2));
  EXPECT_THAT(*env_.List("/data/blocks"), ElementsAre(BlockFileName(meta)));
}

TEST_F(BlockMergeTest, LateRowsComeInOrderAndOfDuplicatesTheNewerBlocksStay) {
  Publish(1, {Rows("a", "x", 0, 10, 4, 0)});
  Publish(2, {Rows("a", "x", 5, 5, 3, 100)});
  ASSERT_TRUE(MergeAll().ok());
  const std::vector<ModelGroup> merged = OnlyBlock();
  EXPECT_THAT(merged[0].timestamps,
              ElementsAre(kStart, kStart + 5, kStart + 10, kStart + 15, kStart + 20, kStart + 30));
  EXPECT_THAT(merged[0].columns[0], ElementsAre(0, 100, 101, 102, 2, 3));
}

TEST_F(BlockMergeTest, GroupsOfOtherColumnsStayApartAndKeepTheOrderOfWriting) {
  Publish(1, {Rows("a", "xy", 0, 10, 3, 0)});
  Publish(2, {Rows("a", "x", 0, 10, 2, 100)});
  const std::string before = ToText(Read());
  ASSERT_TRUE(MergeAll().ok());
  EXPECT_EQ(ToText(Read()), before);
  const std::vector<ModelGroup> merged = OnlyBlock();
  ASSERT_EQ(merged.size(), 2u);
  EXPECT_FALSE(merged[0].sequences.empty());
}

TEST_F(BlockMergeTest, SequenceNumbersGoWhenNoOtherGroupSharesASeries) {
  Publish(1, {Rows("a", "x", 0, 10, 3, 0, /*sequence=*/77)});
  Publish(2, {Rows("a", "x", 20, 10, 3, 10)});
  ASSERT_TRUE(MergeAll().ok());
  EXPECT_TRUE(OnlyBlock()[0].sequences.empty());
  EXPECT_THAT(OnlyBlock()[0].columns[0], ElementsAre(0, 1, 10, 11, 12));
}

TEST_F(BlockMergeTest, ADamagedChunkIsLeftOutAndItsFileKept) {
  Publish(1, {Rows("a", "x", 0, 10, 2048, 0)});
  Publish(2, {Rows("a", "x", 20'480, 10, 10, 5000)});
  const std::string path = manager_->Snapshot()->front()->path();
  manager_.reset();
  std::string bytes = env_.Contents(path);
  bytes[sizeof(FileHeader) + 20] ^= 1;  // within the first chunk
  env_.SetContents(path, bytes);
  Open();
  ASSERT_TRUE(MergeAll().ok());
  EXPECT_EQ(OnlyBlock()[0].timestamps.size(), 1024u + 10);
  EXPECT_THAT(*env_.List("/data/quarantine"), ElementsAre(path.substr(path.rfind('/') + 1)));
  EXPECT_EQ(env_.Contents("/data/quarantine" + path.substr(path.rfind('/'))), bytes);
  EXPECT_EQ(manager_->Stats().quarantined, 1u);
}

TEST_F(BlockMergeTest, WhatDeletionsLeaveOfARowIsAGroupOfFewerColumns) {
  Publish(1, {Rows("a", "xy", 0, 10, 4, 0)});
  const BlockSnapshot blocks = manager_->Snapshot();
  const auto matcher = model::Matcher::Create(model::MatchType::kEqual, "__name__", "x");
  const BlockDeletion deletion = {{kStart + 10, kStart + 20}, Series(*blocks->front(), {*matcher})};
  ASSERT_TRUE(Merge(0, 1, {{deletion}}).ok());
  Answers answers = Read();
  EXPECT_EQ(answers["__name__=x,host=a,"].size(), 2u);
  EXPECT_EQ(answers["__name__=y,host=a,"].size(), 4u);
}

TEST_F(BlockMergeTest, NothingIsLeftOfABlockWhoseRowsAreAllDeleted) {
  Publish(1, {Rows("a", "xy", 0, 10, 4, 0)});
  const BlockSnapshot blocks = manager_->Snapshot();
  const auto result = Merge(0, 1, {{{{}, Series(*blocks->front(), {})}}});
  ASSERT_TRUE(result.ok());
  EXPECT_EQ(result->meta.row_count, 0u);
  EXPECT_THAT(*env_.List("/data/blocks"), ElementsAre());
}

TEST_F(BlockMergeTest, AnErrorOfTheCallbackEndsTheMergeAndLeavesNoFile) {
  Publish(1, {Rows("a", "x", 0, 10, 3000, 0)});
  Publish(2, {Rows("a", "x", 5, 10, 3000, 0)});
  const BlockSnapshot blocks = manager_->Snapshot();
  for (int calls_left = 0; calls_left < 8; ++calls_left) {
    int left = calls_left;
    const auto result =
        MergeBlocks(std::vector<MergeInput>{{(*blocks)[0]}, {(*blocks)[1]}},
                    {.env = &env_, .path = manager_->NewTempPath(), .on_bytes = [&](uint64_t) {
                       return left-- > 0 ? OkStatus() : MakeStatus(StatusCode::kCancelled, "stop");
                     }});
    EXPECT_EQ(result.status().code(), StatusCode::kCancelled);
    EXPECT_EQ(env_.List("/data/blocks")->size(), 2u);
  }
}

TEST_F(BlockMergeTest, AParentThatIsGoneKeepsTheMergedBlockFromBeingPublished) {
  Publish(1, {Rows("a", "x", 0, 10, 3, 0)});
  Publish(2, {Rows("a", "x", 40, 10, 3, 0)});
  const BlockSnapshot blocks = manager_->Snapshot();
  const std::string path = manager_->NewTempPath();
  ASSERT_TRUE(MergeBlocks(std::vector<MergeInput>{{(*blocks)[0]}, {(*blocks)[1]}},
                          {.env = &env_, .path = path})
                  .ok());
  manager_->Drop(std::span(*blocks).first(1));
  EXPECT_EQ(manager_->Publish({{path}}).code(), StatusCode::kAborted);
  EXPECT_EQ(env_.List("/data/blocks")->size(), 1u);
}

// Rows of one generation as clients may have written them: some hosts, some lists of fields, late
// and repeated rows. Groups that share a series are ordered; others sometimes.
std::vector<ModelGroup> RandomGeneration(Random* random, uint64_t* next_sequence) {
  static const std::vector<std::string> kSchemas = {"xy", "x", "yz", "yx", "xyzuvw"};
  std::vector<ModelGroup> groups;
  for (const char* host : {"a", "b", "c"}) {
    std::vector<std::string> schemas = kSchemas;
    std::ranges::shuffle(schemas, *random);
    schemas.resize((*random)() % 4);
    const bool ordered = schemas.size() > 1 || (*random)() % 4 == 0;
    for (const std::string& schema : schemas) {
      const size_t count = 1 + (*random)() % ((*random)() % 8 == 0 ? 3000 : 40);
      const auto first = static_cast<Timestamp>((*random)() % 2000);
      const auto step = static_cast<int64_t>(1 + (*random)() % 5);
      groups.push_back(
          Rows(host, schema, first, step, count, static_cast<double>((*random)() % 1000)));
      for (size_t row = 0; ordered && row < count; ++row) {
        *next_sequence += 1 + (*random)() % 3;
        groups.back().sequences.push_back(
            (*random)() % 50 == 0 && schema == schemas[0] ? 0 : *next_sequence);
      }
    }
    if (schemas.size() > 1) {  // their rows were written in turns
      std::vector<uint64_t*> all;
      for (size_t i = groups.size() - schemas.size(); i < groups.size(); ++i) {
        for (uint64_t& sequence : groups[i].sequences) {
          if (sequence != 0) {
            all.push_back(&sequence);
          }
        }
      }
      for (uint64_t* sequence : all) {
        std::swap(*sequence, *all[(*random)() % all.size()]);
      }
    }
  }
  std::ranges::shuffle(groups, *random);
  return groups;
}

TEST_F(BlockMergeTest, MergesOfAnyNeighboursAnswerAsAModelDoesWithDeletesBetween) {
  const uint64_t seed = std::random_device()();
  Random random(seed);
  for (int round = 0; round < 60; ++round) {
    SCOPED_TRACE(fmt::format("seed {} round {}", seed, round));
    env_.Crash(CrashMode::kDropUnsynced);
    manager_.reset();
    env_.Restart();
    const std::vector<std::string> old_names = *env_.List("/data/blocks");
    for (const std::string& name : old_names) {
      ASSERT_TRUE(env_.Remove("/data/blocks/" + name).ok());
    }
    Open();
    uint64_t next_sequence = random() % 2 ? 1 : 1'700'000'000'000'000'000;
    std::vector<std::vector<ModelGroup>> generations(2 + random() % 6);
    for (size_t i = 0; i < generations.size(); ++i) {
      generations[i] = RandomGeneration(&random, &next_sequence);
      Publish(i + 1, generations[i], 1 + random() % kMaxChunkRows);
    }
    // Deletions of one series' range each, in the generations that were there at the time.
    struct Delete {
      std::string host, field;
      model::TimeRange range;
      uint64_t generation;
    };
    std::vector<Delete> deletes(random() % 4);
    for (Delete& d : deletes) {
      d.host = std::string(1, static_cast<char>('a' + random() % 3));
      d.field = std::string(1, "xyz"[random() % 3]);
      d.range.min = kStart + static_cast<Timestamp>(random() % 2000);
      d.range.max = d.range.min + static_cast<Timestamp>(random() % 500);
      d.generation = 1 + random() % generations.size();
    }
    Answers model;
    for (size_t i = 0; i < generations.size(); ++i) {
      AddAnswers(i + 1, generations[i], &model, [&](const std::string& series, Timestamp time) {
        return std::ranges::any_of(deletes, [&](const Delete& d) {
          return d.generation >= i + 1 && d.range.Contains(time) &&
                 series == fmt::format("__name__={},host={},", d.field, d.host);
        });
      });
    }
    std::set<uint64_t> clean;  // generation_max of blocks that deletions have been carried out on
    const auto is_done = [&] {
      const BlockSnapshot blocks = manager_->Snapshot();
      return blocks->empty() ||
             (blocks->size() == 1 && clean.contains(blocks->front()->meta().generation_max));
    };
    while (!is_done()) {
      const BlockSnapshot blocks = manager_->Snapshot();
      const size_t first = random() % blocks->size();
      const size_t count = 1 + random() % (blocks->size() - first);
      std::vector<BlockDeletions> deletions(count);
      for (size_t i = 0; i < count; ++i) {
        const Block& block = *(*blocks)[first + i];
        for (const Delete& d : deletes) {
          if (d.generation < block.meta().generation_max ||
              clean.contains(block.meta().generation_max)) {
            continue;
          }
          const auto name = model::Matcher::Create(model::MatchType::kEqual, "__name__", d.field);
          const auto host = model::Matcher::Create(model::MatchType::kEqual, "host", d.host);
          deletions[i].push_back({d.range, Series(block, {*name, *host})});
        }
      }
      const uint64_t generation = (*blocks)[first + count - 1]->meta().generation_max;
      const auto result = Merge(first, count, deletions);
      ASSERT_TRUE(result.ok()) << result.status();
      clean.insert(generation);
    }
    std::erase_if(model, [](const auto& entry) { return entry.second.empty(); });
    ASSERT_TRUE(ToText(Read()) == ToText(model));
  }
}

TEST_F(BlockMergeTest, ACrashAtAnyStepLeavesTheSameAnswersAndNoFileTooMany) {
  spdlog::set_level(spdlog::level::off);
  Publish(1, {Rows("a", "xy", 0, 10, 1500, 0)});
  Publish(2, {Rows("a", "xy", 5, 10, 1500, 0), Rows("a", "x", 0, 10, 7, 0)});
  Publish(3, {Rows("b", "x", 0, 10, 3, 0)});
  const std::string expected = ToText(Read());
  const std::vector<std::string> names = *env_.List("/data/blocks");
  bool finished = false;
  for (uint64_t step = 0; !finished; ++step) {
    SCOPED_TRACE(step);
    for (const CrashMode mode :
         {CrashMode::kKeepAll, CrashMode::kDropUnsynced, CrashMode::kKeepRandomSubset}) {
      FaultEnv env;
      ASSERT_TRUE(env.CreateDirectories("/data/blocks").ok());
      for (const std::string& name : names) {
        env.SetContents("/data/blocks/" + name, env_.Contents("/data/blocks/" + name));
      }
      auto manager = std::move(*BlockManager::Open(&env, "/data"));
      const auto merge = [&]() -> Status {
        const BlockSnapshot blocks = manager->Snapshot();
        std::vector<MergeInput> inputs;
        for (const auto& block : *blocks) {
          inputs.push_back({block});
        }
        const std::string path = manager->NewTempPath();
        RETURN_IF_ERROR(MergeBlocks(inputs, {.env = &env, .path = path}).status());
        return manager->Publish({{path}});
      };
      env.StopAfter(step);
      const Status status = merge();
      finished = status.ok() && !env.is_stopped();
      env.Crash(mode, step);
      manager.reset();
      env.Restart();
      manager = std::move(*BlockManager::Open(&env, "/data"));
      Answers answers;
      const BlockSnapshot blocks = manager->Snapshot();
      for (const auto& block : *blocks) {
        AddAnswers(block->meta().generation_max, *ReadModelGroups(*block), &answers);
      }
      ASSERT_EQ(ToText(answers), expected);
      ASSERT_TRUE(blocks->size() == 3 || blocks->size() == 1);
      ASSERT_EQ(env.List("/data/blocks")->size(), blocks->size());
      ASSERT_EQ(env.List("/data/quarantine")->size(), 0u);
    }
  }
  spdlog::set_level(spdlog::level::info);
}

}  // namespace
}  // namespace tsdbd::storage
