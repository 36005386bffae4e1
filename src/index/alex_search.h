#pragma once
// What AlexMap (alex_map.h has the essay) does with one sorted array of slots: predict where a key
// is, search around there, and fit the model that predicts.
//
// Threads: the search reads words that the writer may be changing; whoever uses what it says looks
// afterwards whether a version has stayed the same (AlexMap::ReadConsistently). So the loads need
// no order among themselves, and in between the compiler may do as it likes. ThreadSanitizer knows
// nothing of fences; for it, and only for it, each load is an acquire.

#include <algorithm>
#include <array>
#include <atomic>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>

namespace tsdbd::index::alex {

// No key of the tree: stands in slots that are not in use, behind all keys.
inline constexpr uint64_t kNoKey = std::numeric_limits<uint64_t>::max();

#if defined(__SANITIZE_THREAD__)
#define TSDBD_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define TSDBD_TSAN 1
#endif
#endif

#ifdef TSDBD_TSAN
inline uint64_t LoadShared(const uint64_t& word) {
  return __atomic_load_n(&word, __ATOMIC_ACQUIRE);
}
inline void EndOfLoads() {}
#else
inline uint64_t LoadShared(const uint64_t& word) {
  return word;
}
// What was loaded before is not loaded after.
inline void EndOfLoads() {
  std::atomic_thread_fence(std::memory_order_acquire);
}
#endif
inline void StoreShared(uint64_t* word, uint64_t value) {
  __atomic_store_n(word, value, __ATOMIC_RELEASE);
}

// A key and what it leads to: a payload (1 or 2 words) or a child (3).
template <size_t kWords>
struct Slot {
  uint64_t key;
  std::array<uint64_t, kWords> words;
};

// slot ≈ (key - base) * multiplier / 2^64 + offset. Integer arithmetic: nanosecond timestamps are
// too large for doubles, and one high multiplication is faster than conversions there and back.
// The multiplier's rounding moves a prediction by less than half a slot over the whole range of
// keys. A slope of 1 is the steepest: more than a slot for each integer would help nobody.
struct Model {
  uint64_t multiplier = 0;
  int64_t offset = 0;

  // Not limited to the slots that there are. Only a guess, so it does not matter that it is a poor
  // one for keys below the base, or so far above it that the sum overflows.
  int64_t Predict(uint64_t base, uint64_t key) const {
    const uint64_t distance = key > base ? key - base : 0;
    const auto product = static_cast<unsigned __int128>(distance) * multiplier;
    return static_cast<int64_t>(static_cast<uint64_t>(product >> 64) +
                                static_cast<uint64_t>(offset));
  }

  Model Shifted(int64_t slots) const { return {multiplier, offset + slots}; }

  static Model Of(double slope, double offset) {
    Model model;
    model.multiplier = slope >= 1  ? kNoKey
                       : slope > 0 ? static_cast<uint64_t>(std::ldexp(slope, 64))
                                   : 0;
    // The multiplier of slope 1 is a little too small, and rounds down.
    model.offset =
        static_cast<int64_t>(std::clamp(std::round(offset), -1e15, 1e15)) + (slope >= 1 ? 1 : 0);
    return model;
  }
};

// An array of keys: `data[i * kStride]`. Behind those in use stands kNoKey, and so it does just
// before the first, so that slot -1 may be looked at and is no key either.
template <size_t kStride>
class Keys {
 public:
  explicit Keys(const uint64_t* data) : data_(data) {}
  uint64_t operator[](int64_t i) const { return LoadShared(data_[i * int64_t{kStride}]); }
  Keys From(int64_t i) const { return Keys(data_ + i * int64_t{kStride}); }

 private:
  const uint64_t* data_;
};

// The keys that are compared at once, without a branch, before anything else is tried: as many as
// two cache lines hold, or eight.
template <size_t kStride>
struct Window {
  static constexpr uint32_t kSlots = kStride <= 2 ? 8 : 4;
  // Slots before the predicted one. Keys mostly lie behind it: where two want the same slot, the
  // second takes the next.
  static constexpr uint32_t kBack = 2;
  // Whole cache lines.
  static constexpr uint32_t kAlign = kStride == 2 ? 4 : kStride == 1 ? 1 : 2;

