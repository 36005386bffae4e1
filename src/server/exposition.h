#pragma once
// Samples in Prometheus' text format 0.0.4, for /federate. Pure functions.

#include <string>
#include <string_view>

#include "model/labels.h"
#include "model/sample.h"

namespace tsdbd::server {

// What becomes of names with characters outside of [a-zA-Z0-9_:].
enum class NameEscaping {
  kUnderscores,  // each of them becomes _
  kAllowUtf8     // they stand in quotes, for readers that say that they know this
};

// The type line: "# TYPE up gauge\n".
std::string TypeLine(std::string_view name, std::string_view type, NameEscaping escaping);

// "up{job=\"a\",instance=\"\"} 1 1700000000000\n"; the labels without __name__. An instance is
// always there, empty if the series has none: whoever scrapes this keeps it empty then instead of
// setting our address.
std::string SampleLine(std::string_view name, const model::LabelViews& labels, double value,
                       model::Timestamp time, NameEscaping escaping);

// As the format has it: 1, 0.25, 1e+21, NaN, +Inf.
std::string ExpositionValue(double value);

// The name as it stands in these lines, without quotes.
std::string EscapedName(std::string_view name, NameEscaping escaping);

}  // namespace tsdbd::server
