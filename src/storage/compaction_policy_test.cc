#include "storage/compaction_policy.h"

#include <map>
#include <numeric>
#include <random>
#include <vector>

#include <gtest/gtest.h>

#include "common/status.h"

namespace tsdbd::storage {
namespace {

using Sizes = std::vector<uint64_t>;

void ExpectRun(const Sizes& sizes, bool is_closed, size_t first, size_t count) {
  const auto run = PickMerge(sizes, is_closed);
  ASSERT_TRUE(run.has_value());
  EXPECT_EQ(run->first, first);
  EXPECT_EQ(run->count, count);
}

TEST(CompactionPolicyTest, SixBlocksOfOneSizeBecomeOne) {
  ExpectRun({100, 110, 90, 100, 80, 120}, false, 0, 6);
  ExpectRun({600, 600, 100, 100, 100, 100, 100, 100}, false, 2, 6);
  EXPECT_FALSE(PickMerge(Sizes{100, 100, 100, 100, 100}, false));
  EXPECT_FALSE(PickMerge(Sizes{600, 600, 100, 100, 100, 100}, false));
  EXPECT_FALSE(PickMerge(Sizes{}, false));
}

TEST(CompactionPolicyTest, AClosedPartitionBecomesOneBlock) {
  ExpectRun({400, 400, 100, 100, 50}, true, 0, 5);
  ExpectRun({7, 7}, true, 0, 2);
  EXPECT_FALSE(PickMerge(Sizes{7}, true));
}

TEST(CompactionPolicyTest, LateBlocksWaitUntilTheyAreWorthTheRewritingOfTheLargeOne) {
  EXPECT_FALSE(PickMerge(Sizes{1000, 10, 10, 10}, true));
  ExpectRun({1000, 10, 10, 10, 10, 10, 10}, true, 1, 6);
  ExpectRun({1000, 200, 200}, true, 0, 3);
}

TEST(CompactionPolicyTest, ManySmallBlocksAreMergedInBoundedSteps) {
  Sizes sizes(1000, 5);
  size_t merges = 0;
  while (const auto run = PickMerge(sizes, true)) {
    ASSERT_LE(run->count, 32u);
    sizes[run->first] = std::accumulate(sizes.begin() + run->first,
                                        sizes.begin() + run->first + run->count, uint64_t{0});
    sizes.erase(sizes.begin() + run->first + 1, sizes.begin() + run->first + run->count);
    ++merges;
  }
  EXPECT_EQ(sizes.size(), 1u);
  EXPECT_LE(merges, 400u);
}

// A month of flushes every two hours; of each, some part is late: for yesterday, or for any of the
// days before.
struct Month {
  double written = 0;  // by flushes
  double merged = 0;
  size_t most_blocks = 0;  // of one closed partition

  double Amplification() const { return (written + merged) / written; }
};

Month Simulate(double late_share, double very_late_share, size_t flushes_per_day, uint64_t seed) {
  std::mt19937_64 random(seed);
  std::map<size_t, Sizes> days;
  Month month;
  const auto flush = [&](size_t day, double size) {
    const double noise = 0.7 + 0.6 * static_cast<double>(random() % 1000) / 1000;
    const auto bytes = static_cast<uint64_t>(size * noise);
    if (bytes > 0) {
      days[day].push_back(bytes);
      month.written += static_cast<double>(bytes);
    }
  };
  for (size_t i = 0; i < 30 * flushes_per_day; ++i) {
    const size_t today = i / flushes_per_day;
    constexpr double kFlushBytes = 10e6;
    flush(today, kFlushBytes * (1 - late_share - very_late_share));
    if (today > 0) {
      flush(today - 1, kFlushBytes * late_share);
      flush(random() % today, kFlushBytes * very_late_share);
    }
    for (auto& [day, sizes] : days) {
      while (const auto run = PickMerge(sizes, day < today)) {
        const auto begin = sizes.begin() + static_cast<ptrdiff_t>(run->first);
        const uint64_t total =
            std::accumulate(begin, begin + static_cast<ptrdiff_t>(run->count), uint64_t{0});
        *begin = total;
        sizes.erase(begin + 1, begin + static_cast<ptrdiff_t>(run->count));
        month.merged += static_cast<double>(total);
      }
      if (day < today) {
        month.most_blocks = std::max(month.most_blocks, sizes.size());
      }
    }
  }
  return month;
}

TEST(CompactionPolicyTest, AMonthIsWrittenFourTimesAtMost) {
  for (const auto& [late, very_late] :
       {std::pair(0.0, 0.0), std::pair(0.01, 0.001), std::pair(0.05, 0.01), std::pair(0.2, 0.05)}) {
    for (const size_t flushes_per_day : {12, 24, 96}) {
      SCOPED_TRACE(
          fmt::format("late {} very late {} flushes {}", late, very_late, flushes_per_day));
      const Month month = Simulate(late, very_late, flushes_per_day, 1);
      EXPECT_LE(month.Amplification(), 4);
      EXPECT_LE(month.most_blocks, 24u);
    }
  }
}

}  // namespace
}  // namespace tsdbd::storage
