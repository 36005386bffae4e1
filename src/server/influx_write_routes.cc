// /write and /api/v2/write: line protocol in, 204 when it is durable (routes.h).
//
// A request's way: the handler checks the parameters; parsing and Database::Write run on the loop
// thread for small bodies and on the write pool for large ones; the answer is sent from the
// database's callback.

#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "common/clock.h"
#include "common/stages.h"
#include "ingest/line_key_decoder.h"
#include "ingest/line_protocol.h"
#include "server/answers.h"
#include "server/routes.h"

namespace tsdbd::server {
namespace {

// 200 lines or so, parsed in some 20 µs: less than handing them to another thread and back costs.
constexpr size_t kMaxInlineBodyBytes = size_t{64} << 10;
// What a thread's batch may keep of its memory for the next request: that of a common large body
// of 5,000 lines with 10 fields, several times over.
constexpr size_t kMaxKeptValues = size_t{1} << 18;

// What a thread needs to turn a body into rows, kept from request to request.
struct WriteScratch {
  ingest::LineProtocolParser parser;
  model::RowBatch batch;
  ingest::ParseReport report;
  // For the database that the last request named; most clients name one.
  std::optional<ingest::LineKeyDecoder> decoder;
  std::string database;

  static WriteScratch& OfThread() {
    static thread_local WriteScratch scratch;
    return scratch;
  }
};

// One request from its head to its answer.
struct WriteRequest {
  std::shared_ptr<http::Exchange> exchange;
  ingest::Precision precision = ingest::Precision::kNanoseconds;
  std::string database;
  LineOutcome outcome;
};

class WriteHandler {
 public:
  WriteHandler(Services* services, InfluxApi api) : services_(services), api_(api) {}

  void operator()(std::shared_ptr<http::Exchange> exchange) const;

 private:
  void Store(const std::shared_ptr<WriteRequest>& request) const;
  void Parse(const WriteRequest& request, WriteScratch* scratch) const;
  void CountLines(const ingest::ParseReport& report) const;
  void Finish(WriteRequest* request, tsdb::WriteResult result) const;
  void Respond(WriteRequest* request, WriteOutcome outcome, http::Answer answer) const;

