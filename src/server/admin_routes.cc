// What operators and scrapers ask: /metrics, /debug/…, and what they order: flush (routes.h).

#include <functional>
#include <utility>

#include "common/stages.h"
#include "server/answers.h"
#include "server/routes.h"

namespace tsdbd::server {
namespace {

constexpr const char* kMetricsType = "text/plain; version=0.0.4; charset=utf-8";

using Page = std::function<http::Answer(Services*, const http::Request&)>;

http::Answer MetricsPage(Services* services, const http::Request&) {
  return {.status = 200, .content_type = kMetricsType, .body = services->metrics().Render()};
}

http::Answer StagesPage(Services*, const http::Request& request) {
  const StageReport report = TakeStageReport();
  const bool as_text = request.Header("Accept").find("text/plain") != std::string_view::npos;
  return as_text ? TextAnswer(200, report.ToText()) : JsonAnswer(200, report.ToJson());
}

http::Answer ConfigPage(Services* services, const http::Request&) {
  return TextAnswer(200, ConfigText(services->config()));
}

http::Answer MemoryPage(Services*, const http::Request&) {
  return TextAnswer(200, MallocReport());
}

http::Answer FlushNow(Services* services, const http::Request&) {
  const Status status = services->database().Flush();
  if (!status.ok()) {
    http::Answer answer = PrometheusError(status);
    answer.status = WriteFailureStatus(status);
    return answer;
  }
  return JsonAnswer(200, "{\"status\":\"success\"}\n");
}

}  // namespace

void AddAdminRoutes(Services* services, http::Router* router) {
  const auto add = [&](http::Method method, std::string_view path, ThreadPool* pool,
                       const Page& page) {
    router->Add(method, path, [=](const std::shared_ptr<http::Exchange>& exchange) {
      const bool submitted =
          pool->TrySubmit([=] { exchange->Respond(page(services, exchange->request())); });
      if (!submitted) {
        exchange->Respond(PrometheusError(Unavailable("overload: too many such requests wait")));
      }
    });
  };
  ThreadPool* const admin = &services->admin_pool();
  add(http::Method::kGet, "/metrics", admin, MetricsPage);
  add(http::Method::kGet, "/debug/stages", admin, StagesPage);
  if (services->config().debug_pages) {
    add(http::Method::kGet, "/debug/config", admin, ConfigPage);
    add(http::Method::kGet, "/debug/memory", admin, MemoryPage);
  }
  // It may take seconds, for which scrapes should not wait.
  add(http::Method::kPost, "/api/v1/admin/flush", &services->write_pool(), FlushNow);
}

}  // namespace tsdbd::server
