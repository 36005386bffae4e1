#pragma once
// For tests: row batches as text.

#include <string>
#include <string_view>

#include "ingest/line_protocol.h"
#include "model/row_batch.h"

namespace tsdbd::ingest {

// `text` with a backslash before each of `,`, `=` and blank.
std::string Escaped(std::string_view text);

// Line protocol that parses to the same rows.
std::string PrintLines(const model::RowBatch& batch);

// One row or error per line, in the order of the body: "1: cpu,host=a usage=1,idle=2 @1000" and
// "2! missing fields". Then, if not 0, "dropped=1 empty=1 inexact=1".
std::string DescribeOutcome(const model::RowBatch& batch, const ParseReport& report);

}  // namespace tsdbd::ingest
