#include "query/type_check.h"

#include <algorithm>

#include "model/labels.h"
#include "query/parse_error.h"
#include "query/text.h"

namespace tsdbd::query {
namespace {

class TypeChecker {
 public:
  explicit TypeChecker(std::string_view query) : query_(query) {}

  Status Check(Expr* expr) const;

 private:
  Status CheckVectorSelector(const VectorSelector& selector) const;
  Status CheckUnary(UnaryExpr* unary) const;
  Status CheckSubquery(SubqueryExpr* subquery) const;
  Status CheckAggregate(AggregateExpr* aggregate) const;
  Status CheckCall(CallExpr* call) const;
  Status CheckArgumentCount(const CallExpr& call) const;
  Status CheckInfoSelector(Expr* expr) const;
  Status CheckBinary(BinaryExpr* binary) const;
  Status CheckBinaryModifiers(const BinaryExpr& binary) const;
  Status CheckBinaryMatching(BinaryExpr* binary) const;
  Status CheckSetOperator(const BinaryExpr& binary) const;
  // Checks `expr` and then that it is of type `wanted`, in `context`.
  Status Expect(Expr* expr, ValueType wanted, std::string_view context) const;

  Status Error(Span span, std::string_view message) const {
    return ParseError(query_, span.start, message);
  }

