// POST /api/v1/write: Prometheus remote write 1.0 and 2.0 in, 204 when it is durable (routes.h).
//
// A request's way is that of line protocol (influx_write_routes.cc). Errors are text: senders log
// the first line of it. They send again what gets a 5xx and drop what gets a 4xx, so a 4xx says
// that all good samples are stored.

#include <algorithm>
#include <memory>
#include <string>
#include <utility>

#include "common/clock.h"
#include "common/stages.h"
#include "http/text.h"
#include "ingest/remote_key_decoder.h"
#include "ingest/remote_write.h"
#include "ingest/snappy_block.h"
#include "server/answers.h"
#include "server/routes.h"

namespace tsdbd::server {
namespace {

// 300 series or so, parsed in some 50 µs: less than handing them to another thread and back costs.
constexpr size_t kMaxInlineMessageBytes = size_t{64} << 10;
// What a thread may keep of its memory for the next request: enough for 10,000 series of 300 bytes.
constexpr size_t kMaxKeptMessageBytes = size_t{4} << 20;
constexpr size_t kMaxKeptRows = size_t{1} << 16;

// What a thread needs to turn a body into rows, kept from request to request.
struct RemoteWriteScratch {
  ingest::SnappyDecoder snappy;
  ingest::RemoteWriteParser parser;
  model::RowBatch batch;
  ingest::RemoteWriteReport report;

  static RemoteWriteScratch& OfThread() {
    static thread_local RemoteWriteScratch scratch;
    return scratch;
  }

  void Trim() {
    batch.Clear();
    if (batch.rows.capacity() > kMaxKeptRows) {
      batch = model::RowBatch();
    }
    report.Clear();
    parser.Trim();
    snappy.Trim(kMaxKeptMessageBytes);
  }
};

// One request from its head to its answer.
struct RemoteWriteRequest {
  std::shared_ptr<http::Exchange> exchange;
  ingest::RemoteWriteVersion version = ingest::RemoteWriteVersion::kV1;
  uint64_t stored_samples = 0;
  uint64_t refused_samples = 0;
  uint64_t refused_series = 0;
  std::vector<model::LineError> errors;  // by series
};

std::string_view WithoutBlanks(std::string_view text) {
  const size_t first = text.find_first_not_of(" \t");
  return first == std::string_view::npos
             ? std::string_view()
             : text.substr(first, text.find_last_not_of(" \t") - first + 1);
}

// The message that a Content-Type announces; one without the parameter `proto`, and none at all,
// mean 1.0.
StatusOr<ingest::RemoteWriteVersion> VersionOf(std::string_view content_type) {
  const size_t end_of_type = std::min(content_type.find(';'), content_type.size());
  const std::string_view type = WithoutBlanks(content_type.substr(0, end_of_type));
  if (!type.empty() && !http::EqualsIgnoringCase(type, "application/x-protobuf")) {
    return InvalidArgument(
        "expected application/x-protobuf as the first (media) part, got {} "
        "content-type",
        content_type);
  }
  auto version = ingest::RemoteWriteVersion::kV1;
  std::string_view rest = content_type.substr(end_of_type);
  while (!rest.empty()) {
    rest.remove_prefix(1);
    const std::string_view parameter = WithoutBlanks(rest.substr(0, rest.find(';')));
    rest = rest.substr(std::min(rest.find(';'), rest.size()));
    const size_t equals = std::min(parameter.find('='), parameter.size());
    if (!http::EqualsIgnoringCase(parameter.substr(0, equals), "proto")) {
      continue;
    }
    const std::string_view message = parameter.substr(std::min(equals + 1, parameter.size()));
    if (message == "io.prometheus.write.v2.Request") {
      version = ingest::RemoteWriteVersion::kV2;
    } else if (message != "prometheus.WriteRequest") {
      return InvalidArgument(
          "{} is no known protobuf message: this server takes prometheus.WriteRequest and "
          "io.prometheus.write.v2.Request",
          message);
    }
  }
  return version;
}

// "partial write: 8 samples stored, 2 refused; series 3: <reason>", and the other errors on lines
// of their own.
std::string RefusalText(const RemoteWriteRequest& request) {
  std::string text = request.stored_samples == 0 ? "" : "partial write: ";
  text +=
      fmt::format("{} samples stored, {} refused", request.stored_samples, request.refused_samples);
  const char* separator = "; ";
  uint32_t last_series = 0;
  for (const model::LineError& error : request.errors) {
    // A series that is refused because of its labels has an error for each sample.
    if (error.line != last_series) {
      text += fmt::format("{}series {}: {}", separator, error.line, error.reason);
      separator = "\n";
    }
    last_series = error.line;
  }
  return text + "\n";
}

class RemoteWriteHandler {
 public:
  explicit RemoteWriteHandler(Services* services) : services_(services) {}

