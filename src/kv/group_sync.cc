#include "kv/group_sync.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "common/clock.h"
#include "common/stages.h"

namespace tsdbd::kv {
namespace {

constexpr int64_t kMaxWaitForOthersNs = kNanosPerMilli;

}  // namespace

GroupSync::GroupSync(SyncMode mode, int64_t interval_ms, std::function<Status()> sync)
    : mode_(mode), interval_ns_(interval_ms * kNanosPerMilli), sync_(std::move(sync)) {
  thread_ = std::thread([this] { Run(); });
}

GroupSync::~GroupSync() {
  Close().IgnoreError();
}

void GroupSync::Add(Done done) {
  if (mode_ == SyncMode::kNone) {
    if (done) {
      done(is_healthy() ? OkStatus() : Health());
    }
    return;
  }
  bool is_late = false;
  bool must_wake = false;
  {
    MutexLock lock(&mutex_);
    is_late = is_closing_ || !health_.ok();
    if (mode_ == SyncMode::kAlways && !is_late) {
      sync_wanted_ = true;
      waiting_.push_back(std::move(done));
      must_wake = waiting_.size() >= wake_at_ && std::exchange(thread_waits_, false);
    } else if (mode_ == SyncMode::kInterval && unsynced_since_ns_ == 0) {
      unsynced_since_ns_ = MonotonicNanos();
      must_wake = std::exchange(thread_waits_, false);
    }
  }
  if (must_wake) {
    work_.NotifyOne();
  }
  if (mode_ == SyncMode::kInterval || is_late) {
    const Status status = is_late ? SyncNow() : OkStatus();
    if (done) {
      done(status);
    }
  }
}

Status GroupSync::Sync() {
  Mutex mutex;
  CondVar finished;
  bool is_done = false;
  Status result;
  bool is_late = false;
  {
    MutexLock lock(&mutex_);
    is_late = is_closing_ || !health_.ok();
    if (!is_late) {
      sync_wanted_ = true;
      waiting_.push_back([&](const Status& status) {
        MutexLock done_lock(&mutex);
        result = status;
        is_done = true;
        finished.NotifyOne();
      });
      thread_waits_ = false;
    }
  }
  if (is_late) {
    return SyncNow();
  }
  work_.NotifyOne();
  MutexLock lock(&mutex);
  while (!is_done) {
    finished.Wait(&mutex);
  }
  return result;
}

Status GroupSync::Health() const {
  MutexLock lock(&mutex_);
  return health_;
}

Status GroupSync::Close() {
  MutexLock close_lock(&close_mutex_);
  if (is_closed_) {
    return Health();
  }
  is_closed_ = true;
  {
    MutexLock lock(&mutex_);
    is_closing_ = true;
  }
  work_.NotifyOne();
  thread_.join();
  return SyncNow();
}

void GroupSync::Run() {
  std::vector<Done> batch;
  MutexLock lock(&mutex_);
  while (true) {
    WaitForWork();
    WaitForOthers();
    if (is_closing_ && waiting_.empty()) {
      return;
    }
    batch.swap(waiting_);
    group_size_ = batch.size();
    sync_wanted_ = false;
    unsynced_since_ns_ = 0;
    mutex_.Unlock();
    const int64_t start_ns = MonotonicNanos();
    const Status status = SyncNow();
    const int64_t sync_ns = MonotonicNanos() - start_ns;
    RecordStage(Stage::kKvLogSync, sync_ns, batch.size());
    for (const Done& done : batch) {
      if (done) {
        done(status);
      }
    }
    batch.clear();
    mutex_.Lock();
    last_sync_ns_ = sync_ns;
  }
}

void GroupSync::WaitForWork() {
  while (!is_closing_ && !sync_wanted_) {
    thread_waits_ = true;
    if (unsynced_since_ns_ == 0) {
      work_.Wait(&mutex_);
      continue;
    }
    const int64_t wait_ns = unsynced_since_ns_ + interval_ns_ - MonotonicNanos();
    if (wait_ns <= 0) {
      break;
    }
    work_.WaitFor(&mutex_, std::chrono::nanoseconds(wait_ns));
  }
  thread_waits_ = false;
}

// At most half as long as the last sync took, and not for long after one that was slow: where they
// do not come, the group is smaller next time.
void GroupSync::WaitForOthers() {
  const int64_t until_ns = MonotonicNanos() + std::min(last_sync_ns_ / 2, kMaxWaitForOthersNs);
  wake_at_ = group_size_;
  while (!is_closing_ && waiting_.size() < group_size_) {
    const int64_t wait_ns = until_ns - MonotonicNanos();
    if (wait_ns <= 0) {
      break;
    }
    thread_waits_ = true;
    work_.WaitFor(&mutex_, std::chrono::nanoseconds(wait_ns));
  }
  thread_waits_ = false;
  wake_at_ = 1;
}

Status GroupSync::SyncNow() {
  MutexLock lock(&sync_mutex_);
  if (!is_healthy()) {
    return Health();
  }
  const Status status = sync_();
  sync_count_.fetch_add(1, std::memory_order_relaxed);
  if (status.ok()) {
    return status;
  }
  Poison(status);
  return Health();
}

void GroupSync::Poison(const Status& cause) {
  MutexLock lock(&mutex_);
  health_ = Unavailable("no writes since a sync failed ({}); only a restart helps", Message(cause));
  is_healthy_.store(false, std::memory_order_release);
}

}  // namespace tsdbd::kv
