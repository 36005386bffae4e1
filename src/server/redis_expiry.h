#pragma once
// When keys expire, as commands say it: EX seconds, PX milliseconds, EXAT and PXAT with a moment.

#include <cstdint>
#include <string_view>

#include "common/clock.h"
#include "kv/store.h"

namespace tsdbd::server {

enum class ExpiryUnit : uint8_t { kSeconds, kMillis };

// Redis' times are milliseconds.
inline int64_t ExpiryMillis(const kv::Entry& entry) {
  return entry.expires_ns / kNanosPerMilli;
}

// The Unix time in ns that `number` means: a moment, or counted from `now_ms`. False if that is
// beyond the year 2262, where int64 ends; what lies before 1677, where it begins, is the beginning.
bool ToExpiry(int64_t number, ExpiryUnit unit, bool is_moment, int64_t now_ms, int64_t* expires_ns);

}  // namespace tsdbd::server
