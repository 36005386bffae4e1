#pragma once
// QueryResult: what a query gives. Belongs to one thread at a time.

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "model/labels.h"
#include "model/sample.h"
#include "query/steps.h"
#include "query/value_type.h"

namespace tsdbd::query {

struct VectorSample {
  model::LabelViews labels;
  double value = 0;
};

// The samples of a series: those of a range selector as they are, those of a range query as a row
// with a value or kAbsent for each step of QueryResult::grid.
struct MatrixSeries {
  model::LabelViews labels;
  model::SampleColumns samples = {};  // times strictly rising; empty if there is a row
  std::span<const double> row = {};
};

// What one node of the plan did.
struct OperatorStats {
  std::string name;    // "select", "aggregate"
  std::string detail;  // the part of the query
  uint64_t series = 0;
  uint64_t rows = 0;  // computed, counting each time
  uint64_t bytes = 0;
  uint64_t total_ns = 0;  // with its children; summed over threads
  std::vector<OperatorStats> children;
};

struct QueryStats {
  int64_t parse_ns = 0;
  int64_t prepare_ns = 0;  // plan, selection and what takes all series: aggregations, matching
  int64_t evaluate_ns = 0;
  int64_t sort_ns = 0;   // of the result
  int64_t queue_ns = 0;  // waited for a thread; the caller's to fill in
  uint64_t samples = 0;  // read, or looked at
  uint64_t peak_memory_bytes = 0;
};

struct QueryResult {
  ValueType type = ValueType::kScalar;
  model::Timestamp time = 0;         // of scalar, string and every sample of a vector
  double scalar = 0;                 // kScalar
  std::string text;                  // kString
  std::vector<VectorSample> vector;  // kVector; in no particular order unless the query sorts
  std::vector<MatrixSeries> matrix;  // kMatrix, sorted by labels, none without samples
  StepGrid grid;                     // of the rows of a matrix
  std::vector<std::string> warnings;
  std::vector<std::string> infos;
  QueryStats stats;
  bool shows_stats = false;  // whether the answer tells them
  std::optional<OperatorStats> explain;
  // Whatever the labels and rows point into; lives as long as the result.
  std::vector<std::shared_ptr<const void>> pins;
};

}  // namespace tsdbd::query
