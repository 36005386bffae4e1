#pragma once
// Interrupt: whether a running query has to stop, because it took too long or nobody waits for it
// any more. One thread only.

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

  // Cheap enough for every series: the clock is read once in kChecksPerClockRead calls.
  Status Check() {
    if (cancel_ != nullptr && cancel_->cancelled()) {
      return Reason();
    }
    if (deadline_ns_ != 0 && checks_++ % kChecksPerClockRead == 0 &&
        MonotonicNanos() >= deadline_ns_) {
      return Reason();
    }
    return OkStatus();
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
  // A series takes a microsecond and more to read, the clock 30 ns: less than 1 % of it.
  static constexpr uint32_t kChecksPerClockRead = 16;

  const int64_t deadline_ns_;  // monotonic; 0: none
  const model::CancelToken* const cancel_;
  uint32_t checks_ = 0;
};

}  // namespace tsdbd::query
