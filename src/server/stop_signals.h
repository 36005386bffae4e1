#pragma once
// StopSignals: SIGTERM, SIGINT and SIGHUP as a request to stop. The first is handed to Wait(); the
// second ends the process at once. Before ExpectWait() there is nothing to finish (a start may be
// broken off at any time, as a crash may), so the first ends the process at once, too, with
// status 0.
//
// Threads: construct before any other thread, which then inherit the blocked signals.

#include <csignal>

#include "common/mutex.h"

namespace tsdbd::server {

class StopSignals {
 public:
  // One per process; never destroyed, because its thread waits for signals until the end.
  static StopSignals* Install();

  void ExpectWait() EXCLUDES(mutex_);
  // Returns the signal that asked.
  int Wait() EXCLUDES(mutex_);

 private:
  StopSignals();
  void WatchSignals() EXCLUDES(mutex_);

  sigset_t signals_;

  Mutex mutex_;
  CondVar changed_;
  bool wait_expected_ GUARDED_BY(mutex_) = false;
  int received_ GUARDED_BY(mutex_) = 0;
};

}  // namespace tsdbd::server
