#pragma once
// How a query that failed says so to a client: the error types and status codes of Prometheus' HTTP
// API. Inside, a failure is a Status; its code decides:
//
//   kInvalidArgument, kOutOfRange    bad_data     400   query or parameter breaks a rule
//   kResourceExhausted, kUnimplemented,
//   kFailedPrecondition              execution    422   a limit was reached, not supported
//   kDeadlineExceeded                timeout      503   ran longer than its timeout
//   kCancelled                       canceled     499   the client went away
//   kUnavailable                     unavailable  503   not now, perhaps later
//   kNotFound                        not_found    404
//   all others                       internal     500   among them kDataLoss: stored bytes are bad

#include <string_view>

#include "common/status.h"

namespace tsdbd::query {

struct ErrorKind {
  std::string_view name;  // "errorType" of the JSON answer
  int http_status = 0;
};

ErrorKind ErrorKindOf(const Status& status);

// `invalid parameter "<name>": <message of reason>`, with the code of `reason`.
Status InvalidParameter(std::string_view name, const Status& reason);

}  // namespace tsdbd::query
