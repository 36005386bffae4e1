#pragma once
// Locks that clang's thread-safety analysis can follow: std::mutex, std::shared_mutex and a spin
// lock for critical sections of a few dozen instructions. (Debian's absl::Mutex is slower than
// std::mutex and upsets TSan, so it is not used.)

#include <atomic>
#include <condition_variable>
#include <mutex>
#include <shared_mutex>
#include <thread>

#if defined(__clang__)
#define TSDBD_TSA(x) __attribute__((x))
#else
#define TSDBD_TSA(x)
#endif
// absl/status.h defines these three under the same names, with the same meaning.
#undef GUARDED_BY
#undef PT_GUARDED_BY
#undef NO_THREAD_SAFETY_ANALYSIS
#define CAPABILITY(x) TSDBD_TSA(capability(x))
#define SCOPED_CAPABILITY TSDBD_TSA(scoped_lockable)
#define GUARDED_BY(x) TSDBD_TSA(guarded_by(x))
#define PT_GUARDED_BY(x) TSDBD_TSA(pt_guarded_by(x))
#define REQUIRES(...) TSDBD_TSA(requires_capability(__VA_ARGS__))
#define REQUIRES_SHARED(...) TSDBD_TSA(requires_shared_capability(__VA_ARGS__))
#define ACQUIRE(...) TSDBD_TSA(acquire_capability(__VA_ARGS__))
#define ACQUIRE_SHARED(...) TSDBD_TSA(acquire_shared_capability(__VA_ARGS__))
#define RELEASE(...) TSDBD_TSA(release_capability(__VA_ARGS__))
#define RELEASE_SHARED(...) TSDBD_TSA(release_shared_capability(__VA_ARGS__))
#define RELEASE_GENERIC(...) TSDBD_TSA(release_generic_capability(__VA_ARGS__))
#define TRY_ACQUIRE(...) TSDBD_TSA(try_acquire_capability(__VA_ARGS__))
#define EXCLUDES(...) TSDBD_TSA(locks_excluded(__VA_ARGS__))
#define NO_THREAD_SAFETY_ANALYSIS TSDBD_TSA(no_thread_safety_analysis)

namespace tsdbd {

// Spins for about a microsecond before it sleeps: what most of ours guard takes less, and a sleep
// costs several.
class CAPABILITY("mutex") Mutex {
 public:
  void Lock() ACQUIRE() {
    for (int spins = 0; spins < kSpinsBeforeSleep; ++spins) {
      if (mutex_.try_lock()) {
        return;
      }
    }
    mutex_.lock();
  }
  void Unlock() RELEASE() { mutex_.unlock(); }
  bool TryLock() TRY_ACQUIRE(true) { return mutex_.try_lock(); }

 private:
  friend class CondVar;
  static constexpr int kSpinsBeforeSleep = 50;
  std::mutex mutex_;
};

// Fair: who waits to lock exclusively is not overtaken by new readers (std::shared_mutex on Linux
// would let readers that overlap each other starve it). A thread must not lock it twice.
class CAPABILITY("mutex") SharedMutex {
 public:
  void Lock() ACQUIRE() {
    std::lock_guard<std::mutex> turn(turn_);
    mutex_.lock();
  }
  void Unlock() RELEASE() { mutex_.unlock(); }
  void LockShared() ACQUIRE_SHARED() {
    std::lock_guard<std::mutex> turn(turn_);
    mutex_.lock_shared();
  }
  void UnlockShared() RELEASE_SHARED() { mutex_.unlock_shared(); }

 private:
  std::mutex turn_;
  std::shared_mutex mutex_;
};

// One byte. Spins briefly, then yields, so a preempted holder is not waited for at full speed.
class CAPABILITY("mutex") SpinLock {
 public:
  void Lock() ACQUIRE() {
    for (int spins = 0; locked_.exchange(true, std::memory_order_acquire); ++spins) {
      while (locked_.load(std::memory_order_relaxed)) {
        if (++spins > kSpinsBeforeYield) {
          std::this_thread::yield();
        }
      }
    }
  }
  void Unlock() RELEASE() { locked_.store(false, std::memory_order_release); }

 private:
  // About the length of the longest critical section, in loads of a shared line.
  static constexpr int kSpinsBeforeYield = 200;
  std::atomic<bool> locked_ = false;
};

// Holds `lock` for a scope: Mutex, SharedMutex (exclusively) or SpinLock.
template <typename Lockable>
class SCOPED_CAPABILITY LockGuard {
 public:
  explicit LockGuard(Lockable* lock) ACQUIRE(lock) : lock_(lock) { lock_->Lock(); }
  ~LockGuard() RELEASE() { lock_->Unlock(); }
  LockGuard(const LockGuard&) = delete;
  LockGuard& operator=(const LockGuard&) = delete;

 private:
  Lockable* const lock_;
};
using MutexLock = LockGuard<Mutex>;
using SpinLockGuard = LockGuard<SpinLock>;
using WriterLock = LockGuard<SharedMutex>;

class SCOPED_CAPABILITY ReaderLock {
 public:
  explicit ReaderLock(SharedMutex* mutex) ACQUIRE_SHARED(mutex) : mutex_(mutex) {
    mutex_->LockShared();
  }
  ~ReaderLock() RELEASE_GENERIC() { mutex_->UnlockShared(); }
  ReaderLock(const ReaderLock&) = delete;
  ReaderLock& operator=(const ReaderLock&) = delete;

 private:
  SharedMutex* const mutex_;
};

class CondVar {
 public:
  // Waits once; the caller loops on its condition.
  void Wait(Mutex* mutex) REQUIRES(mutex) {
    std::unique_lock<std::mutex> lock(mutex->mutex_, std::adopt_lock);
    condition_.wait(lock);
    lock.release();
  }
  // False on time-out.
  template <typename Duration>
  bool WaitFor(Mutex* mutex, Duration duration) REQUIRES(mutex) {
    std::unique_lock<std::mutex> lock(mutex->mutex_, std::adopt_lock);
    const bool notified = condition_.wait_for(lock, duration) == std::cv_status::no_timeout;
    lock.release();
    return notified;
  }
  void NotifyOne() { condition_.notify_one(); }
  void NotifyAll() { condition_.notify_all(); }

 private:
  std::condition_variable condition_;
};

}  // namespace tsdbd
