#pragma once
// A fixed number of named threads with a bounded queue, for work that must stay off the event
// loops: queries and large writes. A full queue refuses at once, so overload becomes an answer
// (503) instead of a growing wait.
//
// Threads: everything but the destructor may be called from any thread. Stop() waits for the pool,
// so it must not be called from one of its tasks.

#include <cstddef>
#include <cstdint>
#include <deque>
#include <string>
#include <thread>
#include <vector>

#include <absl/functional/any_invocable.h>

#include "common/mutex.h"

namespace tsdbd {

class ThreadPool {
 public:
  using Task = absl::AnyInvocable<void()>;

  struct Options {
    // The threads are called name-0, name-1, … At most 11 characters: the kernel keeps 15.
    std::string name;
    size_t thread_count = 1;
    // Tasks that wait while all threads are busy.
    size_t queue_capacity = 0;
    // Added to the process' nice value for these threads, 0 to 19: they get less of a busy CPU than
    // the process' other threads.
    int niceness = 0;
  };

  struct Stats {
    size_t queued = 0;
    size_t running = 0;
    uint64_t finished = 0;
    uint64_t refused = 0;
  };

  explicit ThreadPool(Options options);
  ~ThreadPool() { Stop(); }
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  // False if the queue is full or the pool stops; the task is then dropped without having run.
  [[nodiscard]] bool TrySubmit(Task task) EXCLUDES(mutex_);

  // Refuses new tasks, runs those that wait, and ends the threads. May be called again.
  void Stop() EXCLUDES(mutex_);

  Stats stats() const EXCLUDES(mutex_);
  const Options& options() const { return options_; }

 private:
  void RunTasks() EXCLUDES(mutex_);

  const Options options_;

  mutable Mutex mutex_;
  CondVar wake_;
  std::deque<Task> queue_ GUARDED_BY(mutex_);
  bool stopping_ GUARDED_BY(mutex_) = false;
  Stats stats_ GUARDED_BY(mutex_);
  std::vector<std::thread> threads_ GUARDED_BY(mutex_);
};

}  // namespace tsdbd
