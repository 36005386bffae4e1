#pragma once
// Small pieces of text for answers and messages. Large answers are streamed by query/json_writer.h.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "common/status.h"
#include "model/sample.h"

namespace tsdbd::server {

// `text` in quotes, escaped; bytes that are not UTF-8 become U+FFFD.
std::string JsonText(std::string_view text);

// A decimal whole number with an optional sign; the error is worded as Go's strconv.Atoi words it,
// which Prometheus' clients see.
StatusOr<int64_t> ParseWholeNumber(std::string_view text);

// UTC: "2023-11-14T22:13:20.5Z".
std::string FormatRfc3339(model::Timestamp time);

// The label name that `escaped` stands for: Prometheus' clients write one that is no plain name as
// U__ and then _2e_ for a dot, __ for an underscore. What is not escaped so stays as it is.
std::string UnescapeLabelName(std::string_view escaped);

// "a, b, c" for separator ", ".
std::string Join(const std::vector<std::string>& parts, std::string_view separator);

}  // namespace tsdbd::server
