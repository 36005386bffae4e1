#include "server/kv_handler.h"

#include <utility>

namespace tsdbd::server {
namespace {

// Larger bodies are not hashed and copied on a loop's thread; as for lines.
constexpr size_t kMaxInlineBodyBytes = size_t{64} << 10;

void Run(const std::shared_ptr<const KvRequest>& request, const KvFunction& function) {
  if (const Status status = function(request); !status.ok()) {
    request->exchange->Respond(KvError(status));
  }
}

}  // namespace

void AddKvRoute(Services* services, http::Router* router, const KvRoute& route,
                const KvFunction& function) {
  const auto handler = [=, pool = route.pool,
                        thread = route.thread](const std::shared_ptr<http::Exchange>& exchange) {
    auto keyspace = services->keyspaces()->Find(exchange->request().PathParameter("keyspace"));
    if (!keyspace.ok()) {
      exchange->Respond(KvError(keyspace.status()));
      return;
    }
    const auto request = std::make_shared<const KvRequest>(
        KvRequest{.exchange = exchange, .keyspace = *std::move(keyspace)});
    const bool is_quick = thread == KvThread::kPoolIfMayBlock && !request->store().may_block() &&
                          request->http().body().size() <= kMaxInlineBodyBytes;
    if (is_quick) {
      Run(request, function);
    } else {
      RunKvFunction(pool, request, function);
    }
  };
  router->Add(route.method, route.pattern, handler, {.max_body_bytes = route.max_body_bytes});
}

void RunKvFunction(ThreadPool* pool, std::shared_ptr<const KvRequest> request,
                   KvFunction function) {
  const std::shared_ptr<http::Exchange> exchange = request->exchange;
  if (!pool->TrySubmit([request = std::move(request), function = std::move(function)] {
        Run(request, function);
      })) {
    exchange->Respond(KvError(
        Unavailable("overload: too many such requests wait ({}.queue)", pool->options().name)));
  }
}

kv::Store::Done KvWriteAnswer::DoneFunction() {
  return [self = shared_from_this()](const Status& status) {
    self->durable_ = status;
    self->Arrive();
  };
}

void KvWriteAnswer::Accept(http::Answer answer) {
  answer_ = std::move(answer);
  Arrive();
}

void KvWriteAnswer::Arrive() {
  if (missing_.fetch_sub(1, std::memory_order_acq_rel) == 1) {
    request_->exchange->Respond(durable_.ok() ? std::move(answer_) : KvError(durable_));
  }
}

}  // namespace tsdbd::server
