#include "server/read_request.h"

#include <algorithm>
#include <limits>
#include <span>
#include <utility>

#include "common/clock.h"
#include "query/parser.h"
#include "query/query_error.h"
#include "query/time_parse.h"
#include "server/answers.h"
#include "server/text.h"

namespace tsdbd::server {
namespace {

// Queries in a form body: the parser refuses longer ones anyway.
constexpr size_t kMaxFormBytes = size_t{1} << 20;

bool MatchesAll(const std::vector<model::Matcher>& matchers, const model::LabelViews& labels) {
  return std::all_of(matchers.begin(), matchers.end(), [&](const model::Matcher& matcher) {
    const auto label = std::find_if(labels.begin(), labels.end(), [&](const model::LabelView& l) {
      return l.name == matcher.name();
    });
    return matcher.Matches(label == labels.end() ? "" : label->value);
  });
}

// Visits what `request` selects and none of `earlier` does: that has been visited.
Status VisitNewSeries(const ReadRequest& read, std::span<const model::SelectRequest> earlier,
                      const model::SelectRequest& request, const SeriesVisitor& visit) {
  ASSIGN_OR_RETURN(const auto set, read.services().database().Select(request));
  model::LabelViews labels;
  for (size_t series = 0; series < set->size(); ++series) {
    RETURN_IF_ERROR(read.CheckAlive());
    set->GetLabels(series, &labels);
    const bool visited = std::any_of(
        earlier.begin(), earlier.end(),
        [&](const model::SelectRequest& other) { return MatchesAll(other.matchers, labels); });
    RETURN_IF_ERROR(visited ? OkStatus() : visit(*set, series, labels));
  }
  return OkStatus();
}

Status Run(ReadRequest* request, const ReadFunction& function, AnswerStream* answer) {
  RETURN_IF_ERROR(request->ReadParameters());
  RETURN_IF_ERROR(request->CheckAlive());
  return function(*request, answer);
}

void RunRead(Services* services, const ReadRoute& route,
             const std::shared_ptr<http::Exchange>& exchange, const ReadFunction& function) {
  const auto count = [services, api = route.api](const Status& status) {
    services->metrics()
        .query_requests(api, status.ok() ? "ok" : query::ErrorKindOf(status).name)
        .Increment();
  };
  const bool submitted =
      services->query_pool().TrySubmit([services, count, content_type = route.content_type,
                                        exchange, function, submitted_nanos = MonotonicNanos()] {
        ReadRequest request(services, exchange, submitted_nanos);
        AnswerStream answer(exchange, content_type);
        const Status status = Run(&request, function, &answer);
        count(status);
        if (status.ok()) {
          answer.Finish();
        } else {
          answer.Fail(status);
        }
      });
  if (!submitted) {
    const Status status = Unavailable("overload: too many queries are waiting (query.queue)");
    count(status);
    exchange->Respond(PrometheusError(status));
  }
}

}  // namespace

bool AnswerStream::Write(std::string_view piece) {
  written_bytes_ += piece.size();
  if (!streaming_ && first_piece_.empty()) {
    first_piece_ = piece;
    return !exchange_->cancelled();
  }
  if (!streaming_) {
    streaming_ = true;
    exchange_->BeginStream(200, content_type_);
    if (!exchange_->Write(first_piece_)) {
      return false;
    }
  }
  return exchange_->Write(piece);
}

void AnswerStream::Finish() {
  if (streaming_) {
    exchange_->End();
  } else {
    exchange_->Respond(200, content_type_, std::move(first_piece_));
  }
}

void AnswerStream::Fail(const Status& status) {
  if (streaming_) {
    exchange_->Abort();
  } else {
    exchange_->Respond(PrometheusError(status));
  }
}

ReadRequest::ReadRequest(Services* services, std::shared_ptr<http::Exchange> exchange,
                         int64_t submitted_nanos)
    : services_(services),
      exchange_(std::move(exchange)),
      cancel_(std::make_shared<model::CancelToken>()),
      submitted_nanos_(submitted_nanos),
      start_nanos_(MonotonicNanos()),
      options_(services->config().query.options) {
  options_.cancel = cancel_.get();
  options_.helpers = &services->query_pool();
  exchange_->OnCancel([cancel = cancel_] { cancel->Cancel(); });
}

Status ReadRequest::ReadParameters() {
  if (!http().MergedParameters(&parameters_)) {
    return InvalidArgument("the body is not a form although its Content-Type says so");
  }
  if (const std::string_view text = parameters_.Get("timeout"); !text.empty()) {
    const auto nanos = query::ParseDurationParameter(text);
    if (!nanos.ok()) {
      return query::InvalidParameter("timeout", nanos.status());
    }
    // Prometheus takes zero and less, too: time is over before it begins.
    options_.timeout_ns = std::min(options_.timeout_ns, std::max<int64_t>(*nanos, 1));
  }
  return OkStatus();
}

StatusOr<model::Timestamp> ReadRequest::TimeParameter(std::string_view name,
                                                      model::Timestamp fallback) const {
  const std::string_view text = parameters_.Get(name);
  if (text.empty()) {
    return fallback;
  }
  const auto time = query::ParseTime(text);
  return time.ok() ? *time
                   : StatusOr<model::Timestamp>(query::InvalidParameter(
                         name, InvalidArgument("invalid time value for '{}': {}", name,
                                               Message(time.status()))));
}

StatusOr<model::Timestamp> ReadRequest::RequiredTimeParameter(std::string_view name) const {
  const auto time = query::ParseTime(parameters_.Get(name));
  return time.ok() ? *time
                   : StatusOr<model::Timestamp>(query::InvalidParameter(name, time.status()));
}

StatusOr<model::TimeRange> ReadRequest::RangeParameters() const {
  constexpr model::Timestamp kEarliest = std::numeric_limits<model::Timestamp>::min();
  ASSIGN_OR_RETURN(const model::Timestamp start, TimeParameter("start", kEarliest));
  ASSIGN_OR_RETURN(const model::Timestamp end, TimeParameter("end", model::kMaxTimestamp));
  if (end < start) {
    return query::InvalidParameter("end",
                                   InvalidArgument("end timestamp must not be before start time"));
  }
  return model::TimeRange{.min = std::max(start, model::kMinTimestamp), .max = end};
}

StatusOr<uint64_t> ReadRequest::LimitParameter() const {
  const std::string_view text = parameters_.Get("limit");
  if (text.empty()) {
    return uint64_t{0};
  }
  const StatusOr<int64_t> limit = ParseWholeNumber(text);
  if (!limit.ok()) {
    return query::InvalidParameter("limit", limit.status());
  }
  if (*limit < 0) {
    return query::InvalidParameter("limit", InvalidArgument("limit must be non-negative"));
  }
  return static_cast<uint64_t>(*limit);
}

StatusOr<std::vector<model::SelectRequest>> ReadRequest::SelectRequests(
    const model::TimeRange& range) const {
  std::vector<model::SelectRequest> requests;
  for (const std::string_view selector : parameters_.FindAll("match[]")) {
    ASSIGN_OR_RETURN(auto matchers, query::ParseSeriesSelector(selector));
    requests.push_back({.matchers = std::move(matchers),
                        .range = range,
                        .max_series = options_.max_series,
                        .cancel = options_.cancel});
  }
  return requests;
}

Status ReadRequest::CheckAlive() const {
  if (cancel_->cancelled()) {
    return MakeStatus(StatusCode::kCancelled, "query was canceled in expression evaluation");
  }
  if (MonotonicNanos() - start_nanos_ > options_.timeout_ns) {
    return MakeStatus(StatusCode::kDeadlineExceeded, "query timed out in expression evaluation");
  }
  return OkStatus();
}

void AddReadRoute(Services* services, http::Router* router, const ReadRoute& route,
                  const ReadFunction& function) {
  const auto handler = [=](const std::shared_ptr<http::Exchange>& exchange) {
    RunRead(services, route, exchange, function);
  };
  router->Add(http::Method::kGet, route.path, handler, {.max_body_bytes = kMaxFormBytes});
  if (route.takes_post) {
    router->Add(http::Method::kPost, route.path, handler, {.max_body_bytes = kMaxFormBytes});
  }
}

Status VisitSeries(const ReadRequest& read, const std::vector<model::SelectRequest>& requests,
                   const SeriesVisitor& visit) {
  for (size_t i = 0; i < requests.size(); ++i) {
    RETURN_IF_ERROR(VisitNewSeries(read, {requests.data(), i}, requests[i], visit));
  }
  return OkStatus();
}

}  // namespace tsdbd::server
