// docs/formats/block.md shows a block, byte by byte. It must be the one that is written today.

#include <gtest/gtest.h>

#include "common/clock.h"
#include "common/hex_dump_testing.h"
#include "storage/block_model_testing.h"

namespace tsdbd::storage {
namespace {

std::string ExampleBlock() {
  const model::Timestamp start = 19'676 * kNanosPerDay;  // 2023-11-15
  ModelGroup group;
  group.labels = {{"dc", "eu"}, {"host", "a"}};
  group.column_label = "__name__";
  group.column_values = {"cpu_user", "cpu_system"};
  group.timestamps = {start, start + 10 * kNanosPerSecond, start + 20 * kNanosPerSecond};
  group.columns = {{12.5, 13, 12.75}, {7, 7, 7}};
  BlockMeta meta = DefaultMeta();
  meta.partition_start = start;
  meta.partition_end = start + kNanosPerDay;
  return ModelBlockBytes({group}, kMaxChunkRows, meta);
}

TEST(BlockFormatTest, ThePageShowsTheBytesThatAreWritten) {
  const std::string written = HexDump(ExampleBlock());
  EXPECT_TRUE(HexDumpInDocument("block.md") == written) << "the page should show\n" << written;
}

BlockMeta MetaOf(int64_t day, uint64_t generation_min, uint64_t generation_max, uint32_t level) {
  BlockMeta meta;
  meta.partition_start = day * kNanosPerDay;
  meta.generation_min = generation_min;
  meta.generation_max = generation_max;
  meta.level = level;
  return meta;
}

TEST(BlockFormatTest, FileNameTellsPartitionGenerationsAndLevel) {
  EXPECT_EQ(BlockFileName(MetaOf(19'676, 9, 10, 1)),
            "20231115T000000Z-0000000009-0000000010-01.block");
  BlockMeta meta;
  meta.partition_start = 2'000'000'500;
  EXPECT_EQ(BlockFileName(meta), "19700101T000002.000000500Z-0000000000-0000000000-00.block");
}

TEST(BlockFormatTest, FileNamesSortByPartitionThenGeneration) {
  const std::vector<BlockMeta> in_order = {MetaOf(0, 5, 5, 0), MetaOf(999, 9, 9, 0),
                                           MetaOf(999, 10, 10, 0), MetaOf(20'000, 1, 1, 0)};
  for (size_t i = 1; i < in_order.size(); ++i) {
    EXPECT_LT(BlockFileName(in_order[i - 1]), BlockFileName(in_order[i]));
    EXPECT_TRUE(Precedes(in_order[i - 1], in_order[i]));
  }
}

TEST(BlockFormatTest, OfTheBlocksOfAPartitionTheOneWithTheNewestRowsComesLast) {
  EXPECT_TRUE(Precedes(MetaOf(7, 1, 4, 1), MetaOf(7, 5, 5, 0)));
  EXPECT_TRUE(Precedes(MetaOf(7, 1, 5, 1), MetaOf(7, 5, 5, 0)));  // a flush repeated after a crash
  EXPECT_TRUE(Precedes(MetaOf(7, 5, 5, 0), MetaOf(7, 5, 5, 1)));
}

}  // namespace
}  // namespace tsdbd::storage
