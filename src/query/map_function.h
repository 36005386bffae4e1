#pragma once
// Functions that turn each value of an instant vector into another: abs(), clamp(), hour() and
// their like, one row of steps at a time. Absent values stay absent.
//
// Pure functions; may run at the same time.

#include <span>
#include <string_view>

#include "query/steps.h"

namespace tsdbd::query {

// The scalar arguments in their order; each span has one value for each step.
using ScalarArguments = std::span<const std::span<const double>>;

// Changes `row` in place. Without an optional argument its default holds.
using MapFunction = void (*)(ScalarArguments arguments, std::span<double> row);

// Null if it is not a function that computes value by value. Of the date functions (hour(), …) the
// values are seconds since the epoch.
MapFunction FindMapFunction(std::string_view name);

}  // namespace tsdbd::query
