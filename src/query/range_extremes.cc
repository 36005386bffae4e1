// min_over_time(), max_over_time() and the times of both. NaN counts only where there is nothing
// else; of equal values the first one stands (0 and -0 are equal), for the times the last one.

#include <algorithm>
#include <cmath>
#include <limits>

#include "query/lanes.h"
#include "query/range_kernels.h"
#include "query/sliding_windows.h"

namespace tsdbd::query {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

struct Max {
  static constexpr double kWorst = -kInfinity;
  static bool Beats(double value, double best) { return value > best; }
  static DoublePair Better(DoublePair value, DoublePair best) {
    return value > best ? value : best;
  }
};

struct Min {
  static constexpr double kWorst = kInfinity;
  static bool Beats(double value, double best) { return value < best; }
  static DoublePair Better(DoublePair value, DoublePair best) {
    return value < best ? value : best;
  }
};

template <typename Order>
double Better(double earlier, double later) {
  return Order::Beats(later, earlier) || std::isnan(earlier) ? later : earlier;
}

// One after the other: the definition.
template <typename Order>
double ExtremeInOrder(const double* values, size_t count) {
  double best = values[0];
  for (size_t i = 1; i < count; ++i) {
    best = Better<Order>(best, values[i]);
  }
  return best;
}

// Comparisons with NaN are false, so NaN is passed over as long as one begins with a number.
template <typename Order>
double Extreme(const double* values, size_t count) {
  double best = Order::kWorst;
  size_t i = 0;
  if (count >= 4 * kPairSize) {
    DoublePair lanes[4];
    for (DoublePair& lane : lanes) {
      lane = DoublePair{best, best};
    }
    for (; i + 4 * kPairSize <= count; i += 4 * kPairSize) {
      for (size_t lane = 0; lane < 4; ++lane) {
        lanes[lane] = Order::Better(LoadPair(values + i + lane * kPairSize), lanes[lane]);
      }
    }
    const DoublePair both =
        Order::Better(Order::Better(lanes[0], lanes[1]), Order::Better(lanes[2], lanes[3]));
    best = Order::Beats(both[0], both[1]) ? both[0] : both[1];
  }
  for (; i < count; ++i) {
    best = Order::Beats(values[i], best) ? values[i] : best;
  }
  if (best == 0) {  // which of the zeros came first?
    for (i = 0; values[i] != 0; ++i) {
    }
    return values[i];
  }
  // Perhaps there was nothing but NaN.
  return best == Order::kWorst ? ExtremeInOrder<Order>(values, count) : best;
}

template <typename Order>
struct ExtremeOperation {
  using State = double;
  std::span<const double> values;
  std::span<double> out;

  void StartGroup(uint32_t begin, uint32_t pivot) {}
  double Summarize(uint32_t begin, uint32_t end) const {
    return Extreme<Order>(values.data() + begin, end - begin);
  }
  double Merge(double earlier, double later) const { return Better<Order>(earlier, later); }
  void Emit(size_t step, double extreme) { out[step] = extreme; }
};

template <typename Order>
void ExtremeOverTime(const RangeInput& input, std::span<double> out) {
  if (WindowsOverlapMuch(input)) {
    std::fill(out.begin(), out.end(), kAbsent);
    ExtremeOperation<Order> operation{.values = input.values, .out = out};
    SlideWindows(input, operation);
    return;
  }
  ForEachWindow(input, 1, out, [&](size_t step, uint32_t begin, uint32_t end) {
    return Extreme<Order>(input.values.data() + begin, end - begin);
  });
}

// A value and where it is.
struct Position {
  double value = 0;
  uint32_t index = 0;
};

template <typename Order>
struct PositionOperation {
  using State = Position;
  const RangeInput& input;
  std::span<double> out;

  void StartGroup(uint32_t begin, uint32_t pivot) {}
  Position Summarize(uint32_t begin, uint32_t end) const {
    Position best{.value = input.values[begin], .index = begin};
    for (uint32_t i = begin + 1; i < end; ++i) {
      best = Merge(best, {.value = input.values[i], .index = i});
    }
    return best;
  }
  Position Merge(const Position& earlier, const Position& later) const {
    const bool later_stands = Order::Beats(later.value, earlier.value) ||
                              later.value == earlier.value || std::isnan(earlier.value);
    return later_stands ? later : earlier;
  }
  void Emit(size_t step, const Position& best) {
    out[step] = ToSeconds(input.timestamps[best.index]);
  }
};

template <typename Order>
void TimeOfExtremeOverTime(const RangeInput& input, std::span<double> out) {
  std::fill(out.begin(), out.end(), kAbsent);
  PositionOperation<Order> operation{.input = input, .out = out};
  SlideWindows(input, operation);
}

}  // namespace

void MinOverTime(const RangeInput& input, std::span<double> out) {
  ExtremeOverTime<Min>(input, out);
}

void MaxOverTime(const RangeInput& input, std::span<double> out) {
  ExtremeOverTime<Max>(input, out);
}

void TimeOfMinOverTime(const RangeInput& input, std::span<double> out) {
  TimeOfExtremeOverTime<Min>(input, out);
}

void TimeOfMaxOverTime(const RangeInput& input, std::span<double> out) {
  TimeOfExtremeOverTime<Max>(input, out);
}

}  // namespace tsdbd::query
