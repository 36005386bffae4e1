#include "common/thread_pool.h"

#include <cerrno>
#include <utility>

#include <fmt/format.h>
#include <pthread.h>
#include <sys/resource.h>
#include <unistd.h>

#include "common/check.h"

namespace tsdbd {
namespace {

// On Linux a nice value belongs to the thread. Going down needs no permission, and should it fail,
// the pool works as well.
void LowerPriority(int niceness) {
  const auto thread = static_cast<id_t>(gettid());
  errno = 0;
  const int current = getpriority(PRIO_PROCESS, thread);
  if (errno == 0) {
    setpriority(PRIO_PROCESS, thread, current + niceness);  // the kernel cuts it to 19
  }
}

}  // namespace

ThreadPool::ThreadPool(Options options) : options_(std::move(options)) {
  CHECK(options_.thread_count > 0);
  MutexLock lock(&mutex_);
  for (size_t i = 0; i < options_.thread_count; ++i) {
    threads_.emplace_back([this] { RunTasks(); });
    const std::string name = fmt::format("{}-{}", options_.name, i);
    pthread_setname_np(threads_.back().native_handle(), name.c_str());
  }
}

bool ThreadPool::TrySubmit(Task task) {
  {
    MutexLock lock(&mutex_);
    // An idle thread takes its task from the queue too, so it counts as room.
    const size_t idle = options_.thread_count - stats_.running;
    if (stopping_ || queue_.size() >= options_.queue_capacity + idle) {
      ++stats_.refused;
      return false;
    }
    queue_.push_back(std::move(task));
  }
  wake_.NotifyOne();
  return true;
}

void ThreadPool::Stop() {
  std::vector<std::thread> threads;
  {
    MutexLock lock(&mutex_);
    stopping_ = true;
    threads.swap(threads_);
  }
  wake_.NotifyAll();
  for (std::thread& thread : threads) {
    thread.join();
  }
}

ThreadPool::Stats ThreadPool::stats() const {
  MutexLock lock(&mutex_);
  Stats stats = stats_;
  stats.queued = queue_.size();
  return stats;
}

void ThreadPool::RunTasks() {
  if (options_.niceness != 0) {
    LowerPriority(options_.niceness);
  }
  while (true) {
    Task task;
    {
      MutexLock lock(&mutex_);
      while (queue_.empty() && !stopping_) {
        wake_.Wait(&mutex_);
      }
      if (queue_.empty()) {
        return;
      }
      task = std::move(queue_.front());
      queue_.pop_front();
      ++stats_.running;
    }
    std::move(task)();
    // What the task holds goes away before it counts as finished.
    task = nullptr;
    MutexLock lock(&mutex_);
    --stats_.running;
    ++stats_.finished;
  }
}

}  // namespace tsdbd
