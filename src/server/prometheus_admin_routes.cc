// Prometheus' API that changes the database, /api/v1/admin/tsdb/…, what it answers where there is
// nothing, and /-/reload (routes.h).

#include <limits>

#include "query/parser.h"
#include "query/query_error.h"
#include "query/time_parse.h"
#include "server/admin_page.h"
#include "server/answers.h"
#include "server/routes.h"
#include "server/text.h"

namespace tsdbd::server {
namespace {

// These take a form or nothing.
constexpr size_t kMaxFormBytes = size_t{1} << 20;

http::Answer Error(int status, std::string_view type, std::string_view message) {
  return JsonAnswer(status, fmt::format(R"({{"status":"error","errorType":"{}","error":{}}})", type,
                                        JsonText(message)));
}

// 204, or what went wrong.
http::Answer AnswerOf(const Status& status) {
  return status.ok() ? http::Answer{.status = 204}
                     : PrometheusError(status);
}

StatusOr<model::Timestamp> TimeOf(const http::Parameters& parameters, std::string_view name,
                                  model::Timestamp fallback) {
  const std::string_view text = parameters.Get(name);
  if (text.empty()) {
    return fallback;
  }
  const StatusOr<model::Timestamp> time = query::ParseTime(text);
  return time.ok() ? time : query::InvalidParameter(name, time.status());
}

Status DeleteSeries(Services* services, const http::Request& request) {
  http::Parameters parameters;
  if (!request.MergedParameters(&parameters)) {
    return InvalidArgument("the body is not a form although its Content-Type says so");
  }
  std::vector<tsdb::Selector> selectors;
  for (const std::string_view match : parameters.FindAll("match[]")) {
    ASSIGN_OR_RETURN(auto selector, query::ParseSeriesSelector(match));
    selectors.push_back(std::move(selector));
  }
  if (selectors.empty()) {
    return InvalidArgument("no match[] parameter provided");
  }
  constexpr model::Timestamp kEarliest = std::numeric_limits<model::Timestamp>::min();
  ASSIGN_OR_RETURN(const model::Timestamp start, TimeOf(parameters, "start", kEarliest));
  ASSIGN_OR_RETURN(const model::Timestamp end, TimeOf(parameters, "end", model::kMaxTimestamp));
  if (end < start) {
    return query::InvalidParameter("end",
                                   InvalidArgument("end timestamp must not be before start time"));
  }
  if (end < model::kMinTimestamp) {
    return OkStatus();  // no sample lies there
  }
  return services->database().DeleteSeries(
      std::move(selectors),
      {std::max(start, model::kMinTimestamp), std::min(end, model::kMaxTimestamp)});
}

http::Answer DeletePage(Services* services, const http::Request& request) {
  return AnswerOf(DeleteSeries(services, request));
}

http::Answer CleanPage(Services* services, const http::Request&) {
  return AnswerOf(services->database().CleanTombstones());
}

http::Answer SnapshotPage(Services* services, const http::Request& request) {
  http::Parameters parameters;
  if (!request.MergedParameters(&parameters)) {
    return PrometheusError(
        InvalidArgument("the body is not a form although its Content-Type says so"));
  }
  const std::string_view skip_head = parameters.Get("skip_head");
  if (!skip_head.empty() && skip_head != "true" && skip_head != "false") {
    return PrometheusError(query::InvalidParameter(
        "skip_head", InvalidArgument("'{}' is neither true nor false", skip_head)));
  }
  const StatusOr<std::string> name = services->database().Snapshot(skip_head == "true");
  return name.ok() ? JsonAnswer(200, fmt::format(R"({{"status":"success","data":{{"name":{}}}}})",
                                                 JsonText(*name)))
                   : PrometheusError(name.status());
}

AdminPage IfAllowed(const AdminPage& page) {
  return [page](Services* services, const http::Request& request) {
    return services->config().admin_api
               ? page(services, request)
               : Error(500, "unavailable", "admin APIs disabled");  // as Prometheus says it
  };
}

http::Answer UnknownPage(Services*, const http::Request& request) {
  return Error(404, "not_found", fmt::format("no such path: {}", request.path()));
}

http::Answer ReloadPage(Services*, const http::Request&) {
  return TextAnswer(403, "Lifecycle API is not enabled.\n");
}

using Page = http::Answer (*)(Services*, const http::Request&);

void AddPage(Services* services, http::Router* router, std::string_view path,
             std::initializer_list<http::Method> methods, Page page) {
  for (const http::Method method : methods) {
    router->Add(method, path,
                [services, page](const std::shared_ptr<http::Exchange>& exchange) {
                  exchange->Respond(page(services, exchange->request()));
                },
                {.max_body_bytes = kMaxFormBytes});
  }
}

}  // namespace

void AddPrometheusAdminRoutes(Services* services, http::Router* router) {
  using http::Method;
  // On the pool whose requests may wait for a flush.
  const auto add = [&](std::string_view name, const AdminPage& page) {
    for (const Method method : {Method::kPost, Method::kPut}) {
      AddPageOnPool(services, &services->write_pool(), router, method,
                    fmt::format("/api/v1/admin/tsdb/{}", name), IfAllowed(page), kMaxFormBytes);
    }
  };
  add("delete_series", DeletePage);
  add("clean_tombstones", CleanPage);
  add("snapshot", SnapshotPage);
  AddPage(services, router, "/-/reload", {Method::kPost, Method::kPut}, ReloadPage);
}

void AddUnknownApiRoutes(Services* services, http::Router* router) {
  using http::Method;
  AddPage(services, router, "/api/v1/{path...}",
          {Method::kGet, Method::kPost, Method::kPut, Method::kDelete, Method::kPatch},
          UnknownPage);
}

}  // namespace tsdbd::server
