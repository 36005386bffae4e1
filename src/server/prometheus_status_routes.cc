// Prometheus' API that is about the server itself: /api/v1/status/… (routes.h).

#include <filesystem>
#include <iterator>
#include <limits>
#include <thread>

#include <unistd.h>

#include "common/clock.h"
#include "query/json_writer.h"
#include "server/admin_page.h"
#include "server/answers.h"
#include "server/cardinality.h"
#include "server/read_request.h"
#include "server/routes.h"
#include "server/text.h"
#include "storage/block_manager.h"

namespace tsdbd::server {
namespace {

// The version of Prometheus whose API this is; Grafana decides by it what it may ask. Our own is
// not told: answers name no version.
constexpr std::string_view kSpokenVersion = "3.5.0";

// Of each list of status/tsdb, as in Prometheus.
constexpr int64_t kDefaultListLength = 10;
constexpr int64_t kMaxListLength = 10'000;

http::Answer Success(std::string_view data) {
  return JsonAnswer(200, fmt::format(R"({{"status":"success","data":{}}})", data));
}

http::Answer BuildInfo(Services*, const http::Request&) {
  // `features` is left out on purpose: Grafana takes who has it for a Mimir with a ruler.
  return Success(fmt::format(
      R"({{"version":"{}","revision":"","branch":"","buildUser":"","buildDate":"","goVersion":"",)"
      R"("application":"tsdbd"}})",
      kSpokenVersion));
}

http::Answer ConfigPage(Services* services, const http::Request&) {
  return Success(fmt::format(R"({{"yaml":{}}})", JsonText(ConfigText(services->config()))));
}

// A value of the configuration without the quotes that it has in the file.
std::string PlainValue(std::string_view shown) {
  if (!shown.starts_with('"')) {
    return std::string(shown);
  }
  std::string plain;
  shown = shown.substr(1, shown.size() - 2);
  for (size_t i = 0; i < shown.size(); ++i) {
    i += shown[i] == '\\' ? 1 : 0;
    plain += shown[i];
  }
  return plain;
}

http::Answer Flags(Services* services, const http::Request&) {
  Config config = services->config();
  std::vector<std::string> flags;
  for (const ConfigKey& key : ConfigKeys(&config)) {
    flags.push_back(fmt::format("{}:{}", JsonText(key.name), JsonText(PlainValue(key.show()))));
  }
  return Success(fmt::format("{{{}}}", Join(flags, ",")));
}

std::string HostName() {
  std::string name(256, '\0');
  return gethostname(name.data(), name.size() - 1) == 0 ? name.c_str() : "";
}

std::string WorkingFolder() {
  std::string path(4'096, '\0');
  return getcwd(path.data(), path.size()) == nullptr ? "" : path.c_str();
}

size_t ThreadCount() {
  std::error_code error;
  const std::filesystem::directory_iterator threads("/proc/self/task", error);
  return error ? 0 : static_cast<size_t>(std::distance(begin(threads), end(threads)));
}

http::Answer RuntimeInfo(Services* services, const http::Request&) {
  Config config = services->config();
  const std::string start = FormatRfc3339(services->start_nanos());
  const uint64_t corruptions = services->database().recovery().damage_count +
                               services->database().blocks().Stats().quarantined;
  std::string retention;
  for (const ConfigKey& key : ConfigKeys(&config)) {
    retention = key.name == "storage.retention" ? PlainValue(key.show()) : retention;
  }
  return Success(fmt::format(
      R"({{"startTime":"{}","CWD":{},"hostname":{},"serverTime":"{}","reloadConfigSuccess":true,)"
      R"("lastConfigTime":"{}","corruptionCount":{},"goroutineCount":{},"GOMAXPROCS":{},)"
      R"("GOMEMLIMIT":{},"GOGC":"","GODEBUG":"","storageRetention":{}}})",
      start, JsonText(WorkingFolder()), JsonText(HostName()), FormatRfc3339(WallNanos()), start,
      corruptions, ThreadCount(), std::thread::hardware_concurrency(),
      std::numeric_limits<int64_t>::max(), JsonText(retention)));
}

// Prometheus counts segments here. Ours are replayed in one go; before that is done there is
// nothing to tell.
http::Answer LogReplay(Services* services, const http::Request&) {
  const uint64_t segments = services->serving() ? services->database().recovery().segments : 0;
  return Success(fmt::format(R"({{"min":0,"max":{0},"current":{0}}})", segments));
}

// ---- status/tsdb

StatusOr<size_t> ListLength(const ReadRequest& read) {
  const std::string_view text = read.parameters().Get("limit");
  if (text.empty()) {
    return kDefaultListLength;
  }
  const StatusOr<int64_t> limit = ParseWholeNumber(text);
  if (!limit.ok() || *limit < 1) {
    return InvalidArgument("limit must be a positive number");
  }
  if (*limit > kMaxListLength) {
    return InvalidArgument("limit must not exceed {}", kMaxListLength);
  }
  return static_cast<size_t>(*limit);
}

// One metric after the other, so that only one's series are selected at a time.
StatusOr<Cardinality> CountSeries(const ReadRequest& read) {
  Cardinality cardinality;
  model::SelectRequest request{.matchers = {},
                               .range = {},
                               .max_series = read.options().max_series,
                               .cancel = read.options().cancel};
  ASSIGN_OR_RETURN(std::vector<std::string> names,
                   read.services().database().LabelValues(model::kMetricName, request));
  names.emplace_back();  // series without a name
  for (const std::string& name : names) {
    ASSIGN_OR_RETURN(auto matcher, model::Matcher::Create(model::MatchType::kEqual,
                                                          std::string(model::kMetricName), name));
    request.matchers = {std::move(matcher)};
    const auto add = [&](const model::SeriesSet&, size_t, const model::LabelViews& labels) {
      cardinality.Add(labels);
      return OkStatus();
    };
    RETURN_IF_ERROR(VisitSeries(read, {request}, add));
  }
  return cardinality;
}

std::string HeadStats(const tsdb::DatabaseStats& stats) {
  // As Prometheus has it for a head without samples.
  int64_t min_ms = std::numeric_limits<int64_t>::max();
  int64_t max_ms = std::numeric_limits<int64_t>::min();
  if (stats.oldest_row_age_ms > 0) {
    max_ms = WallNanos() / kNanosPerMilli;
    min_ms = max_ms - stats.oldest_row_age_ms;
  }
  return fmt::format(
      R"({{"numSeries":{},"numLabelPairs":{},"chunkCount":0,"minTime":{},"maxTime":{}}})",
      stats.series, stats.label_pairs, min_ms, max_ms);
}

void WriteCounts(std::string_view key, const std::vector<NamedCount>& counts,
                 query::JsonStream* stream) {
  stream->Raw(fmt::format(",\"{}\":[", key));
  for (size_t i = 0; i < counts.size(); ++i) {
    stream->Raw(i == 0 ? "{\"name\":" : ",{\"name\":");
    stream->String(counts[i].name);
    stream->Raw(fmt::format(",\"value\":{}}}", counts[i].count));
    stream->Yield();
  }
  stream->Raw(']');
}

Status DatabaseStatus(const ReadRequest& read, AnswerStream* answer) {
  ASSIGN_OR_RETURN(const size_t limit, ListLength(read));
  ASSIGN_OR_RETURN(const Cardinality cardinality, CountSeries(read));
  query::JsonStream stream(answer->sink());
  stream.Raw(R"({"status":"success","data":{"headStats":)");
  stream.Raw(HeadStats(read.services().database().Stats()));
  WriteCounts("seriesCountByMetricName", cardinality.SeriesByMetricName(limit), &stream);
  WriteCounts("labelValueCountByLabelName", cardinality.ValuesByLabelName(limit), &stream);
  WriteCounts("memoryInBytesByLabelName", cardinality.ValueBytesByLabelName(limit), &stream);
  WriteCounts("seriesCountByLabelValuePair", cardinality.SeriesByLabelPair(limit), &stream);
  std::vector<NamedCount> refused;
  for (tsdb::RefusedMetric& metric : read.services().database().MostRefused(limit)) {
    refused.push_back({std::move(metric.name), metric.series});
  }
  WriteCounts("refusedSeriesByMetricName", refused, &stream);
  stream.Raw("}}");
  stream.Flush();
  return OkStatus();
}

}  // namespace

void AddPrometheusStatusRoutes(Services* services, http::Router* router) {
  const auto add = [&](std::string_view path, const AdminPage& page) {
    AddAdminPage(services, router, http::Method::kGet, path, page);
  };
  add("/api/v1/status/buildinfo", BuildInfo);
  add("/api/v1/status/config", ConfigPage);
  add("/api/v1/status/flags", Flags);
  add("/api/v1/status/runtimeinfo", RuntimeInfo);
  add("/api/v1/status/walreplay", LogReplay);
  AddReadRoute(services, router,
               {.path = "/api/v1/status/tsdb",
                .api = "status_tsdb",
                .content_type = kJsonType,
                .takes_post = false},
               DatabaseStatus);
}

}  // namespace tsdbd::server
