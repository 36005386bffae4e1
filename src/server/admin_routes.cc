// What operators and scrapers ask: /metrics, /debug/…, and what they order: flush (routes.h).

#include "common/stages.h"
#include "server/admin_page.h"
#include "server/answers.h"
#include "server/routes.h"

namespace tsdbd::server {
namespace {

constexpr const char* kMetricsType = "text/plain; version=0.0.4; charset=utf-8";

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
  const auto add = [&](std::string_view path, const AdminPage& page) {
    AddAdminPage(services, router, http::Method::kGet, path, page);
  };
  add("/metrics", MetricsPage);
  add("/debug/stages", StagesPage);
  if (services->config().debug_pages) {
    add("/debug/config", ConfigPage);
    add("/debug/memory", MemoryPage);
  }
  // It may take seconds, for which scrapes should not wait.
  AddPageOnPool(services, &services->write_pool(), router, http::Method::kPost,
                "/api/v1/admin/flush", FlushNow);
}

}  // namespace tsdbd::server
