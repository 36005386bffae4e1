#include "server/admin_page.h"

#include "server/answers.h"

namespace tsdbd::server {

void AddAdminPage(Services* services, http::Router* router, http::Method method,
                  std::string_view path, const AdminPage& page) {
  AddPageOnPool(services, &services->admin_pool(), router, method, path, page);
}

void AddPageOnPool(Services* services, ThreadPool* pool, http::Router* router, http::Method method,
                   std::string_view path, const AdminPage& page, size_t max_body_bytes) {
  const auto handler = [=](const std::shared_ptr<http::Exchange>& exchange) {
    const bool submitted =
        pool->TrySubmit([=] { exchange->Respond(page(services, exchange->request())); });
    if (!submitted) {
      exchange->Respond(PrometheusError(Unavailable("overload: too many such requests wait")));
    }
  };
  router->Add(method, path, handler, {.max_body_bytes = max_body_bytes});
}

}  // namespace tsdbd::server
