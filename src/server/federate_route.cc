// GET /federate: the newest samples of what match[] selects, for another Prometheus to scrape
// (routes.h).

#include <algorithm>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "common/clock.h"
#include "query/staleness.h"
#include "server/answers.h"
#include "server/exposition.h"
#include "server/read_request.h"
#include "server/routes.h"

namespace tsdbd::server {
namespace {

constexpr std::string_view kExpositionType = "text/plain; version=0.0.4; charset=utf-8";
// All lines are held until they are sorted; two million series of a hundred bytes.
constexpr size_t kMaxLinesBytes = size_t{256} << 20;

struct Line {
  std::string name;  // as it is written, to sort by
  std::string text;
};

// Counters and gauges are told so. A histogram's or summary's series are several families here, and
// as Prometheus does, what is not known to be one thing is told to be untyped.
std::string_view TypeOf(const MetadataStore& metadata, std::string_view name) {
  const auto known = metadata.Find(name);
  const bool single =
      known && (known->type == MetricType::kCounter || known->type == MetricType::kGauge);
  return single ? MetricTypeName(known->type) : "untyped";
}

StatusOr<std::vector<Line>> NewestLines(const ReadRequest& read, NameEscaping escaping) {
  const model::Timestamp now = WallNanos();
  const model::TimeRange range = {.min = now - read.options().lookback_delta_ns, .max = now};
  ASSIGN_OR_RETURN(const auto requests, read.SelectRequests(range));
  std::vector<Line> lines;
  size_t lines_bytes = 0;
  model::SampleColumns samples;
  const auto add = [&](const model::SeriesSet& set, size_t series,
                       const model::LabelViews& labels) -> Status {
    const auto name = std::find_if(labels.begin(), labels.end(), [](const model::LabelView& label) {
      return label.name == model::kMetricName;
    });
    if (name == labels.end()) {
      return OkStatus();  // the format has no series without a name
    }
    RETURN_IF_ERROR(set.Read(series, range, &samples));
    if (samples.size() == 0 || query::IsStaleMarker(samples.values.back())) {
      return OkStatus();
    }
    lines.push_back(
        {EscapedName(name->value, escaping), SampleLine(name->value, labels, samples.values.back(),
                                                        samples.timestamps.back(), escaping)});
    lines_bytes += lines.back().name.size() + lines.back().text.size();
    return lines_bytes <= kMaxLinesBytes
               ? OkStatus()
               : ResourceExhausted("the answer has more than {} bytes", kMaxLinesBytes);
  };
  RETURN_IF_ERROR(VisitSeries(read, requests, add));
  std::sort(lines.begin(), lines.end(), [](const Line& a, const Line& b) {
    return std::tie(a.name, a.text) < std::tie(b.name, b.text);
  });
  return lines;
}

Status Federate(const ReadRequest& read, AnswerStream* answer) {
  const std::string_view accept = read.http().Header("Accept");
  const NameEscaping escaping = accept.find("escaping=allow-utf-8") != accept.npos
                                    ? NameEscaping::kAllowUtf8
                                    : NameEscaping::kUnderscores;
  ASSIGN_OR_RETURN(const std::vector<Line> lines, NewestLines(read, escaping));
  const MetadataStore& metadata = read.services().metadata();
  query::JsonStream stream(answer->sink());
  const std::string* previous = nullptr;
  for (const Line& line : lines) {
    if (previous == nullptr || *previous != line.name) {
      stream.Raw(TypeLine(line.name, TypeOf(metadata, line.name), escaping));
    }
    previous = &line.name;
    stream.Raw(line.text);
    if (!stream.Yield()) {
      break;
    }
  }
  stream.Flush();
  return OkStatus();
}

}  // namespace

void AddFederateRoute(Services* services, http::Router* router) {
  AddReadRoute(services, router,
               {.path = "/federate",
                .api = "federate",
                .content_type = kExpositionType,
                .takes_post = false},
               Federate);
}

}  // namespace tsdbd::server
