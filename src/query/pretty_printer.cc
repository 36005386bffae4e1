#include "query/pretty_printer.h"

#include <string_view>
#include <unordered_set>
#include <utility>

#include "query/printer.h"

namespace tsdbd::query {
namespace {

constexpr size_t kMaxLineBytes = 100;

// Recursion goes as deep as the tree, which the parser has bounded.
class PrettyPrinter {
 public:
  explicit PrettyPrinter(const Expr& root) { FindLong(root); }

  void Append(const Expr& expr, int level);
  std::string Take() { return std::move(out_); }

 private:
  bool FindLong(const Expr& expr);
  bool HasLongChild(const Expr& expr);

  void AppendBroken(const Expr& expr, int level);
  void AppendAggregate(const AggregateExpr& aggregate, int level);
  void AppendBinary(const BinaryExpr& binary, int level);
  void AppendCall(const CallExpr& call, int level);
  void AppendUnary(const UnaryExpr& unary, int level);
  void AppendIndent(int level);

  // The nodes that do not fit a line, found before anything is written: a node with such a child is
  // one itself, so that only short texts are ever measured.
  std::unordered_set<const Expr*> long_;
  std::string out_;
  // What comes next stands behind a sign and has its indentation.
  bool behind_sign_ = false;
};

// ---- Which nodes are long

bool PrettyPrinter::FindLong(const Expr& expr) {
  const bool is_long = HasLongChild(expr) || Print(expr).size() > kMaxLineBytes;
  if (is_long) {
    long_.insert(&expr);
  }
  return is_long;
}

// Looks at every child, so that each is known.
bool PrettyPrinter::HasLongChild(const Expr& expr) {
  switch (expr.kind) {
    case ExprKind::kSubquery:
      return FindLong(*As<SubqueryExpr>(expr).expr);
    case ExprKind::kParen:
      return FindLong(*As<ParenExpr>(expr).expr);
    case ExprKind::kUnary:
      return FindLong(*As<UnaryExpr>(expr).expr);
    case ExprKind::kBinary: {
      const bool left = FindLong(*As<BinaryExpr>(expr).left);
      return FindLong(*As<BinaryExpr>(expr).right) || left;
    }
    case ExprKind::kAggregate: {
      const auto& aggregate = As<AggregateExpr>(expr);
      const bool parameter = aggregate.parameter != nullptr && FindLong(*aggregate.parameter);
      return FindLong(*aggregate.expr) || parameter;
    }
    case ExprKind::kCall: {
      bool any = false;
      for (const ExprPtr& argument : As<CallExpr>(expr).arguments) {
        any = FindLong(*argument) || any;
      }
      return any;
    }
    default:
      return false;
  }
}

// ---- Writing

void PrettyPrinter::Append(const Expr& expr, int level) {
  if (out_.size() > kMaxPrettyBytes) {
    return;
  }
  if (expr.kind == ExprKind::kUnary) {
    return AppendUnary(As<UnaryExpr>(expr), level);
  }
  if (long_.contains(&expr)) {
    return AppendBroken(expr, level);
  }
  // Prometheus does not indent a sub-query that fits its line.
  AppendIndent(expr.kind == ExprKind::kSubquery ? 0 : level);
  out_ += Print(expr);
}

void PrettyPrinter::AppendBroken(const Expr& expr, int level) {
  switch (expr.kind) {
    case ExprKind::kSubquery:
      Append(*As<SubqueryExpr>(expr).expr, level);
      out_ += PrintSubqueryWindow(As<SubqueryExpr>(expr));
      return;
    case ExprKind::kParen:
      AppendIndent(level);
      out_ += "(\n";
      Append(*As<ParenExpr>(expr).expr, level + 1);
      out_ += '\n';
      AppendIndent(level);
      out_ += ')';
      return;
    case ExprKind::kBinary:
      return AppendBinary(As<BinaryExpr>(expr), level);
    case ExprKind::kAggregate:
      return AppendAggregate(As<AggregateExpr>(expr), level);
    case ExprKind::kCall:
      return AppendCall(As<CallExpr>(expr), level);
    default:
      AppendIndent(level);
      out_ += Print(expr);
  }
}

void PrettyPrinter::AppendAggregate(const AggregateExpr& aggregate, int level) {
  AppendIndent(level);
  out_ += PrintAggregateHead(aggregate);
  out_ += "(\n";
  if (aggregate.parameter != nullptr) {
    Append(*aggregate.parameter, level + 1);
    out_ += ",\n";
  }
  Append(*aggregate.expr, level + 1);
  out_ += '\n';
  AppendIndent(level);
  out_ += ')';
}

void PrettyPrinter::AppendBinary(const BinaryExpr& binary, int level) {
  const size_t start = out_.size();
  Append(*binary.left, level + 1);
  // The two places where a left side would read on into the operator, as on one line (printer.cc).
  const size_t first = out_.find_first_not_of(' ', start);
  if (binary.op == BinaryOp::kPower && first != out_.npos && out_[first] == '+') {
    out_.erase(first, 1);
  }
  if (binary.op <= BinaryOp::kPower && EndsInOpenOffset(*binary.left)) {
    constexpr std::string_view kOffset = " offset ";
    if (const size_t offset = out_.rfind(" offset ("); offset != out_.npos) {
      out_.insert(offset + kOffset.size(), 1, '+');
    }
  }
  out_ += '\n';
  AppendIndent(level);
  out_ += PrintOperator(binary);
  out_ += '\n';
  Append(*binary.right, level + 1);
}

void PrettyPrinter::AppendCall(const CallExpr& call, int level) {
  AppendIndent(level);
  out_ += call.function->name;
  out_ += "(\n";
  for (size_t i = 0; i < call.arguments.size(); ++i) {
    out_ += i == 0 ? "" : ",\n";
    Append(*call.arguments[i], level + 1);
  }
  out_ += '\n';
  AppendIndent(level);
  out_ += ')';
}

void PrettyPrinter::AppendUnary(const UnaryExpr& unary, int level) {
  AppendIndent(level);
  out_ += unary.negative ? '-' : '+';
  behind_sign_ = true;
  Append(*unary.expr, level);
}

void PrettyPrinter::AppendIndent(int level) {
  out_.append(behind_sign_ ? 0 : 2 * static_cast<size_t>(level), ' ');
  behind_sign_ = false;
}

}  // namespace

StatusOr<std::string> PrettyPrint(const Expr& expr) {
  PrettyPrinter printer(expr);
  printer.Append(expr, 0);
  std::string text = printer.Take();
  if (text.size() > kMaxPrettyBytes) {
    return ResourceExhausted("the formatted query has more than {} bytes", kMaxPrettyBytes);
  }
  return text;
}

}  // namespace tsdbd::query
