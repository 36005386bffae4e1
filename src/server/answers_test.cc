#include "server/answers.h"

#include <gtest/gtest.h>

namespace tsdbd::server {
namespace {

std::string HeaderOf(const http::Answer& answer, std::string_view name) {
  for (const http::HeaderField& header : answer.headers) {
    if (header.name == name) {
      return header.value;
    }
  }
  return {};
}

TEST(AnswersTest, AWriteWithoutRefusedLinesIs204WithoutBody) {
  for (const InfluxApi api : {InfluxApi::kV1, InfluxApi::kV2}) {
    const http::Answer answer = WriteAnswer(api, {.stored = 5, .refused = 0, .errors = {}});
    EXPECT_EQ(answer.status, 204);
    EXPECT_EQ(answer.body, "");
  }
}

TEST(AnswersTest, APartialWriteNamesTheLinesAsInfluxDbDoes) {
  const http::Answer answer =
      WriteAnswer(InfluxApi::kV1, {.stored = 8,
                                   .refused = 2,
                                   .errors = {{.line = 3, .reason = "unable to parse 'a \"b\"': x"},
                                              {.line = 9, .reason = "y"}}});
  EXPECT_EQ(answer.status, 400);
  EXPECT_EQ(answer.content_type, "application/json");
  EXPECT_EQ(answer.body,
            "{\"error\":\"partial write: unable to parse 'a \\\"b\\\"': x dropped=2\",\"stored\":8,"
            "\"lines\":[{\"line\":3,\"error\":\"unable to parse 'a \\\"b\\\"': x\"},"
            "{\"line\":9,\"error\":\"y\"}]}\n");
}

TEST(AnswersTest, AWriteOfWhichNothingWasStoredIsNotPartial) {
  const http::Answer answer = WriteAnswer(
      InfluxApi::kV1, {.stored = 0, .refused = 1, .errors = {{.line = 1, .reason = "bad"}}});
  EXPECT_EQ(answer.status, 400);
  EXPECT_EQ(answer.body,
            "{\"error\":\"bad\",\"stored\":0,\"lines\":[{\"line\":1,\"error\":\"bad\"}]}\n");
}

TEST(AnswersTest, ARefusedV2WriteNamesTheFirstLine) {
  const http::Answer answer = WriteAnswer(
      InfluxApi::kV2, {.stored = 0, .refused = 3, .errors = {{.line = 2, .reason = "bad"}}});
  EXPECT_EQ(answer.status, 400);
  EXPECT_EQ(answer.body, "{\"code\":\"invalid\",\"message\":\"line 2: bad\",\"line\":2}\n");
}

TEST(AnswersTest, BytesThatAreNotUtf8DoNotBreakTheJson) {
  const http::Answer answer = InfluxError(InfluxApi::kV1, 400, "bad \xff byte");
  EXPECT_EQ(answer.body, "{\"error\":\"bad \\ufffd byte\"}\n");
}

TEST(AnswersTest, OverloadComesWithRetryAfter) {
  EXPECT_EQ(HeaderOf(InfluxError(InfluxApi::kV1, 503, "busy"), "Retry-After"), "1");
  EXPECT_EQ(HeaderOf(InfluxError(InfluxApi::kV2, 503, "busy"), "Retry-After"), "1");
  EXPECT_EQ(HeaderOf(PrometheusError(Unavailable("busy")), "Retry-After"), "1");
  EXPECT_EQ(HeaderOf(InfluxError(InfluxApi::kV1, 400, "bad"), "Retry-After"), "");
}

TEST(AnswersTest, InfluxV2ErrorsHaveACode) {
  EXPECT_EQ(InfluxError(InfluxApi::kV2, 503, "busy").body,
            "{\"code\":\"unavailable\",\"message\":\"busy\"}\n");
  EXPECT_EQ(InfluxError(InfluxApi::kV2, 500, "oh").body,
            "{\"code\":\"internal error\",\"message\":\"oh\"}\n");
}

TEST(AnswersTest, FailedWritesHaveTheStatusThatMakesClientsDoTheRightThing) {
  EXPECT_EQ(WriteFailureStatus(InvalidArgument("x")), 400);
  EXPECT_EQ(WriteFailureStatus(Unavailable("poisoned")), 503);
  EXPECT_EQ(WriteFailureStatus(ResourceExhausted("disk full")), 507);
  EXPECT_EQ(WriteFailureStatus(DataLoss("x")), 500);
}

TEST(AnswersTest, PrometheusErrorsHaveTheStatusOfTheirType) {
  const http::Answer answer = PrometheusError(InvalidArgument("bad query"));
  EXPECT_EQ(answer.status, 400);
  EXPECT_EQ(answer.body, R"({"status":"error","errorType":"bad_data","error":"bad query"})");
  EXPECT_EQ(PrometheusError(ResourceExhausted("many")).status, 422);
}

}  // namespace
}  // namespace tsdbd::server
