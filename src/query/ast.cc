#include "query/ast.h"

namespace tsdbd::query {
namespace {

ValueType TypeOfBinary(const Expr& left, const Expr& right) {
  const bool scalar = left.type == ValueType::kScalar && right.type == ValueType::kScalar;
  return scalar ? ValueType::kScalar : ValueType::kVector;
}

}  // namespace

BinaryExpr::BinaryExpr(BinaryOp operation, ExprPtr lhs, ExprPtr rhs)
    : Expr(kKind, TypeOfBinary(*lhs, *rhs)),
      op(operation),
      left(std::move(lhs)),
      right(std::move(rhs)) {}

}  // namespace tsdbd::query
