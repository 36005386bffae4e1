#pragma once
// A RESP client without a socket: lines of commands in, the bytes of their replies out.

#include <map>
#include <memory>
#include <string>
#include <string_view>

#include <gtest/gtest.h>

#include "common/mutex.h"
#include "resp/replies.h"
#include "resp/request_parser.h"
#include "server/memory_store_testing.h"
#include "server/redis_service.h"

namespace tsdbd::server {

// Sixteen databases, made at first use.
class MemoryDatabases final : public RedisDatabases {
 public:
  explicit MemoryDatabases(MemoryStore::Options options) : options_(options) {}

  size_t count() const override { return 16; }
  RedisDatabase Find(size_t index) override {
    MutexLock lock(&mutex_);
    return {stores_[index], default_ttl_ns};
  }
  StatusOr<RedisDatabase> Open(size_t index) override {
    MutexLock lock(&mutex_);
    if (stores_[index] == nullptr) {
      stores_[index] = std::make_shared<MemoryStore>(options_);
    }
    return RedisDatabase{stores_[index], default_ttl_ns};
  }
  MemoryStore& store(size_t index) { return static_cast<MemoryStore&>(*Open(index).value().store); }

  int64_t default_ttl_ns = 0;

 private:
  const MemoryStore::Options options_;
  Mutex mutex_;
  std::map<size_t, std::shared_ptr<kv::Store>> stores_ GUARDED_BY(mutex_);
};

class RedisFixture : public testing::Test {
 protected:
  explicit RedisFixture(MemoryStore::Options options = {}, std::string password = {})
      : databases_(options),
        service_({.password = std::move(password), .port = 6379}, &databases_),
        session_(service_.Connect({"127.0.0.1:1", "127.0.0.1:2"})) {
    databases_.store(0);
  }

  // Commands, one a line, as a pipeline; all of them are executed, moving to the pool where they
  // must. The replies, without those that wait.
  std::string Run(std::string_view lines) { return RunBytes(std::string(lines) + "\n"); }

  std::string RunBytes(const std::string& input) {
    resp::RequestParser parser;
    resp::CommandBatch batch;
    parser.Parse(input, 1'000, &batch);
    EXPECT_FALSE(parser.has_failed()) << parser.error();
    size_t done = batch.input_bytes(ExecuteBatch(batch));
    return done < input.size() && !batch.empty() && !session_->wants_close()
               ? TakeReplies() + RunBytes(input.substr(done))
               : TakeReplies();
  }

  // Returns how many it executed.
  size_t ExecuteBatch(const resp::CommandBatch& batch) {
    if (batch.empty()) {
      return 0;
    }
    auto progress = session_->Execute(batch, resp::Place::kLoop, &replies_);
    if (progress.must_move && progress.executed == 0) {
      ++moves_;
      progress = session_->Execute(batch, resp::Place::kPool, &replies_);
    }
    return progress.executed;
  }

  // All that is ready, in order.
  std::string TakeReplies() {
    std::string text;
    for (resp::Replies::Part& part : replies_.TakeParts()) {
      waiting_.push_back(std::move(part));
    }
    waiting_.push_back({.bytes = std::exchange(*replies_.text(), {})});
    while (!waiting_.empty() && waiting_.front().is_ready()) {
      text += resp::Replies::BytesOf(std::move(waiting_.front()));
      waiting_.erase(waiting_.begin());
    }
    return text;
  }

  MemoryStore& store() { return databases_.store(0); }

  MemoryDatabases databases_;
  RedisService service_;
  std::unique_ptr<resp::Session> session_;
  resp::Replies replies_{nullptr};
  std::vector<resp::Replies::Part> waiting_;
  int moves_ = 0;  // to the pool
};

}  // namespace tsdbd::server
