#include "server/redis_keyspaces.h"

#include <algorithm>
#include <utility>

namespace tsdbd::server {
namespace {

// As many as Redis has.
constexpr int kDefaultDatabases = 16;

RedisDatabase DatabaseOf(const std::shared_ptr<kv::Keyspace>& keyspace) {
  // Shares the keyspace, of which the store is a part.
  return {std::shared_ptr<kv::Store>(keyspace, &keyspace->store()),
          keyspace->definition().default_ttl_ns};
}

}  // namespace

StatusOr<std::vector<std::string>> RedisKeyspaceNames(std::string_view list) {
  std::vector<std::string> names;
  while (!list.empty()) {
    const size_t end = std::min(list.find(','), list.size());
    std::string_view name = list.substr(0, end);
    list.remove_prefix(std::min(end + 1, list.size()));
    name.remove_prefix(std::min(name.find_first_not_of(' '), name.size()));
    name = name.substr(0, name.find_last_not_of(' ') + 1);
    RETURN_IF_ERROR(kv::CheckKeyspaceName(name));
    names.emplace_back(name);
  }
  if (names.empty()) {
    for (int i = 0; i < kDefaultDatabases; ++i) {
      names.push_back(fmt::format("db{}", i));
    }
  }
  return names;
}

RedisKeyspaces::RedisKeyspaces(kv::Keyspaces* keyspaces, std::vector<std::string> names)
    : keyspaces_(keyspaces), names_(std::move(names)), found_(names_.size()) {}

RedisDatabase RedisKeyspaces::Find(size_t index) {
  std::shared_ptr<kv::Keyspace> keyspace;
  {
    MutexLock lock(&mutex_);
    keyspace = found_[index].lock();
  }
  if (keyspace != nullptr && !keyspace->is_dropped()) {
    return DatabaseOf(keyspace);
  }
  auto database = Remember(index, keyspaces_->Find(names_[index]));
  return database.ok() ? *std::move(database) : RedisDatabase();
}

StatusOr<RedisDatabase> RedisKeyspaces::Open(size_t index) {
  auto keyspace = keyspaces_->Find(names_[index]);
  if (keyspace.status().code() == StatusCode::kNotFound) {
    keyspace = keyspaces_->Create(names_[index], {});
    if (keyspace.status().code() == StatusCode::kAlreadyExists) {
      keyspace = keyspaces_->Find(names_[index]);  // somebody was faster
    }
  }
  return Remember(index, std::move(keyspace));
}

StatusOr<RedisDatabase> RedisKeyspaces::Remember(size_t index,
                                                 StatusOr<std::shared_ptr<kv::Keyspace>> keyspace) {
  if (keyspace.ok() && (*keyspace)->definition().key_type != kv::KeyType::kBytes) {
    keyspace = FailedPrecondition("keyspace {} has integers as keys: not for this protocol",
                                  names_[index]);
  }
  if (!keyspace.ok()) {
    return keyspace.status();
  }
  MutexLock lock(&mutex_);
  found_[index] = *keyspace;
  return DatabaseOf(*keyspace);
}

}  // namespace tsdbd::server
