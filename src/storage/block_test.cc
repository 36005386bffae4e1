#include "storage/block.h"

#include <algorithm>
#include <set>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/fault_env_testing.h"
#include "storage/block_model_testing.h"

namespace tsdbd::storage {
namespace {

using model::Matcher;
using model::MatchType;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

Matcher Match(MatchType type, const std::string& name, const std::string& value) {
  return Matcher::Create(type, name, value).value();
}

std::string_view ValueOf(const ModelGroup& group, size_t column, std::string_view name) {
  if (name == group.column_label) {
    return group.column_values[column];
  }
  const auto found = std::ranges::find(group.labels, name, &model::Label::name);
  return found == group.labels.end() ? std::string_view() : found->value;
}

bool MatchesAll(const ModelGroup& group, size_t column, const std::vector<Matcher>& matchers) {
  return std::ranges::all_of(matchers, [&](const Matcher& matcher) {
    return matcher.Matches(ValueOf(group, column, matcher.name()));
  });
}

// (group, column) pairs.
using SeriesNumbers = std::set<std::pair<size_t, size_t>>;

SeriesNumbers SelectFromModel(const std::vector<ModelGroup>& groups,
                              const std::vector<Matcher>& matchers) {
  SeriesNumbers series;
  for (size_t group = 0; group < groups.size(); ++group) {
    for (size_t column = 0; column < groups[group].column_values.size(); ++column) {
      if (MatchesAll(groups[group], column, matchers)) {
        series.emplace(group, column);
      }
    }
  }
  return series;
}

SeriesNumbers SelectFromBlock(const Block& block, const std::vector<Matcher>& matchers) {
  const StatusOr<BlockSelection> selection = block.Select(matchers);
  EXPECT_TRUE(selection.ok()) << ToString(selection.status());
  SeriesNumbers series;
  for (size_t i = 0; i < selection->groups.size(); ++i) {
    const SelectedGroup& selected = selection->groups[i];
    if (i > 0) {
      EXPECT_LT(selection->groups[i - 1].group, selected.group) << "not rising";
    }
    EXPECT_FALSE(selection->column_sets[selected.column_set].empty());
    for (const uint32_t column : selection->column_sets[selected.column_set]) {
      series.emplace(selected.group, column);
    }
  }
  return series;
}

class BlockTest : public testing::Test {
 protected:
  BlockTest() { EXPECT_TRUE(env_.CreateDirectories("/d").ok()); }

  std::shared_ptr<const Block> Write(const std::vector<ModelGroup>& groups,
                                     size_t rows_per_chunk = kMaxChunkRows) {
    const std::string path = "/d/" + std::to_string(next_file_++);
    const StatusOr<BlockMeta> meta =
        WriteModelBlock(&env_, path, DefaultMeta(), groups, rows_per_chunk);
    EXPECT_TRUE(meta.ok()) << ToString(meta.status());
    StatusOr<std::shared_ptr<const Block>> block = Block::Open(&env_, path);
    EXPECT_TRUE(block.ok()) << ToString(block.status());
    return *block;
  }

