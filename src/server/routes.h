#pragma once
// The routes, one file per family. docs/http-api.md describes them for clients. Handlers run on
// loop threads and do there only what is quick; the rest goes to a pool of the services.

#include "http/router.h"
#include "server/services.h"

namespace tsdbd::server {

// POST /write, POST /api/v2/write: influx_write_routes.cc.
void AddInfluxWriteRoutes(Services* services, http::Router* router);
// POST /api/v1/write: remote_write_route.cc.
void AddRemoteWriteRoute(Services* services, http::Router* router);
// POST /api/v1/read: remote_read_route.cc.
void AddRemoteReadRoute(Services* services, http::Router* router);
// /ping, /query: influx_query_routes.cc.
void AddInfluxQueryRoutes(Services* services, http::Router* router);
// /api/v1/query, query_range, query_exemplars, format_query, parse_query:
// prometheus_query_routes.cc.
void AddPrometheusQueryRoutes(Services* services, http::Router* router);
// /api/v1/series, labels, label/{name}/values, metadata, and the empty ones, targets, rules,
// alerts: prometheus_metadata_routes.cc.
void AddPrometheusMetadataRoutes(Services* services, http::Router* router);
// /api/v1/status/…: prometheus_status_routes.cc.
void AddPrometheusStatusRoutes(Services* services, http::Router* router);
// /api/v1/admin/tsdb/…, /-/reload: prometheus_admin_routes.cc.
void AddPrometheusAdminRoutes(Services* services, http::Router* router);
// Everything else below /api/v1/, to be added last: prometheus_admin_routes.cc.
void AddUnknownApiRoutes(Services* services, http::Router* router);
// /federate: federate_route.cc.
void AddFederateRoute(Services* services, http::Router* router);
// /api/v1/export: export_route.cc.
void AddExportRoute(Services* services, http::Router* router);
// /-/healthy, /-/ready, /health, /ready: health_routes.cc.
void AddHealthRoutes(Services* services, http::Router* router);
// /metrics, /debug/…, POST /api/v1/admin/flush: admin_routes.cc.
void AddAdminRoutes(Services* services, http::Router* router);
// /kv, unless kv.enabled says no: kv_keyspace_routes.cc.
void AddKvRoutes(Services* services, http::Router* router);
void AddKvKeyspaceRoutes(Services* services, http::Router* router);
// /kv/{keyspace}, batches and scans: kv_range_routes.cc.
void AddKvRangeRoutes(Services* services, http::Router* router);
// /kv/{keyspace}/{key}: kv_entry_routes.cc.
void AddKvEntryRoutes(Services* services, http::Router* router);

inline void AddAllRoutes(Services* services, http::Router* router) {
  AddInfluxWriteRoutes(services, router);
  AddRemoteWriteRoute(services, router);
  AddRemoteReadRoute(services, router);
  AddInfluxQueryRoutes(services, router);
  AddPrometheusQueryRoutes(services, router);
  AddPrometheusMetadataRoutes(services, router);
  AddPrometheusStatusRoutes(services, router);
  AddPrometheusAdminRoutes(services, router);
  AddFederateRoute(services, router);
  AddExportRoute(services, router);
  AddHealthRoutes(services, router);
  AddAdminRoutes(services, router);
  AddKvRoutes(services, router);
  AddUnknownApiRoutes(services, router);
}

}  // namespace tsdbd::server
