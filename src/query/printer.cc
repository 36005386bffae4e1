#include "query/printer.h"

#include <algorithm>
#include <string_view>
#include <vector>

#include "query/text.h"
#include "query/token.h"

namespace tsdbd::query {
namespace {

// Whether a label reads back as one without quotes.
bool MayStandInGrouping(std::string_view label) {
  Token token{.text = label};
  ClassifyWord(&token);
  return IsPlainLabelName(label) && IsGroupingLabel(token);
}

bool IsOperand(const DurationExpr& expr) {
  switch (expr.op) {
    case DurationOp::kNumber:
    case DurationOp::kStep:
    case DurationOp::kRange:
    case DurationOp::kMinOf:
    case DurationOp::kMaxOf:
      return true;
    default:
      return expr.in_parentheses;
  }
}

// Whether the parser reads just this after `offset`, where it is followed by nothing.
bool EndsOffset(const DurationExpr& expr) {
  return IsOperand(expr) || (expr.left == nullptr && IsOperand(*expr.right));
}

// Appends nodes to one string. Recursion goes as deep as the tree, which the parser has bounded.
class Printer {
 public:
  void Append(const Expr& expr);
  void AppendAggregateHead(const AggregateExpr& aggregate);
  void AppendOperator(const BinaryExpr& binary);
  void AppendSubqueryWindow(const SubqueryExpr& subquery);
  void AppendOffset(const TimeShift& shift);
  std::string Take() { return std::move(out_); }

 private:
  void AppendNumber(double value, bool is_duration);
  void AppendVectorSelector(const VectorSelector& selector);
  void AppendNameAndMatchers(const VectorSelector& selector);
  void AppendMatrixSelector(const MatrixSelector& matrix);
  void AppendSubquery(const SubqueryExpr& subquery);
  void AppendBinary(const BinaryExpr& binary);
  void AppendMatching(const VectorMatching& matching);
  void AppendAggregate(const AggregateExpr& aggregate);
  void AppendCall(const CallExpr& call);
  void AppendLabels(const std::vector<std::string>& labels);
  void AppendAt(const TimeShift& shift);
  void AppendExtension(const VectorSelector& selector);
  void AppendDuration(const Duration& duration);
  void AppendDurationExpr(const DurationExpr& expr);
  void AppendDurationOperation(const DurationExpr& expr);

