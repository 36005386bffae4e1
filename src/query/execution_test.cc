#include "query/execution.h"

#include <atomic>
#include <numeric>
#include <vector>

#include <gtest/gtest.h>

#include "query/memory_source_testing.h"

namespace tsdbd::query {
namespace {

class ExecutionTest : public testing::Test {
 protected:
  // How often each of `parts` parts ran.
  std::vector<int> RunParts(size_t parts) {
    std::vector<std::atomic<int>> runs(parts);
    Execution execution(&source_, &options_, "q");
    EXPECT_TRUE(execution
                    .ForEachPart(parts,
                                 [&](size_t part) {
                                   ++runs[part];
                                   return OkStatus();
                                 })
                    .ok());
    return {runs.begin(), runs.end()};
  }

  MemorySource source_;
  QueryOptions options_;
};

TEST_F(ExecutionTest, RunsEachPartOnce) {
  EXPECT_EQ(RunParts(0), std::vector<int>());
  EXPECT_EQ(RunParts(1), std::vector<int>(1, 1));
  ThreadPool helpers({.name = "helpers", .thread_count = 4, .queue_capacity = 4});
  options_.helpers = &helpers;
  for (int round = 0; round < 200; ++round) {
    ASSERT_EQ(RunParts(17), std::vector<int>(17, 1));
  }
}

TEST_F(ExecutionTest, NeedsNoHelperToFinish) {
  ThreadPool stopped({.name = "stopped", .thread_count = 4, .queue_capacity = 4});
  stopped.Stop();
  options_.helpers = &stopped;
  EXPECT_EQ(RunParts(5), std::vector<int>(5, 1));
}

TEST_F(ExecutionTest, GivesTheErrorOfAPartAndLeavesOutTheRest) {
  Execution execution(&source_, &options_, "q");
  int runs = 0;
  const Status status = execution.ForEachPart(10, [&](size_t part) {
    ++runs;
    return part == 2 ? DataLoss("part 2") : OkStatus();
  });
  EXPECT_EQ(Message(status), "part 2");
  EXPECT_EQ(runs, 3);
}

TEST_F(ExecutionTest, BoundsWhatIsReserved) {
  options_.max_memory_bytes = 100;
  Execution execution(&source_, &options_, "q");
  EXPECT_TRUE(execution.Reserve(60).ok());
  EXPECT_TRUE(execution.Reserve(40).ok());
  EXPECT_EQ(execution.Reserve(1).code(), StatusCode::kResourceExhausted);
  execution.Release(51);
  EXPECT_TRUE(execution.Reserve(50).ok());
  EXPECT_EQ(execution.peak_memory_bytes(), 101);
}

}  // namespace
}  // namespace tsdbd::query
