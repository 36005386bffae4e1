#pragma once
// A server for tests, with routes that let them look at every side of an exchange.

#include <memory>
#include <string>
#include <thread>
#include <vector>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "common/mutex.h"
#include "http/http_testing.h"
#include "http/server.h"

namespace tsdbd::http {

// Routes: /ping (204) · /echo (the body) · /hello (some text, in JSON) · /large (8 MiB) · /held
// (answered by Release) · /thread (204 from another thread) · /dropped (never answered) · /small
// (bodies ≤ 10 bytes).
class ServerFixture : public testing::Test {
 protected:
  static constexpr size_t kLargeBytes = size_t{8} << 20;

  ServerFixture() {
    options_.port = 0;
    options_.loop_count = 2;
  }
  ~ServerFixture() override {
    ReleaseAll();
    server_.reset();
    for (std::thread& thread : threads_) {
      thread.join();
    }
  }

  void Start() {
    AddRoutes();
    server_ = std::make_unique<Server>(options_, &router_);
    const Status status = server_->Start();
    ASSERT_TRUE(status.ok()) << Message(status);
  }

  uint16_t port() const { return server_->port(); }

  static std::string Get(std::string_view path, std::string_view headers = {}) {
    return fmt::format("GET {} HTTP/1.1\r\nHost: h\r\n{}\r\n", path, headers);
  }
  static std::string Post(std::string_view path, std::string_view body,
                          std::string_view headers = {}) {
    return fmt::format("POST {} HTTP/1.1\r\nHost: h\r\nContent-Length: {}\r\n{}\r\n{}", path,
                       body.size(), headers, body);
  }

  // Runs `function` on a thread that ends with the test.
  void RunOnThread(std::function<void()> function) {
    MutexLock lock(&mutex_);
    threads_.emplace_back(std::move(function));
  }

  size_t held_count() {
    MutexLock lock(&mutex_);
    return held_.size();
  }
  std::shared_ptr<Exchange> TakeHeld() {
    EXPECT_TRUE(WaitUntil([this] { return held_count() > 0; }));
    MutexLock lock(&mutex_);
    if (held_.empty()) {
      return nullptr;
    }
    std::shared_ptr<Exchange> exchange = std::move(held_.front());
    held_.erase(held_.begin());
    return exchange;
  }
  void ReleaseAll() {
    std::vector<std::shared_ptr<Exchange>> held;
    {
      MutexLock lock(&mutex_);
      held.swap(held_);
    }
    for (const std::shared_ptr<Exchange>& exchange : held) {
      exchange->Respond(200, "text/plain", "released");
    }
  }

  ServerOptions options_;
  Router router_;
  std::unique_ptr<Server> server_;

 private:
  using Shared = std::shared_ptr<Exchange>;

  void AddRoutes() {
    router_.Add(Method::kGet, "/ping", [](const Shared& e) { e->Respond({.status = 204}); });
    router_.Add(Method::kPost, "/echo", [](const Shared& e) {
      e->Respond(200, "application/octet-stream", std::string(e->request().body()));
    });
    router_.Add(Method::kGet, "/hello", [](const Shared& e) {
      e->Respond(200, "application/json", std::string(2'000, 'h'));
    });
    router_.Add(Method::kGet, "/large", [](const Shared& e) {
      e->Respond(200, "application/octet-stream", std::string(kLargeBytes, 'l'));
    });
    router_.Add(Method::kGet, "/thread",
                [this](const Shared& e) { RunOnThread([e] { e->Respond({.status = 204}); }); });
    const Handler hold = [this](const Shared& e) {
      MutexLock lock(&mutex_);
      held_.push_back(e);
    };
    router_.Add(Method::kGet, "/held", hold);
    router_.Add(Method::kPost, "/held", hold);
    router_.Add(Method::kGet, "/dropped", [](const Shared&) {});
    router_.Add(Method::kPost, "/small", [](const Shared& e) { e->Respond({.status = 204}); },
                {.max_body_bytes = 10});
    router_.Add(
        Method::kPost, "/snappy",
        [](const Shared& e) { e->Respond(200, "text/plain", std::string(e->request().body())); },
        {.raw_content_encoding = "snappy"});
  }

  Mutex mutex_;
  std::vector<Shared> held_ GUARDED_BY(mutex_);
  std::vector<std::thread> threads_;
};

}  // namespace tsdbd::http
