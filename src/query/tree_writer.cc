#include "query/tree_writer.h"

#include <cmath>
#include <string>
#include <vector>

#include "common/clock.h"
#include "query/text.h"

namespace tsdbd::query {
namespace {

std::string_view DurationOpName(DurationOp op) {
  switch (op) {
    case DurationOp::kNumber:
      return "";
    case DurationOp::kAdd:
      return "+";
    case DurationOp::kSubtract:
      return "-";
    case DurationOp::kMultiply:
      return "*";
    case DurationOp::kDivide:
      return "/";
    case DurationOp::kModulo:
      return "%";
    case DurationOp::kPower:
      return "^";
    case DurationOp::kStep:
      return "step";
    case DurationOp::kRange:
      return "range";
    case DurationOp::kMinOf:
      return "min_of";
    case DurationOp::kMaxOf:
      return "max_of";
  }
  return "";
}

std::string_view CardinalityName(MatchCardinality cardinality) {
  switch (cardinality) {
    case MatchCardinality::kOneToOne:
      return "one-to-one";
    case MatchCardinality::kManyToOne:
      return "many-to-one";
    case MatchCardinality::kOneToMany:
      return "one-to-many";
    case MatchCardinality::kManyToMany:
      return "many-to-many";
  }
  return "";
}

// One JSON object, begun and ended with this. Keys come in the order of the alphabet, as Prometheus
// has them. Its functions are not inlined, so that the frames of the recursion stay small.
class Object {
 public:
  explicit Object(JsonStream* stream) : stream_(stream) { stream_->Raw('{'); }
  ~Object() { stream_->Raw('}'); }
  Object(const Object&) = delete;
  Object& operator=(const Object&) = delete;

  // What is written next is the value of `name`.
  [[gnu::noinline]] JsonStream& Key(std::string_view name) {
    if (!first_) {
      stream_->Raw(',');
    }
    first_ = false;
    stream_->String(name);
    stream_->Raw(':');
    return *stream_;
  }
  [[gnu::noinline]] void Text(std::string_view name, std::string_view value) {
    Key(name).String(value);
  }
  [[gnu::noinline]] void Truth(std::string_view name, bool value) {
    Key(name).Raw(value ? "true" : "false");
  }
  [[gnu::noinline]] void Millis(std::string_view name, int64_t nanos) {
    Key(name).Integer(nanos / kNanosPerMilli);
  }

 private:
  JsonStream* const stream_;
  bool first_ = true;
};

// Recursion goes as deep as the tree, which the parser has bounded.
class TreeWriter {
 public:
  explicit TreeWriter(JsonStream* stream) : stream_(stream) {}

  void Write(const Expr& expr);

 private:
  [[gnu::noinline]] void WriteString(const StringLiteral& string);
  [[gnu::noinline]] void WriteNumber(const NumberLiteral& number);
  void WriteVectorSelector(const VectorSelector& selector);
  void WriteMatrixSelector(const MatrixSelector& matrix);
  void WriteSubquery(const SubqueryExpr& subquery);
  void WriteBinary(const BinaryExpr& binary);
  [[gnu::noinline]] void WriteMatching(const VectorMatching& matching);
  void WriteAggregate(const AggregateExpr& aggregate);
  void WriteCall(const CallExpr& call);
  void WriteFunction(const FunctionSignature& function);
  void WriteMatchers(const std::vector<model::Matcher>& matchers);
  void WriteStartOrEnd(const TimeShift& shift, Object* object);
  void WriteTimestamp(const TimeShift& shift, Object* object);
  void WriteDuration(const DurationExpr* expr);

