#include "server/answers.h"

#include <utility>

#include "query/json_writer.h"
#include "query/query_error.h"
#include "server/text.h"

namespace tsdbd::server {
namespace {

// Long enough for a burst to pass, short enough for Telegraf's buffer.
constexpr const char* kRetryAfterSeconds = "1";

// The error codes of InfluxDB 2.x.
std::string_view InfluxErrorCode(int status) {
  switch (status) {
    case 400:
      return "invalid";
    case 413:
      return "request too large";
    case 503:
    case 507:
      return "unavailable";
    default:
      return "internal error";
  }
}

}  // namespace

http::Answer JsonAnswer(int status, std::string json) {
  return {.status = status, .content_type = std::string(kJsonType), .body = std::move(json)};
}

http::Answer TextAnswer(int status, std::string text) {
  return {.status = status, .content_type = std::string(kTextType), .body = std::move(text)};
}

http::Answer PrometheusError(const Status& status) {
  http::Answer answer =
      JsonAnswer(query::ErrorKindOf(status).http_status, query::ErrorAnswer(status));
  if (answer.status == 503) {
    answer.headers.push_back({"Retry-After", kRetryAfterSeconds});
  }
  return answer;
}

http::Answer InfluxError(InfluxApi api, int status, std::string_view message) {
  const std::string text = JsonText(message);
  http::Answer answer = api == InfluxApi::kV1
                            ? JsonAnswer(status, fmt::format("{{\"error\":{}}}\n", text))
                            : JsonAnswer(status, fmt::format("{{\"code\":\"{}\",\"message\":{}}}\n",
                                                             InfluxErrorCode(status), text));
  if (status == 503) {
    answer.headers.push_back({"Retry-After", kRetryAfterSeconds});
  }
  return answer;
}

int WriteFailureStatus(const Status& status) {
  switch (status.code()) {
    case StatusCode::kInvalidArgument:
      return 400;
    case StatusCode::kResourceExhausted:
      return 507;
    case StatusCode::kUnavailable:
      return 503;
    default:
      return 500;
  }
}

http::Answer WriteAnswer(InfluxApi api, const LineOutcome& outcome) {
  if (outcome.refused == 0) {
    return {.status = 204};
  }
  const model::LineError none{.line = 0, .reason = "the line was refused"};
  const model::LineError& first = outcome.errors.empty() ? none : outcome.errors.front();
  if (api == InfluxApi::kV2) {
    const std::string message = fmt::format("line {}: {}", first.line, first.reason);
    return JsonAnswer(400, fmt::format("{{\"code\":\"invalid\",\"message\":{},\"line\":{}}}\n",
                                       JsonText(message), first.line));
  }
  std::vector<std::string> lines;
  for (const model::LineError& error : outcome.errors) {
    lines.push_back(fmt::format(R"({{"line":{},"error":{}}})", error.line, JsonText(error.reason)));
  }
  const std::string message = outcome.stored == 0 ? first.reason
                                                  : fmt::format("partial write: {} dropped={}",
                                                                first.reason, outcome.refused);
  return JsonAnswer(400, fmt::format("{{\"error\":{},\"stored\":{},\"lines\":[{}]}}\n",
                                     JsonText(message), outcome.stored, Join(lines, ",")));
}

}  // namespace tsdbd::server
