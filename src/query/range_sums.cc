// sum_over_time(), avg_over_time(), stddev_over_time(), stdvar_over_time().
//
// All are defined by compensated sums (kahan.h), taken value by value. Added up so, one sample
// waits for the one before it. Here long windows are added up in lanes, and overlapping windows
// from pieces; the sums of lanes and pieces are compensated like those of values, so the result is
// as exact. Where Inf, NaN or an overflow can come out, the order decides which: then the defined
// one is kept.

#include <algorithm>
#include <cmath>

#include "query/compensated_sum.h"
#include "query/kahan.h"
#include "query/lanes.h"
#include "query/range_kernels.h"
#include "query/sliding_windows.h"

namespace tsdbd::query {
namespace {

// Shorter pieces are added up in the defined order: setting up and merging lanes would take longer.
constexpr size_t kMinCountForLanes = 16;

// Two pairs: enough to have additions in flight all the time, and few enough for the registers.
class SumLanes {
 public:
  static constexpr size_t kCount = 2 * kPairSize;

  void Add(DoublePair first, DoublePair second) {
    pairs_[0].Add(first);
    pairs_[1].Add(second);
  }
  KahanSum Result() const {
    KahanSum result;
    for (const KahanPair& pair : pairs_) {
      for (size_t i = 0; i < kPairSize; ++i) {
        result.Merge({.sum = pair.sum[i], .compensation = pair.compensation[i]});
      }
    }
    return result;
  }

 private:
  KahanPair pairs_[2];
};

// Of transform(value), which takes doubles and pairs.
template <typename Transform>
KahanSum SumOf(std::span<const double> values, Transform transform) {
  KahanSum sum;
  size_t i = 0;
  if (values.size() >= kMinCountForLanes) {
    SumLanes lanes;
    for (; i + SumLanes::kCount <= values.size(); i += SumLanes::kCount) {
      lanes.Add(transform(LoadPair(&values[i])), transform(LoadPair(&values[i + kPairSize])));
    }
    sum = lanes.Result();
  }
  for (; i < values.size(); ++i) {
    const double value = transform(values[i]);
    const double total = sum.sum + value;
    sum.compensation += RoundingError(sum.sum, value, total);
    sum.sum = total;
  }
  return sum;
}

// For the pieces of overlapping windows, most of which are too short for SumCompensated().
KahanSum SumOf(std::span<const double> values) {
  return SumOf(values, [](auto value) { return value; });
}

double SumInOrder(std::span<const double> values) {
  KahanSum sum;
  for (const double value : values) {
    sum.Add(value);
  }
  return sum.Result();
}

// When the sum overflows it goes on with the mean of what came before, which cannot.
double AverageInOrder(std::span<const double> values) {
  KahanSum sum{.sum = values[0]};
  size_t i = 1;
  for (; i < values.size(); ++i) {
    KahanSum next = sum;
    next.Add(values[i]);
    if (std::isinf(next.sum)) {
      break;
    }
    sum = next;
  }
  auto count = static_cast<double>(i);
  if (i == values.size()) {
    return sum.sum / count + sum.compensation / count;
  }
  KahanSum mean{.sum = sum.sum / count, .compensation = sum.compensation / count};
  for (; i < values.size(); ++i) {
    count = static_cast<double>(i + 1);
    const double weight = (count - 1) / count;
    mean.sum *= weight;
    mean.compensation *= weight;
    mean.Add(values[i] / count);
  }
  return mean.sum + mean.compensation;
}

// Welford's, compensated.
double VarianceInOrder(std::span<const double> values) {
  KahanSum mean;
  KahanSum squares;
  double count = 0;
  for (const double value : values) {
    ++count;
    const double delta = value - (mean.sum + mean.compensation);
    mean.Add(delta / count);
    squares.Add(delta * (value - (mean.sum + mean.compensation)));
  }
  return (squares.sum + squares.compensation) / count;
}

// SumAndMagnitude::IsTame() without the sum.
bool AreTame(std::span<const double> values) {
  int64_t wild = 0;
  for (const double value : values) {
    wild |= std::abs(value) < kTameLimit ? 0 : -1;
  }
  return wild == 0;
}

struct Sum {
  static double Finish(const KahanSum& sum, size_t count) { return sum.sum + sum.compensation; }
  static double InOrder(std::span<const double> values) { return SumInOrder(values); }
};

struct Average {
  // Both parts are divided, so that the rounding of the sum is not seen in the average.
  static double Finish(const KahanSum& sum, size_t count) {
    const auto divisor = static_cast<double>(count);
    return sum.sum / divisor + sum.compensation / divisor;
  }
  static double InOrder(std::span<const double> values) { return AverageInOrder(values); }
};

template <typename Function>
struct SumOperation {
  using State = KahanSum;
  const RangeInput& input;
  std::span<double> out;

