#pragma once
// Pages about the server itself: small, made in one go, on the admin pool, so that neither a crowd
// of queries nor a loop waits for them.

#include <functional>
#include <string_view>

#include "http/router.h"
#include "server/services.h"

namespace tsdbd::server {

using AdminPage = std::function<http::Answer(Services*, const http::Request&)>;

// Adds a route that is answered with `page`, 503 if too many wait.
void AddAdminPage(Services* services, http::Router* router, http::Method method,
                  std::string_view path, const AdminPage& page);

// The same on another pool, for requests with bodies up to `max_body_bytes`.
void AddPageOnPool(Services* services, ThreadPool* pool, http::Router* router, http::Method method,
                   std::string_view path, const AdminPage& page, size_t max_body_bytes = 0);

}  // namespace tsdbd::server
