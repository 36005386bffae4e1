#pragma once
// What all read requests have in common: they run on the query pool, are given up when the client
// goes away or the time is over, and stream their answers. Errors have Prometheus' shape.
//
// Threads: RunRead is for loop threads; the rest belongs to the thread that runs the request.

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "common/status.h"
#include "http/exchange.h"
#include "model/series_source.h"
#include "query/engine.h"
#include "query/json_writer.h"
#include "server/services.h"

namespace tsdbd::server {

// Sends an answer that comes in pieces: one piece in one go with its length, more as a stream.
class AnswerStream {
 public:
  AnswerStream(std::shared_ptr<http::Exchange> exchange, std::string_view content_type)
      : exchange_(std::move(exchange)), content_type_(content_type) {}

  // For the writers of query/json_writer.h.
  query::JsonSink sink() {
    return [this](std::string_view piece) { return Write(piece); };
  }
  // False if nobody reads it any more.
  bool Write(std::string_view piece);
  uint64_t written_bytes() const { return written_bytes_; }
  void Finish();
  // The answer to a request that failed with `status`; cuts off an answer that has begun.
  void Fail(const Status& status);

 private:
  const std::shared_ptr<http::Exchange> exchange_;
  const std::string content_type_;
  std::string first_piece_;
  uint64_t written_bytes_ = 0;
  bool streaming_ = false;
};

// One read request on its thread.
class ReadRequest {
 public:
  // `submitted_nanos`: when it began to wait for its thread.
  ReadRequest(Services* services, std::shared_ptr<http::Exchange> exchange,
              int64_t submitted_nanos);

  Services& services() const { return *services_; }
  const http::Request& http() const { return exchange_->request(); }
  const http::Parameters& parameters() const { return parameters_; }

  // Reads the parameters. kInvalidArgument if the body is not the form it says it is.
  Status ReadParameters();
  // The limits of the configuration with this request's `timeout` and cancellation.
  const query::QueryOptions& options() const { return options_; }
  // `time`, `start` and the like; `fallback` if it is not there or empty.
  StatusOr<model::Timestamp> TimeParameter(std::string_view name, model::Timestamp fallback) const;
  // The same where it must be there.
  StatusOr<model::Timestamp> RequiredTimeParameter(std::string_view name) const;
  // start and end, by default all of time, cut to the times that samples can have: max < min if
  // none can.
  StatusOr<model::TimeRange> RangeParameters() const;
  // How many results `limit` allows; 0 and no `limit` mean all.
  StatusOr<uint64_t> LimitParameter() const;
  // One request for each match[], over `range`. The error is the bare parse error.
  StatusOr<std::vector<model::SelectRequest>> SelectRequests(const model::TimeRange& range) const;
  int64_t queue_nanos() const { return start_nanos_ - submitted_nanos_; }
  // kCancelled or kDeadlineExceeded if the request is to be given up.
  Status CheckAlive() const;

 private:
  Services* const services_;
  const std::shared_ptr<http::Exchange> exchange_;
  const std::shared_ptr<model::CancelToken> cancel_;
  const int64_t submitted_nanos_;
  const int64_t start_nanos_;
  http::Parameters parameters_;
  query::QueryOptions options_;
};

using ReadFunction = std::function<Status(const ReadRequest&, AnswerStream*)>;

struct ReadRoute {
  std::string_view path;
  std::string_view api;  // the name in metrics
  std::string_view content_type;
  bool takes_post = true;  // a form, besides GET
};

// Adds the route. Requests run `function` on the query pool and are answered with what it writes,
// or with the error that it returns.
void AddReadRoute(Services* services, http::Router* router, const ReadRoute& route,
                  const ReadFunction& function);

// The warning with an answer that `limit` has cut short.
inline const std::vector<std::string> kTruncatedWarning = {"results truncated due to limit"};

using SeriesVisitor = std::function<Status(const model::SeriesSet& set, size_t series,
                                           const model::LabelViews& labels)>;

// Visits the series that match any of `requests`, each once. Stops at the first error of `visit`.
Status VisitSeries(const ReadRequest& read, const std::vector<model::SelectRequest>& requests,
                   const SeriesVisitor& visit);

}  // namespace tsdbd::server
