#pragma once
// What a test has to know about the sanitizer that it was compiled with.

#include <cstddef>

namespace tsdbd {

#if defined(__SANITIZE_THREAD__)
inline constexpr bool kHasThreadSanitizer = true;
#else
inline constexpr bool kHasThreadSanitizer = false;
#endif

// The step of tests that do something at every byte or operation and start threads each time, which
// takes the thread sanitizer tens of milliseconds: there, every n-th must do. A prime is best, as
// it meets every part of a format in time.
constexpr size_t StepUnderThreadSanitizer(size_t n) {
  return kHasThreadSanitizer ? n : 1;
}

}  // namespace tsdbd
