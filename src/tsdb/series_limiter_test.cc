#include "tsdb/series_limiter.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/fault_env_testing.h"
#include "tsdb/batch_testing.h"
#include "tsdb/database.h"
#include "tsdb/numbered_writes_testing.h"

namespace tsdbd::tsdb {
namespace {

using testing::HasSubstr;
using testing::SizeIs;

class SeriesLimiterTest : public testing::Test {
 protected:
  void Open(const SeriesLimits& limits) {
    DatabaseOptions options = SmallDatabase();
    options.series_limits = limits;
    db_.reset();
    db_ = *Database::Open(&env_, options);
  }

  // One row for each host from `first` on; returns why the last refused one was, or "".
  std::string Write(const std::string& measurement, int first, int count,
                    const std::vector<std::pair<std::string, double>>& fields = {{"v", 1}}) {
    BatchBuilder batch;
    for (int i = first; i < first + count; ++i) {
      batch.Row(measurement + ",host=" + std::to_string(i), fields, ++time_);
    }
    const WriteResult result = db_->Write(batch.batch(), WriteMode::kPartial);
    EXPECT_TRUE(result.status.ok()) << result.status;
    refused_ = result.rows_refused;
    return result.refused.empty() ? "" : result.refused.back().reason;
  }

  FaultEnv env_;
  std::unique_ptr<Database> db_;
  uint64_t refused_ = 0;
  model::Timestamp time_ = 0;
};

TEST_F(SeriesLimiterTest, InAll) {
  Open({.in_all = 10});
  EXPECT_EQ(Write("a", 0, 6), "");
  EXPECT_EQ(Write("b", 0, 6), "10 series are in memory; the limit is 10 (head.max_series)");
  EXPECT_EQ(refused_, 2);
  EXPECT_EQ(Write("a", 0, 6), "") << "known series go on";
  EXPECT_EQ(Write("b", 0, 4), "");
  EXPECT_EQ(db_->Stats().series_refused, 2);
  EXPECT_THAT(ReadAll(*db_), SizeIs(10));
}

TEST_F(SeriesLimiterTest, AGroupIsAdmittedAsAWhole) {
  Open({.in_all = 5});
  EXPECT_EQ(Write("a", 0, 2, {{"x", 1}, {"y", 2}}), "");
  EXPECT_THAT(Write("a", 2, 1, {{"x", 1}, {"y", 2}}), HasSubstr("4 series are in memory"));
  EXPECT_EQ(Write("a", 2, 1, {{"x", 1}}), "");
}

TEST_F(SeriesLimiterTest, PerMetric) {
  Open({.per_metric = 3});
  EXPECT_EQ(Write("a", 0, 3), "");
  EXPECT_EQ(Write("b", 0, 3), "");
  EXPECT_EQ(Write("a", 3, 2),
            "metric a_v has 3 series in memory; the limit is 3 (head.max_series_per_metric)");
  Write("b", 3, 1);
  const std::vector<RefusedMetric> refused = db_->MostRefused(10);
  ASSERT_THAT(refused, SizeIs(2));
  EXPECT_EQ(refused[0].name, "a_v");
  EXPECT_EQ(refused[0].series, 2);
  EXPECT_EQ(refused[1].name, "b_v");
  EXPECT_THAT(db_->MostRefused(1), SizeIs(1));
}

TEST_F(SeriesLimiterTest, WhatLeavesMemoryMakesRoom) {
  Open({.in_all = 4, .per_metric = 4});
  EXPECT_EQ(Write("a", 0, 4), "");
  EXPECT_NE(Write("a", 4, 1), "");
  ASSERT_TRUE(db_->Flush().ok());
  EXPECT_EQ(Write("a", 0, 1), "");  // the others are idle for a whole generation
  ASSERT_TRUE(db_->Flush().ok());
  EXPECT_EQ(Write("a", 4, 3), "");
  EXPECT_NE(Write("a", 7, 1), "");
}

TEST_F(SeriesLimiterTest, WhatIsInTheLogIsNeverRefused) {
  Open({});
  EXPECT_EQ(Write("a", 0, 8), "");
  env_.Crash(CrashMode::kKeepAll);
  db_.reset();
  env_.Restart();
  Open({.in_all = 4});
  EXPECT_THAT(ReadAll(*db_), SizeIs(8));
  EXPECT_EQ(db_->Stats().series_refused, 0);
  EXPECT_NE(Write("a", 8, 1), "");
}

}  // namespace
}  // namespace tsdbd::tsdb
