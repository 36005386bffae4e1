// Prometheus' query API, as Grafana and promtool speak it (routes.h).

#include <algorithm>
#include <iterator>
#include <utility>

#include "common/clock.h"
#include "common/stages.h"
#include "query/json_writer.h"
#include "query/query_error.h"
#include "query/time_parse.h"
#include "server/answers.h"
#include "server/read_request.h"
#include "server/routes.h"

namespace tsdbd::server {
namespace {

// Queries in a form body: the parser refuses longer ones anyway.
constexpr size_t kMaxFormBytes = size_t{1} << 20;

const std::vector<std::string> kTruncated = {"results truncated due to limit"};

// What `lookback_delta` asks for, or the configured one.
StatusOr<query::QueryOptions> OptionsOf(const ReadRequest& read) {
  query::QueryOptions options = read.options();
  if (const auto text = read.parameters().Find("lookback_delta")) {
    const auto nanos = query::ParseDurationParameter(*text);
    if (!nanos.ok() || *nanos <= 0) {
      return query::InvalidParameter(
          "lookback_delta",
          nanos.ok() ? InvalidArgument("{} is not positive", *text) : nanos.status());
    }
    options.lookback_delta_ns = *nanos;
  }
  return options;
}

StatusOr<std::string_view> QueryText(const ReadRequest& read) {
  const std::string_view text = read.parameters().Get("query");
  if (text.empty()) {
    return query::InvalidParameter("query", InvalidArgument("there is no query"));
  }
  return text;
}

void Encode(const query::QueryResult& result, AnswerStream* answer) {
  StageTimer timer(Stage::kQueryEncode);
  query::WriteQueryResult(result, answer->sink());
  timer.set_items(answer->written_bytes());
}

Status InstantQuery(const ReadRequest& read, AnswerStream* answer) {
  ASSIGN_OR_RETURN(const std::string_view text, QueryText(read));
  ASSIGN_OR_RETURN(const query::QueryOptions options, OptionsOf(read));
  ASSIGN_OR_RETURN(const model::Timestamp time, read.TimeParameter("time", WallNanos()));
  ASSIGN_OR_RETURN(const query::QueryResult result,
                   read.services().engine().Instant(text, time, options));
  Encode(result, answer);
  return OkStatus();
}

StatusOr<model::Timestamp> RequiredTime(const ReadRequest& read, std::string_view name) {
  if (read.parameters().Get(name).empty()) {
    return query::InvalidParameter(name, InvalidArgument("it is missing"));
  }
  return read.TimeParameter(name, 0);
}

StatusOr<int64_t> StepParameter(const ReadRequest& read) {
  const auto step_ns = query::ParseDurationParameter(read.parameters().Get("step"));
  if (!step_ns.ok()) {
    return query::InvalidParameter("step", step_ns.status());
  }
  if (*step_ns <= 0) {
    return query::InvalidParameter("step", InvalidArgument("it must be positive"));
  }
  return *step_ns;
}

Status RangeQuery(const ReadRequest& read, AnswerStream* answer) {
  ASSIGN_OR_RETURN(const std::string_view text, QueryText(read));
  ASSIGN_OR_RETURN(const query::QueryOptions options, OptionsOf(read));
  ASSIGN_OR_RETURN(const model::Timestamp start, RequiredTime(read, "start"));
  ASSIGN_OR_RETURN(const model::Timestamp end, RequiredTime(read, "end"));
  if (end < start) {
    return query::InvalidParameter("end",
                                   InvalidArgument("end timestamp must not be before start time"));
  }
  ASSIGN_OR_RETURN(const int64_t step_ns, StepParameter(read));
  ASSIGN_OR_RETURN(
      const query::QueryResult result,
      read.services().engine().Range(text, {.min = start, .max = end}, step_ns, options));
  Encode(result, answer);
  return OkStatus();
}

Status Series(const ReadRequest& read, AnswerStream* answer) {
  ASSIGN_OR_RETURN(const model::TimeRange range, read.RangeParameters());
  ASSIGN_OR_RETURN(const uint64_t limit, read.LimitParameter());
  ASSIGN_OR_RETURN(const auto requests, read.SelectRequests(range));
  if (requests.empty()) {
    return InvalidArgument("no match[] parameter provided");
  }
  query::LabelSetsWriter writer(answer->sink());
  uint64_t count = 0;
  const auto write_labels = [&](const model::SeriesSet&, size_t, const model::LabelViews& labels) {
    ++count;
    if (limit == 0 || count <= limit) {
      writer.Add(labels);
    }
    return OkStatus();
  };
  RETURN_IF_ERROR(VisitSeries(read, requests, write_labels));
  writer.Finish(limit != 0 && count > limit ? kTruncated : std::vector<std::string>());
  return OkStatus();
}

// Answers with the union of what `look_up` finds for each match[], or for everything.
Status Strings(
    const ReadRequest& read, AnswerStream* answer,
    const std::function<StatusOr<std::vector<std::string>>(const model::SelectRequest&)>& look_up) {
  ASSIGN_OR_RETURN(const model::TimeRange range, read.RangeParameters());
  ASSIGN_OR_RETURN(const uint64_t limit, read.LimitParameter());
  ASSIGN_OR_RETURN(auto requests, read.SelectRequests(range));
  if (requests.empty()) {
    requests.push_back({.matchers = {}, .range = range, .cancel = read.options().cancel});
  }
  std::vector<std::string> all;
  for (const model::SelectRequest& request : requests) {
    RETURN_IF_ERROR(read.CheckAlive());
    ASSIGN_OR_RETURN(std::vector<std::string> found, look_up(request));
    std::vector<std::string> merged;
    std::set_union(std::make_move_iterator(all.begin()), std::make_move_iterator(all.end()),
                   std::make_move_iterator(found.begin()), std::make_move_iterator(found.end()),
                   std::back_inserter(merged));
    all = std::move(merged);
  }
  const bool truncated = limit != 0 && all.size() > limit;
  all.resize(truncated ? limit : all.size());
  query::WriteStrings(all, truncated ? kTruncated : std::vector<std::string>(), answer->sink());
  return OkStatus();
}

Status LabelNames(const ReadRequest& read, AnswerStream* answer) {
  return Strings(read, answer, [&](const model::SelectRequest& request) {
    return read.services().database().LabelNames(request);
  });
}

Status LabelValues(const ReadRequest& read, AnswerStream* answer) {
  const std::string_view name = read.http().PathParameter("name");
  if (name.empty()) {
    return InvalidArgument("invalid label name: \"\"");
  }
  return Strings(read, answer, [&](const model::SelectRequest& request) {
    return read.services().database().LabelValues(name, request);
  });
}

}  // namespace

void AddPrometheusRoutes(Services* services, http::Router* router) {
  const auto add = [&](std::string_view path, std::string_view api, const ReadFunction& function,
                       std::initializer_list<http::Method> methods) {
    const auto handler = [services, api,
                          function](const std::shared_ptr<http::Exchange>& exchange) {
      RunRead(services, api, kJsonType, exchange, function);
    };
    for (const http::Method method : methods) {
      router->Add(method, path, handler, {.max_body_bytes = kMaxFormBytes});
    }
  };
  using http::Method;
  add("/api/v1/query", "query", InstantQuery, {Method::kGet, Method::kPost});
  add("/api/v1/query_range", "query_range", RangeQuery, {Method::kGet, Method::kPost});
  add("/api/v1/series", "series", Series, {Method::kGet, Method::kPost});
  add("/api/v1/labels", "labels", LabelNames, {Method::kGet, Method::kPost});
  add("/api/v1/label/{name}/values", "label_values", LabelValues, {Method::kGet});
}

}  // namespace tsdbd::server