  JsonStream* const stream_;
};

void TreeWriter::Write(const Expr& expr) {
  stream_->Yield();
  switch (expr.kind) {
    case ExprKind::kNumber:
      return WriteNumber(As<NumberLiteral>(expr));
    case ExprKind::kString:
      return WriteString(As<StringLiteral>(expr));
    case ExprKind::kVectorSelector:
      return WriteVectorSelector(As<VectorSelector>(expr));
    case ExprKind::kMatrixSelector:
      return WriteMatrixSelector(As<MatrixSelector>(expr));
    case ExprKind::kSubquery:
      return WriteSubquery(As<SubqueryExpr>(expr));
    case ExprKind::kParen: {
      Object object(stream_);
      object.Key("expr");
      Write(*As<ParenExpr>(expr).expr);
      object.Text("type", "parenExpr");
      return;
    }
    case ExprKind::kUnary: {
      Object object(stream_);
      object.Key("expr");
      Write(*As<UnaryExpr>(expr).expr);
      object.Text("op", As<UnaryExpr>(expr).negative ? "-" : "+");
      object.Text("type", "unaryExpr");
      return;
    }
    case ExprKind::kBinary:
      return WriteBinary(As<BinaryExpr>(expr));
    case ExprKind::kAggregate:
      return WriteAggregate(As<AggregateExpr>(expr));
    case ExprKind::kCall:
      return WriteCall(As<CallExpr>(expr));
  }
}

void TreeWriter::WriteString(const StringLiteral& string) {
  Object object(stream_);
  object.Text("type", "stringLiteral");
  object.Text("val", string.value);
}

void TreeWriter::WriteNumber(const NumberLiteral& number) {
  Object object(stream_);
  object.Text("type", "numberLiteral");
  object.Text("val", FormatDecimal(number.value));
}

// ---- Selectors

void TreeWriter::WriteVectorSelector(const VectorSelector& selector) {
  Object object(stream_);
  object.Truth("anchored", selector.anchored);
  object.Key("matchers");
  WriteMatchers(selector.matchers);
  object.Text("name", selector.name);
  object.Millis("offset", selector.shift.offset.nanos);
  object.Key("offsetExpr");
  WriteDuration(selector.shift.offset.expr.get());
  object.Truth("smoothed", selector.smoothed);
  WriteStartOrEnd(selector.shift, &object);
  WriteTimestamp(selector.shift, &object);
  object.Text("type", "vectorSelector");
}

void TreeWriter::WriteMatrixSelector(const MatrixSelector& matrix) {
  const VectorSelector& selector = *matrix.selector;
  Object object(stream_);
  object.Truth("anchored", selector.anchored);
  object.Key("matchers");
  WriteMatchers(selector.matchers);
  object.Text("name", selector.name);
  object.Millis("offset", selector.shift.offset.nanos);
  object.Key("offsetExpr");
  WriteDuration(selector.shift.offset.expr.get());
  object.Millis("range", matrix.range.nanos);
  object.Key("rangeExpr");
  WriteDuration(matrix.range.expr.get());
  object.Truth("smoothed", selector.smoothed);
  WriteStartOrEnd(selector.shift, &object);
  WriteTimestamp(selector.shift, &object);
  object.Text("type", "matrixSelector");
}

void TreeWriter::WriteSubquery(const SubqueryExpr& subquery) {
  Object object(stream_);
  object.Key("expr");
  Write(*subquery.expr);
  object.Millis("offset", subquery.shift.offset.nanos);
  object.Key("offsetExpr");
  WriteDuration(subquery.shift.offset.expr.get());
  object.Millis("range", subquery.range.nanos);
  object.Key("rangeExpr");
  WriteDuration(subquery.range.expr.get());
  WriteStartOrEnd(subquery.shift, &object);
  object.Millis("step", subquery.step.nanos);
  object.Key("stepExpr");
  WriteDuration(subquery.step.expr.get());
  WriteTimestamp(subquery.shift, &object);
  object.Text("type", "subquery");
}

void TreeWriter::WriteMatchers(const std::vector<model::Matcher>& matchers) {
  static constexpr std::string_view kOperators[] = {"=", "!=", "=~", "!~"};
  stream_->Raw('[');
  for (size_t i = 0; i < matchers.size(); ++i) {
    stream_->Raw(i == 0 ? "" : ",");
    Object object(stream_);
    object.Text("name", matchers[i].name());
    object.Text("type", kOperators[static_cast<size_t>(matchers[i].type())]);
    object.Text("value", matchers[i].value());
  }
  stream_->Raw(']');
}

void TreeWriter::WriteStartOrEnd(const TimeShift& shift, Object* object) {
  if (shift.at == AtAnchor::kStart || shift.at == AtAnchor::kEnd) {
    object->Text("startOrEnd", shift.at == AtAnchor::kStart ? "start" : "end");
  } else {
    object->Key("startOrEnd").Raw("null");
  }
}

void TreeWriter::WriteTimestamp(const TimeShift& shift, Object* object) {
  if (shift.at == AtAnchor::kTime) {
    object->Key("timestamp").Integer(shift.at_ms);
  } else {
    object->Key("timestamp").Raw("null");
  }
}

void TreeWriter::WriteDuration(const DurationExpr* expr) {
  if (expr == nullptr) {
    stream_->Raw("null");
    return;
  }
  Object object(stream_);
  if (expr->op == DurationOp::kNumber) {
    object.Truth("duration", expr->is_duration);
    object.Text("type", "numberLiteral");
    object.Text("val", FormatDecimal(expr->seconds));
    return;
  }
  object.Key("lhs");
  WriteDuration(expr->left.get());
  object.Text("op", DurationOpName(expr->op));
  object.Key("rhs");
  WriteDuration(expr->right.get());
  object.Text("type", "durationExpr");
  object.Truth("wrapped", expr->in_parentheses);
}

// ---- Operations

void TreeWriter::WriteBinary(const BinaryExpr& binary) {
  Object object(stream_);
  object.Truth("bool", binary.return_bool);
  object.Key("lhs");
  Write(*binary.left);
  object.Key("matching");
  if (binary.matching.has_value()) {
    WriteMatching(*binary.matching);
  } else {
    stream_->Raw("null");
  }
  object.Text("op", BinaryOpName(binary.op));
  object.Key("rhs");
  Write(*binary.right);
  object.Text("type", "binaryExpr");
}

void TreeWriter::WriteMatching(const VectorMatching& matching) {
  const auto fill_value = [&](const std::optional<double>& value) {
    if (value.has_value() && !std::isfinite(*value)) {
      stream_->String(FormatDecimal(*value));  // JSON has no number for it
    } else {
      stream_->Raw(value.has_value() ? FormatDecimal(*value) : "null");
    }
  };
  Object object(stream_);
  object.Text("card", CardinalityName(matching.cardinality));
  object.Key("fillValues");
  {
    Object fill(stream_);
    fill.Key("lhs");
    fill_value(matching.fill_left);
    fill.Key("rhs");
    fill_value(matching.fill_right);
  }
  object.Key("include").StringArray(matching.include);
  object.Key("labels").StringArray(matching.labels);
  object.Truth("on", matching.on);
}

void TreeWriter::WriteAggregate(const AggregateExpr& aggregate) {
  Object object(stream_);
  object.Key("expr");
  Write(*aggregate.expr);
  object.Key("grouping").StringArray(aggregate.grouping);
  object.Text("op", AggregateOpName(aggregate.op));
  object.Key("param");
  if (aggregate.parameter != nullptr) {
    Write(*aggregate.parameter);
  } else {
    stream_->Raw("null");
  }
  object.Text("type", "aggregation");
  object.Truth("without", aggregate.without);
}

void TreeWriter::WriteCall(const CallExpr& call) {
  Object object(stream_);
  object.Key("args").Raw('[');
  for (size_t i = 0; i < call.arguments.size(); ++i) {
    stream_->Raw(i == 0 ? "" : ",");
    Write(*call.arguments[i]);
  }
  stream_->Raw(']');
  object.Key("func");
  WriteFunction(*call.function);
  object.Text("type", "call");
}

void TreeWriter::WriteFunction(const FunctionSignature& function) {
  std::vector<std::string> types;
  for (size_t i = 0; i < function.declared; ++i) {
    types.emplace_back(ValueTypeName(function.arguments[i]));
  }
  Object object(stream_);
  object.Key("argTypes").StringArray(types);
  object.Text("name", function.name);
  object.Text("returnType", ValueTypeName(function.returns));
  object.Key("variadic").Integer(function.variadic);
}

}  // namespace

bool WriteTree(const Expr& expr, const JsonSink& sink) {
  JsonStream stream(sink);
  stream.Raw("{\"status\":\"success\",\"data\":");
  TreeWriter(&stream).Write(expr);
  stream.Raw('}');
  return stream.Flush();
}

}  // namespace tsdbd::query
