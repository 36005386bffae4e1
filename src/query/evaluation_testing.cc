#include "query/evaluation_testing.h"

namespace tsdbd::query {
namespace {

std::string LabelsText(const model::LabelViews& labels) {
  std::string name;
  std::string rest;
  for (const model::LabelView& label : labels) {
    if (label.name == model::kMetricName) {
      name = label.value;
    } else {
      rest += fmt::format("{}{}={}", rest.empty() ? "" : ",", label.name, label.value);
    }
  }
  return fmt::format("{}{{{}}}", name, rest);
}

}  // namespace

std::string ResultText(const StatusOr<QueryResult>& result) {
  if (!result.ok()) {
    return std::string(Message(result.status()));
  }
  if (result->type == ValueType::kScalar) {
    return FormatDecimal(result->scalar);
  }
  std::string text;
  for (const VectorSample& sample : result->vector) {
    text +=
        (text.empty() ? "" : "; ") + LabelsText(sample.labels) + " " + FormatDecimal(sample.value);
  }
  for (const MatrixSeries& series : result->matrix) {
    text += (text.empty() ? "" : "; ") + LabelsText(series.labels);
    for (const double value : series.samples.values) {
      text += " " + FormatDecimal(value);
    }
    for (const double value : series.row) {
      text += IsAbsent(value) ? " _" : " " + FormatDecimal(value);
    }
  }
  return text;
}

}  // namespace tsdbd::query