  void operator()(std::shared_ptr<http::Exchange> exchange) const;

 private:
  size_t max_message_bytes() const { return services_->config().write.max_body_bytes; }

  void Store(const std::shared_ptr<RemoteWriteRequest>& request) const;
  Status Parse(const RemoteWriteRequest& request, RemoteWriteScratch* scratch) const;
  void Count(const ingest::RemoteWriteReport& report) const;
  void Describe(const ingest::RemoteWriteReport& report) const;
  void Finish(RemoteWriteRequest* request, tsdb::WriteResult result) const;
  // Refuses a request that was not looked into or cannot be understood: nothing of it is stored.
  void RefuseWhole(RemoteWriteRequest* request, const Status& status) const;
  void Respond(RemoteWriteRequest* request, WriteOutcome outcome, http::Answer answer) const;

  Services* const services_;
  const ingest::RemoteKeyDecoder decoder_;
};

void RemoteWriteHandler::operator()(std::shared_ptr<http::Exchange> exchange) const {
  const http::Request& head = exchange->request();
  RecordStage(Stage::kRead, head.complete_nanos() - head.arrived_nanos(), head.body().size());
  auto request = std::make_shared<RemoteWriteRequest>();
  request->exchange = std::move(exchange);
  const auto version = VersionOf(head.Header("content-type"));
  if (!version.ok()) {
    Respond(request.get(), WriteOutcome::kRefused,
            TextAnswer(415, std::string(Message(version.status())) + "\n"));
    return;
  }
  request->version = *version;
  const auto message_bytes = ingest::SnappySize(head.body(), max_message_bytes());
  if (!message_bytes.ok()) {
    RefuseWhole(request.get(), message_bytes.status());
  } else if (*message_bytes <= kMaxInlineMessageBytes) {
    Store(request);
  } else if (!services_->write_pool().TrySubmit([this, request] { Store(request); })) {
    Respond(request.get(), WriteOutcome::kOverload,
            TextAnswer(503, "overload: too many large writes are waiting (write.queue)\n"));
  }
}

void RemoteWriteHandler::Store(const std::shared_ptr<RemoteWriteRequest>& request) const {
  RemoteWriteScratch& scratch = RemoteWriteScratch::OfThread();
  const Status parsed = Parse(*request, &scratch);
  Count(scratch.report);
  if (!parsed.ok()) {
    RefuseWhole(request.get(), parsed);
    scratch.Trim();
    return;
  }
  Describe(scratch.report);
  request->refused_series = scratch.report.refused_series_count;
  request->refused_samples = scratch.report.refused_sample_count;
  request->errors = std::move(scratch.report.errors);
  if (scratch.batch.rows.empty()) {
    Finish(request.get(), tsdb::WriteResult());
  } else {
    services_->database().Write(
        scratch.batch, tsdb::WriteMode::kPartial,
        [this, request](tsdb::WriteResult result) { Finish(request.get(), std::move(result)); });
  }
  scratch.Trim();
}

Status RemoteWriteHandler::Parse(const RemoteWriteRequest& request,
                                 RemoteWriteScratch* scratch) const {
  StageTimer timer(Stage::kParse);
  scratch->report.Clear();
  ASSIGN_OR_RETURN(const std::string_view message,
                   scratch->snappy.Decode(request.exchange->request().body(), max_message_bytes()));
  const Config& config = services_->config();
  ingest::RemoteWriteOptions options;
  options.decoder = &decoder_;
  options.max_keys_bytes = max_message_bytes();
  const int64_t now = WallNanos();
  options.time_range.max = now + config.write.future_limit_ns;
  if (config.database.retention_ns != 0) {
    options.time_range.min = std::max(model::kMinTimestamp, now - config.database.retention_ns);
  }
  RETURN_IF_ERROR(
      scratch->parser.Parse(request.version, message, options, &scratch->batch, &scratch->report));
  timer.set_items(scratch->report.series_count);
  return OkStatus();
}

void RemoteWriteHandler::Count(const ingest::RemoteWriteReport& report) const {
  const auto add = [](prometheus::Counter& counter, uint64_t count) {
    if (count > 0) {
      counter.Increment(static_cast<double>(count));
    }
  };
  Metrics& metrics = services_->metrics();
  add(metrics.remote_write_samples, report.sample_count);
  add(metrics.remote_write_exemplars_skipped, report.exemplar_count);
  add(metrics.remote_write_histograms_skipped, report.histogram_count);
}

void RemoteWriteHandler::Describe(const ingest::RemoteWriteReport& report) const {
  for (const ingest::FamilyDescription& description : report.descriptions) {
    const bool known = description.type <= static_cast<uint32_t>(MetricType::kStateSet);
    // What the store has no room for is no reason to refuse samples.
    (void)services_->metadata().Set(
        description.family,
        {.type = known ? static_cast<MetricType>(description.type) : MetricType::kUnknown,
         .help = std::string(description.help),
         .unit = std::string(description.unit)});
  }
}

// On the loop thread, on a thread of the write pool or of the log.
void RemoteWriteHandler::Finish(RemoteWriteRequest* request, tsdb::WriteResult result) const {
  request->stored_samples = result.rows_stored;
  request->refused_samples += result.rows_refused;
  request->errors.insert(request->errors.end(), std::make_move_iterator(result.refused.begin()),
                         std::make_move_iterator(result.refused.end()));
  std::stable_sort(request->errors.begin(), request->errors.end(),
                   [](const auto& a, const auto& b) { return a.line < b.line; });
  if (request->refused_samples > 0) {
    services_->metrics().remote_write_samples_refused.Increment(
        static_cast<double>(request->refused_samples));
  }
  if (!result.status.ok()) {
    const int status = WriteFailureStatus(result.status);
    Respond(request, status == 503 ? WriteOutcome::kOverload : WriteOutcome::kFailed,
            TextAnswer(status, std::string(Message(result.status)) + "\n"));
    return;
  }
  if (request->refused_samples == 0 && request->refused_series == 0) {
    Respond(request, WriteOutcome::kStored, {.status = 204});
    return;
  }
  Respond(request, request->stored_samples == 0 ? WriteOutcome::kRefused : WriteOutcome::kPartial,
          TextAnswer(400, RefusalText(*request)));
}

void RemoteWriteHandler::RefuseWhole(RemoteWriteRequest* request, const Status& status) const {
  const int code = status.code() == StatusCode::kResourceExhausted ? 413 : 400;
  Respond(request, WriteOutcome::kRefused, TextAnswer(code, std::string(Message(status)) + "\n"));
}

void RemoteWriteHandler::Respond(RemoteWriteRequest* request, WriteOutcome outcome,
                                 http::Answer answer) const {
  services_->metrics().remote_write_requests(outcome).Increment();
  if (answer.status == 503) {
    answer.headers.push_back({"Retry-After", "1"});
  }
  if (request->version == ingest::RemoteWriteVersion::kV2) {
    const bool counted = outcome == WriteOutcome::kStored || outcome == WriteOutcome::kPartial;
    answer.headers.push_back({"X-Prometheus-Remote-Write-Samples-Written",
                              fmt::format("{}", counted ? request->stored_samples : 0)});
    answer.headers.push_back({"X-Prometheus-Remote-Write-Histograms-Written", "0"});
    answer.headers.push_back({"X-Prometheus-Remote-Write-Exemplars-Written", "0"});
  }
  const int64_t start_nanos = MonotonicNanos();
  request->exchange->OnSent(
      [start_nanos] { RecordStage(Stage::kRespond, MonotonicNanos() - start_nanos); });
  request->exchange->Respond(std::move(answer));
}

}  // namespace

void AddRemoteWriteRoute(Services* services, http::Router* router) {
  // Shared, because what runs later points at it.
  const auto handler = std::make_shared<const RemoteWriteHandler>(services);
  router->Add(
      http::Method::kPost, "/api/v1/write",
      [handler](std::shared_ptr<http::Exchange> exchange) { (*handler)(std::move(exchange)); },
      {.max_body_bytes = services->config().write.max_body_bytes,
       .raw_content_encoding = "snappy"});
}

}  // namespace tsdbd::server
