// rate(), increase(), delta() and their like: what happens between the first and the last sample of
// a window. None looks at the samples between them, but for the counter resets, which one pass over
// the series finds. Where samples are left out (SamplesNeeded), no reset is.

#include <algorithm>
#include <cmath>
#include <vector>

#include "query/range_kernels.h"

namespace tsdbd::query {
namespace {

// Whether value i is a reset (or a change) is said of the pair (i - 1, i), and it belongs to a
// window only if both do.
bool IsReset(double before, double value) {
  return value < before;
}

bool IsChange(double before, double value) {
  return value != before && !(std::isnan(value) && std::isnan(before));
}

// The i in [begin, end) with a counter reset between samples i - 1 and i. begin > 0.
std::vector<uint32_t> FindResets(std::span<const double> values, uint32_t begin, uint32_t end) {
  constexpr uint32_t kRun = 64;  // long enough to vectorise, short enough to be searched again
  std::vector<uint32_t> resets;
  const double* const data = values.data();
  uint32_t run = begin;
  for (; run + kRun <= end; run += kRun) {
    int64_t found = 0;
    for (uint32_t i = run; i < run + kRun; ++i) {
      found |= IsReset(data[i - 1], data[i]) ? -1 : 0;
    }
    if (found == 0) {
      continue;
    }
    for (uint32_t i = run; i < run + kRun; ++i) {
      if (IsReset(data[i - 1], data[i])) {
        resets.push_back(i);
      }
    }
  }
  for (; run < end; ++run) {
    if (IsReset(data[run - 1], data[run])) {
      resets.push_back(run);
    }
  }
  return resets;
}

// The resets of each window in turn.
class ResetCursor {
 public:
  explicit ResetCursor(const RangeInput& input) : values_(input.values) {
    if (input.step_count() == 0) {
      return;
    }
    const uint32_t begin = input.begins.front() + 1;
    const uint32_t end = input.ends.back();
    if (begin < end) {
      resets_ = FindResets(input.values, begin, end);
    }
  }

  // `increase`, and what the counter had reached at each reset in the window. Windows must come in
  // their order.
  double AddResets(double increase, uint32_t begin, uint32_t end) {
    while (next_ < resets_.size() && resets_[next_] <= begin) {
      ++next_;
    }
    for (size_t i = next_; i < resets_.size() && resets_[i] < end; ++i) {
      increase += values_[resets_[i] - 1];
    }
    return increase;
  }

 private:
  const std::span<const double> values_;
  std::vector<uint32_t> resets_;
  size_t next_ = 0;
};

// By how much what happens between the first and the last sample of a window grows when it is
// extended to the ends of the range: as far as there if a sample is where one would expect it
// (within 1.1 average intervals of the end), else by half an interval; and, of a counter, not
// beyond where it was zero. Regular series have the same distances in every window, so the last
// factor is kept.
class Extrapolation {
 public:
  // What is extended is also divided by `divisor`.
  Extrapolation(const RangeInput& input, double divisor) : input_(input), divisor_(divisor) {}

  double Factor(size_t step, uint32_t begin, uint32_t end) {
    Find(step, begin, end);
    return factor_;
  }

  double CounterFactor(size_t step, uint32_t begin, uint32_t end, double increase) {
    Find(step, begin, end);
    const double first_value = input_.values[begin];
    // Most counters are so far from zero that they need no way to it.
    const bool far_from_zero = first_value >= increase && sampled_ >= to_start_;
    if (increase > 0 && first_value >= 0 && !far_from_zero) {
      const double to_zero = sampled_ * (first_value / increase);
      if (to_zero < to_start_) {
        return FactorOf(to_zero);
      }
    }
    return factor_;
  }

 private:
  void Find(size_t step, uint32_t begin, uint32_t end) {
    const model::Timestamp first = input_.timestamps[begin];
    const model::Timestamp last = input_.timestamps[end - 1];
    const model::Timestamp range_end = input_.WindowEnd(step);
    const Distances distances{.to_start_ns = first - (range_end - input_.range_ns),
                              .to_end_ns = range_end - last,
                              .intervals = input_.CountBehind(begin, end - 1)};
    if (distances != known_) {
      known_ = distances;
      sampled_ = ToSeconds(last - first);
      to_start_ = ToSeconds(distances.to_start_ns);
      to_end_ = ToSeconds(distances.to_end_ns);
      const double average_interval = sampled_ / distances.intervals;
      const double threshold = average_interval * 1.1;
      to_start_ = to_start_ >= threshold ? average_interval / 2 : to_start_;
      to_end_ = to_end_ >= threshold ? average_interval / 2 : to_end_;
      factor_ = FactorOf(to_start_);
    }
  }