  FaultEnv env_;
  int next_file_ = 0;
};

ModelGroup GroupOf(model::Labels labels, std::vector<std::string> columns, size_t rows = 3) {
  ModelGroup group;
  group.labels = std::move(labels);
  group.column_label = "__name__";
  group.column_values = std::move(columns);
  for (size_t row = 0; row < rows; ++row) {
    group.timestamps.push_back(DefaultMeta().partition_start + static_cast<int64_t>(row) * 10);
  }
  group.columns.assign(group.column_values.size(), std::vector<double>(rows, 1.5));
  return group;
}

TEST_F(BlockTest, WhatWasWrittenIsRead) {
  const uint64_t seed = std::random_device()();
  SCOPED_TRACE("seed " + std::to_string(seed));
  Random random(seed);
  for (int round = 0; round < 20; ++round) {
    const std::vector<ModelGroup> groups = RandomGroups(1 + random() % 60, 300, &random);
    const auto block = Write(groups, 1 + random() % 200);
    ASSERT_TRUE(block->Verify().ok()) << ToString(block->Verify());
    const auto read = ReadModelGroups(*block);
    ASSERT_TRUE(read.ok()) << ToString(read.status());
    ASSERT_EQ(ToText(*read), ToText(groups));
  }
}

TEST_F(BlockTest, MetaCountsWhatWasWritten) {
  const BlockMeta meta =
      Write({GroupOf({{"host", "a"}}, {"x", "y"}, 10), GroupOf({{"host", "b"}}, {"x"}, 5)}, 4)
          ->meta();
  EXPECT_EQ(meta.partition_start, DefaultMeta().partition_start);
  EXPECT_EQ(meta.partition_end, DefaultMeta().partition_end);
  EXPECT_EQ(meta.min_time, meta.partition_start);
  EXPECT_EQ(meta.max_time, meta.partition_start + 90);
  EXPECT_EQ(meta.group_count, 2u);
  EXPECT_EQ(meta.series_count, 3u);
  EXPECT_EQ(meta.chunk_count, 3u + 2u);
  EXPECT_EQ(meta.row_count, 15u);
  EXPECT_EQ(meta.sample_count, 25u);
}

TEST_F(BlockTest, MetaComesBackWithItsParents) {
  BlockMeta meta = DefaultMeta();
  meta.generation_min = 3;
  meta.generation_max = 17;
  meta.level = 2;
  meta.parents = {"first.block", "second.block"};
  ASSERT_TRUE(WriteModelBlock(&env_, "/d/b", meta, {GroupOf({}, {"up"})}).ok());
  const auto block = Block::Open(&env_, "/d/b");
  ASSERT_TRUE(block.ok());
  EXPECT_EQ((*block)->meta().generation_min, 3u);
  EXPECT_EQ((*block)->meta().generation_max, 17u);
  EXPECT_EQ((*block)->meta().level, 2u);
  EXPECT_THAT((*block)->meta().parents, ElementsAre("first.block", "second.block"));
}

TEST_F(BlockTest, BlockWithoutGroupsIsValidAndEmpty) {
  const auto block = Write({});
  EXPECT_TRUE(block->Verify().ok()) << ToString(block->Verify());
  EXPECT_THAT(SelectFromBlock(*block, {}), IsEmpty());
  EXPECT_THAT(SelectFromBlock(*block, {Match(MatchType::kRegex, "a", ".*")}), IsEmpty());
  EXPECT_THAT(*block->LabelNames({}), IsEmpty());
}

TEST_F(BlockTest, SelectAgreesWithTryingEverySeries) {
  const uint64_t seed = std::random_device()();
  SCOPED_TRACE("seed " + std::to_string(seed));
  Random random(seed);
  const std::vector<std::string> names = {"__name__", "__field__", "dc",  "host",
                                          "job",      "unique",    "none"};
  const std::vector<std::string> values = {"",    "a",   "b",          "aa", "x", "cpu_user",
                                           "sum", "été", "cpu_system", "7",  "up"};
  const std::vector<std::string> regexes = {"",      ".*",    ".+",   "a|b", "a.*", "cpu_.*",
                                            "x?|up", "[0-9]", "[^a]", "a|",  "none"};
  for (int block_round = 0; block_round < 15; ++block_round) {
    const std::vector<ModelGroup> groups = RandomGroups(1 + random() % 80, 2, &random);
    const auto block = Write(groups);
    for (int round = 0; round < 150; ++round) {
      std::vector<Matcher> matchers;
      std::string selector;
      for (size_t count = random() % 4; count > 0; --count) {
        const auto type = static_cast<MatchType>(random() % 4);
        const bool is_regex = type == MatchType::kRegex || type == MatchType::kNotRegex;
        const auto& choices = is_regex ? regexes : values;
        matchers.push_back(
            Match(type, names[random() % names.size()], choices[random() % choices.size()]));
        selector += matchers.back().ToString() + " ";
      }
      SCOPED_TRACE(selector);
      ASSERT_EQ(SelectFromBlock(*block, matchers), SelectFromModel(groups, matchers));
    }
  }
}

TEST_F(BlockTest, LabelNamesAndValuesAgreeWithTryingEverySeries) {
  const uint64_t seed = std::random_device()();
  SCOPED_TRACE("seed " + std::to_string(seed));
  Random random(seed);
  for (int round = 0; round < 30; ++round) {
    const std::vector<ModelGroup> groups = RandomGroups(1 + random() % 30, 2, &random);
    const auto block = Write(groups);
    std::vector<Matcher> matchers;
    if (round % 3 > 0) {
      matchers.push_back(Match(MatchType::kRegex, "host", "a.*"));
    }
    if (round % 3 > 1) {
      matchers.push_back(Match(MatchType::kNotEqual, "__name__", "cpu_user"));
    }
    std::set<std::string_view> names;
    std::set<std::string_view> all_names = {"__name__", "__field__", "dc",    "host",
                                            "job",      "tier",      "unique"};
    for (const std::string_view name : all_names) {
      std::set<std::string_view> expected;
      for (const auto& [group, column] : SelectFromModel(groups, matchers)) {
        if (const std::string_view value = ValueOf(groups[group], column, name); !value.empty()) {
          expected.insert(value);
          names.insert(name);
        }
      }
      ASSERT_THAT(*block->LabelValues(name, matchers), testing::ElementsAreArray(expected)) << name;
    }
    ASSERT_THAT(*block->LabelNames(matchers), testing::ElementsAreArray(names));
    EXPECT_THAT(*block->LabelValues("none", matchers), IsEmpty());
  }
}

TEST_F(BlockTest, LargePostingsAreRead) {
  std::vector<ModelGroup> groups;
  for (int i = 0; i < 5000; ++i) {
    groups.push_back(GroupOf({{"even", i % 2 ? "no" : "yes"}, {"host", std::to_string(i)}},
                             {i % 3 ? "up" : "down"}, 1));
  }
  const auto block = Write(groups);
  ASSERT_TRUE(block->Verify().ok()) << ToString(block->Verify());
  const std::vector<Matcher> matchers = {Match(MatchType::kEqual, "even", "yes"),
                                         Match(MatchType::kRegex, "host", "4.*"),
                                         Match(MatchType::kEqual, "__name__", "up")};
  const SeriesNumbers expected = SelectFromModel(groups, matchers);
  EXPECT_GT(expected.size(), 100u);
  EXPECT_EQ(SelectFromBlock(*block, matchers), expected);
}

TEST_F(BlockTest, EqualLabelsHaveEqualHashesInAllBlocks) {
  const auto first = Write({GroupOf({{"a", "1"}}, {"x"}), GroupOf({{"a", "2"}}, {"x"})});
  const auto second = Write({GroupOf({{"a", "2"}}, {"y", "z"})});
  ASSERT_TRUE(first->CheckIndex().ok() && second->CheckIndex().ok());
  EXPECT_EQ(first->LabelsHash(1), second->LabelsHash(0));
  EXPECT_NE(first->LabelsHash(0), second->LabelsHash(0));
  EXPECT_EQ(first->LabelsHash(0), model::HashLabels(model::Labels{{"a", "1"}}));
}

TEST_F(BlockTest, ViewsLiveAsLongAsTheBlockWhenTheFileIsGone) {
  const auto block = Write({GroupOf({{"host", "a"}}, {"up"})});
  ASSERT_TRUE(env_.Remove(block->path()).ok());
  EXPECT_TRUE(block->Verify().ok());
}

// --- The writer refuses ---

class BlockWriterTest : public BlockTest {
 protected:
  BlockWriterTest() : writer_(BlockWriter::Create(&env_, "/d/w", DefaultMeta()).value()) {}

