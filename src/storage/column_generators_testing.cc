#include "storage/column_generators_testing.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>

#include "common/check.h"

namespace tsdbd::storage {
namespace {

using model::Timestamp;
using Values = std::vector<double>;
using Timestamps = std::vector<Timestamp>;

constexpr Timestamp kStart = 1'700'000'000'000'000'000;
constexpr Timestamp kInterval = 10'000'000'000;

template <typename Next>
Values Generate(size_t count, Next next) {
  Values values(count);
  for (double& value : values) {
    value = next();
  }
  return values;
}

uint64_t Below(uint64_t limit, Random* random) {
  return (*random)() % limit;
}

double Normal(Random* random) {
  return std::normal_distribution<double>()(*random);
}

Values Constant(size_t count, Random*) {
  return Values(count, 42.5);
}

// A walk of normal steps between 0 and 100, of which the integer part is reported.
Values IntegerWalk(size_t count, Random* random) {
  double state = static_cast<double>(Below(100, random));
  return Generate(count, [&] {
    state = std::clamp(state + Normal(random), 0.0, 100.0);
    return std::trunc(state);
  });
}

Values Counter(size_t count, Random* random) {
  double state = 1e9;
  return Generate(count, [&] { return state += static_cast<double>(Below(1000, random)); });
}

Values CounterWithResets(size_t count, Random* random) {
  double state = 1e6;
  return Generate(count, [&] {
    return state = Below(100, random) == 0 ? 0 : state + static_cast<double>(Below(50, random));
  });
}

Values TwoDecimals(size_t count, Random* random) {
  return Generate(count, [&] { return std::round(5000 + 500 * Normal(random)) / 100; });
}

Values TwoDecimalWalk(size_t count, Random* random) {
  double state = 2000;
  return Generate(count, [&] { return (state += std::round(10 * Normal(random))) / 100; });
}

Values Reals(size_t count, Random* random) {
  return Generate(count, [&] { return Normal(random); });
}

Values Booleans(size_t count, Random* random) {
  return Generate(count, [&] { return Below(20, random) == 0 ? 1.0 : 0.0; });
}

Values RandomBits(size_t count, Random* random) {
  return Generate(count, [&] { return std::bit_cast<double>((*random)()); });
}

Values ManyDigits(size_t count, Random* random) {
  return Generate(count, [&] {
    return static_cast<double>(Below(uint64_t{1} << 51, random)) /
           std::pow(10.0, static_cast<double>(Below(19, random)));
  });
}

Values LargeIntegers(size_t count, Random* random) {
  return Generate(count, [&] {
    const auto magnitude = static_cast<double>((*random)() >> Below(64, random));
    return Below(2, random) ? magnitude : -magnitude;
  });
}

Values SpecialValues(size_t count, Random* random) {
  static const double kSpecial[] = {
      0.0,
      -0.0,
      std::numeric_limits<double>::infinity(),
      -std::numeric_limits<double>::infinity(),
      std::numeric_limits<double>::quiet_NaN(),
      std::bit_cast<double>(uint64_t{0x7FF0000000000002}),  // Prometheus' stale marker
      std::bit_cast<double>(uint64_t{0x7FF8DEADBEEF0001}),
      std::bit_cast<double>(uint64_t{0xFFFFFFFFFFFFFFFF}),
      std::numeric_limits<double>::denorm_min(),
      -std::numeric_limits<double>::denorm_min(),
      std::numeric_limits<double>::min(),
      std::numeric_limits<double>::max(),
      std::numeric_limits<double>::lowest(),
      2251799813685247.0,  // 2^51 - 1, the largest integer of the decimal codec
      2251799813685248.0,
      -2251799813685248.0,
      9007199254740993.0,
      1e22,
      0.1 + 0.2,
  };
  return Generate(count, [&] { return kSpecial[Below(std::size(kSpecial), random)]; });
}

Values DecimalsWithExceptions(size_t count, Random* random) {
  return Generate(count, [&] {
    switch (Below(30, random)) {
      case 0:
        return std::numeric_limits<double>::quiet_NaN();
      case 1:
        return -0.0;
      case 2:
        return Normal(random);
      default:
        return static_cast<double>(Below(1000, random)) / 10;
    }
  });
}

// The sample sees one kind, the rest is another.
Values LateSurprise(size_t count, Random* random) {
  Values values = IntegerWalk(count, random);
  const Values reals = Reals(count, random);
  std::copy(reals.begin() + static_cast<ptrdiff_t>(count / 2), reals.end(),
            values.begin() + static_cast<ptrdiff_t>(count / 2));
  return values;
}

template <typename Next>
Timestamps GenerateRising(Timestamp first, size_t count, Next next_difference) {
  Timestamps timestamps(count);
  for (Timestamp& timestamp : timestamps) {
    timestamp = first;
    first += next_difference();
  }
  return timestamps;
}

Timestamps Regular(size_t count, Random*) {
  return GenerateRising(kStart, count, [] { return kInterval; });
}

Timestamps WithGaps(size_t count, Random* random) {
  return GenerateRising(kStart, count, [&] {
    return kInterval * (Below(50, random) == 0 ? 1 + Below(500, random) : 1);
  });
}

template <Timestamp kJitter, Timestamp kUnit>
Timestamps Jittered(size_t count, Random* random) {
  Timestamps timestamps = Regular(count, random);
  for (Timestamp& timestamp : timestamps) {
    timestamp += static_cast<Timestamp>(Below(kJitter, random)) * kUnit;
  }
  return timestamps;
}

Timestamps ThirdsOfASecond(size_t count, Random*) {
  Timestamps timestamps(count);
  for (size_t i = 0; i < count; ++i) {
    timestamps[i] = kStart + static_cast<Timestamp>(i) * 1'000'000'000 / 3;
  }
  return timestamps;
}

Timestamps Random64(size_t count, Random* random) {
  Timestamps timestamps(count);
  for (Timestamp& timestamp : timestamps) {
    timestamp = static_cast<Timestamp>((*random)() >> 1);
  }
  std::sort(timestamps.begin(), timestamps.end());
  for (size_t i = 1; i < count; ++i) {
    timestamps[i] = std::max(timestamps[i], timestamps[i - 1] + 1);
  }
  return timestamps;
}

Timestamps Neighbours(size_t count, Random* random) {
  return GenerateRising(0, count, [&] { return static_cast<Timestamp>(1 + Below(2, random)); });
}

Timestamps ExponentialSteps(size_t count, Random* random) {
  return GenerateRising(0, count, [&] { return Timestamp{1} << Below(53, random); });
}

Timestamps UpToTheEndOfTime(size_t count, Random*) {
  Timestamps timestamps(count);
  for (size_t i = 0; i < count; ++i) {
    timestamps[i] = model::kMaxTimestamp - static_cast<Timestamp>(count - 1 - i);
  }
  timestamps[0] = 0;
  return timestamps;
}

template <typename Shape>
const Shape& Named(const std::vector<Shape>& shapes, const std::string& name) {
  const auto found = std::find_if(shapes.begin(), shapes.end(),
                                  [&](const Shape& shape) { return shape.name == name; });
  CHECK(found != shapes.end());
  return *found;
}

}  // namespace

const std::vector<ValueShape>& ValueShapes() {
  static const std::vector<ValueShape> shapes = {
      {"constant", Constant},
      {"integer_walk", IntegerWalk},
      {"counter", Counter},
      {"counter_with_resets", CounterWithResets},
      {"two_decimals", TwoDecimals},
      {"two_decimal_walk", TwoDecimalWalk},
      {"reals", Reals},
      {"booleans", Booleans},
      {"random_bits", RandomBits},
      {"many_digits", ManyDigits},
      {"large_integers", LargeIntegers},
      {"special_values", SpecialValues},
      {"decimals_with_exceptions", DecimalsWithExceptions},
      {"late_surprise", LateSurprise},
  };
  return shapes;
}

const std::vector<TimestampShape>& TimestampShapes() {
  static const std::vector<TimestampShape> shapes = {
      {"regular", Regular},
      {"with_gaps", WithGaps},
      {"jittered_milliseconds", Jittered<200, 1'000'000>},
      {"jittered_nanoseconds", Jittered<50'000'000, 1>},
      {"thirds_of_a_second", ThirdsOfASecond},
      {"random", Random64},
      {"neighbours", Neighbours},
      {"exponential_steps", ExponentialSteps},
      {"up_to_the_end_of_time", UpToTheEndOfTime},
  };
  return shapes;
}

const ValueShape& ValueShapeNamed(const std::string& name) {
  return Named(ValueShapes(), name);
}

const TimestampShape& TimestampShapeNamed(const std::string& name) {
  return Named(TimestampShapes(), name);
}

}  // namespace tsdbd::storage