  double FactorOf(double to_start) const {
    return (sampled_ + to_start + to_end_) / sampled_ / divisor_;
  }

  // Together they say where the samples lie in the range, whatever the step.
  struct Distances {
    int64_t to_start_ns = 0;
    int64_t to_end_ns = 0;
    uint32_t intervals = 0;  // between samples; 0 of no window
    bool operator==(const Distances&) const = default;
  };

  const RangeInput& input_;
  const double divisor_;
  Distances known_;
  double sampled_ = 0;   // seconds, as the two below
  double to_start_ = 0;  // by which it is extended if it is not a counter near zero
  double to_end_ = 0;
  double factor_ = 0;
};

void ExtrapolateCounter(const RangeInput& input, double divisor, std::span<double> out) {
  ResetCursor resets(input);
  Extrapolation extrapolation(input, divisor);
  ForEachWindow(input, 2, out, [&](size_t step, uint32_t begin, uint32_t end) {
    const double increase =
        resets.AddResets(input.values[end - 1] - input.values[begin], begin, end);
    return increase * extrapolation.CounterFactor(step, begin, end, increase);
  });
}

// How many pairs of each window fulfil kHolds, counted once where a sample comes into the window
// and once where it leaves it.
template <bool (*kHolds)(double, double)>
void CountPairs(const RangeInput& input, std::span<double> out) {
  const auto count_pairs = [&](uint32_t begin, uint32_t end) {
    int64_t count = 0;
    for (uint32_t i = begin + 1; i < end; ++i) {
      count += kHolds(input.values[i - 1], input.values[i]) ? 1 : 0;
    }
    return count;
  };
  int64_t count = 0;  // of the pairs in [counted_begin, counted_end)
  uint32_t counted_begin = 0;
  uint32_t counted_end = 0;
  ForEachWindow(input, 1, out, [&](size_t step, uint32_t begin, uint32_t end) {
    if (begin >= counted_end) {
      count = count_pairs(begin, end);
    } else {
      count += count_pairs(counted_end - 1, end) - count_pairs(counted_begin, begin + 1);
    }
    counted_begin = begin;
    counted_end = end;
    return static_cast<double>(count);
  });
}

}  // namespace

double RangeSeconds(int64_t range_ns) {
  constexpr int64_t kNanosPerSecond = 1'000'000'000;
  return static_cast<double>(range_ns / kNanosPerSecond) +
         static_cast<double>(range_ns % kNanosPerSecond) / 1e9;
}

void Rate(const RangeInput& input, std::span<double> out) {
  ExtrapolateCounter(input, RangeSeconds(input.range_ns), out);
}

void Increase(const RangeInput& input, std::span<double> out) {
  ExtrapolateCounter(input, 1, out);
}

void Delta(const RangeInput& input, std::span<double> out) {
  Extrapolation extrapolation(input, 1);
  ForEachWindow(input, 2, out, [&](size_t step, uint32_t begin, uint32_t end) {
    return (input.values[end - 1] - input.values[begin]) * extrapolation.Factor(step, begin, end);
  });
}

void InstantRate(const RangeInput& input, std::span<double> out) {
  ForEachWindow(input, 2, out, [&](size_t step, uint32_t begin, uint32_t end) {
    const double before = input.values[end - 2];
    const double last = input.values[end - 1];
    const double increase = IsReset(before, last) ? last : last - before;
    return increase / ToSeconds(input.timestamps[end - 1] - input.timestamps[end - 2]);
  });
}

void InstantDelta(const RangeInput& input, std::span<double> out) {
  ForEachWindow(input, 2, out, [&](size_t step, uint32_t begin, uint32_t end) {
    return input.values[end - 1] - input.values[end - 2];
  });
}

void Changes(const RangeInput& input, std::span<double> out) {
  CountPairs<IsChange>(input, out);
}

void Resets(const RangeInput& input, std::span<double> out) {
  CountPairs<IsReset>(input, out);
}

}  // namespace tsdbd::query
