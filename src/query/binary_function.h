#pragma once
// The arithmetic and comparison operators on rows of steps. Pure functions.

#include <span>

#include "query/operators.h"
#include "query/steps.h"

namespace tsdbd::query {

// `a op b`; a comparison gives 1 or 0. Not for set operators.
double ApplyBinary(BinaryOp op, double a, double b);

// out[s] = left[s] op right[s], absent where either side is. A comparison without `return_bool` is
// a filter: it keeps the value of the left side (of the right one if `keep_right`) where it holds,
// and is absent where it does not. `out` may be one of the operands.
void ApplyBinaryRow(BinaryOp op, bool return_bool, bool keep_right, std::span<const double> left,
                    std::span<const double> right, std::span<double> out);

}  // namespace tsdbd::query
