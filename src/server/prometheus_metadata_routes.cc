// Prometheus' API that is about which series there are and what is known of them (routes.h).

#include <algorithm>
#include <functional>
#include <iterator>
#include <optional>
#include <utility>

#include "query/json_writer.h"
#include "query/parser.h"
#include "query/query_error.h"
#include "query/text.h"
#include "server/answers.h"
#include "server/read_request.h"
#include "server/routes.h"
#include "server/text.h"

namespace tsdbd::server {
namespace {

Status Series(const ReadRequest& read, AnswerStream* answer) {
  if (!read.parameters().Find("match[]").has_value()) {
    return InvalidArgument("no match[] parameter provided");
  }
  ASSIGN_OR_RETURN(const uint64_t limit, read.LimitParameter());
  ASSIGN_OR_RETURN(const model::TimeRange range, read.RangeParameters());
  const auto requests = read.SelectRequests(range);
  if (!requests.ok()) {
    return query::InvalidParameter("match[]", requests.status());
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
  RETURN_IF_ERROR(VisitSeries(read, *requests, write_labels));
  writer.Finish(limit != 0 && count > limit ? kTruncatedWarning : std::vector<std::string>());
  return OkStatus();
}

// Answers with the union of what `look_up` finds for each match[], or for everything.
Status Strings(
    const ReadRequest& read, AnswerStream* answer,
    const std::function<StatusOr<std::vector<std::string>>(const model::SelectRequest&)>& look_up) {
  ASSIGN_OR_RETURN(const uint64_t limit, read.LimitParameter());
  ASSIGN_OR_RETURN(const model::TimeRange range, read.RangeParameters());
  ASSIGN_OR_RETURN(auto requests, read.SelectRequests(range));
  if (range.max < range.min) {
    requests.clear();  // no sample can be there
  } else if (requests.empty()) {
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
  query::WriteStrings(all, truncated ? kTruncatedWarning : std::vector<std::string>(),
                      answer->sink());
  return OkStatus();
}

Status LabelNames(const ReadRequest& read, AnswerStream* answer) {
  return Strings(read, answer, [&](const model::SelectRequest& request) {
    return read.services().database().LabelNames(request);
  });
}

Status LabelValues(const ReadRequest& read, AnswerStream* answer) {
  const std::string name = UnescapeLabelName(read.http().PathParameter("name"));
  if (name.empty() || !query::IsValidUtf8(name)) {
    return InvalidArgument("invalid label name: {}", query::Quote(name));
  }
  return Strings(read, answer, [&](const model::SelectRequest& request) {
    return read.services().database().LabelValues(name, request);
  });
}

// `name`, a whole number; nothing if it is not there or negative, which means no limit here.
StatusOr<std::optional<size_t>> LimitOf(const http::Parameters& parameters, std::string_view name) {
  const std::string_view text = parameters.Get(name);
  const StatusOr<int64_t> number = ParseWholeNumber(text);
  if (!text.empty() && !number.ok()) {
    return InvalidArgument("{} must be a number", name);
  }
  if (text.empty() || *number < 0) {
    return std::optional<size_t>();
  }
  return std::optional<size_t>(*number);
}

// One description a metric is known, so `limit_per_metric` never cuts.
Status MetricMetadataPage(const ReadRequest& read, AnswerStream* answer) {
  ASSIGN_OR_RETURN(const auto limit, LimitOf(read.parameters(), "limit"));
  RETURN_IF_ERROR(LimitOf(read.parameters(), "limit_per_metric").status());
  const std::string name(read.parameters().Get("metric"));
  std::vector<std::pair<std::string, MetricMetadata>> list;
  if (name.empty()) {
    list = read.services().metadata().List(limit.value_or(MetadataStore::kMaxMetrics));
  } else if (auto found = read.services().metadata().Find(name); found && limit != 0) {
    list.emplace_back(name, *std::move(found));
  }
  query::JsonStream stream(answer->sink());
  stream.Raw(R"({"status":"success","data":{)");
  for (size_t i = 0; i < list.size() && stream.Yield(); ++i) {
    const auto& [metric, metadata] = list[i];
    stream.Raw(i == 0 ? "" : ",");
    stream.String(metric);
    stream.Raw(fmt::format(R"(:[{{"type":"{}","help":)", MetricTypeName(metadata.type)));
    stream.String(metadata.help);
    stream.Raw(R"(,"unit":)");
    stream.String(metadata.unit);
    stream.Raw("}]");
  }
  stream.Raw("}}");
  stream.Flush();
  return OkStatus();
}

// ---- What Prometheus does and we do not: scraping, rules, alerts. There are none of each.

using Check = std::function<Status(const http::Parameters&)>;

Status CheckNothing(const http::Parameters&) {
  return OkStatus();
}

Status CheckTargetMetadata(const http::Parameters& parameters) {
  RETURN_IF_ERROR(LimitOf(parameters, "limit").status());
  const std::string_view selector = parameters.Get("match_target");
  const auto matchers = query::ParseSeriesSelector(selector.empty() ? "up" : selector);
  return matchers.ok() ? OkStatus() : query::InvalidParameter("match_target", matchers.status());
}

Status CheckRules(const http::Parameters& parameters) {
  for (const std::string_view selector : parameters.FindAll("match[]")) {
    RETURN_IF_ERROR(query::ParseSeriesSelector(selector).status());
  }
  const std::string_view type = parameters.Get("type");
  return type.empty() || type == "alert" || type == "record"
             ? OkStatus()
             : query::InvalidParameter(
                   "type", InvalidArgument("not supported value {}", query::Quote(type)));
}

}  // namespace

void AddPrometheusMetadataRoutes(Services* services, http::Router* router) {
  const auto add = [&](std::string_view path, std::string_view api, bool takes_post,
                       const ReadFunction& function) {
    AddReadRoute(services, router,
                 {.path = path, .api = api, .content_type = kJsonType, .takes_post = takes_post},
                 function);
  };
  add("/api/v1/series", "series", true, Series);
  add("/api/v1/labels", "labels", true, LabelNames);
  add("/api/v1/label/{name}/values", "label_values", false, LabelValues);
  add("/api/v1/metadata", "metadata", false, MetricMetadataPage);

  const auto add_empty = [&](std::string_view path, std::string_view data, const Check& check) {
    const std::string body = fmt::format(R"({{"status":"success","data":{}}})", data);
    router->Add(http::Method::kGet, path,
                [body, check](const std::shared_ptr<http::Exchange>& exchange) {
                  const Status status = check(exchange->request().query());
                  exchange->Respond(status.ok() ? JsonAnswer(200, body) : PrometheusError(status));
                });
  };
  add_empty("/api/v1/targets",
            R"({"activeTargets":[],"droppedTargets":[],"droppedTargetCounts":{}})", CheckNothing);
  add_empty("/api/v1/targets/metadata", "[]", CheckTargetMetadata);
  add_empty("/api/v1/scrape_pools", R"({"scrapePools":[]})", CheckNothing);
  add_empty("/api/v1/rules", R"({"groups":[]})", CheckRules);
  add_empty("/api/v1/alerts", R"({"alerts":[]})", CheckNothing);
  add_empty("/api/v1/alertmanagers", R"({"activeAlertmanagers":[],"droppedAlertmanagers":[]})",
            CheckNothing);
}

}  // namespace tsdbd::server