  // `capacity` is a multiple of kSlots.
  static uint32_t Start(int64_t predicted, uint32_t capacity) {
    int64_t start = predicted - kBack;
    start = start < 0 ? 0 : start;
    const int64_t last = int64_t{capacity} - kSlots;
    start = start > last ? last : start;
    return static_cast<uint32_t>(start) & ~(kAlign - 1);
  }
};

// How many of the first `kCount` keys are at most `key`. No branches.
template <uint32_t kCount, typename AnyKeys>
[[gnu::always_inline]] inline uint32_t CountNotAbove(AnyKeys keys, uint64_t key) {
  uint32_t count = 0;
#pragma GCC unroll 8
  for (uint32_t i = 0; i < kCount; ++i) {
    count += keys[i] <= key ? 1 : 0;
  }
  return count;
}

// The last i of [begin, end) with key(i) of at most `wanted`; the first one is known to be.
template <typename KeyAt>
uint32_t BinaryLastNotAbove(uint32_t begin, uint32_t end, uint64_t wanted, KeyAt key) {
  uint32_t length = end - begin;
  while (length > 1) {
    const uint32_t half = length / 2;
    begin += key(begin + half) <= wanted ? half : 0;
    length -= half;
  }
  return begin;
}

// Where the answer is not within the window: steps that double away from it, then a binary search.
template <typename AnyKeys>
int64_t GallopLeft(AnyKeys keys, uint32_t from, uint64_t key) {
  for (uint32_t step = 4; from > 0; step *= 2) {
    const uint32_t next = from > step ? from - step : 0;
    if (keys[next] <= key) {
      return BinaryLastNotAbove(next, from, key, [&](uint32_t i) { return keys[i]; });
    }
    from = next;
  }
  return -1;
}
template <typename AnyKeys>
int64_t GallopRight(AnyKeys keys, uint32_t from, uint32_t capacity, uint64_t key) {
  for (uint32_t step = 4; from + 1 < capacity; step *= 2) {
    const uint32_t next = std::min(from + step, capacity - 1);
    if (keys[next] > key) {
      return BinaryLastNotAbove(from, next, key, [&](uint32_t i) { return keys[i]; });
    }
    from = next;
  }
  return from;
}

// The last slot with a key of at most `key`, or -1; any slot of the key if it is there. `key` is
// not kNoKey. `count` keys of the window at `start` are at most `key`: all or none. While a writer
// is at work the result may be any slot of the array.
template <size_t kStride>
[[gnu::noinline]] int64_t SearchFar(Keys<kStride> keys, uint32_t capacity, uint32_t start,
                                    uint32_t count, uint64_t key) {
  if (count == 0) {
    return GallopLeft(keys, start, key);
  }
  // A run may go on for long; any slot of it will do.
  const uint32_t last = start + count - 1;
  return keys[last] == key ? last : GallopRight(keys, last, capacity, key);
}

// How many keys from the first on lie near one line: within kConeError ranks of it, so that gaps
// can take up the difference. `key(i)` for i < count; the line goes through the first key.
template <typename KeyAt>
size_t LengthOfLine(size_t count, KeyAt key) {
  // A leaf of uniform random keys strays from its line by the root of its size.
  constexpr double kConeError = 64;
  double least = 0;
  double most = std::numeric_limits<double>::infinity();
  const uint64_t first = key(0);
  for (size_t i = 1; i < count; ++i) {
    const double per_key = 1 / static_cast<double>(key(i) - first);
    const double rank = static_cast<double>(i);
    least = std::max(least, (rank - kConeError) * per_key);
    most = std::min(most, (rank + kConeError) * per_key);
    if (least > most) {
      return i;
    }
  }
  return count;
}

// Least squares: rank = slope * (key - base) + offset. The base is at most the first key.
struct Line {
  double slope = 0;
  double offset = 0;
};
template <typename KeyAt>
Line FitLine(size_t count, uint64_t base, KeyAt key) {
  const double size = static_cast<double>(count);
  const uint64_t first = key(0);
  // Distances as signed numbers, from which doubles are made several times faster.
  const int shift = (key(count - 1) - first) >> 63 != 0 ? 1 : 0;
  const auto x_of = [&](size_t i) {
    return static_cast<double>(static_cast<int64_t>((key(i) - first) >> shift));
  };
  double sum_x = 0;
  for (size_t i = 0; i < count; ++i) {
    sum_x += x_of(i);
  }
  const double mean_x = sum_x / size;
  const double mean_y = (size - 1) / 2;
  double sum_xx = 0;
  double sum_xy = 0;
  for (size_t i = 0; i < count; ++i) {
    const double x = x_of(i) - mean_x;
    sum_xx += x * x;
    sum_xy += x * static_cast<double>(static_cast<int64_t>(i));
  }
  const double scale = shift != 0 ? 2 : 1;
  Line line;
  line.slope = sum_xx > 0 ? sum_xy / sum_xx / scale : 0;
  line.offset = mean_y - line.slope * (static_cast<double>(first - base) + mean_x * scale);
  return line;
}

}  // namespace tsdbd::index::alex