  Services* const services_;
  const InfluxApi api_;
};

void WriteHandler::operator()(std::shared_ptr<http::Exchange> exchange) const {
  const http::Request& head = exchange->request();
  RecordStage(Stage::kRead, head.complete_nanos() - head.arrived_nanos(), head.body().size());
  auto request = std::make_shared<WriteRequest>();
  request->exchange = std::move(exchange);
  request->database = head.query().Get(api_ == InfluxApi::kV1 ? "db" : "bucket");
  const auto precision = ingest::ParsePrecision(head.query().Get("precision"));
  if (!precision.ok()) {
    Respond(request.get(), WriteOutcome::kRefused,
            InfluxError(api_, 400, Message(precision.status())));
    return;
  }
  request->precision = *precision;
  if (head.body().size() <= kMaxInlineBodyBytes) {
    Store(request);
  } else if (!services_->write_pool().TrySubmit([this, request] { Store(request); })) {
    Respond(request.get(), WriteOutcome::kOverload,
            InfluxError(api_, 503, "overload: too many large writes are waiting (write.queue)"));
  }
}

void WriteHandler::Store(const std::shared_ptr<WriteRequest>& request) const {
  WriteScratch& scratch = WriteScratch::OfThread();
  Parse(*request, &scratch);
  CountLines(scratch.report);
  request->outcome.refused = scratch.report.error_count;
  request->outcome.errors = std::move(scratch.report.errors);
  const bool refused = api_ == InfluxApi::kV2 && request->outcome.refused > 0;
  if (refused || scratch.batch.rows.empty()) {
    Finish(request.get(), tsdb::WriteResult());
  } else {
    const auto mode =
        api_ == InfluxApi::kV1 ? tsdb::WriteMode::kPartial : tsdb::WriteMode::kAllOrNothing;
    services_->database().Write(scratch.batch, mode, [this, request](tsdb::WriteResult result) {
      Finish(request.get(), std::move(result));
    });
  }
  scratch.batch.Clear();
  if (scratch.batch.values.capacity() > kMaxKeptValues) {
    scratch.batch = model::RowBatch();
  }
}

void WriteHandler::Parse(const WriteRequest& request, WriteScratch* scratch) const {
  StageTimer timer(Stage::kParse);
  const Config& config = services_->config();
  if (!scratch->decoder || scratch->database != request.database) {
    scratch->decoder.emplace(
        ingest::LineKeyDecoderOptions{.naming = config.write.naming,
                                      .database_label = config.write.database_label,
                                      .database = request.database,
                                      .keep_utf8 = config.write.keep_utf8});
    scratch->database = request.database;
  }
  ingest::ParseOptions options;
  options.decoder = &*scratch->decoder;
  options.precision = request.precision;
  options.now = WallNanos();
  options.time_range.max = options.now + config.write.future_limit_ns;
  if (config.database.retention_ns != 0) {
    options.time_range.min =
        std::max(model::kMinTimestamp, options.now - config.database.retention_ns);
  }
  options.string_fields = config.write.string_fields;
  options.max_fields = config.write.max_fields;
  options.max_line_bytes = config.write.max_line_bytes;
  scratch->parser.Parse(request.exchange->request().body(), options, &scratch->batch,
                        &scratch->report);
  timer.set_items(scratch->report.line_count);
}

void WriteHandler::CountLines(const ingest::ParseReport& report) const {
  const auto add = [](prometheus::Counter& counter, uint64_t count) {
    // Most are 0 for most requests, and an increment is a locked exchange.
    if (count > 0) {
      counter.Increment(static_cast<double>(count));
    }
  };
  Metrics& metrics = services_->metrics();
  add(metrics.write_lines, report.line_count);
  add(metrics.write_strings_dropped, report.dropped_string_count);
  add(metrics.write_integers_rounded, report.inexact_integer_count);
}

// On the loop thread, on a thread of the write pool or of the log.
void WriteHandler::Finish(WriteRequest* request, tsdb::WriteResult result) const {
  LineOutcome& outcome = request->outcome;
  outcome.stored = result.rows_stored;
  outcome.refused += result.rows_refused;
  outcome.errors.insert(outcome.errors.end(), std::make_move_iterator(result.refused.begin()),
                        std::make_move_iterator(result.refused.end()));
  std::stable_sort(outcome.errors.begin(), outcome.errors.end(),
                   [](const auto& a, const auto& b) { return a.line < b.line; });
  outcome.errors.resize(std::min(outcome.errors.size(), tsdb::kMaxReportedLines));
  if (outcome.refused > 0) {
    services_->metrics().write_lines_refused.Increment(static_cast<double>(outcome.refused));
  }
  // Refused lines answer for themselves; anything else goes before them: a client that is told of
  // bad lines does not send the good ones again.
  const bool lines_tell =
      result.status.ok() || (outcome.refused > 0 && absl::IsInvalidArgument(result.status));
  if (!lines_tell) {
    const int status = WriteFailureStatus(result.status);
    Respond(request, status == 503 ? WriteOutcome::kOverload : WriteOutcome::kFailed,
            InfluxError(api_, status, Message(result.status)));
    return;
  }
  const WriteOutcome kind = outcome.refused == 0  ? WriteOutcome::kStored
                            : outcome.stored == 0 ? WriteOutcome::kRefused
                                                  : WriteOutcome::kPartial;
  Respond(request, kind, WriteAnswer(api_, outcome));
}

void WriteHandler::Respond(WriteRequest* request, WriteOutcome outcome, http::Answer answer) const {
  services_->metrics().write_requests(outcome).Increment();
  const int64_t start_nanos = MonotonicNanos();
  request->exchange->OnSent(
      [start_nanos] { RecordStage(Stage::kRespond, MonotonicNanos() - start_nanos); });
  request->exchange->Respond(std::move(answer));
}

}  // namespace

void AddInfluxWriteRoutes(Services* services, http::Router* router) {
  const http::RouteOptions options{.max_body_bytes = services->config().write.max_body_bytes};
  const auto add = [&](std::string_view path, InfluxApi api) {
    // Shared, because what runs later points at it.
    const auto handler = std::make_shared<const WriteHandler>(services, api);
    router->Add(
        http::Method::kPost, path,
        [handler](std::shared_ptr<http::Exchange> exchange) { (*handler)(std::move(exchange)); },
        options);
  };
  add("/write", InfluxApi::kV1);
  add("/api/v2/write", InfluxApi::kV2);
}

}  // namespace tsdbd::server
