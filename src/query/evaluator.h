#pragma once
// Evaluator: computes one expression over a grid of steps. What it does not compute, it says so
// (engine.h names what it does).
//
// Each series is read once, for the whole grid, and walked forward for all steps.
// One evaluator serves one query, on one thread.

#include <cstddef>
#include <cstdint>
#include <memory>

#include "common/status.h"
#include "model/sample.h"
#include "model/series_source.h"
#include "query/ast.h"
#include "query/engine.h"
#include "query/interrupt.h"
#include "query/query_result.h"

namespace tsdbd::query {

// The moments a query asks about: start, start + step_ns, ... `count` of them.
struct StepGrid {
  model::Timestamp start = 0;
  model::Timestamp end = 0;  // as asked for: @ end(), maybe behind the last step
  int64_t step_ns = 0;
  size_t count = 1;
  bool instant = false;  // one moment; vectors become QueryResult::vector
};

class Evaluator {
 public:
  // `source` and `options` must outlive the evaluator.
  Evaluator(const model::SeriesSource* source, const QueryOptions* options, const StepGrid& grid)
      : source_(source),
        options_(options),
        grid_(grid),
        interrupt_(options->timeout_ns, options->cancel) {}

  // A scalar or string is the same at all steps. A vector has its samples in `vector` if the grid
  // is an instant, else in `matrix`, sorted by labels, with type kVector.
  StatusOr<QueryResult> Evaluate(const Expr& expr);

 private:
  // The moments at which a selector looks, after its offset and @.
  struct LookTimes {
    model::Timestamp first = 0;
    model::Timestamp last = 0;
    bool fixed = false;  // @: first is for all steps
  };

  StatusOr<QueryResult> EvaluateSigned(const UnaryExpr& unary);
  StatusOr<QueryResult> EvaluateVectorSelector(const VectorSelector& selector);
  StatusOr<QueryResult> EvaluateMatrixSelector(const MatrixSelector& matrix);

  StatusOr<LookTimes> Resolve(const VectorSelector& selector) const;
  // The series that match, or null if no sample can lie in `range`.
  StatusOr<std::shared_ptr<const model::SeriesSet>> Select(const VectorSelector& selector,
                                                           const model::TimeRange& range);
  Status Read(const model::SeriesSet& set, size_t series, const model::TimeRange& range,
              model::SampleColumns* samples);
  // Adds the value at each step that has one to *out.
  void Walk(const model::SampleColumns& samples, const LookTimes& times,
            model::SampleColumns* out) const;
  // Counts samples that the result keeps.
  Status Keep(size_t samples);

  const model::SeriesSource* const source_;
  const QueryOptions* const options_;
  const StepGrid grid_;
  Interrupt interrupt_;
  uint64_t kept_samples_ = 0;
};

}  // namespace tsdbd::query
