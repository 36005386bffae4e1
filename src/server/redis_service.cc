#include "server/redis_service.h"

#include <utility>

#include "server/redis_session.h"

namespace tsdbd::server {

uint64_t RedisCursors::Keep(std::string cursor) {
  MutexLock lock(&mutex_);
  cursors_.resize(kCapacity);
  const uint64_t number = ++last_number_;
  cursors_[number % kCapacity] = std::move(cursor);
  return number;
}

std::optional<std::string> RedisCursors::Find(uint64_t number) {
  MutexLock lock(&mutex_);
  if (number == 0 || number > last_number_ || number + kCapacity <= last_number_) {
    return std::nullopt;
  }
  return cursors_[number % kCapacity];
}

RedisService::RedisService(RedisOptions options, RedisDatabases* databases)
    : options_(std::move(options)),
      databases_(databases),
      counts_(RedisCommands().size()),
      port_(options_.port) {}

RedisService::~RedisService() = default;

std::unique_ptr<resp::Session> RedisService::Connect(const resp::Peer& peer) {
  auto client = std::make_shared<RedisClient>();
  client->peer = peer;
  client->connected_ns = MonotonicNanos();
  client->active_ns = client->connected_ns;
  {
    MutexLock lock(&mutex_);
    client->id = ++last_client_id_;
    clients_.emplace(client->id, client);
  }
  return std::make_unique<RedisSession>(this, std::move(client));
}

void RedisService::Disconnect(uint64_t id) {
  MutexLock lock(&mutex_);
  clients_.erase(id);
}

std::vector<std::shared_ptr<RedisClient>> RedisService::Clients() {
  std::vector<std::shared_ptr<RedisClient>> clients;
  MutexLock lock(&mutex_);
  clients.reserve(clients_.size());
  for (const auto& [id, client] : clients_) {
    clients.push_back(client);
  }
  return clients;
}

uint64_t RedisService::connections_accepted() {
  MutexLock lock(&mutex_);
  return last_client_id_;
}

void RedisService::CountCalls(const RedisCommand* command, uint64_t count) {
  counts_[static_cast<size_t>(command - RedisCommands().data())].calls.fetch_add(
      count, std::memory_order_relaxed);
}

void RedisService::CountError(const RedisCommand* command) {
  counts_[static_cast<size_t>(command - RedisCommands().data())].errors.fetch_add(
      1, std::memory_order_relaxed);
}

std::vector<RedisCommandCount> RedisService::CommandCounts() const {
  std::vector<RedisCommandCount> result;
  for (size_t i = 0; i < counts_.size(); ++i) {
    const uint64_t calls = counts_[i].calls.load(std::memory_order_relaxed);
    const uint64_t errors = counts_[i].errors.load(std::memory_order_relaxed);
    if (calls + errors > 0) {
      result.push_back({RedisCommands()[i].name, calls, errors});
    }
  }
  return result;
}

std::string RedisErrorText(const Status& status) {
  switch (status.code()) {
    case StatusCode::kResourceExhausted:
    case StatusCode::kUnavailable:
      // What clients know as "the server cannot make writes durable".
      return fmt::format("MISCONF Errors writing to the log: {}", Message(status));
    default:
      return fmt::format("ERR {}", Message(status));
  }
}

}  // namespace tsdbd::server
