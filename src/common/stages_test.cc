#include "common/stages.h"

#include <random>
#include <thread>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace tsdbd {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

// The counters are global: each test looks at what it added itself.
class StagesTest : public ::testing::Test {
 protected:
  StageSummary Added(Stage stage) const { return TakeStageReport().Since(before_).of(stage); }

  const StageReport before_ = TakeStageReport();
};

TEST(StageBucketsTest, EdgesAreWhereTheIndexChanges) {
  for (size_t i = 1; i < stage_buckets::kCount; ++i) {
    const uint64_t edge = stage_buckets::LowerEdge(i);
    EXPECT_EQ(stage_buckets::IndexOf(edge), i);
    EXPECT_EQ(stage_buckets::IndexOf(edge - 1), i - 1);
  }
}

TEST(StageBucketsTest, NoBucketIsWiderThanASixteenthOfItsLowerEdge) {
  for (size_t i = 1; i < stage_buckets::kCount; ++i) {
    const uint64_t edge = stage_buckets::LowerEdge(i);
    const uint64_t width = stage_buckets::LowerEdge(i + 1) - edge;
    EXPECT_TRUE(width == 1 || width * 16 <= edge) << "bucket " << i;
  }
}

TEST(StageBucketsTest, LongDurationsCountInTheLastBucket) {
  EXPECT_EQ(stage_buckets::IndexOf(~uint64_t{0}), stage_buckets::kCount - 1);
}

