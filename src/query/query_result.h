#pragma once
// QueryResult: what a query gives. Belongs to one thread at a time.

#include <memory>
#include <string>
#include <vector>

#include "model/labels.h"
#include "model/sample.h"
#include "query/value_type.h"

namespace tsdbd::query {

struct VectorSample {
  model::LabelViews labels;
  double value = 0;
};

struct MatrixSeries {
  model::LabelViews labels;
  model::SampleColumns samples;  // times strictly rising
};

struct QueryResult {
  ValueType type = ValueType::kScalar;
  model::Timestamp time = 0;         // of scalar, string and every sample of a vector
  double scalar = 0;                 // kScalar
  std::string text;                  // kString
  std::vector<VectorSample> vector;  // kVector, in no particular order
  std::vector<MatrixSeries> matrix;  // kMatrix, sorted by labels, none without samples
  std::vector<std::string> warnings;
  std::vector<std::string> infos;
  // Whatever the labels point into; lives as long as the result.
  std::vector<std::shared_ptr<const void>> pins;
};

}  // namespace tsdbd::query
