#pragma once
// The functions of PromQL: their names and types. What they compute is the evaluator's business.

#include <array>
#include <cstddef>
#include <span>
#include <string_view>

#include "query/value_type.h"

namespace tsdbd::query {

inline constexpr size_t kMaxDeclaredArguments = 5;

struct FunctionSignature {
  std::string_view name;
  ValueType returns = ValueType::kVector;
  size_t declared = 0;  // how many of `arguments` count
  std::array<ValueType, kMaxDeclaredArguments> arguments{};
  // 0: exactly the declared arguments. n > 0: the last declared one may be left out, or be there up
  // to n times. -1: as often as one likes.
  int variadic = 0;
  bool experimental = false;

  size_t min_arguments() const { return variadic == 0 ? declared : declared - 1; }
  // Of argument `index`; beyond the declared ones, the last one's.
  ValueType ArgumentType(size_t index) const {
    return arguments[index < declared ? index : declared - 1];
  }
};

// Null if there is no such function. Names are case-sensitive.
const FunctionSignature* FindFunction(std::string_view name);

// All functions, sorted by name.
std::span<const FunctionSignature> AllFunctions();

}  // namespace tsdbd::query
