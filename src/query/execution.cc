#include "query/execution.h"

#include <memory>

#include "common/mutex.h"

namespace tsdbd::query {
namespace {

// The parts of one ForEachPart. Kept alive by the tasks that wait in the pool's queue, which may
// come to run when all is over.
class SharedWork {
 public:
  SharedWork(size_t parts, const std::function<Status(size_t)>* body)
      : parts_(parts), body_(body) {}

  // Works on parts until none is left. Helpers must not begin after the owner has left.
  void Help() {
    if (Enter()) {
      Run();
      Leave();
    }
  }

  void Run() {
    for (;;) {
      const size_t part = next_.fetch_add(1, std::memory_order_relaxed);
      if (part >= parts_ || failed_.load(std::memory_order_relaxed)) {
        return;
      }
      Status status = (*body_)(part);
      if (!status.ok()) {
        const MutexLock lock(&mutex_);
        if (!failed_.exchange(true)) {
          status_ = std::move(status);
        }
      }
    }
  }

  // Waits for the helpers that have begun.
  Status Finish() {
    const MutexLock lock(&mutex_);
    closed_ = true;
    while (helpers_ > 0) {
      left_.Wait(&mutex_);
    }
    return status_;
  }

 private:
  bool Enter() {
    const MutexLock lock(&mutex_);
    if (closed_) {
      return false;
    }
    ++helpers_;
    return true;
  }
  void Leave() {
    const MutexLock lock(&mutex_);
    --helpers_;
    left_.NotifyAll();
  }

  const size_t parts_;
  const std::function<Status(size_t)>* const body_;  // only while the owner waits
  std::atomic<size_t> next_ = 0;
  std::atomic<bool> failed_ = false;

  Mutex mutex_;
  CondVar left_;
  bool closed_ GUARDED_BY(mutex_) = false;
  size_t helpers_ GUARDED_BY(mutex_) = 0;
  Status status_ GUARDED_BY(mutex_);
};

}  // namespace

Status Execution::MemoryError() const {
  return ResourceExhausted(
      "the query needs more than {} bytes of memory (query.max_memory): ask for fewer series, "
      "fewer steps or a shorter range",
      options_->max_memory_bytes);
}

Status Execution::Reserve(uint64_t bytes) {
  const uint64_t now = memory_bytes_.fetch_add(bytes, std::memory_order_relaxed) + bytes;
  uint64_t peak = peak_memory_bytes_.load(std::memory_order_relaxed);
  while (now > peak && !peak_memory_bytes_.compare_exchange_weak(peak, now)) {
  }
  return now > options_->max_memory_bytes ? MemoryError() : OkStatus();
}

Status Execution::CheckSampleCount(uint64_t samples) const {
  if (samples > options_->max_samples) {
    return ResourceExhausted(
        "query processing would load too many samples into memory in query execution");
  }
  constexpr uint64_t kBytesPerSample = sizeof(model::Timestamp) + sizeof(double);
  return samples > options_->max_memory_bytes / kBytesPerSample ? MemoryError() : OkStatus();
}

size_t Execution::thread_count() const {
  return options_->helpers == nullptr ? 1 : options_->helpers->options().thread_count;
}

Status Execution::ForEachPart(size_t parts, const std::function<Status(size_t part)>& body) {
  const auto work = std::make_shared<SharedWork>(parts, &body);
  for (size_t helper = 1; helper < std::min(parts, thread_count()); ++helper) {
    // Only idle threads: what waits in the queue would take the place of queries, and come too
    // late.
    const ThreadPool::Stats stats = options_->helpers->stats();
    if (stats.running + stats.queued >= thread_count() ||
        !options_->helpers->TrySubmit([work] { work->Help(); })) {
      break;
    }
  }
  work->Run();
  return work->Finish();
}

}  // namespace tsdbd::query
