#pragma once
// From the root of a plan to a result: computes all rows, drops names, sorts.

#include "common/status.h"
#include "query/operator.h"
#include "query/planner.h"
#include "query/query_result.h"

namespace tsdbd::query {

// `root` is prepared. Fills result->vector with what it has at its only step.
Status BuildVector(Execution* execution, const OperatorPtr& root, QueryResult* result);
// Fills result->matrix with rows.
Status BuildMatrix(Execution* execution, const OperatorPtr& root, QueryResult* result);
// Fills result->matrix with the samples in the only window of `range`, which is prepared.
Status BuildSamples(Execution* execution, std::shared_ptr<const PlannedRange> range,
                    QueryResult* result);

}  // namespace tsdbd::query
