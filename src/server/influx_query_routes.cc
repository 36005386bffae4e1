// /ping and /query: what InfluxDB 1.x clients ask before they write (routes.h).

#include <utility>

#include "query/query_error.h"
#include "server/answers.h"
#include "server/influx_ql.h"
#include "server/routes.h"
#include "server/text.h"

namespace tsdbd::server {
namespace {

// A handful of statements.
constexpr size_t kMaxFormBytes = size_t{64} << 10;

// Clients only look whether it is there, or for its major version. It names the API that we speak,
// not what runs here.
constexpr const char* kInfluxVersion = "1.8-tsdbd";

void Ping(const std::shared_ptr<http::Exchange>& exchange) {
  exchange->Respond(
      {.status = 204,
       .headers = {{"X-Influxdb-Version", kInfluxVersion}, {"X-Influxdb-Build", "OSS"}}});
}

// Answers one request's statements, on a query thread.
class StatementRunner {
 public:
  StatementRunner(Services* services, bool may_change)
      : services_(services), may_change_(may_change) {}

  InfluxResult Run(const InfluxStatement& statement) const {
    using Kind = InfluxStatement::Kind;
    switch (statement.kind) {
      case Kind::kCreateDatabase:
        return CreateDatabase(statement);
      case Kind::kShowDatabases:
        return ShowDatabases();
      case Kind::kShowRetentionPolicies:
        return ShowRetentionPolicies();
      case Kind::kOther:
        break;
    }
    InfluxResult result;
    result.error =
        "this statement is not supported: queries are PromQL, at /api/v1/query and "
        "/api/v1/query_range";
    return result;
  }

 private:
  InfluxResult CreateDatabase(const InfluxStatement& statement) const {
    InfluxResult result;
    if (!may_change_) {
      result.error = "CREATE DATABASE needs a POST request";
      return result;
    }
    const Status status = services_->database_names().Add(statement.database);
    if (!status.ok()) {
      result.error = Message(status);
    } else if (statement.has_policy) {
      result.warning =
          "the retention policy is ignored: retention is the server's (storage.retention)";
    }
    return result;
  }

  InfluxResult ShowDatabases() const {
    InfluxResult result;
    std::vector<std::string> with_samples;
    const std::string& label = services_->config().write.database_label;
    if (!label.empty()) {
      auto values = services_->database().LabelValues(label, model::SelectRequest());
      if (!values.ok()) {
        result.error = Message(values.status());
        return result;
      }
      with_samples = *std::move(values);
    }
    result.series_name = "databases";
    result.columns = {"name"};
    for (const std::string& name : services_->database_names().MergedWith(with_samples)) {
      result.rows.push_back({JsonText(name)});
    }
    return result;
  }

  InfluxResult ShowRetentionPolicies() const {
    const tsdb::DatabaseOptions& database = services_->config().database;
    InfluxResult result;
    result.columns = {"name", "duration", "shardGroupDuration", "replicaN", "default"};
    result.rows = {{"\"autogen\"", JsonText(InfluxDuration(database.retention_ns)),
                    JsonText(InfluxDuration(database.partition_ns)), "1", "true"}};
    return result;
  }

  Services* const services_;
  const bool may_change_;
};

http::Answer AnswerQuery(Services* services, const http::Request& request) {
  http::Parameters parameters;
  if (!request.MergedParameters(&parameters)) {
    return InfluxError(InfluxApi::kV1, 400, "the body is not a form");
  }
  const std::string_view text = parameters.Get("q");
  if (text.empty()) {
    return InfluxError(InfluxApi::kV1, 400, "missing required parameter \"q\"");
  }
  const auto statements = ParseInfluxStatements(text);
  if (!statements.ok()) {
    return InfluxError(InfluxApi::kV1, 400, Message(statements.status()));
  }
  const StatementRunner runner(services, !request.is_read());
  std::vector<InfluxResult> results;
  for (const InfluxStatement& statement : *statements) {
    results.push_back(runner.Run(statement));
  }
  return JsonAnswer(200, InfluxAnswer(results));
}

void Query(Services* services, const std::shared_ptr<http::Exchange>& exchange) {
  const bool submitted = services->query_pool().TrySubmit(
      [services, exchange] { exchange->Respond(AnswerQuery(services, exchange->request())); });
  if (!submitted) {
    exchange->Respond(
        InfluxError(InfluxApi::kV1, 503, "overload: too many queries are waiting (query.queue)"));
  }
}

}  // namespace

void AddInfluxQueryRoutes(Services* services, http::Router* router) {
  router->Add(http::Method::kGet, "/ping", Ping);
  const auto query = [services](const std::shared_ptr<http::Exchange>& exchange) {
    Query(services, exchange);
  };
  router->Add(http::Method::kGet, "/query", query, {.max_body_bytes = kMaxFormBytes});
  router->Add(http::Method::kPost, "/query", query, {.max_body_bytes = kMaxFormBytes});
}

}  // namespace tsdbd::server
