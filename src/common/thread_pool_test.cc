#include "common/thread_pool.h"

#include <algorithm>
#include <atomic>
#include <future>
#include <memory>

#include <gtest/gtest.h>
#include <pthread.h>
#include <sys/resource.h>
#include <unistd.h>

namespace tsdbd {
namespace {

// Occupies one thread of a pool until opened.
class Gate {
 public:
  ThreadPool::Task Task() {
    return [this] {
      entered_.set_value();
      opened_.get_future().wait();
    };
  }
  void WaitUntilEntered() { entered_.get_future().wait(); }
  void Open() { opened_.set_value(); }

 private:
  std::promise<void> entered_;
  std::promise<void> opened_;
};

int NiceValue() {
  return getpriority(PRIO_PROCESS, static_cast<id_t>(gettid()));
}

TEST(ThreadPoolTest, RunsItsThreadsAtTheirNiceness) {
  const int before = NiceValue();
  for (const int niceness : {0, 5, 19}) {
    int found = -100;
    ThreadPool pool({.name = "test", .queue_capacity = 1, .niceness = niceness});
    ASSERT_TRUE(pool.TrySubmit([&] { found = NiceValue(); }));
    pool.Stop();
    EXPECT_EQ(found, std::min(before + niceness, 19));
  }
  EXPECT_EQ(NiceValue(), before);
}

TEST(ThreadPoolTest, RunsEveryTaskOnce) {
  std::atomic<int> runs = 0;
  ThreadPool pool({.name = "test", .thread_count = 3, .queue_capacity = 1000});
  for (int i = 0; i < 1000; ++i) {
    ASSERT_TRUE(pool.TrySubmit([&] { ++runs; }));
  }
  pool.Stop();
  EXPECT_EQ(runs.load(), 1000);
  EXPECT_EQ(pool.stats().finished, 1000U);
  EXPECT_EQ(pool.stats().running, 0U);
}

TEST(ThreadPoolTest, RefusesWhenTheQueueIsFull) {
  Gate gate;
  ThreadPool pool({.name = "test", .thread_count = 1, .queue_capacity = 2});
  ASSERT_TRUE(pool.TrySubmit(gate.Task()));
  gate.WaitUntilEntered();
  EXPECT_TRUE(pool.TrySubmit([] {}));
  EXPECT_TRUE(pool.TrySubmit([] {}));
  EXPECT_FALSE(pool.TrySubmit([] { FAIL() << "a refused task ran"; }));
  EXPECT_EQ(pool.stats().queued, 2U);
  EXPECT_EQ(pool.stats().refused, 1U);
  gate.Open();
}

TEST(ThreadPoolTest, WithoutAQueueAnIdleThreadStillTakesATask) {
  Gate gate;
  ThreadPool pool({.name = "test", .thread_count = 1, .queue_capacity = 0});
  EXPECT_TRUE(pool.TrySubmit(gate.Task()));
  EXPECT_FALSE(pool.TrySubmit([] {}));
  gate.Open();
}

TEST(ThreadPoolTest, StopRunsWhatWaitsAndRefusesTheRest) {
  Gate gate;
  std::atomic<int> runs = 0;
  ThreadPool pool({.name = "test", .thread_count = 1, .queue_capacity = 10});
  ASSERT_TRUE(pool.TrySubmit(gate.Task()));
  for (int i = 0; i < 10; ++i) {
    ASSERT_TRUE(pool.TrySubmit([&] { ++runs; }));
  }
  gate.Open();
  pool.Stop();
  EXPECT_EQ(runs.load(), 10);
  EXPECT_FALSE(pool.TrySubmit([] {}));
}

TEST(ThreadPoolTest, TasksMayOwnWhatCannotBeCopied) {
  std::promise<int> result;
  ThreadPool pool({.name = "test", .thread_count = 1, .queue_capacity = 1});
  auto value = std::make_unique<int>(7);
  ASSERT_TRUE(pool.TrySubmit([value = std::move(value), &result] { result.set_value(*value); }));
  EXPECT_EQ(result.get_future().get(), 7);
}

TEST(ThreadPoolTest, WhatATaskHeldIsGoneWhenItHasFinished) {
  auto held = std::make_shared<int>(1);
  ThreadPool pool({.name = "test", .thread_count = 1, .queue_capacity = 1});
  ASSERT_TRUE(pool.TrySubmit([held] {}));
  pool.Stop();
  EXPECT_EQ(held.use_count(), 1);
}

TEST(ThreadPoolTest, ThreadsAreNamed) {
  std::promise<std::string> name;
  ThreadPool pool({.name = "query", .thread_count = 1, .queue_capacity = 1});
  ASSERT_TRUE(pool.TrySubmit([&] {
    char buffer[16];
    pthread_getname_np(pthread_self(), buffer, sizeof buffer);
    name.set_value(buffer);
  }));
  EXPECT_EQ(name.get_future().get(), "query-0");
}

}  // namespace
}  // namespace tsdbd
