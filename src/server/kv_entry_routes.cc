// /kv/{keyspace}/{key}: one entry (routes.h).

#include <memory>
#include <optional>
#include <utility>

#include "server/answers.h"
#include "server/kv_handler.h"
#include "server/routes.h"
#include "server/text.h"

namespace tsdbd::server {
namespace {

using Request = std::shared_ptr<const KvRequest>;

constexpr const char* kBytesType = "application/octet-stream";
constexpr const char* kExpiresHeader = "X-Expires-At";

StatusOr<std::string> KeyOf(const KvRequest& request) {
  return KvKeyOf(request.key_type(), request.http().PathParameter("key"));
}

StatusOr<KvCondition> ConditionOf(const http::Request& request) {
  return ParseKvCondition(request.FindHeader("If-Match"), request.FindHeader("If-None-Match"));
}

Status NoSuchKey() {
  return NotFound("there is no such key");
}

Status GetEntry(const Request& request) {
  ASSIGN_OR_RETURN(const std::string key, KeyOf(*request));
  ASSIGN_OR_RETURN(const KvCondition condition, ConditionOf(request->http()));
  const auto view = request->store().Read(kv::Consistency::kLatest);
  kv::Entry entry;
  const Status status = view->Get(key, &entry);
  if (!status.ok()) {
    return absl::IsNotFound(status) ? NoSuchKey() : status;
  }
  http::Answer answer{.headers = {{"ETag", EntityTag(entry.version)}}};
  if (!condition.HoldsFor(entry.version)) {
    // Of a read, If-None-Match asks whether what the reader has is still good.
    const bool is_unchanged = request->http().FindHeader("If-None-Match").has_value();
    answer.status = is_unchanged ? 304 : 412;
    request->exchange->Respond(std::move(answer));
    return OkStatus();
  }
  if (entry.expires_ns != kv::kNeverExpires) {
    answer.headers.push_back({kExpiresHeader, FormatRfc3339(entry.expires_ns)});
  }
  answer.content_type = kBytesType;
  answer.body = entry.value;
  request->exchange->Respond(std::move(answer));
  return OkStatus();
}

// Writes `value`, or deletes the key if there is none, where `condition` holds.
Status WriteEntry(const Request& request, const KvCondition& condition,
                  std::optional<std::string_view> value, int64_t expires_ns) {
  ASSIGN_OR_RETURN(const std::string key, KeyOf(*request));
  const auto add_to = [&](kv::WriteBatch* batch) {
    if (value) {
      batch->Put(key, *value, expires_ns);
    } else {
      batch->Delete(key);
    }
  };
  const auto answer = std::make_shared<KvWriteAnswer>(request);
  uint64_t version = 0;
  if (condition.kind == KvCondition::Kind::kNone) {
    kv::WriteBatch batch;
    add_to(&batch);
    RETURN_IF_ERROR(request->store().Write(batch, answer->DoneFunction(), &version));
  } else {
    bool holds = false;
    std::optional<uint64_t> found;
    const auto edit = [&](const kv::Entry* current, kv::WriteBatch* batch) {
      found = current == nullptr ? std::nullopt : std::optional(current->version);
      holds = condition.HoldsFor(found);
      if (holds) {
        add_to(batch);
      }
    };
    RETURN_IF_ERROR(request->store().Update(key, edit, answer->DoneFunction(), &version));
    if (!holds) {
      http::Answer refused = KvError(MakeStatus(
          StatusCode::kAborted, "{}",
          found ? fmt::format("the entry has version {}", *found) : "there is no such key"));
      if (found) {
        refused.headers.push_back({"ETag", EntityTag(*found)});
      }
      answer->Accept(std::move(refused));
      return OkStatus();
    }
  }
  // A large value need not wait for the disk with us.
  request->exchange->ReleaseBody();
  http::Answer accepted{.status = 204};
  if (value) {
    accepted.headers.push_back({"ETag", EntityTag(version)});
  }
  answer->Accept(std::move(accepted));
  return OkStatus();
}

Status PutEntry(const Request& request) {
  ASSIGN_OR_RETURN(const KvCondition condition, ConditionOf(request->http()));
  std::optional<int64_t> ttl_ns;
  if (const auto text = request->http().query().Find("ttl")) {
    ASSIGN_OR_RETURN(ttl_ns, ParseTtl(*text));
  }
  return WriteEntry(request, condition, request->http().body(),
                    request->keyspace->ExpiryAt(WallNanos(), ttl_ns));
}

Status DeleteEntry(const Request& request) {
  ASSIGN_OR_RETURN(const KvCondition condition, ConditionOf(request->http()));
  return WriteEntry(request, condition, std::nullopt, kv::kNeverExpires);
}

}  // namespace

void AddKvEntryRoutes(Services* services, http::Router* router) {
  const auto add = [&](http::Method method, ThreadPool* pool, const KvFunction& function) {
    AddKvRoute(services, router,
               {.method = method,
                .pattern = "/kv/{keyspace}/{key...}",
                .pool = pool,
                .thread = KvThread::kPoolIfMayBlock,
                .max_body_bytes = services->config().kv.keyspaces.max_value_bytes},
               function);
  };
  add(http::Method::kGet, &services->query_pool(), GetEntry);
  add(http::Method::kPut, &services->write_pool(), PutEntry);
  add(http::Method::kDelete, &services->write_pool(), DeleteEntry);
}

}  // namespace tsdbd::server
