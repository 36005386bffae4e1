// POST /api/v1/read: Prometheus remote read (routes.h). Errors are text, with the status codes that
// Prometheus has for them.

#include <algorithm>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "common/clock.h"
#include "common/stages.h"
#include "ingest/remote_read.h"
#include "ingest/snappy_block.h"
#include "query/query_error.h"
#include "server/answers.h"
#include "server/read_request.h"
#include "server/routes.h"

namespace tsdbd::server {
namespace {

constexpr std::string_view kApi = "read";
constexpr std::string_view kStreamType =
    "application/x-streamed-protobuf; proto=prometheus.ChunkedReadResponse";
// Some hundred matchers, some of them long regexes.
constexpr size_t kMaxMessageBytes = size_t{1} << 20;
// An answer in one message is in memory twice, plain and compressed, and so it is at the client.
// Streams have no such bound.
constexpr size_t kMaxAnswerBytes = size_t{256} << 20;
// Labels of the series of one query, which are sorted before they are sent: 256 MB of views.
constexpr size_t kMaxSortedLabels = size_t{8} << 20;

int HttpStatusOf(const Status& status) {
  switch (status.code()) {
    case StatusCode::kInvalidArgument:
    case StatusCode::kResourceExhausted:
      return 400;
    default:
      return query::ErrorKindOf(status).http_status;
  }
}

http::Answer ErrorAnswer(const Status& status) {
  http::Answer answer = TextAnswer(HttpStatusOf(status), std::string(Message(status)) + "\n");
  if (answer.status == 503) {
    answer.headers.push_back({"Retry-After", "1"});
  }
  return answer;
}

// The series of one query, sorted by labels.
class SortedSeries {
 public:
  Status Select(const ReadRequest& read, const ingest::RemoteReadQuery& query) {
    StageTimer timer(Stage::kQuerySelect);
    ASSIGN_OR_RETURN(set_,
                     read.services().database().Select({.matchers = query.matchers,
                                                        .range = query.range,
                                                        .max_series = read.options().max_series,
                                                        .cancel = read.options().cancel}));
    size_t label_count = 0;
    order_.resize(set_->size());
    for (size_t i = 0; i < set_->size(); ++i) {
      order_[i].series = i;
      set_->GetLabels(i, &order_[i].labels);
      label_count += order_[i].labels.size();
      if (label_count > kMaxSortedLabels) {
        return ResourceExhausted("the query selects too many series: more than {} labels in all",
                                 kMaxSortedLabels);
      }
    }
    std::sort(order_.begin(), order_.end(),
              [](const Entry& a, const Entry& b) { return a.labels < b.labels; });
    timer.set_items(order_.size());
    return OkStatus();
  }

  // Calls `visit(labels, samples)` for each series with samples in the range; the samples' times
  // are milliseconds.
  template <typename Visitor>
  Status Visit(const ReadRequest& read, const model::TimeRange& range, Visitor visit) const {
    model::SampleColumns samples;
    for (const Entry& entry : order_) {
      RETURN_IF_ERROR(read.CheckAlive());
      RETURN_IF_ERROR(set_->Read(entry.series, range, &samples));
      ingest::CutToMillis(&samples);
      if (samples.size() > 0) {
        RETURN_IF_ERROR(visit(entry.labels, samples));
      }
    }
    return OkStatus();
  }

 private:
  struct Entry {
    model::LabelViews labels;
    size_t series = 0;
  };

  std::unique_ptr<model::SeriesSet> set_;
  std::vector<Entry> order_;
};

// One request on a thread of the query pool.
class RemoteReader {
 public:
  RemoteReader(Services* services, const std::shared_ptr<http::Exchange>& exchange)
      : exchange_(exchange), read_(services, exchange, MonotonicNanos()) {}

  // Answers, unless it fails before the answer has begun.
  Status Run() {
    ASSIGN_OR_RETURN(const ingest::RemoteReadRequest request, Parse());
    return request.answer == ingest::RemoteReadAnswer::kSamples ? SendSamples(request)
                                                                : SendStream(request);
  }
  bool has_begun() const { return has_begun_; }

