// All ways to a result (pieces, lanes, cursors, sorted ranks) against its definition, computed
// window by window on random samples.

#include <algorithm>
#include <bit>
#include <cmath>
#include <functional>
#include <limits>
#include <map>
#include <random>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "query/kahan.h"
#include "query/range_function.h"
#include "query/range_input_testing.h"

namespace tsdbd::query {
namespace {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr double kMax = std::numeric_limits<double>::max();
constexpr int64_t kSecond = 1'000'000'000;
constexpr int64_t kMinute = 60 * kSecond;
constexpr model::Timestamp kStart = kTestStart;

using Definition = std::function<double(std::span<const double>)>;

double DefinedSum(std::span<const double> values) {
  KahanSum sum;
  for (const double value : values) {
    sum.Add(value);
  }
  return sum.Result();
}

double DefinedAverage(std::span<const double> values) {
  KahanSum sum;
  KahanSum mean;
  bool overflowed = false;
  double count = 0;
  for (const double value : values) {
    ++count;
    KahanSum next = sum;
    next.Add(value);
    if (!overflowed && (count == 1 || !std::isinf(next.sum))) {
      sum = next;
      continue;
    }
    if (!overflowed) {
      overflowed = true;
      mean = {.sum = sum.sum / (count - 1), .compensation = sum.compensation / (count - 1)};
    }
    const double weight = (count - 1) / count;
    mean = {.sum = mean.sum * weight, .compensation = mean.compensation * weight};
    mean.Add(value / count);
  }
  return overflowed ? mean.sum + mean.compensation : sum.sum / count + sum.compensation / count;
}

double DefinedVariance(std::span<const double> values) {
  KahanSum mean;
  KahanSum squares;
  double count = 0;
  for (const double value : values) {
    const double delta = value - (mean.sum + mean.compensation);
    mean.Add(delta / ++count);
    squares.Add(delta * (value - (mean.sum + mean.compensation)));
  }
  return (squares.sum + squares.compensation) / count;
}

// The definition loses digits where the mean is large; what it should give is known better.
double ExactVariance(std::span<const double> values) {
  const auto count = static_cast<long double>(values.size());
  long double mean = 0;
  for (const double value : values) {
    mean += value / count;
  }
  long double squares = 0;
  for (const double value : values) {
    squares += (value - mean) * (value - mean);
  }
  const auto variance = static_cast<double>(squares / count);
  return std::isfinite(variance) ? variance : DefinedVariance(values);
}

double DefinedExtreme(std::span<const double> values, bool max) {
  double best = values[0];
  for (const double value : values) {
    if ((max ? value > best : value < best) || std::isnan(best)) {
      best = value;
    }
  }
  return best;
}

double CountWhere(std::span<const double> values, bool (*holds)(double, double)) {
  double count = 0;
  for (size_t i = 1; i < values.size(); ++i) {
    count += holds(values[i - 1], values[i]) ? 1 : 0;
  }
  return count;
}

double DefinedMedian(std::span<const double> values) {
  std::vector<double> sorted(values.begin(), values.end());
  std::ranges::sort(sorted,
                    [](double a, double b) { return std::isnan(a) ? !std::isnan(b) : a < b; });
  const double rank = 0.5 * static_cast<double>(sorted.size() - 1);
  const auto lower = static_cast<size_t>(rank);
  const double weight = rank - std::floor(rank);
  return sorted[lower] * (1 - weight) + sorted[std::min(lower + 1, sorted.size() - 1)] * weight;
}

const std::map<std::string, Definition>& Definitions() {
  static const std::map<std::string, Definition> definitions = {
      {"sum_over_time", DefinedSum},
      {"avg_over_time", DefinedAverage},
      {"stdvar_over_time", ExactVariance},
      {"max_over_time", [](auto values) { return DefinedExtreme(values, true); }},
      {"min_over_time", [](auto values) { return DefinedExtreme(values, false); }},
      {"quantile_over_time", DefinedMedian},
      {"resets",
       [](auto values) { return CountWhere(values, [](double a, double b) { return b < a; }); }},
      {"changes",
       [](auto values) {
         return CountWhere(values, [](double a, double b) {
           return a != b && !(std::isnan(a) && std::isnan(b));
         });
       }},
  };
  return definitions;
}

// By exact enough arithmetic: the definition loses digits where values are large.
double ExactSlope(std::span<const model::Timestamp> times, std::span<const double> values) {
  long double mean_x = 0;
  long double mean_y = 0;
  for (size_t i = 0; i < values.size(); ++i) {
    mean_x +=
        static_cast<long double>(times[i] - times[0]) / static_cast<long double>(values.size());
    mean_y += static_cast<long double>(values[i]) / static_cast<long double>(values.size());
  }
  long double covariance = 0;
  long double variance = 0;
  for (size_t i = 0; i < values.size(); ++i) {
    const long double x = static_cast<long double>(times[i] - times[0]) - mean_x;
    covariance += x * (values[i] - mean_y);
    variance += x * x;
  }
  return static_cast<double>(covariance / variance * 1e9L);
}

// Shapes of values that take different ways through the functions.
std::vector<double> RandomValues(const std::string& shape, size_t count, std::mt19937_64* random) {
  std::normal_distribution<double> normal;
  std::uniform_int_distribution<int> small(0, 9);
  std::vector<double> values;
  double level = 1e6;
  for (size_t i = 0; i < count; ++i) {
    const double noise = normal(*random);
    level += noise;
    if (shape == "gauge") {
      values.push_back(20 + noise);
    } else if (shape == "walk") {
      values.push_back(level);
    } else if (shape == "integers") {
      values.push_back(small(*random));
    } else if (shape == "zeros") {
      values.push_back(small(*random) == 0 ? -0.0 : 0.0);
    } else if (shape == "wide") {
      values.push_back(noise * std::pow(10, small(*random) * 10));
    } else {  // "special"
      const double specials[] = {kNan, kInfinity, -kInfinity, kMax, -kMax};
      const int which = small(*random) * 10 + small(*random);
      values.push_back(which < 5 ? specials[which] : noise);
    }
  }
  return values;
}

bool AboutEqual(double got, double want, double scale) {
  if (std::isnan(want) || std::isinf(want) || got == want) {
    return std::isnan(want) ? std::isnan(got) && !IsAbsent(got) : got == want;
  }
  return std::abs(got - want) <= 1e-13 * std::max(std::abs(want), scale);
}

// Sums of values that cancel each other are as exact as their size allows; so are variances.
double ScaleOf(const std::string& function, std::span<const double> values) {
  double scale = 0;
  if (function == "sum_over_time" || function == "avg_over_time") {
    for (const double value : values) {
      scale += std::abs(value) * 1e-16;  // kept by the compensation
    }
  }
  return scale;
}

void ExpectDefinedResults(const WindowedSamples& windows, const std::string& shape) {
  for (const auto& [function, definition] : Definitions()) {
    const std::vector<double> row = windows.Evaluate(function);
    for (size_t step = 0; step < row.size(); ++step) {
      const std::span<const double> values = windows.Window(step);
      if (values.empty()) {
        ASSERT_TRUE(IsAbsent(row[step]));
        continue;
      }
      const double want = definition(values);
      ASSERT_TRUE(AboutEqual(row[step], want, ScaleOf(function, values)))
          << function << " of " << shape << ", " << values.size() << " samples, step " << step
          << fmt::format(": {} instead of {}", row[step], want);
      if (function == "max_over_time" || function == "min_over_time") {
        ASSERT_EQ(std::signbit(row[step]) && !std::isnan(want),
                  std::signbit(want) && !std::isnan(want));
      }
    }
  }
}

TEST(RangeFunction, AgreesWithItsDefinitionHoweverTheWindowsLie) {
  const uint64_t seed = std::random_device{}();
  SCOPED_TRACE(fmt::format("seed {}", seed));
  std::mt19937_64 random(seed);
  for (const std::string shape : {"gauge", "walk", "integers", "zeros", "wide", "special"}) {
    for (int round = 0; round < 40; ++round) {
      model::SampleColumns samples;
      model::Timestamp time = kStart;
      const size_t count = random() % 600;
      for (size_t i = 0; i < count; ++i) {
        // Regular, with a gap now and then.
        time += random() % 50 == 0 ? 200 * kSecond : 10 * kSecond;
        samples.timestamps.push_back(time);
      }
      samples.values = RandomValues(shape, count, &random);
      const int64_t step_ns = (1 + static_cast<int64_t>(random() % 120)) * kSecond;
      const int64_t range_ns =
          (1 + static_cast<int64_t>(random() % (round < 20 ? 100 : 2000))) * kSecond;
      WindowedSamples windows(
          samples, {.start = kStart, .step_ns = step_ns, .count = 1 + random() % 100}, range_ns);
      windows.AddParameter(0.5);
      ASSERT_NO_FATAL_FAILURE(ExpectDefinedResults(windows, shape));
    }
  }
}

TEST(Derivative, OfOverlappingWindowsIsThatOfEach) {
  const uint64_t seed = std::random_device{}();
  SCOPED_TRACE(fmt::format("seed {}", seed));
  std::mt19937_64 random(seed);
  for (const std::string shape : {"gauge", "walk", "integers", "zeros"}) {
    for (int round = 0; round < 20; ++round) {
      WindowedSamples windows(Every10Seconds(RandomValues(shape, 500, &random)),
                              {.start = kStart + 7, .step_ns = 30 * kSecond, .count = 150},
                              static_cast<int64_t>(20 + random() % 1000) * kSecond);
      windows.AddParameter(600);
      const std::vector<double> slopes = windows.Evaluate("deriv");
      const std::vector<double> predictions = windows.Evaluate("predict_linear");
      const RangeInput input = windows.Input();
      for (size_t step = 0; step < slopes.size(); ++step) {
        const std::span<const double> values = windows.Window(step);
        if (values.size() < 2) {
          ASSERT_TRUE(IsAbsent(slopes[step]) && IsAbsent(predictions[step]));
          continue;
        }
        const auto times = input.timestamps.subspan(input.begins[step], values.size());
        const double slope = ExactSlope(times, values);
        ASSERT_NEAR(slopes[step], slope, 1e-9) << shape << " " << step;
        const double mean = DefinedAverage(values);
        const double mean_time =
            static_cast<double>(times.front() + (times.back() - times.front()) / 2 -
                                windows.Input().StepTime(step)) /
            1e9;
        ASSERT_NEAR(predictions[step], mean + slope * (600 - mean_time), 1e-6)
            << shape << " " << step;
      }
    }
  }
}

TEST(Derivative, OfOverlappingWindowsKnowsConstantsAndInfinities) {
  std::vector<double> values(200, 1e9 + 0.1);
  values[150] = kInfinity;
  const WindowedSamples windows(Every10Seconds(values),
                                {.start = kStart + kMinute, .step_ns = 10 * kSecond, .count = 190},
                                5 * kMinute);
  const std::vector<double> slopes = windows.Evaluate("deriv");
  EXPECT_EQ(slopes[100], 0);
  EXPECT_TRUE(std::isnan(slopes[145]));
  EXPECT_EQ(slopes[185], 0);
}

TEST(Derivative, OfWindowsAfterHugeValuesIsExact) {
  // Wherever the huge ones end relative to the pieces of the windows.
  for (size_t huge = 60; huge < 130; ++huge) {
    std::vector<double> values(200);
    for (size_t i = 0; i < values.size(); ++i) {
      values[i] = i < huge ? 1.8e19 : static_cast<double>(i);
    }
    const WindowedSamples windows(
        Every10Seconds(values), {.start = kStart + kMinute, .step_ns = 10 * kSecond, .count = 190},
        5 * kMinute);
    const std::vector<double> slopes = windows.Evaluate("deriv");
    for (size_t step = 0; step < slopes.size(); ++step) {
      const std::span<const double> window = windows.Window(step);
      if (window.size() > 1 && window.front() < 1e19) {
        ASSERT_NEAR(slopes[step], 0.1, 1e-12) << huge << " " << step;
      }
    }
  }
}

struct RateWindow {
  std::vector<int64_t> times_ms;
  std::span<const double> values;
  int64_t end_ms = 0;
  int64_t range_ms = 0;
};

// rate(), increase() and delta() as defined: in milliseconds, sample by sample.
double DefinedRate(const RateWindow& window, bool is_counter, bool is_rate) {
  const std::span<const double> values = window.values;
  double result = values.back() - values.front();
  for (size_t i = 1; is_counter && i < values.size(); ++i) {
    result += values[i] < values[i - 1] ? values[i - 1] : 0;
  }
  const auto seconds = [](int64_t duration_ms) { return static_cast<double>(duration_ms) / 1000; };
  double to_start = seconds(window.times_ms.front() - (window.end_ms - window.range_ms));
  double to_end = seconds(window.end_ms - window.times_ms.back());
  const double sampled = seconds(window.times_ms.back() - window.times_ms.front());
  const double average = sampled / static_cast<double>(values.size() - 1);
  if (to_start >= average * 1.1) {
    to_start = average / 2;
  }
  if (is_counter && result > 0 && values.front() >= 0) {
    to_start = std::min(to_start, sampled * (values.front() / result));
  }
  if (to_end >= average * 1.1) {
    to_end = average / 2;
  }
  const double factor = (sampled + to_start + to_end) / sampled;
  return result * (is_rate ? factor / seconds(window.range_ms) : factor);
}

TEST(Rate, IsToTheBitWhatItsDefinitionGives) {
  const uint64_t seed = std::random_device{}();
  SCOPED_TRACE(fmt::format("seed {}", seed));
  std::mt19937_64 random(seed);
  constexpr int64_t kMilli = 1'000'000;
  for (int round = 0; round < 100; ++round) {
    const uint64_t resets_every = 2 + random() % 100;
    model::SampleColumns samples;
    int64_t time_ms = kStart / kMilli;
    double counter = round % 3 == 0 ? 1e6 : 0;
    for (int i = 0; i < 500; ++i) {
      time_ms += 9'990 + static_cast<int64_t>(random() % 20) + (random() % 20 == 0 ? 30'000 : 0);
      counter = random() % resets_every == 0 ? 0 : counter + static_cast<double>(random() % 100);
      samples.timestamps.push_back(time_ms * kMilli);
      samples.values.push_back(counter);
    }
    const auto range_ms = 1000 * static_cast<int64_t>(1 + random() % 1000);
    const WindowedSamples windows(samples, {.start = kStart, .step_ns = kMinute, .count = 90},
                                  range_ms * kMilli);
    const std::vector<double> rates = windows.Evaluate("rate");
    const std::vector<double> increases = windows.Evaluate("increase");
    const std::vector<double> deltas = windows.Evaluate("delta");
    const RangeInput input = windows.Input();
    for (size_t step = 0; step < rates.size(); ++step) {
      RateWindow window{.values = windows.Window(step),
                        .end_ms = input.WindowEnd(step) / kMilli,
                        .range_ms = range_ms};
      for (uint32_t i = input.begins[step]; i < input.ends[step]; ++i) {
        window.times_ms.push_back(input.timestamps[i] / kMilli);
      }
      if (window.values.size() < 2) {
        ASSERT_TRUE(IsAbsent(rates[step]));
        continue;
      }
      ASSERT_EQ(rates[step], DefinedRate(window, true, true));
      ASSERT_EQ(increases[step], DefinedRate(window, true, false));
      ASSERT_EQ(deltas[step], DefinedRate(window, false, false));
    }
  }
}

// Functions that do not need all samples give the same to the bit without the others.
TEST(RangeFunctions, GiveTheSameWithoutTheSamplesThatTheyDoNotNeed) {
  const uint64_t seed = std::random_device{}();
  SCOPED_TRACE(fmt::format("seed {}", seed));
  std::mt19937_64 random(seed);
  size_t functions = 0;
  for (int round = 0; round < 60; ++round) {
    std::vector<double> values(1000);
    double value = 0;
    for (double& each : values) {
      value = random() % 40 == 0 ? 0.25 : value + static_cast<double>(random() % 100) / 10;
      each = round % 3 == 0 && random() % 50 == 0 ? kNan : value;
    }
    const WindowedSamples windows(Every10Seconds(values),
                                  {.start = kStart,
                                   .step_ns = static_cast<int64_t>(1 + random() % 30) * kMinute,
                                   .count = 20},
                                  static_cast<int64_t>(1 + random() % 7000) * kSecond);
    const RangeInput all = windows.Input();
    std::vector<bool> is_kept(values.size());
    for (size_t step = 0; step < all.step_count(); ++step) {
      if (all.begins[step] < all.ends[step]) {
        is_kept[all.begins[step]] = is_kept[all.ends[step] - 1] = true;
      }
    }
    for (const SamplesNeeded needed : {SamplesNeeded::kEndsAndFalls, SamplesNeeded::kEnds}) {
      std::vector<bool> is_in = is_kept;
      for (size_t i = 0; i < values.size(); ++i) {
        if (std::isnan(values[i]) || random() % 20 == 0) {
          is_in[i] = true;  // some more than need be
        }
        if (needed == SamplesNeeded::kEndsAndFalls && i > 0 && values[i] < values[i - 1]) {
          is_in[i] = is_in[i - 1] = true;
        }
      }
      model::SampleColumns some;
      std::vector<uint32_t> ordinals;
      std::vector<uint32_t> index_of;  // how many are kept before each
      for (size_t i = 0; i <= values.size(); ++i) {
        index_of.push_back(static_cast<uint32_t>(ordinals.size()));
        if (i < values.size() && is_in[i]) {
          some.timestamps.push_back(all.timestamps[i]);
          some.values.push_back(values[i]);
          ordinals.push_back(static_cast<uint32_t>(i));
        }
      }
      std::vector<uint32_t> begins;
      std::vector<uint32_t> ends;
      for (size_t step = 0; step < all.step_count(); ++step) {
        begins.push_back(index_of[all.begins[step]]);
        ends.push_back(index_of[all.ends[step]]);
      }
      RangeInput thinned = all;
      thinned.timestamps = some.timestamps;
      thinned.values = some.values;
      thinned.begins = begins;
      thinned.ends = ends;
      thinned.ordinals = ordinals;
      for (const std::string_view name :
           {"rate", "increase", "delta", "resets", "count_over_time", "present_over_time",
            "first_over_time", "last_over_time", "ts_of_first_over_time", "ts_of_last_over_time"}) {
        if (SamplesNeededBy(name) != needed) {
          continue;
        }
        ++functions;
        std::vector<double> found(all.step_count());
        FindRangeFunction(name)(thinned, found);
        const std::vector<double> expected = windows.Evaluate(name);
        for (size_t step = 0; step < found.size(); ++step) {
          ASSERT_EQ(std::bit_cast<uint64_t>(found[step]), std::bit_cast<uint64_t>(expected[step]))
              << name << " step " << step;
        }
      }
    }
  }
  EXPECT_EQ(functions, 60u * 10);
}

}  // namespace
}  // namespace tsdbd::query
