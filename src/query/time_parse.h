#pragma once
// Parsing of the HTTP API's parameters `time`, `start`, `end`, `step`, `timeout` and the like.
// Errors are kInvalidArgument, worded as Prometheus words them (query_error.h has the frame,
// `invalid parameter "start": ...`). Pure functions.

#include <cstdint>
#include <string_view>

#include "common/status.h"
#include "model/sample.h"

namespace tsdbd::query {

// Unix seconds with a fraction ("1435781451.781", rounded to milliseconds as Prometheus does) or
// RFC 3339 with up to nanoseconds ("2015-07-01T20:10:51.781Z"). The oldest and newest times that
// Prometheus can write down, which its clients send for "everything", become ours. Times before
// 1970 are accepted and negative; NaN, infinite or beyond the years 1677..2262 is an error.
StatusOr<model::Timestamp> ParseTime(std::string_view text);

// Nanoseconds of "15", "0.5" (seconds) or "1h30m" (a Prometheus duration). May be negative or zero
// where the number is: what that means is the parameter's business.
StatusOr<int64_t> ParseDurationParameter(std::string_view text);

}  // namespace tsdbd::query