 private:
  StatusOr<ingest::RemoteReadRequest> Parse() const {
    StageTimer timer(Stage::kQueryParse);
    ingest::SnappyDecoder decoder;
    ASSIGN_OR_RETURN(const std::string_view message,
                     decoder.Decode(exchange_->request().body(), kMaxMessageBytes));
    return ingest::ParseRemoteRead(message);
  }

  Status SendSamples(const ingest::RemoteReadRequest& request) {
    std::string response;
    uint64_t sample_count = 0;
    for (const ingest::RemoteReadQuery& query : request.queries) {
      std::string result;
      const auto add = [&](const model::LabelViews& labels, const model::SampleColumns& samples) {
        sample_count += samples.size();
        if (sample_count > read_.options().max_samples) {
          return ResourceExhausted("exceeded sample limit ({})", read_.options().max_samples);
        }
        ingest::AppendTimeSeries(labels, samples, &result);
        return response.size() + result.size() <= kMaxAnswerBytes
                   ? OkStatus()
                   : ResourceExhausted(
                         "the answer has more than {} bytes; ask for less or for "
                         "STREAMED_XOR_CHUNKS",
                         kMaxAnswerBytes);
      };
      RETURN_IF_ERROR(VisitSeriesOf(query, add));
      ingest::AppendQueryResult(result, &response);
    }
    StageTimer timer(Stage::kQueryEncode);
    timer.set_items(response.size());
    has_begun_ = true;
    exchange_->Respond({.content_type = "application/x-protobuf",
                        .body = ingest::SnappyBlock(response),
                        .headers = {{"Content-Encoding", "snappy"}}});
    return OkStatus();
  }

  Status SendStream(const ingest::RemoteReadRequest& request) {
    const auto send = [this](std::string_view frame) {
      if (!has_begun_) {
        has_begun_ = true;
        exchange_->BeginStream(200, kStreamType);
      }
      return exchange_->Write(frame);
    };
    for (size_t i = 0; i < request.queries.size(); ++i) {
      const auto add = [&](const model::LabelViews& labels, const model::SampleColumns& samples) {
        return ingest::WriteFrames(static_cast<int64_t>(i), labels, samples, send)
                   ? OkStatus()
                   : MakeStatus(StatusCode::kCancelled, "nobody reads the answer");
      };
      RETURN_IF_ERROR(VisitSeriesOf(request.queries[i], add));
    }
    if (has_begun_) {
      exchange_->End();
    } else {
      has_begun_ = true;
      exchange_->Respond(200, kStreamType, "");
    }
    return OkStatus();
  }

  template <typename Visitor>
  Status VisitSeriesOf(const ingest::RemoteReadQuery& query, Visitor visit) const {
    RETURN_IF_ERROR(read_.CheckAlive());
    if (query.range.min > query.range.max) {
      return OkStatus();
    }
    SortedSeries series;
    RETURN_IF_ERROR(series.Select(read_, query));
    return series.Visit(read_, query.range, visit);
  }

  const std::shared_ptr<http::Exchange> exchange_;
  const ReadRequest read_;
  bool has_begun_ = false;
};

void HandleRead(Services* services, const std::shared_ptr<http::Exchange>& exchange) {
  const auto count = [services](const Status& status) {
    services->metrics()
        .query_requests(kApi, status.ok() ? "ok" : query::ErrorKindOf(status).name)
        .Increment();
  };
  const bool submitted = services->query_pool().TrySubmit([services, exchange, count] {
    RemoteReader reader(services, exchange);
    const Status status = reader.Run();
    count(status);
    if (!status.ok() && reader.has_begun()) {
      exchange->Abort();
    } else if (!status.ok()) {
      exchange->Respond(ErrorAnswer(status));
    }
  });
  if (!submitted) {
    const Status status = Unavailable("overload: too many queries are waiting (query.queue)");
    count(status);
    exchange->Respond(ErrorAnswer(status));
  }
}

}  // namespace

void AddRemoteReadRoute(Services* services, http::Router* router) {
  router->Add(http::Method::kPost, "/api/v1/read",
              [services](const std::shared_ptr<http::Exchange>& exchange) {
                HandleRead(services, exchange);
              },
              {.max_body_bytes = kMaxMessageBytes, .raw_content_encoding = "snappy"});
}

}  // namespace tsdbd::server
