#include "query/query_error.h"

#include <gtest/gtest.h>

namespace tsdbd::query {
namespace {

TEST(QueryError, GivesPrometheusTypesAndStatusCodes) {
  const struct {
    StatusCode code;
    std::string_view name;
    int http_status;
  } cases[] = {
      {StatusCode::kInvalidArgument, "bad_data", 400},
      {StatusCode::kResourceExhausted, "execution", 422},
      {StatusCode::kUnimplemented, "execution", 422},
      {StatusCode::kDeadlineExceeded, "timeout", 503},
      {StatusCode::kCancelled, "canceled", 499},
      {StatusCode::kUnavailable, "unavailable", 503},
      {StatusCode::kNotFound, "not_found", 404},
      {StatusCode::kDataLoss, "internal", 500},
      {StatusCode::kUnknown, "internal", 500},
  };
  for (const auto& c : cases) {
    const ErrorKind kind = ErrorKindOf(Status(c.code, "x"));
    EXPECT_EQ(kind.name, c.name);
    EXPECT_EQ(kind.http_status, c.http_status);
  }
}

TEST(QueryError, FramesParameters) {
  const Status framed = InvalidParameter("time", InvalidArgument("no time"));
  EXPECT_EQ(Message(framed), "invalid parameter \"time\": no time");
  EXPECT_EQ(framed.code(), StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace tsdbd::query