  static std::string ChunkAt(model::Timestamp first, size_t columns = 1) {
    const std::vector<model::Timestamp> timestamps = {first, first + 10};
    const double values[] = {1, 2};
    const std::vector<const double*> pointers(columns, values);
    std::string chunk;
    ChunkEncoder().Encode({.timestamps = timestamps, .columns = pointers}, &chunk);
    return chunk;
  }

  const model::Timestamp start_ = DefaultMeta().partition_start;
  std::unique_ptr<BlockWriter> writer_;
};

TEST_F(BlockWriterTest, RefusesLabelsThatAreNotASortedSet) {
  const std::vector<std::string_view> columns = {"up"};
  for (const model::LabelViews& labels : std::vector<model::LabelViews>{
           {{"b", "1"}, {"a", "1"}}, {{"a", "1"}, {"a", "2"}}, {{"a", ""}}, {{"__name__", "x"}}}) {
    EXPECT_EQ(writer_->AddGroup(labels, "__name__", columns, false).code(),
              StatusCode::kInvalidArgument);
  }
}

TEST_F(BlockWriterTest, RefusesChunksOutOfOrderOrPartitionOrShape) {
  const std::vector<std::string_view> columns = {"up"};
  ASSERT_TRUE(writer_->AddGroup({}, "__name__", columns, false).ok());
  ASSERT_TRUE(writer_->AddChunk(ChunkAt(start_ + 100)).ok());
  const auto refuses = [&](const std::string& chunk) {
    return writer_->AddChunk(chunk).code() == StatusCode::kInvalidArgument;
  };
  EXPECT_TRUE(refuses(ChunkAt(start_ + 50)));
  EXPECT_TRUE(refuses(ChunkAt(start_ + 110)));
  EXPECT_TRUE(refuses(ChunkAt(DefaultMeta().partition_end - 10)));
  EXPECT_TRUE(refuses(ChunkAt(start_ + 200, 2)));
  EXPECT_TRUE(refuses("no chunk"));
  EXPECT_TRUE(writer_->AddChunk(ChunkAt(start_ + 111)).ok());
  ASSERT_TRUE(writer_->AddGroup({}, "__name__", columns, true).ok());
  EXPECT_TRUE(refuses(ChunkAt(start_)));  // without sequence numbers
}

TEST_F(BlockWriterTest, TheLastPartitionEndsWithTheLastTimestamp) {
  BlockMeta meta = DefaultMeta();
  meta.partition_end = model::kMaxTimestamp;
  writer_ = BlockWriter::Create(&env_, "/d/last", meta).value();
  const std::vector<std::string_view> columns = {"up"};
  ASSERT_TRUE(writer_->AddGroup({}, "__name__", columns, false).ok());
  EXPECT_TRUE(writer_->AddChunk(ChunkAt(model::kMaxTimestamp - 10)).ok());
}

TEST_F(BlockWriterTest, RemovesTheFileIfItIsNotFinished) {
  ASSERT_TRUE(*env_.Exists("/d/w"));
  writer_.reset();
  EXPECT_FALSE(*env_.Exists("/d/w"));
}

TEST_F(BlockWriterTest, ReportsFailedWritesAndSyncs) {
  for (const FileOperation operation : {FileOperation::kWrite, FileOperation::kSync}) {
    env_.Inject({.operation = operation, .path_part = "/d/failing"});
    EXPECT_FALSE(WriteModelBlock(&env_, "/d/failing", DefaultMeta(), {GroupOf({}, {"up"})}).ok());
    EXPECT_FALSE(*env_.Exists("/d/failing"));
    env_.ClearFaults();
  }
}

// --- Damage ---

class DamagedBlockTest : public testing::Test {
 protected:
  DamagedBlockTest() {
    Random random(11);
    groups_ = RandomGroups(4, 30, &random);
    bytes_ = ModelBlockBytes(groups_, 10);
    text_ = ToText(groups_);
  }