TEST_F(StagesTest, CountsTotalsItemsAndMaximaAreExact) {
  RecordStage(Stage::kParse, 1'000, 5);
  RecordStage(Stage::kParse, 123'456'789, 7);
  const StageSummary parse = Added(Stage::kParse);
  EXPECT_EQ(parse.count, 2U);
  EXPECT_EQ(parse.items, 12U);
  EXPECT_EQ(parse.total_ns, 123'457'789U);
  EXPECT_EQ(parse.max_ns, 123'456'789U);
  EXPECT_EQ(Added(Stage::kCompact).count, 0U);
}

TEST_F(StagesTest, NegativeDurationsCountAsZero) {
  RecordStage(Stage::kRetain, -5);
  EXPECT_EQ(Added(Stage::kRetain).count, 1U);
  EXPECT_EQ(Added(Stage::kRetain).total_ns, 0U);
}

TEST_F(StagesTest, QuantilesAreWithinTheDocumentedError) {
  constexpr uint64_t kSeed = 20240229;
  SCOPED_TRACE(testing::Message() << "seed " << kSeed);
  std::mt19937_64 random(kSeed);
  std::lognormal_distribution<double> durations(10, 2);
  std::vector<uint64_t> nanos(20'000);
  for (uint64_t& value : nanos) {
    value = static_cast<uint64_t>(durations(random));
    RecordStage(Stage::kQueryPlan, static_cast<int64_t>(value));
  }
  std::sort(nanos.begin(), nanos.end());
  const StageSummary plan = Added(Stage::kQueryPlan);
  for (const double quantile : {0.01, 0.5, 0.9, 0.99, 0.999, 1.0}) {
    const auto rank = static_cast<size_t>(std::ceil(quantile * 20'000)) - 1;
    const auto exact = static_cast<double>(nanos[rank]);
    EXPECT_NEAR(static_cast<double>(plan.QuantileNanos(quantile)), exact, 1 + exact * 0.032)
        << "quantile " << quantile;
  }
  EXPECT_EQ(plan.max_ns, nanos.back());
}

TEST_F(StagesTest, QuantilesNeverExceedTheMaximum) {
  RecordStage(Stage::kFlush, 1025);
  EXPECT_EQ(Added(Stage::kFlush).QuantileNanos(0.5), 1025U);
}

TEST_F(StagesTest, QuantilesOfNothingAreZero) {
  EXPECT_EQ(StageSummary().QuantileNanos(0.99), 0U);
}

TEST_F(StagesTest, CountsBelowPowersOfTwoAreExact) {
  for (const int64_t nanos : {1'023, 1'024, 1'025, 5'000'000}) {
    RecordStage(Stage::kQuerySelect, nanos);
  }
  const StageSummary select = Added(Stage::kQuerySelect);
  EXPECT_EQ(select.CountBelowPowerOfTwo(10), 1U);
  EXPECT_EQ(select.CountBelowPowerOfTwo(11), 3U);
  EXPECT_EQ(select.CountBelowPowerOfTwo(40), 4U);
}

TEST_F(StagesTest, SinceReplacesAMaximumThatIsOlder) {
  RecordStage(Stage::kRecover, 1'000'000);
  const StageReport between = TakeStageReport();
  RecordStage(Stage::kRecover, 100);
  const StageSummary recover = TakeStageReport().Since(between).of(Stage::kRecover);
  EXPECT_EQ(recover.count, 1U);
  EXPECT_GE(recover.max_ns, 100U);
  EXPECT_LE(recover.max_ns, 107U);
}

TEST_F(StagesTest, CountsSurviveTheEndOfTheirThread) {
  for (int i = 0; i < 3; ++i) {
    std::thread([] { RecordStage(Stage::kWalSync, 10, 2); }).join();
  }
  EXPECT_EQ(Added(Stage::kWalSync).count, 3U);
  EXPECT_EQ(Added(Stage::kWalSync).items, 6U);
}

TEST_F(StagesTest, ManyThreadsLoseNothingWhileReportsAreTaken) {
  constexpr int kThreads = 4;
  constexpr int kRecords = 20'000;
  std::atomic<bool> done = false;
  std::thread reader([&] {
    uint64_t last = 0;
    while (!done.load()) {
      const uint64_t count = Added(Stage::kHeadAppend).count;
      EXPECT_GE(count, last);
      last = count;
    }
  });
  std::vector<std::thread> writers;
  for (int t = 0; t < kThreads; ++t) {
    writers.emplace_back([] {
      for (int i = 0; i < kRecords; ++i) {
        RecordStage(Stage::kHeadAppend, i, 3);
      }
    });
  }
  for (std::thread& writer : writers) {
    writer.join();
  }
  done.store(true);
  reader.join();
  EXPECT_EQ(Added(Stage::kHeadAppend).count, uint64_t{kThreads} * kRecords);
  EXPECT_EQ(Added(Stage::kHeadAppend).items, uint64_t{kThreads} * kRecords * 3);
}

TEST_F(StagesTest, ATimerRecordsItsScopeOnce) {
  { StageTimer timer(Stage::kRespond); }
  EXPECT_EQ(Added(Stage::kRespond).count, 1U);
}

TEST_F(StagesTest, ATimerPassesFromStageToStage) {
  {
    StageTimer timer(Stage::kRead);
    timer.Next(Stage::kResolveHit, 100);
    timer.Next(Stage::kResolveNew, 90);
    timer.set_items(10);
  }
  EXPECT_EQ(Added(Stage::kRead).items, 100U);
  EXPECT_EQ(Added(Stage::kResolveHit).items, 90U);
  EXPECT_EQ(Added(Stage::kResolveNew).items, 10U);
}

TEST_F(StagesTest, AStoppedOrCancelledTimerRecordsNothingMore) {
  {
    StageTimer stopped(Stage::kQueryParse);
    stopped.Stop(4);
    StageTimer cancelled(Stage::kQueryDecode);
    cancelled.Cancel();
  }
  EXPECT_EQ(Added(Stage::kQueryParse).count, 1U);
  EXPECT_EQ(Added(Stage::kQueryParse).items, 4U);
  EXPECT_EQ(Added(Stage::kQueryDecode).count, 0U);
}

TEST_F(StagesTest, TheJsonNamesEveryStage) {
  const std::string json = TakeStageReport().ToJson();
  for (size_t i = 0; i < kStageCount; ++i) {
    EXPECT_THAT(json,
                HasSubstr("\"stage\":\"" + std::string(StageName(static_cast<Stage>(i))) + "\""));
  }
}

TEST_F(StagesTest, TheJsonCarriesTheFigures) {
  RecordStage(Stage::kQueryEncode, 9, 2);
  EXPECT_THAT(TakeStageReport().Since(before_).ToJson(),
              HasSubstr(R"({"stage":"query_encode","count":1,"items":2,"total_ns":9,"p50_ns":9,)"
                        R"("p90_ns":9,"p99_ns":9,"p999_ns":9,"max_ns":9})"));
}

TEST_F(StagesTest, TheTableShowsOnlyStagesWithRecords) {
  RecordStage(Stage::kQueryEvaluate, 1'500, 3);
  const std::string text = TakeStageReport().Since(before_).ToText();
  EXPECT_THAT(text, HasSubstr("query_evaluate            1             3   1.50us    500ns"));
  EXPECT_THAT(text, Not(HasSubstr("compact")));
}

}  // namespace
}  // namespace tsdbd
