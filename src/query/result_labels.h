#pragma once
// What happens to the labels of results: order, dropped metric names, series that become one.

#include "common/status.h"
#include "query/query_result.h"

namespace tsdbd::query {

void SortByLabels(QueryResult* result);

// Drops the metric name of every series, then sorts. Series of a matrix that then have the same
// labels become one. kFailedPrecondition if two would have a sample at the same time.
Status DropMetricNames(QueryResult* result);

}  // namespace tsdbd::query