  void StartGroup(uint32_t begin, uint32_t pivot) {}
  KahanSum Summarize(uint32_t begin, uint32_t end) const {
    return SumOf(input.values.subspan(begin, end - begin));
  }
  static KahanSum Merge(KahanSum earlier, const KahanSum& later) {
    earlier.Merge(later);
    return earlier;
  }
  void Emit(size_t step, const KahanSum& sum) {
    // How the pieces were cut depends on other steps and decides how the sum is split in two; with
    // the sum rounded to nearest, the result does not depend on it.
    const double nearest = sum.sum + sum.compensation;
    const KahanSum rounded{.sum = nearest, .compensation = sum.compensation - (nearest - sum.sum)};
    out[step] = Function::Finish(rounded, input.ends[step] - input.begins[step]);
  }
};

template <typename Function>
void ComputeSums(const RangeInput& input, std::span<double> out) {
  if (WindowsOverlapMuch(input) && AreTame(input.values)) {
    std::fill(out.begin(), out.end(), kAbsent);
    SumOperation<Function> operation{.input = input, .out = out};
    SlideWindows(input, operation);
    return;
  }
  ForEachWindow(input, 1, out, [&](size_t step, uint32_t begin, uint32_t end) {
    const std::span<const double> values = input.values.subspan(begin, end - begin);
    const SumAndMagnitude result = SumCompensated(values);
    return result.IsTame() ? Function::Finish(result.sum, values.size())
                           : Function::InOrder(values);
  });
}

// Sums of the distances from an origin near the values, and of their squares.
struct Moments {
  KahanSum distances;
  KahanSum squares;

  void Merge(const Moments& other) {
    distances.Merge(other.distances);
    squares.Merge(other.squares);
  }
  // The sum of the squared distances from the mean.
  double SquaresAroundMean(double count) const {
    const double sum = distances.Result();
    return squares.Result() - sum * (sum / count);
  }
};

Moments MomentsAround(double origin, std::span<const double> values) {
  return {.distances = SumOf(values, [origin](auto value) { return value - origin; }),
          .squares = SumOf(values, [origin](auto value) {
            const auto distance = value - origin;
            return distance * distance;
          })};
}

// First the mean, then the squares around it. The origin is one of the values, so that equal values
// have no variance at all.
double VarianceOf(std::span<const double> values) {
  const auto count = static_cast<double>(values.size());
  const double first = values[0];
  const KahanSum distances = SumOf(values, [first](auto value) { return value - first; });
  const double mean_distance = distances.Result() / count;
  const auto around_mean = [=](auto value) { return (value - first) - mean_distance; };
  const KahanSum rest = SumOf(values, around_mean);
  const KahanSum squares = SumOf(values, [&](auto value) {
    const auto distance = around_mean(value);
    return distance * distance;
  });
  const double variance =
      Moments{.distances = rest, .squares = squares}.SquaresAroundMean(count) / count;
  return std::isfinite(variance) ? std::max(variance, 0.0) : VarianceInOrder(values);
}

struct VarianceOperation {
  using State = Moments;
  const RangeInput& input;
  std::span<double> out;
  double origin = 0;

  std::span<const double> Values(uint32_t begin, uint32_t end) const {
    return input.values.subspan(begin, end - begin);
  }
  // The values of a group lie near each other in time, so mostly near its middle one.
  void StartGroup(uint32_t begin, uint32_t pivot) {
    origin = input.values[begin + (pivot - begin) / 2];
  }
  Moments Summarize(uint32_t begin, uint32_t end) const {
    return MomentsAround(origin, Values(begin, end));
  }
  static Moments Merge(Moments earlier, const Moments& later) {
    earlier.Merge(later);
    return earlier;
  }
  void Emit(size_t step, const Moments& moments) {
    // If less than this part of the squares is left, the origin is too far away: digits are lost.
    constexpr double kMinPartLeft = 1.0 / 64;
    const std::span<const double> values = Values(input.begins[step], input.ends[step]);
    const auto count = static_cast<double>(values.size());
    const double squares = moments.SquaresAroundMean(count);
    const bool exact = squares >= moments.squares.sum * kMinPartLeft;  // false for NaN
    out[step] = exact && std::isfinite(squares) ? squares / count : VarianceOf(values);
  }
};

}  // namespace

void SumOverTime(const RangeInput& input, std::span<double> out) {
  ComputeSums<Sum>(input, out);
}

void AverageOverTime(const RangeInput& input, std::span<double> out) {
  ComputeSums<Average>(input, out);
}

void VarianceOverTime(const RangeInput& input, std::span<double> out) {
  if (WindowsOverlapMuch(input)) {
    std::fill(out.begin(), out.end(), kAbsent);
    VarianceOperation operation{.input = input, .out = out};
    SlideWindows(input, operation);
    return;
  }
  ForEachWindow(input, 1, out, [&](size_t step, uint32_t begin, uint32_t end) {
    return VarianceOf(input.values.subspan(begin, end - begin));
  });
}

void DeviationOverTime(const RangeInput& input, std::span<double> out) {
  VarianceOverTime(input, out);
  for (double& value : out) {
    const double deviation = std::sqrt(value);
    value = IsAbsent(value) ? kAbsent : deviation;
  }
}

}  // namespace tsdbd::query
