#include "query/query_error.h"

namespace tsdbd::query {

ErrorKind ErrorKindOf(const Status& status) {
  switch (status.code()) {
    case StatusCode::kInvalidArgument:
    case StatusCode::kOutOfRange:
      return {"bad_data", 400};
    case StatusCode::kResourceExhausted:
    case StatusCode::kUnimplemented:
    case StatusCode::kFailedPrecondition:
      return {"execution", 422};
    case StatusCode::kDeadlineExceeded:
      return {"timeout", 503};
    case StatusCode::kCancelled:
      return {"canceled", 499};
    case StatusCode::kUnavailable:
      return {"unavailable", 503};
    case StatusCode::kNotFound:
      return {"not_found", 404};
    default:
      return {"internal", 500};
  }
}

Status InvalidParameter(std::string_view name, const Status& reason) {
  return MakeStatus(reason.code(), "invalid parameter \"{}\": {}", name, Message(reason));
}

}  // namespace tsdbd::query
