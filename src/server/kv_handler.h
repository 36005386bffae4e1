#pragma once
// What the key-value routes share: finding the keyspace, choosing the thread, answering a write
// when it is both accepted and durable.
//
// Threads: handlers run on loop threads. What may wait for a disk is handed to a pool; what cannot
// is done there and then.

#include <atomic>
#include <functional>
#include <memory>

#include "common/status.h"
#include "http/exchange.h"
#include "kv/keyspaces.h"
#include "server/kv_text.h"
#include "server/services.h"

namespace tsdbd::server {

// One request to a keyspace that is there.
struct KvRequest {
  std::shared_ptr<http::Exchange> exchange;
  std::shared_ptr<kv::Keyspace> keyspace;

  const http::Request& http() const { return exchange->request(); }
  kv::Store& store() const { return keyspace->store(); }
  kv::KeyType key_type() const { return keyspace->definition().key_type; }
};

enum class KvThread : uint8_t {
  kPool,            // always on the pool
  kPoolIfMayBlock,  // on the loop's thread where the store never waits for a disk
};

// A returned error is the answer; otherwise the function has answered or will.
using KvFunction = std::function<Status(const std::shared_ptr<const KvRequest>&)>;

// Adds a route below /kv/{keyspace}.
struct KvRoute {
  http::Method method = http::Method::kGet;
  std::string_view pattern;
  ThreadPool* pool = nullptr;
  KvThread thread = KvThread::kPool;
  size_t max_body_bytes = 0;  // 0: the server's
};
void AddKvRoute(Services* services, http::Router* router, const KvRoute& route,
                const KvFunction& function);

// Runs it on the pool, or answers that too many requests wait.
void RunKvFunction(ThreadPool* pool, std::shared_ptr<const KvRequest> request, KvFunction function);

// The answer to a write, given by the later of the two that it waits for: the handler, which knows
// its contents, and the store, which says when it is durable.
class KvWriteAnswer : public std::enable_shared_from_this<KvWriteAnswer> {
 public:
  explicit KvWriteAnswer(std::shared_ptr<const KvRequest> request) : request_(std::move(request)) {}

  // For the store.
  kv::Store::Done DoneFunction();
  // If the store has accepted the write; otherwise the store drops its function, and the handler
  // answers.
  void Accept(http::Answer answer);

 private:
  void Arrive();

  const std::shared_ptr<const KvRequest> request_;
  // Written before the first of the two arrives, or between; read by the second.
  http::Answer answer_;
  Status durable_;
  std::atomic<int> missing_ = 2;
};

}  // namespace tsdbd::server
