// Whether the daemon lives and serves: Prometheus' and InfluxDB 2.x' ways to ask (routes.h).

#include <utility>

#include "common/clock.h"
#include "server/answers.h"
#include "server/routes.h"
#include "server/text.h"
#include "server/units.h"

namespace tsdbd::server {
namespace {

http::Answer Ready(Services* services) {
  return services->serving() ? TextAnswer(200, "tsdbd is ready.\n")
                             : TextAnswer(503, "tsdbd is recovering its data directory.\n");
}

// InfluxDB 2.x: /health speaks of reads and writes, so a log that takes no writes fails it.
http::Answer InfluxHealth(Services* services) {
  const auto answer = [](int status, std::string_view verdict, std::string_view message) {
    return JsonAnswer(status,
                      fmt::format(R"({{"name":"tsdbd","message":{},"checks":[],"status":"{}"}})"
                                  "\n",
                                  JsonText(message), verdict));
  };
  if (!services->serving()) {
    return answer(503, "fail", "recovering the data directory");
  }
  const wal::Health health = services->database().log().health();
  return health.state == wal::HealthState::kOk ? answer(200, "pass", "ready for queries and writes")
                                               : answer(503, "fail", Message(health.status));
}

http::Answer InfluxReady(Services* services) {
  if (!services->serving()) {
    return JsonAnswer(503, "{\"status\":\"starting\"}\n");
  }
  const int64_t up_nanos = WallNanos() - services->start_nanos();
  const int64_t up_whole_seconds = up_nanos / kNanosPerSecond * kNanosPerSecond;
  return JsonAnswer(200, fmt::format("{{\"status\":\"ready\",\"up\":\"{}\"}}\n",
                                     FormatDuration(up_whole_seconds)));
}

}  // namespace

void AddHealthRoutes(Services* services, http::Router* router) {
  const auto add = [&](std::string_view path, http::Answer (*answer)(Services*)) {
    router->Add(http::Method::kGet, path,
                [services, answer](const std::shared_ptr<http::Exchange>& exchange) {
                  exchange->Respond(answer(services));
                });
  };
  add("/-/healthy", [](Services*) { return TextAnswer(200, "tsdbd is healthy.\n"); });
  add("/-/ready", Ready);
  add("/health", InfluxHealth);
  add("/ready", InfluxReady);
}

}  // namespace tsdbd::server
