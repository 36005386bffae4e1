#include "query/functions.h"

#include <algorithm>
#include <initializer_list>

namespace tsdbd::query {
namespace {

constexpr ValueType kScalar = ValueType::kScalar;
constexpr ValueType kString = ValueType::kString;
constexpr ValueType kVector = ValueType::kVector;
constexpr ValueType kMatrix = ValueType::kMatrix;

constexpr FunctionSignature Stable(std::string_view name, ValueType returns,
                                   std::initializer_list<ValueType> arguments, int variadic = 0) {
  FunctionSignature signature{.name = name, .returns = returns, .variadic = variadic};
  for (const ValueType type : arguments) {
    signature.arguments[signature.declared++] = type;
  }
  return signature;
}

constexpr FunctionSignature Experimental(std::string_view name, ValueType returns,
                                         std::initializer_list<ValueType> arguments,
                                         int variadic = 0) {
  FunctionSignature signature = Stable(name, returns, arguments, variadic);
  signature.experimental = true;
  return signature;
}

// Sorted by name.
constexpr FunctionSignature kFunctions[] = {
    Stable("abs", kVector, {kVector}),
    Stable("absent", kVector, {kVector}),
    Stable("absent_over_time", kVector, {kMatrix}),
    Stable("acos", kVector, {kVector}),
    Stable("acosh", kVector, {kVector}),
    Stable("asin", kVector, {kVector}),
    Stable("asinh", kVector, {kVector}),
    Stable("atan", kVector, {kVector}),
    Stable("atanh", kVector, {kVector}),
    Stable("avg_over_time", kVector, {kMatrix}),
    Stable("ceil", kVector, {kVector}),
    Stable("changes", kVector, {kMatrix}),
    Stable("clamp", kVector, {kVector, kScalar, kScalar}),
    Stable("clamp_max", kVector, {kVector, kScalar}),
    Stable("clamp_min", kVector, {kVector, kScalar}),
    Stable("cos", kVector, {kVector}),
    Stable("cosh", kVector, {kVector}),
    Stable("count_over_time", kVector, {kMatrix}),
    Stable("day_of_month", kVector, {kVector}, 1),
    Stable("day_of_week", kVector, {kVector}, 1),
    Stable("day_of_year", kVector, {kVector}, 1),
    Stable("days_in_month", kVector, {kVector}, 1),
    Stable("deg", kVector, {kVector}),
    Stable("delta", kVector, {kMatrix}),
    Stable("deriv", kVector, {kMatrix}),
    Experimental("double_exponential_smoothing", kVector, {kMatrix, kScalar, kScalar}),
    Experimental("end", kScalar, {}),
    Stable("exp", kVector, {kVector}),
    Stable("first_over_time", kVector, {kMatrix}),
    Stable("floor", kVector, {kVector}),
    Stable("histogram_avg", kVector, {kVector}),
    Stable("histogram_count", kVector, {kVector}),
    Stable("histogram_fraction", kVector, {kScalar, kScalar, kVector}),
    Stable("histogram_quantile", kVector, {kScalar, kVector}),
    Experimental("histogram_quantiles", kVector, {kVector, kString, kScalar, kScalar}, 9),
    Stable("histogram_stddev", kVector, {kVector}),
    Stable("histogram_stdvar", kVector, {kVector}),
    Stable("histogram_sum", kVector, {kVector}),
    Stable("hour", kVector, {kVector}, 1),
    Stable("idelta", kVector, {kMatrix}),
    Stable("increase", kVector, {kMatrix}),
    Experimental("info", kVector, {kVector, kVector}, 1),
    Stable("irate", kVector, {kMatrix}),
    Stable("label_join", kVector, {kVector, kString, kString, kString}, -1),
    Stable("label_replace", kVector, {kVector, kString, kString, kString, kString}),
    Stable("last_over_time", kVector, {kMatrix}),
    Stable("ln", kVector, {kVector}),
    Stable("log10", kVector, {kVector}),
    Stable("log2", kVector, {kVector}),
    Experimental("mad_over_time", kVector, {kMatrix}),
    Experimental("max_of", kScalar, {kScalar, kScalar}),
    Stable("max_over_time", kVector, {kMatrix}),
    Experimental("min_of", kScalar, {kScalar, kScalar}),
    Stable("min_over_time", kVector, {kMatrix}),
    Stable("minute", kVector, {kVector}, 1),
    Stable("month", kVector, {kVector}, 1),
    Stable("pi", kScalar, {}),
    Stable("predict_linear", kVector, {kMatrix, kScalar}),
    Stable("present_over_time", kVector, {kMatrix}),
    Stable("quantile_over_time", kVector, {kScalar, kMatrix}),
    Stable("rad", kVector, {kVector}),
    Experimental("range", kScalar, {}),
    Stable("rate", kVector, {kMatrix}),
    Stable("resets", kVector, {kMatrix}),
    Stable("round", kVector, {kVector, kScalar}, 1),
    Stable("scalar", kScalar, {kVector}),
    Stable("sgn", kVector, {kVector}),
    Stable("sin", kVector, {kVector}),
    Stable("sinh", kVector, {kVector}),
    Stable("sort", kVector, {kVector}),
    Experimental("sort_by_label", kVector, {kVector, kString}, -1),
    Experimental("sort_by_label_desc", kVector, {kVector, kString}, -1),
    Stable("sort_desc", kVector, {kVector}),
    Stable("sqrt", kVector, {kVector}),
    Experimental("start", kScalar, {}),
    Experimental("start_timestamp", kVector, {kVector}),
    Stable("stddev_over_time", kVector, {kMatrix}),
    Stable("stdvar_over_time", kVector, {kMatrix}),
    Experimental("step", kScalar, {}),
    Stable("sum_over_time", kVector, {kMatrix}),
    Stable("tan", kVector, {kVector}),
    Stable("tanh", kVector, {kVector}),
    Stable("time", kScalar, {}),
    Stable("timestamp", kVector, {kVector}),
    Experimental("ts_of_first_over_time", kVector, {kMatrix}),
    Experimental("ts_of_last_over_time", kVector, {kMatrix}),
    Experimental("ts_of_max_over_time", kVector, {kMatrix}),
    Experimental("ts_of_min_over_time", kVector, {kMatrix}),
    Stable("vector", kVector, {kScalar}),
    Stable("year", kVector, {kVector}, 1),
};

static_assert(std::ranges::is_sorted(kFunctions, {}, &FunctionSignature::name));

}  // namespace

const FunctionSignature* FindFunction(std::string_view name) {
  const auto* found = std::ranges::lower_bound(kFunctions, name, {}, &FunctionSignature::name);
  return found != std::end(kFunctions) && found->name == name ? found : nullptr;
}

std::span<const FunctionSignature> AllFunctions() {
  return kFunctions;
}

}  // namespace tsdbd::query
