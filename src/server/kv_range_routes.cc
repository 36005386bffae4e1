// /kv/{keyspace}: batches and scans (routes.h).

#include <algorithm>
#include <memory>
#include <utility>

#include "common/stages.h"
#include "net/server.h"
#include "server/answers.h"
#include "server/kv_batch.h"
#include "server/kv_handler.h"
#include "server/routes.h"
#include "server/text.h"

namespace tsdbd::server {
namespace {

using Request = std::shared_ptr<const KvRequest>;

constexpr std::string_view kBytesType = "application/octet-stream";

// A page of a scan: enough to be worth a request, small enough for memory. It may be larger by the
// last value.
constexpr size_t kDefaultScanEntries = 100;
constexpr size_t kMaxScanEntries = 10'000;
constexpr size_t kMaxScanBytes = size_t{8} << 20;
// What the gets of a batch may give together, before the last value.
constexpr size_t kMaxBatchAnswerBytes = size_t{64} << 20;

// What so many keys find is answered on a loop's thread.
constexpr int kMaxInlineGets = 16;

// "type" of "type; charset=…", as it came.
std::string_view MediaType(std::string_view content_type) {
  content_type = content_type.substr(0, content_type.find(';'));
  while (content_type.ends_with(' ')) {
    content_type.remove_suffix(1);
  }
  return content_type;
}

kv::WriteBatch WritesOf(const KvBatch& batch, const kv::Keyspace& keyspace) {
  const int64_t now_ns = WallNanos();
  kv::WriteBatch writes;
  for (const KvOperation& operation : batch.operations) {
    if (operation.kind == KvOperation::Kind::kPut) {
      writes.Put(operation.key, operation.value, keyspace.ExpiryAt(now_ns, operation.ttl_ns));
    } else if (operation.kind == KvOperation::Kind::kDelete) {
      writes.Delete(operation.key);
    }
  }
  return writes;
}

// Adds what the gets find to `answer`.
Status ReadGets(const KvRequest& request, const KvBatch& batch, KvBatchAnswer* answer) {
  std::vector<std::string_view> keys;
  for (const KvOperation& operation : batch.operations) {
    if (operation.kind == KvOperation::Kind::kGet) {
      keys.push_back(operation.key);
    }
  }
  std::vector<kv::Entry> entries(keys.size());
  std::vector<Status> statuses(keys.size());
  const auto view = request.store().Read(kv::Consistency::kLatest);
  view->GetMany(keys, entries, statuses);
  size_t size_bytes = 0;
  for (size_t i = 0; i < keys.size(); ++i) {
    if (absl::IsNotFound(statuses[i])) {
      answer->AddMissing();
      continue;
    }
    RETURN_IF_ERROR(statuses[i]);
    if (size_bytes > kMaxBatchAnswerBytes) {
      return InvalidArgument("the gets of the batch find more than {} bytes; ask in parts",
                             kMaxBatchAnswerBytes);
    }
    size_bytes += entries[i].value.size();
    answer->AddEntry(entries[i]);
  }
  return OkStatus();
}

bool IsBinary(const Request& request) {
  return MediaType(request->http().Header("Content-Type")) == kBytesType;
}

Status ExecuteBatch(const Request& request, const KvBatch& batch) {
  const bool is_binary = IsBinary(request);
  const auto answer = std::make_shared<KvWriteAnswer>(request);
  uint64_t version = 0;
  RETURN_IF_ERROR(request->store().Write(WritesOf(batch, *request->keyspace),
                                         answer->DoneFunction(), &version));
  JsonBatchAnswer json(request->key_type());
  BinaryBatchAnswer binary;
  KvBatchAnswer& results = is_binary ? static_cast<KvBatchAnswer&>(binary) : json;
  // The writes are done whatever becomes of the reads.
  const Status status = ReadGets(*request, batch, &results);
  request->exchange->ReleaseBody();
  answer->Accept(status.ok()
                     ? http::Answer{.content_type = std::string(is_binary ? kBytesType : kJsonType),
                                    .body = results.Finish(version)}
                     : KvError(status));
  return OkStatus();
}

Status RunBatch(const Request& request, ThreadPool* pool) {
  StageTimer timer(Stage::kKvParse);
  const std::string_view body = request->http().body();
  ASSIGN_OR_RETURN(KvBatch parsed, IsBinary(request) ? ParseBinaryBatch(body)
                                                     : ParseJsonBatch(body, request->key_type()));
  timer.Stop(parsed.operations.size());
  const auto gets = std::count_if(
      parsed.operations.begin(), parsed.operations.end(),
      [](const auto& operation) { return operation.kind == KvOperation::Kind::kGet; });
  if (gets <= kMaxInlineGets || !net::IsLoopThread()) {
    return ExecuteBatch(request, parsed);
  }
  const auto batch = std::make_shared<const KvBatch>(std::move(parsed));
  RunKvFunction(pool, request,
                [batch](const Request& moved) { return ExecuteBatch(moved, *batch); });
  return OkStatus();
}

// The parameters of a scan, with what its range points to.
struct Scan {
  std::string from;
  std::string to;
  std::string cursor;
  kv::ScanRange range;
};

// The least of the texts that come after all with this prefix; none if there is no such.
std::string EndOfPrefix(std::string prefix) {
  while (!prefix.empty() && prefix.back() == '\xFF') {
    prefix.pop_back();
  }
  if (!prefix.empty()) {
    ++prefix.back();
  }
  return prefix;
}

Status ReadBounds(const KvRequest& request, Scan* scan) {
  const http::Parameters& query = request.http().query();
  for (const auto& [name, bound] : {std::pair("from", &scan->from), std::pair("to", &scan->to)}) {
    if (const std::string_view text = query.Get(name); !text.empty()) {
      ASSIGN_OR_RETURN(*bound, KvKeyOf(request.key_type(), text));
    }
  }
  const std::string prefix(query.Get("prefix"));
  if (prefix.empty()) {
    return OkStatus();
  }
  if (request.key_type() == kv::KeyType::kInteger) {
    return InvalidArgument("prefix: the keys of this keyspace are numbers");
  }
  const std::string end = EndOfPrefix(prefix);
  scan->from = std::max(scan->from, prefix);
  scan->to = scan->to.empty() || (!end.empty() && end < scan->to) ? end : scan->to;
  return OkStatus();
}

StatusOr<Scan> ReadScan(const KvRequest& request) {
  const http::Parameters& query = request.http().query();
  Scan scan;
  RETURN_IF_ERROR(ReadBounds(request, &scan));
  scan.range.limit = kDefaultScanEntries;
  if (const std::string_view text = query.Get("limit"); !text.empty()) {
    const StatusOr<int64_t> limit = ParseWholeNumber(text);
    if (!limit.ok() || *limit < 1) {
      return InvalidArgument("limit: '{}' is not a whole number above 0", text);
    }
    scan.range.limit = std::min<size_t>(*limit, kMaxScanEntries);
  }
  if (const std::string_view text = query.Get("order"); !text.empty()) {
    if (text != "asc" && text != "desc") {
      return InvalidArgument("order: '{}' is neither asc nor desc", text);
    }
    scan.range.is_descending = text == "desc";
  }
  auto cursor = FromUrlBase64(query.Get("cursor"));
  if (!cursor) {
    return InvalidArgument("cursor: not one that a scan has told");
  }
  scan.cursor = *std::move(cursor);
  return scan;
}

Status RunScan(const Request& request) {
  ASSIGN_OR_RETURN(Scan scan, ReadScan(*request));
  scan.range.from = scan.from;
  scan.range.to = scan.to;
  scan.range.cursor = scan.cursor;
  std::string json = "{\"entries\":[";
  std::string cursor;
  const auto view = request->store().Read(kv::Consistency::kLatest);
  // A range that ends before it begins is empty; a store may not have to know.
  const bool is_empty = !scan.to.empty() && scan.from >= scan.to;
  bool is_first = true;
  const auto visit = [&](const kv::Entry& entry) {
    json += std::exchange(is_first, false) ? "\n" : ",\n";
    json += KvEntryJson(request->key_type(), entry);
    return json.size() < kMaxScanBytes && !request->exchange->cancelled();
  };
  if (!is_empty) {
    RETURN_IF_ERROR(view->Scan(scan.range, visit, &cursor));
  }
  json += is_first ? "]" : "\n]";
  if (!cursor.empty()) {
    json += fmt::format(",\"cursor\":\"{}\"", ToUrlBase64(cursor));
  }
  request->exchange->Respond(JsonAnswer(200, json + "}\n"));
  return OkStatus();
}

}  // namespace

void AddKvRangeRoutes(Services* services, http::Router* router) {
  AddKvRoute(services, router,
             {.method = http::Method::kGet,
              .pattern = "/kv/{keyspace}",
              .pool = &services->query_pool(),
              .thread = KvThread::kPool},
             RunScan);
  AddKvRoute(
      services, router,
      {.method = http::Method::kPost,
       .pattern = "/kv/{keyspace}",
       .pool = &services->write_pool(),
       .thread = KvThread::kPoolIfMayBlock,
       .max_body_bytes = services->config().kv.max_batch_bytes},
      [pool = &services->write_pool()](const Request& request) { return RunBatch(request, pool); });
}

}  // namespace tsdbd::server