  std::string out_;
  // Where the last offset that starts with a parenthesis is in out_.
  size_t open_offset_start_ = 0;
  size_t open_offset_end_ = std::string::npos;
};

void Printer::Append(const Expr& expr) {
  switch (expr.kind) {
    case ExprKind::kNumber:
      return AppendNumber(As<NumberLiteral>(expr).value, As<NumberLiteral>(expr).is_duration);
    case ExprKind::kString:
      return AppendQuoted(As<StringLiteral>(expr).value, &out_);
    case ExprKind::kVectorSelector:
      return AppendVectorSelector(As<VectorSelector>(expr));
    case ExprKind::kMatrixSelector:
      return AppendMatrixSelector(As<MatrixSelector>(expr));
    case ExprKind::kSubquery:
      return AppendSubquery(As<SubqueryExpr>(expr));
    case ExprKind::kParen:
      out_ += '(';
      Append(*As<ParenExpr>(expr).expr);
      out_ += ')';
      return;
    case ExprKind::kUnary:
      out_ += As<UnaryExpr>(expr).negative ? '-' : '+';
      return Append(*As<UnaryExpr>(expr).expr);
    case ExprKind::kBinary:
      return AppendBinary(As<BinaryExpr>(expr));
    case ExprKind::kAggregate:
      return AppendAggregate(As<AggregateExpr>(expr));
    case ExprKind::kCall:
      return AppendCall(As<CallExpr>(expr));
  }
}

void Printer::AppendNumber(double value, bool is_duration) {
  if (is_duration) {
    out_ += FormatDuration(SecondsToNanos(value));
  } else {
    AppendDecimal(value, &out_);
  }
}

// ---- Selectors

void Printer::AppendVectorSelector(const VectorSelector& selector) {
  AppendNameAndMatchers(selector);
  AppendAt(selector.shift);
  AppendExtension(selector);
  AppendOffset(selector.shift);
}

void Printer::AppendNameAndMatchers(const VectorSelector& selector) {
  const size_t written = selector.matchers.size() - (selector.name.empty() ? 0 : 1);
  std::vector<std::string> matchers;
  for (size_t i = 0; i < written; ++i) {
    matchers.push_back(PrintMatcher(selector.matchers[i]));
  }
  std::ranges::sort(matchers);
  out_ += selector.name;
  if (selector.name.empty() || !matchers.empty()) {
    out_ += '{';
    for (size_t i = 0; i < matchers.size(); ++i) {
      out_ += i == 0 ? "" : ",";
      out_ += matchers[i];
    }
    out_ += '}';
  }
}

void Printer::AppendMatrixSelector(const MatrixSelector& matrix) {
  AppendNameAndMatchers(*matrix.selector);
  out_ += '[';
  AppendDuration(matrix.range);
  out_ += ']';
  AppendExtension(*matrix.selector);
  AppendAt(matrix.selector->shift);
  AppendOffset(matrix.selector->shift);
}

void Printer::AppendSubquery(const SubqueryExpr& subquery) {
  Append(*subquery.expr);
  AppendSubqueryWindow(subquery);
}

void Printer::AppendSubqueryWindow(const SubqueryExpr& subquery) {
  out_ += '[';
  AppendDuration(subquery.range);
  out_ += ':';
  if (subquery.step.IsSet()) {
    AppendDuration(subquery.step);
  }
  out_ += ']';
  AppendAt(subquery.shift);
  AppendOffset(subquery.shift);
}

void Printer::AppendAt(const TimeShift& shift) {
  switch (shift.at) {
    case AtAnchor::kNone:
      return;
    case AtAnchor::kTime:
      out_ += fmt::format(" @ {:.3f}", static_cast<double>(shift.at_ms) / 1e3);
      return;
    case AtAnchor::kStart:
      out_ += " @ start()";
      return;
    case AtAnchor::kEnd:
      out_ += " @ end()";
      return;
  }
}

void Printer::AppendOffset(const TimeShift& shift) {
  if (!shift.offset.IsSet()) {
    return;
  }
  out_ += " offset ";
  const size_t start = out_.size();
  const bool enclose = shift.offset.expr != nullptr && !EndsOffset(*shift.offset.expr);
  out_ += enclose ? "(" : "";
  AppendDuration(shift.offset);
  out_ += enclose ? ")" : "";
  if (out_[start] == '(') {
    open_offset_start_ = start;
    open_offset_end_ = out_.size();
  }
}

void Printer::AppendExtension(const VectorSelector& selector) {
  if (selector.anchored) {
    out_ += " anchored";
  } else if (selector.smoothed) {
    out_ += " smoothed";
  }
}

// ---- Durations

void Printer::AppendDuration(const Duration& duration) {
  if (duration.expr != nullptr) {
    AppendDurationExpr(*duration.expr);
  } else {
    out_ += FormatDuration(duration.nanos);
  }
}

void Printer::AppendDurationExpr(const DurationExpr& expr) {
  if (expr.in_parentheses) {
    out_ += '(';
  }
  AppendDurationOperation(expr);
  if (expr.in_parentheses) {
    out_ += ')';
  }
}

void Printer::AppendDurationOperation(const DurationExpr& expr) {
  static constexpr std::string_view kSigns[] = {"", "+", "-", "*", "/", "%", "^"};
  switch (expr.op) {
    case DurationOp::kNumber:
      return AppendNumber(expr.seconds, expr.is_duration);
    case DurationOp::kStep:
      out_ += "step()";
      return;
    case DurationOp::kRange:
      out_ += "range()";
      return;
    case DurationOp::kMinOf:
    case DurationOp::kMaxOf:
      out_ += expr.op == DurationOp::kMinOf ? "min_of(" : "max_of(";
      AppendDurationExpr(*expr.left);
      out_ += ", ";
      AppendDurationExpr(*expr.right);
      out_ += ')';
      return;
    default:
      break;
  }
  if (expr.left != nullptr) {
    AppendDurationExpr(*expr.left);
    out_ += fmt::format(" {} ", kSigns[static_cast<size_t>(expr.op)]);
  } else if (expr.op == DurationOp::kSubtract) {
    out_ += '-';
  }
  AppendDurationExpr(*expr.right);
}

// ---- Operations

void Printer::AppendBinary(const BinaryExpr& binary) {
  const size_t start = out_.size();
  Append(*binary.left);
  if (binary.op == BinaryOp::kPower && out_[start] == '+') {
    out_.erase(start, 1);  // +Inf ^ 2 would read as +(Inf ^ 2)
  }
  if (binary.op <= BinaryOp::kPower && open_offset_end_ == out_.size()) {
    out_.insert(open_offset_start_, 1, '+');  // offset (5m) + a would read on as a duration
  }
  out_ += ' ';
  AppendOperator(binary);
  out_ += ' ';
  Append(*binary.right);
}

void Printer::AppendOperator(const BinaryExpr& binary) {
  out_ += BinaryOpName(binary.op);
  if (binary.return_bool) {
    out_ += " bool";
  }
  if (binary.matching.has_value()) {
    AppendMatching(*binary.matching);
  }
}

void Printer::AppendMatching(const VectorMatching& matching) {
  const bool grouped = matching.cardinality == MatchCardinality::kManyToOne ||
                       matching.cardinality == MatchCardinality::kOneToMany;
  if (matching.on || grouped || !matching.labels.empty()) {
    out_ += matching.on ? " on (" : " ignoring (";
    AppendLabels(matching.labels);
    out_ += ')';
  }
  if (grouped) {
    const bool left = matching.cardinality == MatchCardinality::kManyToOne;
    out_ += left ? " group_left (" : " group_right (";
    AppendLabels(matching.include);
    out_ += ')';
  }
  const auto append_fill = [&](std::string_view keyword, const std::optional<double>& value) {
    if (value.has_value()) {
      out_ += fmt::format(" {} ({})", keyword, FormatDecimal(*value));
    }
  };
  if (matching.fill_left == matching.fill_right) {
    append_fill("fill", matching.fill_left);
  } else {
    append_fill("fill_left", matching.fill_left);
    append_fill("fill_right", matching.fill_right);
  }
}

void Printer::AppendAggregateHead(const AggregateExpr& aggregate) {
  out_ += AggregateOpName(aggregate.op);
  if (aggregate.without || !aggregate.grouping.empty()) {
    out_ += aggregate.without ? " without (" : " by (";
    AppendLabels(aggregate.grouping);
    out_ += ") ";
  }
}

void Printer::AppendAggregate(const AggregateExpr& aggregate) {
  AppendAggregateHead(aggregate);
  out_ += '(';
  if (aggregate.parameter != nullptr) {
    Append(*aggregate.parameter);
    out_ += ", ";
  }
  Append(*aggregate.expr);
  out_ += ')';
}

void Printer::AppendCall(const CallExpr& call) {
  out_ += call.function->name;
  out_ += '(';
  for (size_t i = 0; i < call.arguments.size(); ++i) {
    out_ += i == 0 ? "" : ", ";
    Append(*call.arguments[i]);
  }
  out_ += ')';
}

void Printer::AppendLabels(const std::vector<std::string>& labels) {
  for (size_t i = 0; i < labels.size(); ++i) {
    out_ += i == 0 ? "" : ", ";
    if (MayStandInGrouping(labels[i])) {
      out_ += labels[i];
    } else {
      AppendQuoted(labels[i], &out_);
    }
  }
}

// The offset that `expr` ends with, if it may end with one.
const TimeShift* LastShift(const Expr& expr) {
  switch (expr.kind) {
    case ExprKind::kVectorSelector:
      return &As<VectorSelector>(expr).shift;
    case ExprKind::kMatrixSelector:
      return &As<MatrixSelector>(expr).selector->shift;
    case ExprKind::kSubquery:
      return &As<SubqueryExpr>(expr).shift;
    case ExprKind::kUnary:
      return LastShift(*As<UnaryExpr>(expr).expr);
    case ExprKind::kBinary:
      return LastShift(*As<BinaryExpr>(expr).right);
    default:
      return nullptr;
  }
}

}  // namespace

std::string Print(const Expr& expr) {
  Printer printer;
  printer.Append(expr);
  return printer.Take();
}

std::string PrintAggregateHead(const AggregateExpr& aggregate) {
  Printer printer;
  printer.AppendAggregateHead(aggregate);
  return printer.Take();
}

std::string PrintOperator(const BinaryExpr& binary) {
  Printer printer;
  printer.AppendOperator(binary);
  return printer.Take();
}

std::string PrintSubqueryWindow(const SubqueryExpr& subquery) {
  Printer printer;
  printer.AppendSubqueryWindow(subquery);
  return printer.Take();
}

bool EndsInOpenOffset(const Expr& expr) {
  const TimeShift* shift = LastShift(expr);
  if (shift == nullptr) {
    return false;
  }
  Printer printer;
  printer.AppendOffset(*shift);
  return printer.Take().starts_with(" offset (");
}

std::string PrintMatcher(const model::Matcher& matcher) {
  static constexpr std::string_view kOperators[] = {"=", "!=", "=~", "!~"};
  std::string text = IsPlainLabelName(matcher.name()) ? matcher.name() : Quote(matcher.name());
  text += kOperators[static_cast<size_t>(matcher.type())];
  AppendQuoted(matcher.value(), &text);
  return text;
}

}  // namespace tsdbd::query