  // An error, or the right answer: nothing else is allowed.
  void ExpectErrorOrTheTruth(std::string_view bytes) {
    const AlignedBytes aligned(bytes);
    const auto block = Block::OpenBytes(aligned.view(), "damaged");
    if (!block.ok()) {
      EXPECT_EQ(block.status().code(), StatusCode::kDataLoss);
      EXPECT_THAT(std::string(Message(block.status())), HasSubstr("damaged"));
      return;
    }
    const auto groups = ReadModelGroups(**block);
    if (groups.ok()) {
      EXPECT_EQ(ToText(*groups), text_);
    } else {
      EXPECT_EQ(groups.status().code(), StatusCode::kDataLoss);
      EXPECT_FALSE((*block)->Verify().ok());
    }
    const auto selection = (*block)->Select({});
    EXPECT_TRUE(!selection.ok() || selection->groups.size() == groups_.size());
  }

  std::vector<ModelGroup> groups_;
  std::string bytes_;
  std::string text_;
};

TEST_F(DamagedBlockTest, EveryFlippedByteIsNoticedOrHarmless) {
  for (size_t offset = 0; offset < bytes_.size(); ++offset) {
    SCOPED_TRACE("offset " + std::to_string(offset));
    for (const int flip : {0x01, 0x80, 0xFF}) {
      std::string damaged = bytes_;
      damaged[offset] = static_cast<char>(damaged[offset] ^ flip);
      ExpectErrorOrTheTruth(damaged);
    }
  }
}

TEST_F(DamagedBlockTest, BlockCutAnywhereIsRefused) {
  for (size_t size = 0; size < bytes_.size(); ++size) {
    const AlignedBytes aligned(std::string_view(bytes_).substr(0, size));
    EXPECT_EQ(Block::OpenBytes(aligned.view(), "cut").status().code(), StatusCode::kDataLoss);
  }
}

TEST_F(DamagedBlockTest, ZeroedPiecesAreNoticed) {
  for (size_t offset = 0; offset < bytes_.size(); offset += 64) {
    SCOPED_TRACE("offset " + std::to_string(offset));
    std::string damaged = bytes_;
    std::fill_n(damaged.begin() + static_cast<ptrdiff_t>(offset),
                std::min<size_t>(64, damaged.size() - offset), '\0');
    ExpectErrorOrTheTruth(damaged);
  }
}

TEST_F(DamagedBlockTest, DamagedChunkIsNamedAndCostsOnlyItself) {
  std::string damaged = bytes_;
  damaged[sizeof(FileHeader) + 3] ^= 1;  // within the first chunk
  const AlignedBytes aligned(damaged);
  const auto block = Block::OpenBytes(aligned.view(), "/d/b");
  ASSERT_TRUE(block.ok() && (*block)->CheckIndex().ok());
  size_t failures = 0;
  for (uint32_t group = 0; group < (*block)->group_count(); ++group) {
    for (const ChunkRef& ref : (*block)->Chunks(group)) {
      const Status status = (*block)->ReadChunk(group, ref).status();
      if (!status.ok()) {
        ++failures;
        EXPECT_EQ(status.code(), StatusCode::kDataLoss);
        EXPECT_THAT(std::string(Message(status)), HasSubstr("/d/b: chunk"));
        EXPECT_THAT(std::string(Message(status)), HasSubstr("offset 16 "));
      }
    }
  }
  EXPECT_EQ(failures, 1u);
}

}  // namespace
}  // namespace tsdbd::storage
