#pragma once
// Interrupt: whether a running query has to stop, because it took too long or nobody waits for it
// any more. Thread-safe.

#include <cstdint>

#include "common/clock.h"
#include "common/status.h"
#include "model/series_source.h"

namespace tsdbd::query {

class Interrupt {
 public:
  // `timeout_ns` from now on, 0: none. `cancel` may be null.
  Interrupt(int64_t timeout_ns, const model::CancelToken* cancel)
      : deadline_ns_(timeout_ns == 0 ? 0 : MonotonicNanos() + timeout_ns), cancel_(cancel) {}

  // Reads the clock: 25 ns.
  Status Check() const {
    const bool stop = (cancel_ != nullptr && cancel_->cancelled()) ||
                      (deadline_ns_ != 0 && MonotonicNanos() >= deadline_ns_);
    return stop ? Reason() : OkStatus();
  }

  // Why the query stops. Whoever watches the clock may do so through the token as well, so a token
  // that was set after the deadline means that time is over.
  Status Reason() const {
    if (deadline_ns_ != 0 && MonotonicNanos() >= deadline_ns_) {
      return MakeStatus(StatusCode::kDeadlineExceeded, "query timed out in expression evaluation");
    }
    return MakeStatus(StatusCode::kCancelled, "query was canceled in expression evaluation");
  }

 private:
  const int64_t deadline_ns_;  // monotonic; 0: none
  const model::CancelToken* const cancel_;
};

}  // namespace tsdbd::query
