// /api/v1/export: samples as they are stored, one JSON line per series (routes.h).

#include "query/json_writer.h"
#include "query/query_error.h"
#include "server/read_request.h"
#include "server/routes.h"

namespace tsdbd::server {
namespace {

constexpr std::string_view kJsonLinesType = "application/x-ndjson";

StatusOr<query::ExportPrecision> PrecisionOf(const ReadRequest& read) {
  const std::string_view precision = read.parameters().Get("precision", "ms");
  if (precision == "ms") {
    return query::ExportPrecision::kMilliseconds;
  }
  if (precision == "ns") {
    return query::ExportPrecision::kNanoseconds;
  }
  return query::InvalidParameter("precision",
                                 InvalidArgument("'{}' is neither ms nor ns", precision));
}

Status Export(const ReadRequest& read, AnswerStream* answer) {
  ASSIGN_OR_RETURN(const query::ExportPrecision precision, PrecisionOf(read));
  ASSIGN_OR_RETURN(const model::TimeRange range, read.RangeParameters());
  ASSIGN_OR_RETURN(const auto requests, read.SelectRequests(range));
  if (requests.empty()) {
    return InvalidArgument("no match[] parameter provided");
  }
  query::ExportWriter writer(precision, answer->sink());
  model::SampleColumns samples;
  const auto write_series = [&](const model::SeriesSet& set, size_t series,
                                const model::LabelViews& labels) -> Status {
    RETURN_IF_ERROR(set.Read(series, range, &samples));
    return writer.Add(labels, samples)
               ? OkStatus()
               : MakeStatus(StatusCode::kCancelled, "nobody reads the answer");
  };
  RETURN_IF_ERROR(VisitSeries(read, requests, write_series));
  writer.Finish();
  return OkStatus();
}

}  // namespace

void AddExportRoute(Services* services, http::Router* router) {
  AddReadRoute(services, router,
               {.path = "/api/v1/export", .api = "export", .content_type = kJsonLinesType}, Export);
}

}  // namespace tsdbd::server