  const std::string_view query_;
};

Status TypeChecker::Check(Expr* expr) const {
  switch (expr->kind) {
    case ExprKind::kNumber:
    case ExprKind::kString:
      return OkStatus();
    case ExprKind::kVectorSelector:
      return CheckVectorSelector(As<VectorSelector>(*expr));
    case ExprKind::kMatrixSelector:
      return CheckVectorSelector(*As<MatrixSelector>(*expr).selector);
    case ExprKind::kSubquery:
      return CheckSubquery(&As<SubqueryExpr>(*expr));
    case ExprKind::kParen:
      return Check(As<ParenExpr>(*expr).expr.get());
    case ExprKind::kUnary:
      return CheckUnary(&As<UnaryExpr>(*expr));
    case ExprKind::kBinary:
      return CheckBinary(&As<BinaryExpr>(*expr));
    case ExprKind::kAggregate:
      return CheckAggregate(&As<AggregateExpr>(*expr));
    case ExprKind::kCall:
      return CheckCall(&As<CallExpr>(*expr));
  }
  return OkStatus();
}

Status TypeChecker::Expect(Expr* expr, ValueType wanted, std::string_view context) const {
  RETURN_IF_ERROR(Check(expr));
  if (expr->type == wanted) {
    return OkStatus();
  }
  return Error(expr->span, fmt::format("expected type {} in {}, got {}", DocumentedTypeName(wanted),
                                       context, DocumentedTypeName(expr->type)));
}

Status TypeChecker::CheckVectorSelector(const VectorSelector& selector) const {
  if (!selector.name.empty()) {
    const auto written = std::span(selector.matchers).first(selector.matchers.size() - 1);
    const auto second = std::ranges::find(written, model::kMetricName, &model::Matcher::name);
    if (second == written.end()) {
      return OkStatus();
    }
    return Error(selector.span, fmt::format("metric name must not be set twice: {} or {}",
                                            Quote(selector.name), Quote(second->value())));
  }
  // Nobody means to select everything there is.
  if (!selector.may_match_all &&
      std::ranges::all_of(selector.matchers, &model::Matcher::MatchesEmpty)) {
    return Error(selector.span, "vector selector must contain at least one non-empty matcher");
  }
  return OkStatus();
}

Status TypeChecker::CheckUnary(UnaryExpr* unary) const {
  RETURN_IF_ERROR(Check(unary->expr.get()));
  if (unary->type == ValueType::kScalar || unary->type == ValueType::kVector) {
    return OkStatus();
  }
  return Error(unary->span, fmt::format("unary expression only allowed on expressions of type "
                                        "scalar or instant vector, got {}",
                                        Quote(DocumentedTypeName(unary->type))));
}

Status TypeChecker::CheckSubquery(SubqueryExpr* subquery) const {
  RETURN_IF_ERROR(Check(subquery->expr.get()));
  if (subquery->expr->type == ValueType::kVector) {
    return OkStatus();
  }
  return Error(subquery->span, fmt::format("subquery is only allowed on instant vector, got {} "
                                           "instead",
                                           ValueTypeName(subquery->expr->type)));
}

Status TypeChecker::CheckAggregate(AggregateExpr* aggregate) const {
  RETURN_IF_ERROR(Expect(aggregate->expr.get(), ValueType::kVector, "aggregation expression"));
  if (aggregate->parameter == nullptr) {
    return OkStatus();
  }
  const bool takes_string = aggregate->op == AggregateOp::kCountValues;
  return Expect(aggregate->parameter.get(), takes_string ? ValueType::kString : ValueType::kScalar,
                "aggregation parameter");
}

// ---- Calls

Status TypeChecker::CheckCall(CallExpr* call) const {
  RETURN_IF_ERROR(CheckArgumentCount(*call));
  const FunctionSignature& function = *call->function;
  if (function.name == "info" && call->arguments.size() > 1) {
    RETURN_IF_ERROR(CheckInfoSelector(call->arguments[1].get()));
  }
  const std::string context = fmt::format("call to function {}", Quote(function.name));
  for (size_t i = 0; i < call->arguments.size(); ++i) {
    RETURN_IF_ERROR(Expect(call->arguments[i].get(), function.ArgumentType(i), context));
  }
  return OkStatus();
}

Status TypeChecker::CheckArgumentCount(const CallExpr& call) const {
  const FunctionSignature& function = *call.function;
  const size_t count = call.arguments.size();
  std::string_view quantity;
  size_t wanted = function.min_arguments();
  if (function.variadic == 0) {
    quantity = count == wanted ? "" : "expected";
  } else if (count < wanted) {
    quantity = "expected at least";
  } else if (function.variadic > 0 && count > wanted + function.variadic) {
    quantity = "expected at most";
    wanted += function.variadic;
  }
  if (quantity.empty()) {
    return OkStatus();
  }
  return Error(call.span, fmt::format("{} {} argument(s) in call to {}, got {}", quantity, wanted,
                                      Quote(function.name), count));
}

// The second argument of info() is a set of matchers that only looks like a selector.
Status TypeChecker::CheckInfoSelector(Expr* expr) const {
  if (expr->type != ValueType::kVector) {
    return Error(expr->span,
                 fmt::format("expected type instant vector in call to function \"info\", got {}",
                             DocumentedTypeName(expr->type)));
  }
  if (expr->kind != ExprKind::kVectorSelector) {
    return Error(expr->span, "expected label selectors only");
  }
  auto& selector = As<VectorSelector>(*expr);
  if (!selector.name.empty()) {
    return Error(expr->span, "expected label selectors only, got vector selector instead");
  }
  selector.may_match_all = true;
  return OkStatus();
}

// ---- Binary operations

Status TypeChecker::CheckBinary(BinaryExpr* binary) const {
  RETURN_IF_ERROR(Check(binary->left.get()));
  RETURN_IF_ERROR(Check(binary->right.get()));
  RETURN_IF_ERROR(CheckBinaryModifiers(*binary));
  for (const Expr* side : {binary->left.get(), binary->right.get()}) {
    if (side->type != ValueType::kScalar && side->type != ValueType::kVector) {
      return Error(side->span,
                   "binary expression must contain only scalar and instant vector types");
    }
  }
  return CheckBinaryMatching(binary);
}

Status TypeChecker::CheckBinaryModifiers(const BinaryExpr& binary) const {
  if (binary.return_bool && !IsComparison(binary.op)) {
    return Error(binary.op_span, "bool modifier can only be used on comparison operators");
  }
  const bool scalars =
      binary.left->type == ValueType::kScalar && binary.right->type == ValueType::kScalar;
  if (IsComparison(binary.op) && !binary.return_bool && scalars) {
    return Error(binary.op_span, "comparisons between scalars must use BOOL modifier");
  }
  if (!binary.matching->on) {
    return OkStatus();
  }
  for (const std::string& label : binary.matching->labels) {
    if (std::ranges::find(binary.matching->include, label) != binary.matching->include.end()) {
      return Error(
          binary.op_span,
          fmt::format("label {} must not occur in ON and GROUP clause at once", Quote(label)));
    }
  }
  return OkStatus();
}

Status TypeChecker::CheckBinaryMatching(BinaryExpr* binary) const {
  const bool vectors =
      binary->left->type == ValueType::kVector && binary->right->type == ValueType::kVector;
  if (vectors) {
    if (!IsSetOperator(binary->op)) {
      return OkStatus();
    }
    if (binary->matching->cardinality == MatchCardinality::kOneToOne) {
      binary->matching->cardinality = MatchCardinality::kManyToMany;
    }
    return CheckSetOperator(*binary);
  }
  if (!binary->matching->labels.empty()) {
    return Error(binary->span, "vector matching only allowed between instant vectors");
  }
  if (binary->matching->fill_left || binary->matching->fill_right) {
    return Error(binary->span, "filling in missing series only allowed between instant vectors");
  }
  binary->matching.reset();
  if (IsSetOperator(binary->op)) {
    return Error(binary->span,
                 fmt::format("set operator {} not allowed in binary scalar expression",
                             Quote(BinaryOpName(binary->op))));
  }
  return OkStatus();
}

Status TypeChecker::CheckSetOperator(const BinaryExpr& binary) const {
  if (binary.matching->cardinality != MatchCardinality::kManyToMany) {
    return Error(binary.span, fmt::format("no grouping allowed for {} operation",
                                          Quote(BinaryOpName(binary.op))));
  }
  if (binary.matching->fill_left || binary.matching->fill_right) {
    return Error(binary.span, "filling in missing series not allowed for set operators");
  }
  return OkStatus();
}

}  // namespace

Status CheckTypes(std::string_view query, Expr* expr) {
  return TypeChecker(query).Check(expr);
}

}  // namespace tsdbd::query
