// Prometheus' API that is about PromQL, as Grafana and promtool speak it (routes.h).

#include <algorithm>

#include "common/clock.h"
#include "common/stages.h"
#include "query/json_writer.h"
#include "query/parser.h"
#include "query/pretty_printer.h"
#include "query/query_error.h"
#include "query/time_parse.h"
#include "query/tree_writer.h"
#include "server/answers.h"
#include "server/read_request.h"
#include "server/routes.h"
#include "server/text.h"

namespace tsdbd::server {
namespace {

// What `lookback_delta` asks for, or the configured one: also, as in Prometheus, for less than 1.
StatusOr<query::QueryOptions> OptionsOf(const ReadRequest& read) {
  query::QueryOptions options = read.options();
  if (const std::string_view text = read.parameters().Get("lookback_delta"); !text.empty()) {
    const auto nanos = query::ParseDurationParameter(text);
    if (!nanos.ok()) {
      return InvalidArgument("error parsing lookback delta duration: {}", Message(nanos.status()));
    }
    options.lookback_delta_ns = *nanos > 0 ? *nanos : options.lookback_delta_ns;
  }
  options.explain = read.parameters().Get("explain") == "1";
  return options;
}

// Cuts a result with more than `limit` series, 0 meaning none, and says so.
void Truncate(uint64_t limit, query::QueryResult* result) {
  if (limit == 0 || std::max(result->vector.size(), result->matrix.size()) <= limit) {
    return;
  }
  result->vector.resize(std::min<size_t>(result->vector.size(), limit));
  result->matrix.resize(std::min<size_t>(result->matrix.size(), limit));
  result->warnings.insert(result->warnings.end(), kTruncatedWarning.begin(),
                          kTruncatedWarning.end());
}

// `stats` with any value asks for the statistics.
void Encode(const ReadRequest& read, query::QueryResult* result, AnswerStream* answer) {
  StageTimer timer(Stage::kQueryEncode);
  result->shows_stats = !read.parameters().Get("stats").empty();
  result->stats.queue_ns = read.queue_nanos();
  query::WriteQueryResult(*result, answer->sink());
  timer.set_items(answer->written_bytes());
}

Status InstantQuery(const ReadRequest& read, AnswerStream* answer) {
  ASSIGN_OR_RETURN(const uint64_t limit, read.LimitParameter());
  ASSIGN_OR_RETURN(const model::Timestamp time, read.TimeParameter("time", WallNanos()));
  ASSIGN_OR_RETURN(const query::QueryOptions options, OptionsOf(read));
  ASSIGN_OR_RETURN(query::QueryResult result,
                   read.services().engine().Instant(read.parameters().Get("query"), time, options));
  Truncate(limit, &result);
  Encode(read, &result, answer);
  return OkStatus();
}

StatusOr<int64_t> StepParameter(const ReadRequest& read) {
  const auto step_ns = query::ParseDurationParameter(read.parameters().Get("step"));
  if (!step_ns.ok()) {
    return query::InvalidParameter("step", step_ns.status());
  }
  if (*step_ns <= 0) {
    return query::InvalidParameter(
        "step", InvalidArgument("zero or negative query resolution step widths are not accepted. "
                                "Try a positive integer"));
  }
  return *step_ns;
}

Status RangeQuery(const ReadRequest& read, AnswerStream* answer) {
  ASSIGN_OR_RETURN(const uint64_t limit, read.LimitParameter());
  ASSIGN_OR_RETURN(const model::Timestamp start, read.RequiredTimeParameter("start"));
  ASSIGN_OR_RETURN(const model::Timestamp end, read.RequiredTimeParameter("end"));
  if (end < start) {
    return query::InvalidParameter("end",
                                   InvalidArgument("end timestamp must not be before start time"));
  }
  ASSIGN_OR_RETURN(const int64_t step_ns, StepParameter(read));
  ASSIGN_OR_RETURN(const query::QueryOptions options, OptionsOf(read));
  ASSIGN_OR_RETURN(query::QueryResult result,
                   read.services().engine().Range(read.parameters().Get("query"),
                                                  {.min = start, .max = end}, step_ns, options));
  Truncate(limit, &result);
  Encode(read, &result, answer);
  return OkStatus();
}

StatusOr<query::ExprPtr> ParseQuery(const ReadRequest& read) {
  return query::ParseExpression(read.parameters().Get("query"), read.options().parser);
}

Status FormatQuery(const ReadRequest& read, AnswerStream* answer) {
  const auto expr = ParseQuery(read);
  if (!expr.ok()) {
    return query::InvalidParameter("query", expr.status());
  }
  ASSIGN_OR_RETURN(const std::string pretty, query::PrettyPrint(**expr));
  answer->Write(fmt::format(R"({{"status":"success","data":{}}})", JsonText(pretty)));
  return OkStatus();
}

Status ShowTree(const ReadRequest& read, AnswerStream* answer) {
  const auto expr = ParseQuery(read);
  if (!expr.ok()) {
    return query::InvalidParameter("query", expr.status());
  }
  query::WriteTree(**expr, answer->sink());
  return OkStatus();
}

// There are no exemplars: remote write's are not stored.
Status Exemplars(const ReadRequest& read, AnswerStream* answer) {
  ASSIGN_OR_RETURN(const model::Timestamp start, read.TimeParameter("start", model::kMinTimestamp));
  ASSIGN_OR_RETURN(const model::Timestamp end, read.TimeParameter("end", model::kMaxTimestamp));
  if (end < start) {
    return InvalidArgument("end timestamp must not be before start timestamp");
  }
  RETURN_IF_ERROR(ParseQuery(read).status());
  answer->Write(R"({"status":"success","data":[]})");
  return OkStatus();
}

}  // namespace

void AddPrometheusQueryRoutes(Services* services, http::Router* router) {
  const auto add = [&](std::string_view path, std::string_view api, const ReadFunction& function) {
    AddReadRoute(services, router, {.path = path, .api = api, .content_type = kJsonType}, function);
  };
  add("/api/v1/query", "query", InstantQuery);
  add("/api/v1/query_range", "query_range", RangeQuery);
  add("/api/v1/query_exemplars", "query_exemplars", Exemplars);
  add("/api/v1/format_query", "format_query", FormatQuery);
  add("/api/v1/parse_query", "parse_query", ShowTree);
}

}  // namespace tsdbd::server
