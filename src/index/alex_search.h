#pragma once
// What AlexMap (alex_map.h has the essay) does with one sorted array of slots: predict where a key
// is, search around there, and fit the model that predicts.
//
// Threads: the search reads words that the writer may be changing. Every word is loaded and stored
// atomically, the writer's stores are releases and the readers' loads are acquires, so whoever saw
// anything of a change also sees the version that announced it. On x86 all of these are plain
// moves.

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>

namespace tsdbd::index::alex {

// No key of the tree: stands in slots that are not in use, behind all keys.
inline constexpr uint64_t kNoKey = std::numeric_limits<uint64_t>::max();

inline uint64_t LoadShared(const uint64_t& word) {
  return __atomic_load_n(&word, __ATOMIC_ACQUIRE);
}
inline void StoreShared(uint64_t* word, uint64_t value) {
  __atomic_store_n(word, value, __ATOMIC_RELEASE);
}

// A key and what it leads to: a payload (1 or 2 words) or a child (3).
template <size_t kWords>
struct Slot {
  static constexpr size_t kWordCount = kWords;
  uint64_t key;
  std::array<uint64_t, kWords> words;

  Slot LoadAll() const {
    Slot copy;
    copy.key = LoadShared(key);
    for (size_t i = 0; i < kWords; ++i) {
      copy.words[i] = LoadShared(words[i]);
    }
    return copy;
  }
  // The words first: a reader that sees the key in a slot that was free sees what belongs to it.
  void StoreAll(const Slot& slot) {
    for (size_t i = 0; i < kWords; ++i) {
      StoreShared(&words[i], slot.words[i]);
    }
    StoreShared(&key, slot.key);
  }
};

// slot ≈ (key - base) * multiplier / 2^64 + offset. Integer arithmetic: nanosecond timestamps are
// too large for doubles, and one high multiplication is faster than conversions there and back.
// The multiplier's rounding moves a prediction by less than half a slot over the whole range of
// keys. A slope of 1 is the steepest: more than a slot for each integer would help nobody.
struct Model {
  uint64_t multiplier = 0;
  int32_t offset = 0;

  // In [0, capacity).
  uint32_t Predict(uint64_t base, uint64_t key, uint32_t capacity) const {
    const uint64_t distance = key > base ? key - base : 0;
    const auto product = static_cast<unsigned __int128>(distance) * multiplier;
    const auto slots = static_cast<uint64_t>(product >> 64);
    const int64_t slot =
        static_cast<int64_t>(std::min<uint64_t>(slots, uint64_t{1} << 40)) + offset;
    return static_cast<uint32_t>(std::clamp<int64_t>(slot, 0, int64_t{capacity} - 1));
  }

  static Model Of(double slope, double offset) {
    Model model;
    model.multiplier = slope >= 1  ? kNoKey
                       : slope > 0 ? static_cast<uint64_t>(std::ldexp(slope, 64))
                                   : 0;
    // The multiplier of slope 1 is a little too small, and rounds down.
    model.offset = static_cast<int32_t>(std::clamp(std::round(offset), -1e9, 1e9)) + (slope >= 1);
    return model;
  }
};

// The slots that are compared at once, without a branch, before anything else is tried: two cache
// lines, of which at least kBack slots lie before the predicted one.
template <typename AnySlot>
struct Window {
  static constexpr uint32_t kSlotsPerLine = std::max<uint32_t>(1, 64 / sizeof(AnySlot));
  static constexpr uint32_t kSlots = 2 * kSlotsPerLine < 4 ? 4 : 2 * kSlotsPerLine;
  static constexpr uint32_t kBack = kSlots / 4;

  // `capacity` is at least kSlots and a multiple of it.
  static uint32_t Start(uint32_t predicted, uint32_t capacity) {
    const uint32_t start = predicted < kBack ? 0 : predicted - kBack;
    return std::min(start - start % kSlotsPerLine, capacity - kSlots);
  }
};

// How many of `kCount` slots have a key of at most `key`. No branches.
template <uint32_t kCount, typename AnySlot>
uint32_t CountNotAbove(const AnySlot* slots, uint64_t key) {
  uint32_t count = 0;
  for (uint32_t i = 0; i < kCount; ++i) {
    count += LoadShared(slots[i].key) <= key ? 1 : 0;
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

// Where the answer is not in the window: steps that double away from it, then a binary search.
template <typename AnySlot>
int64_t GallopLeft(const AnySlot* slots, uint32_t from, uint64_t key) {
  for (uint32_t step = 4; from > 0; step *= 2) {
    const uint32_t next = from > step ? from - step : 0;
    if (LoadShared(slots[next].key) <= key) {
      return BinaryLastNotAbove(next, from, key,
                                [&](uint32_t i) { return LoadShared(slots[i].key); });
    }
    from = next;
  }
  return -1;
}
template <typename AnySlot>
int64_t GallopRight(const AnySlot* slots, uint32_t from, uint32_t capacity, uint64_t key) {
  for (uint32_t step = 4; from + 1 < capacity; step *= 2) {
    const uint32_t next = std::min(from + step, capacity - 1);
    if (LoadShared(slots[next].key) > key) {
      return BinaryLastNotAbove(from, next, key,
                                [&](uint32_t i) { return LoadShared(slots[i].key); });
    }
    from = next;
  }
  return from;
}

// The last slot with a key of at most `key`, or -1; any slot of the key if it is there. `key` is
// not kNoKey. While a writer is at work the result may be any slot of the array.
template <typename AnySlot>
int64_t LastNotAbove(const AnySlot* slots, uint32_t capacity, uint32_t predicted, uint64_t key) {
  using W = Window<AnySlot>;
  const uint32_t start = W::Start(predicted, capacity);
  const uint32_t count = CountNotAbove<W::kSlots>(slots + start, key);
  if (count == 0) [[unlikely]] {
    return GallopLeft(slots, start, key);
  }
  if (count == W::kSlots) [[unlikely]] {
    // A run may go on for long; any slot of it will do.
    const uint32_t last = start + count - 1;
    return LoadShared(slots[last].key) == key ? last : GallopRight(slots, last, capacity, key);
  }
  return int64_t{start} + count - 1;
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

inline double Difference(uint64_t a, uint64_t b) {
  return a >= b ? static_cast<double>(a - b) : -static_cast<double>(b - a);
}

// Least squares: rank = slope * (key - base) + offset.
struct Line {
  double slope = 0;
  double offset = 0;
};
template <typename KeyAt>
Line FitLine(size_t count, uint64_t base, KeyAt key) {
  const double size = static_cast<double>(count);
  // Around the middle key, else the squares of distances lose what matters.
  const uint64_t middle = key(count / 2);
  double sum_x = 0;
  for (size_t i = 0; i < count; ++i) {
    sum_x += Difference(key(i), middle);
  }
  const double mean_x = sum_x / size;
  const double mean_y = (size - 1) / 2;
  double sum_xx = 0;
  double sum_xy = 0;
  for (size_t i = 0; i < count; ++i) {
    const double x = Difference(key(i), middle) - mean_x;
    sum_xx += x * x;
    sum_xy += x * (static_cast<double>(i) - mean_y);
  }
  Line line;
  line.slope = sum_xx > 0 ? sum_xy / sum_xx : 0;
  line.offset = mean_y - line.slope * (Difference(middle, base) + mean_x);
  return line;
}

}  // namespace tsdbd::index::alex
