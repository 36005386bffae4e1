// Prometheus' API that changes the database, /api/v1/admin/tsdb/…, what it answers where there is
// nothing, and /-/reload (routes.h).

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

http::Answer DatabaseAdminPage(Services* services, const http::Request& request) {
  if (!services->config().admin_api) {
    return Error(500, "unavailable", "admin APIs disabled");  // status and text are Prometheus'
  }
  return Error(501, "unavailable", fmt::format("{} is not implemented", request.path()));
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
  for (const char* path : {"/api/v1/admin/tsdb/delete_series",
                           "/api/v1/admin/tsdb/clean_tombstones", "/api/v1/admin/tsdb/snapshot"}) {
    AddPage(services, router, path, {Method::kPost, Method::kPut}, DatabaseAdminPage);
  }
  AddPage(services, router, "/-/reload", {Method::kPost, Method::kPut}, ReloadPage);
}

void AddUnknownApiRoutes(Services* services, http::Router* router) {
  using http::Method;
  AddPage(services, router, "/api/v1/{path...}",
          {Method::kGet, Method::kPost, Method::kPut, Method::kDelete, Method::kPatch},
          UnknownPage);
}

}  // namespace tsdbd::server
