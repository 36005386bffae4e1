// /kv: making, listing and dropping keyspaces (routes.h).

#include <string>

#include <nlohmann/json.hpp>

#include "server/admin_page.h"
#include "server/answers.h"
#include "server/kv_text.h"
#include "server/routes.h"
#include "server/text.h"
#include "server/units.h"

namespace tsdbd::server {
namespace {

using Json = nlohmann::json;

std::string DefinitionJson(std::string_view name, const kv::KeyspaceDefinition& definition) {
  std::string json = fmt::format(R"("name":{},"key_type":"{}","backend":"{}")", JsonText(name),
                                 NameOf(definition.key_type), NameOf(definition.backend));
  if (definition.default_ttl_ns != 0) {
    json += fmt::format(R"(,"ttl":"{}")", FormatDuration(definition.default_ttl_ns));
  }
  return json;
}

std::string StatsJson(const kv::StoreStats& stats) {
  return fmt::format(
      R"({{"keys":{},"live_bytes":{},"disk_bytes":{},"memory_bytes":{},"segments":{},)"
      R"("writes":{},"syncs":{},"compactions":{},"damaged_records":{},"cache_hits":{},)"
      R"("cache_misses":{}}})",
      stats.keys, stats.live_bytes, stats.disk_bytes, stats.memory_bytes, stats.segments,
      stats.writes, stats.syncs, stats.compactions, stats.damaged_records, stats.cache_hits,
      stats.cache_misses);
}

http::Answer ListKeyspaces(Services* services, const http::Request&) {
  std::vector<std::string> keyspaces;
  for (const kv::KeyspaceInfo& info : services->keyspaces()->List()) {
    std::string json = DefinitionJson(info.name, info.definition);
    if (info.keyspace != nullptr) {
      const kv::Store& store = info.keyspace->store();
      json +=
          fmt::format(R"(,"ordered":{},"stats":{})", store.is_ordered(), StatsJson(store.stats()));
    } else {
      json += fmt::format(R"(,"error":{})", JsonText(Message(info.status)));
    }
    keyspaces.push_back(fmt::format("{{{}}}", json));
  }
  return JsonAnswer(200, fmt::format("{{\"keyspaces\":[{}]}}\n", Join(keyspaces, ",\n")));
}

// What a body asks for: {"name":"devices","key_type":"bytes","backend":"alex","ttl":"30d"}, all but
// the name optional.
Status ReadDefinition(std::string_view body, std::string* name,
                      kv::KeyspaceDefinition* definition) {
  const Json json = Json::parse(body.begin(), body.end(), nullptr, false);
  if (!json.is_object()) {
    return InvalidArgument("the body is not a JSON object");
  }
  for (const auto& [field, value] : json.items()) {
    if (!value.is_string()) {
      return InvalidArgument("\"{}\" is not a text", field);
    }
    const auto& text = value.get_ref<const std::string&>();
    if (field == "name") {
      *name = text;
    } else if (field == "key_type") {
      const auto key_type = kv::KeyTypeOf(text);
      if (!key_type) {
        return InvalidArgument("\"key_type\" is '{}' but must be bytes or integer", text);
      }
      definition->key_type = *key_type;
    } else if (field == "backend") {
      const auto backend = kv::BackendOf(text);
      if (!backend) {
        return InvalidArgument("\"backend\" is '{}' but must be alex or rocksdb", text);
      }
      definition->backend = *backend;
    } else if (field == "ttl") {
      ASSIGN_OR_RETURN(const int64_t ttl_ns, ParseTtl(text));
      definition->default_ttl_ns = ttl_ns == kv::kNeverExpires ? 0 : ttl_ns;
    } else {
      return InvalidArgument("a keyspace has no \"{}\"", field);
    }
  }
  return OkStatus();
}

http::Answer CreateKeyspace(Services* services, const http::Request& request) {
  std::string name;
  kv::KeyspaceDefinition definition;
  if (const Status status = ReadDefinition(request.body(), &name, &definition); !status.ok()) {
    return KvError(status);
  }
  const auto created = services->keyspaces()->Create(name, definition);
  return created.ok() ? JsonAnswer(201, fmt::format("{{{}}}\n", DefinitionJson(name, definition)))
                      : KvError(created.status());
}

http::Answer DropKeyspace(Services* services, const http::Request& request) {
  const Status status = services->keyspaces()->Drop(request.query().Get("name"));
  return status.ok() ? http::Answer{.status = 204} : KvError(status);
}

}  // namespace

void AddKvKeyspaceRoutes(Services* services, http::Router* router) {
  AddAdminPage(services, router, http::Method::kGet, "/kv", ListKeyspaces);
  // These wait for the disk, for which scrapes should not.
  ThreadPool* const pool = &services->write_pool();
  AddPageOnPool(services, pool, router, http::Method::kPost, "/kv", CreateKeyspace);
  AddPageOnPool(services, pool, router, http::Method::kDelete, "/kv", DropKeyspace);
}

void AddKvRoutes(Services* services, http::Router* router) {
  if (services->config().kv.enabled) {
    AddKvKeyspaceRoutes(services, router);
    AddKvRangeRoutes(services, router);
    AddKvEntryRoutes(services, router);
  }
}

}  // namespace tsdbd::server
