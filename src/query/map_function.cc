#include "query/map_function.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>

#include "query/calendar.h"
#include "query/independent_loop.h"

namespace tsdbd::query {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

// Computes absent values too and throws the result away: without a branch it vectorises where the
// function does.
template <typename Compute>
void MapRow(std::span<double> row, Compute compute) {
  for (double& value : row) {
    const double computed = compute(value);
    value = IsAbsent(value) ? kAbsent : computed;
  }
}

// For functions so slow that an absent value is better skipped.
template <typename Compute>
void MapPresent(std::span<double> row, Compute compute) {
  for (double& value : row) {
    if (!IsAbsent(value)) {
      value = compute(value);
    }
  }
}

template <double (*kCompute)(double)>
void Map(ScalarArguments arguments, std::span<double> row) {
  MapRow(row, [](double value) { return kCompute(value); });
}

template <double (*kCompute)(double)>
void MapSlow(ScalarArguments arguments, std::span<double> row) {
  MapPresent(row, [](double value) { return kCompute(value); });
}

double Abs(double value) {
  return std::abs(value);
}
double Ceil(double value) {
  return std::ceil(value);
}
double Floor(double value) {
  return std::floor(value);
}
double SquareRoot(double value) {
  return std::sqrt(value);
}
// Zeros of both signs and NaN are returned as they are.
double Sign(double value) {
  return value < 0 ? -1 : value > 0 ? 1 : value;
}
double ToRadians(double degrees) {
  return degrees * std::numbers::pi / 180;
}
double ToDegrees(double radians) {
  return radians * 180 / std::numbers::pi;
}

double Exp(double value) {
  return std::exp(value);
}
double NaturalLog(double value) {
  return std::log(value);
}
double BinaryLog(double value) {
  return std::log2(value);
}
double DecimalLog(double value) {
  return std::log10(value);
}
double Sin(double value) {
  return std::sin(value);
}
double Cos(double value) {
  return std::cos(value);
}
double Tan(double value) {
  return std::tan(value);
}
double Asin(double value) {
  return std::asin(value);
}
double Acos(double value) {
  return std::acos(value);
}
double Atan(double value) {
  return std::atan(value);
}
double Sinh(double value) {
  return std::sinh(value);
}
double Cosh(double value) {
  return std::cosh(value);
}
double Tanh(double value) {
  return std::tanh(value);
}
double Asinh(double value) {
  return std::asinh(value);
}
double Acosh(double value) {
  return std::acosh(value);
}
double Atanh(double value) {
  return std::atanh(value);
}

double Minute(double seconds) {
  return static_cast<double>(SplitSeconds(seconds).second_of_day / 60 % 60);
}
double Hour(double seconds) {
  return static_cast<double>(SplitSeconds(seconds).second_of_day / 3600);
}
double WeekdayOf(double seconds) {
  return DayOfWeek(SplitSeconds(seconds).days);
}
CalendarDay DayOf(double seconds) {
  return ToCalendarDay(SplitSeconds(seconds).days);
}
double DayOfMonth(double seconds) {
  return DayOf(seconds).day;
}
double DayOfYear(double seconds) {
  return DayOf(seconds).day_of_year;
}
double DaysInMonthOf(double seconds) {
  const CalendarDay day = DayOf(seconds);
  return DaysInMonth(day.year, day.month);
}
double Month(double seconds) {
  return DayOf(seconds).month;
}
double Year(double seconds) {
  return static_cast<double>(DayOf(seconds).year);
}

// Halves go up. Dividing by the inverse loses less than multiplying by `to_nearest` would.
void Round(ScalarArguments arguments, std::span<double> row) {
  if (arguments.empty()) {
    MapRow(row, [](double value) { return std::floor(value + 0.5); });
    return;
  }
  const std::span<const double> to_nearest = arguments[0];
  INDEPENDENT_TURNS
  for (size_t i = 0; i < row.size(); ++i) {
    const double inverse = 1.0 / to_nearest[i];
    const double rounded = std::floor(row[i] * inverse + 0.5) / inverse;
    row[i] = IsAbsent(row[i]) ? kAbsent : rounded;
  }
}

// Of a NaN and a number: NaN, unless the number is the infinity that wins against all.
double Larger(double a, double b) {
  const double larger = a > b ? a : b;
  const double decided = a == 0 && b == 0 ? a + b : larger;  // 0 is larger than -0
  const double undecided = a == kInfinity || b == kInfinity ? kInfinity : a + b;
  return std::isnan(a) || std::isnan(b) ? undecided : decided;
}

double Smaller(double a, double b) {
  return -Larger(-a, -b);
}

void ClampRow(std::span<double> row, auto min_at, auto max_at) {
  for (size_t i = 0; i < row.size(); ++i) {
    const double min = min_at(i);
    const double max = max_at(i);
    const double clamped = Larger(min, Smaller(max, row[i]));
    row[i] = IsAbsent(row[i]) || max < min ? kAbsent : clamped;
  }
}

void Clamp(ScalarArguments arguments, std::span<double> row) {
  ClampRow(
      row, [&](size_t i) { return arguments[0][i]; }, [&](size_t i) { return arguments[1][i]; });
}

void ClampMin(ScalarArguments arguments, std::span<double> row) {
  ClampRow(
      row, [&](size_t i) { return arguments[0][i]; }, [](size_t) { return kInfinity; });
}

void ClampMax(ScalarArguments arguments, std::span<double> row) {
  ClampRow(
      row, [](size_t) { return -kInfinity; }, [&](size_t i) { return arguments[0][i]; });
}

struct NamedFunction {
  std::string_view name;
  MapFunction function;
};

// Sorted by name.
constexpr NamedFunction kFunctions[] = {
    {"abs", Map<Abs>},
    {"acos", MapSlow<Acos>},
    {"acosh", MapSlow<Acosh>},
    {"asin", MapSlow<Asin>},
    {"asinh", MapSlow<Asinh>},
    {"atan", MapSlow<Atan>},
    {"atanh", MapSlow<Atanh>},
    {"ceil", Map<Ceil>},
    {"clamp", Clamp},
    {"clamp_max", ClampMax},
    {"clamp_min", ClampMin},
    {"cos", MapSlow<Cos>},
    {"cosh", MapSlow<Cosh>},
    {"day_of_month", MapSlow<DayOfMonth>},
    {"day_of_week", MapSlow<WeekdayOf>},
    {"day_of_year", MapSlow<DayOfYear>},
    {"days_in_month", MapSlow<DaysInMonthOf>},
    {"deg", Map<ToDegrees>},
    {"exp", MapSlow<Exp>},
    {"floor", Map<Floor>},
    {"hour", MapSlow<Hour>},
    {"ln", MapSlow<NaturalLog>},
    {"log10", MapSlow<DecimalLog>},
    {"log2", MapSlow<BinaryLog>},
    {"minute", MapSlow<Minute>},
    {"month", MapSlow<Month>},
    {"rad", Map<ToRadians>},
    {"round", Round},
    {"sgn", Map<Sign>},
    {"sin", MapSlow<Sin>},
    {"sinh", MapSlow<Sinh>},
    {"sqrt", Map<SquareRoot>},
    {"tan", MapSlow<Tan>},
    {"tanh", MapSlow<Tanh>},
    {"year", MapSlow<Year>},
};

static_assert(std::ranges::is_sorted(kFunctions, {}, &NamedFunction::name));

}  // namespace

MapFunction FindMapFunction(std::string_view name) {
  const auto* found = std::ranges::lower_bound(kFunctions, name, {}, &NamedFunction::name);
  return found != std::end(kFunctions) && found->name == name ? found->function : nullptr;
}

}  // namespace tsdbd::query
