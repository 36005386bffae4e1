// The server under clients that are slow, many, greedy or gone, and at its end.

#include <atomic>
#include <chrono>

#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/clock.h"
#include "http/server_fixture.h"

namespace tsdbd::http {
namespace {

class ServerLimitsTest : public ServerFixture {
 protected:
  // Timeouts a test can wait for.
  ServerLimitsTest() {
    options_.idle_timeout_ms = 400;
    options_.progress_timeout_ms = 200;
    options_.write_stall_timeout_ms = 300;
  }
};

double CpuSeconds() {
  rusage usage = {};
  getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& t) {
    return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) * 1e-6;
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

TEST_F(ServerLimitsTest, ASilentConnectionEnds) {
  Start();
  RawClient client(port());
  EXPECT_FALSE(client.WaitForInput(250));
  EXPECT_EQ(client.ReadUntilClose(), "");
  EXPECT_EQ(server_->statistics().connections_timed_out, 1u);
}

TEST_F(ServerLimitsTest, AnIdleConnectionEndsAfterItsLastAnswer) {
  Start();
  RawClient client(port());
  for (int i = 0; i < 3; ++i) {
    ASSERT_TRUE(client.Send(Get("/ping")));
    EXPECT_EQ(client.ReadAnswer().status, 204);
    EXPECT_FALSE(client.WaitForInput(250));
  }
  EXPECT_EQ(client.ReadUntilClose(), "");
}

TEST_F(ServerLimitsTest, AHeadThatDripsIsRefused) {
  Start();
  RawClient client(port());
  const std::string head = Get("/ping", "X-Slow: " + std::string(100, 's') + "\r\n");
  const int64_t start = MonotonicNanos();
  for (const char c : head) {
    if (!client.Send(std::string_view(&c, 1)) || client.WaitForInput(20)) {
      break;
    }
  }
  EXPECT_EQ(client.ReadAnswer().status, 408);
  EXPECT_EQ(client.ReadUntilClose(), "");
  EXPECT_LT(MonotonicNanos() - start, 1'500 * kNanosPerMilli);
}

TEST_F(ServerLimitsTest, ABodyThatStopsIsRefused) {
  Start();
  RawClient client(port());
  ASSERT_TRUE(client.Send("POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 100000\r\n\r\nstart"));
  EXPECT_EQ(client.ReadAnswer().status, 408);
  EXPECT_TRUE(WaitUntil([&] { return server_->statistics().bodies_bytes == 0; }));
}

TEST_F(ServerLimitsTest, ABodyThatDripsIsRefused) {
  Start();
  RawClient client(port());
  ASSERT_TRUE(client.Send("POST /echo HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"));
  for (int i = 0; i < 100 && client.Send("1\r\nx\r\n") && !client.WaitForInput(20); ++i) {
  }
  EXPECT_EQ(client.ReadAnswer().status, 408);
}

TEST_F(ServerLimitsTest, ABodyThatIsSlowButComesIsServed) {
  Start();
  RawClient client(port());
  ASSERT_TRUE(client.Send("POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 20000\r\n\r\n"));
  for (int i = 0; i < 10; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(60));
    ASSERT_TRUE(client.Send(std::string(2'000, 'x')));
  }
  EXPECT_EQ(client.ReadAnswer().body.size(), 20'000u);
}

TEST_F(ServerLimitsTest, WaitingForAnAnswerIsNoTimeout) {
  Start();
  RawClient client(port());
  ASSERT_TRUE(client.Send(Get("/held")));
  EXPECT_FALSE(client.WaitForInput(700));
  ReleaseAll();
  EXPECT_EQ(client.ReadAnswer().body, "released");
}

TEST_F(ServerLimitsTest, AClientThatTakesNothingIsDropped) {
  Start();
  RawClient client(port(), /*receive_buffer_bytes=*/4'096);
  ASSERT_TRUE(client.Send(Get("/large")));
  EXPECT_TRUE(WaitUntil([&] { return server_->statistics().connections_timed_out == 1; }));
  EXPECT_TRUE(WaitUntil([&] { return server_->statistics().connections_open == 0; }));
}

TEST_F(ServerLimitsTest, AClientThatTakesAnswersSlowlyIsServed) {
  Start();
  RawClient client(port(), /*receive_buffer_bytes=*/4'096);
  ASSERT_TRUE(client.Send(Get("/large") + Get("/ping")));
  // For much longer than the timeout, and less than makes the server's kernel take more.
  for (int i = 0; i < 30; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(40));
    ASSERT_TRUE(client.ReceiveSome());
  }
  EXPECT_EQ(client.ReadAnswer().body.size(), kLargeBytes);
  EXPECT_EQ(client.ReadAnswer().status, 204);
}

TEST_F(ServerLimitsTest, AStallIsTimedFromTheAnswerThatStalls) {
  options_.idle_timeout_ms = 60'000;
  options_.write_stall_timeout_ms = 1'000;
  Start();
  RawClient client(port(), /*receive_buffer_bytes=*/4'096);
  ASSERT_TRUE(client.Send(Get("/ping")));
  EXPECT_EQ(client.ReadAnswer().status, 204);
  std::this_thread::sleep_for(std::chrono::milliseconds(1'500));
  ASSERT_TRUE(client.Send(Get("/large")));
  std::this_thread::sleep_for(std::chrono::milliseconds(400));
  EXPECT_EQ(client.ReadAnswer().body.size(), kLargeBytes);
}

TEST_F(ServerLimitsTest, PipelinedAnswersThatNobodyReadsStopTheReading) {
  options_.write_stall_timeout_ms = 60'000;
  options_.loop_count = 1;
  Start();
  RawClient client(port(), /*receive_buffer_bytes=*/4'096);
  std::string input;
  for (int i = 0; i < 2'000; ++i) {
    input += Get("/hello");
  }
  std::thread sender([&] {
    while (client.Send(input)) {
    }
  });
  uint64_t requests = 0;
  // Until nothing moves any more.
  EXPECT_TRUE(WaitUntil([&] {
    const uint64_t before = std::exchange(requests, server_->statistics().requests);
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
    return requests > 0 && requests == before;
  }));
  // What fits the kernel's buffers and ours; 2,000 bytes each.
  EXPECT_LT(requests, 10'000u);
  EXPECT_EQ(Fetch(port(), "GET", "/ping").status, 204);
  client.ShutDownWriting();
  sender.join();
}

TEST_F(ServerLimitsTest, ConnectionsOverTheLimitAreTurnedAway) {
  options_.max_connections = 3;
  options_.idle_timeout_ms = 60'000;
  Start();
  std::vector<std::unique_ptr<RawClient>> clients;
  for (int i = 0; i < 3; ++i) {
    clients.push_back(std::make_unique<RawClient>(port()));
    ASSERT_TRUE(clients.back()->Send(Get("/ping")));
    EXPECT_EQ(clients.back()->ReadAnswer().status, 204);
  }
  RawClient refused(port());
  EXPECT_EQ(refused.ReadAnswer().status, 503);
  EXPECT_EQ(server_->statistics().connections_refused, 1u);
  clients.pop_back();
  EXPECT_TRUE(WaitUntil([&] { return Fetch(port(), "GET", "/ping").status == 204; }));
}

TEST_F(ServerLimitsTest, ConnectionsAreSpreadOverTheLoops) {
  options_.idle_timeout_ms = 60'000;
  options_.loop_count = 4;
  std::atomic<int> waiting = 0;
  Mutex mutex;
  std::vector<std::thread::id> loops;
  router_.Add(Method::kGet, "/where", [&](const std::shared_ptr<Exchange>& e) {
    {
      MutexLock lock(&mutex);
      loops.push_back(std::this_thread::get_id());
    }
    ++waiting;
    e->Respond({.status = 204});
  });
  Start();
  std::vector<std::unique_ptr<RawClient>> clients;
  for (int i = 0; i < 4; ++i) {
    clients.push_back(std::make_unique<RawClient>(port()));
    ASSERT_TRUE(clients.back()->Send(Get("/where")));
    EXPECT_EQ(clients.back()->ReadAnswer().status, 204);
  }
  MutexLock lock(&mutex);
  std::sort(loops.begin(), loops.end());
  EXPECT_EQ(std::unique(loops.begin(), loops.end()) - loops.begin(), 4);
}

TEST_F(ServerLimitsTest, WithoutDescriptorsItWaitsQuietlyAndComesBack) {
  options_.idle_timeout_ms = 60'000;
  Start();
  ASSERT_EQ(Fetch(port(), "GET", "/ping").status, 204);
  rlimit saved = {};
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &saved), 0);
  // The client has its descriptor, the server can get none for the other end.
  const int last = dup(0);
  rlimit tight = saved;
  tight.rlim_cur = static_cast<rlim_t>(last) + 1;
  close(last);
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &tight), 0);
  auto client = std::make_unique<RawClient>(port());
  const bool is_connected = client->is_connected();
  const bool has_failed = WaitUntil([&] { return server_->statistics().accept_failures > 0; });
  const double cpu_before = CpuSeconds();
  std::this_thread::sleep_for(std::chrono::milliseconds(500));
  const double cpu_seconds = CpuSeconds() - cpu_before;
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &saved), 0);
  ASSERT_TRUE(is_connected);
  EXPECT_TRUE(has_failed);
  EXPECT_LT(cpu_seconds, 0.05);
  const int64_t start = MonotonicNanos();
  ASSERT_TRUE(client->Send(Get("/ping")));
  EXPECT_EQ(client->ReadAnswer().status, 204);
  EXPECT_EQ(Fetch(port(), "GET", "/ping").status, 204);
  EXPECT_LT(MonotonicNanos() - start, 2 * kNanosPerSecond);
}

TEST_F(ServerLimitsTest, StartingWithoutDescriptorsIsAnError) {
  rlimit saved = {};
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &saved), 0);
  const int first_free = dup(0);
  close(first_free);
  options_.loop_count = 3;
  // The listeners, and loops of a few descriptors each.
  for (int spare = 0; spare < 20; ++spare) {
    rlimit tight = saved;
    tight.rlim_cur = static_cast<rlim_t>(first_free + spare);
    ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &tight), 0);
    Server server(options_, &router_);
    const bool is_started = server.Start().ok();
    server.Stop();
    ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &saved), 0);
    EXPECT_FALSE(is_started && spare < 3) << spare;
    const int still_free = dup(0);
    close(still_free);
    EXPECT_EQ(still_free, first_free) << "descriptors were lost";
  }
}

TEST_F(ServerLimitsTest, BodiesOfAllConnectionsHaveOneBudget) {
  options_.max_bodies_total_bytes = 1'000'000;
  options_.progress_timeout_ms = 60'000;
  Start();
  RawClient first(port());
  ASSERT_TRUE(first.Send("POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 900000\r\n\r\n" +
                         std::string(800'000, 'x')));
  EXPECT_TRUE(WaitUntil([&] { return server_->statistics().bodies_bytes == 800'000; }));
  const ClientAnswer refused = Fetch(port(), "POST", "/echo", std::string(300'000, 'y'));
  EXPECT_EQ(refused.status, 503);
  EXPECT_EQ(refused.Header("Retry-After"), "1");
  ASSERT_TRUE(first.Send(std::string(100'000, 'x')));
  EXPECT_EQ(first.ReadAnswer().body.size(), 900'000u);
  EXPECT_TRUE(WaitUntil([&] { return server_->statistics().bodies_bytes == 0; }));
  EXPECT_EQ(Fetch(port(), "POST", "/echo", std::string(300'000, 'y')).status, 200);
}

TEST_F(ServerLimitsTest, AReleasedBodyLeavesTheBudgetBeforeTheAnswer) {
  Start();
  RawClient client(port());
  ASSERT_TRUE(client.Send(Post("/held", std::string(100'000, 'x'))));
  const auto exchange = TakeHeld();
  EXPECT_EQ(server_->statistics().bodies_bytes, 100'000u);
  exchange->ReleaseBody();
  EXPECT_EQ(server_->statistics().bodies_bytes, 0u);
  exchange->Respond({.status = 204});
  EXPECT_EQ(client.ReadAnswer().status, 204);
}

TEST_F(ServerLimitsTest, AClientThatLeavesCancelsItsRequest) {
  Start();
  for (const bool with_reset : {false, true}) {
    auto client = std::make_unique<RawClient>(port());
    ASSERT_TRUE(client->Send(Get("/held")));
    const auto exchange = TakeHeld();
    std::atomic<int> cancelled = 0;
    std::atomic<int> sent = 0;
    exchange->OnCancel([&] { ++cancelled; });
    exchange->OnSent([&] { ++sent; });
    EXPECT_FALSE(exchange->cancelled());
    if (with_reset) {
      client->Reset();
    } else {
      client.reset();
    }
    EXPECT_TRUE(WaitUntil([&] { return cancelled == 1; }));
    EXPECT_TRUE(exchange->cancelled());
    exchange->Respond({.status = 204});
    EXPECT_TRUE(WaitUntil([&] { return sent == 1; }));
    std::atomic<int> late = 0;
    exchange->OnCancel([&] { ++late; });
    EXPECT_EQ(late, 1);
  }
}

TEST_F(ServerLimitsTest, AClientThatOnlyStopsSendingStillGetsItsAnswers) {
  Start();
  RawClient client(port());
  ASSERT_TRUE(client.Send(Get("/thread") + Get("/hello")));
  client.ShutDownWriting();
  EXPECT_EQ(client.ReadAnswer().status, 204);
  EXPECT_EQ(client.ReadAnswer().status, 200);
  EXPECT_EQ(client.ReadUntilClose(), "");
}

TEST_F(ServerLimitsTest, SentIsReportedOncePerAnswer) {
  std::atomic<int> sent = 0;
  router_.Add(Method::kGet, "/sent", [&](const std::shared_ptr<Exchange>& e) {
    e->OnSent([&] { ++sent; });
    e->Respond({.status = 204});
  });
  Start();
  RawClient client(port());
  for (int i = 1; i <= 5; ++i) {
    ASSERT_TRUE(client.Send(Get("/sent")));
    EXPECT_EQ(client.ReadAnswer().status, 204);
    EXPECT_TRUE(WaitUntil([&] { return sent == i; }));
  }
}

TEST_F(ServerLimitsTest, StoppingLetsAnswersFinishAndRefusesNewConnections) {
  options_.idle_timeout_ms = 60'000;
  options_.progress_timeout_ms = 60'000;
  Start();
  const uint16_t old_port = port();
  RawClient idle(port());
  ASSERT_TRUE(idle.Send(Get("/ping")));
  EXPECT_EQ(idle.ReadAnswer().status, 204);
  RawClient busy(port());
  ASSERT_TRUE(busy.Send(Get("/held")));
  const auto exchange = TakeHeld();
  RawClient sending(port());
  ASSERT_TRUE(sending.Send("POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhe"));
  std::this_thread::sleep_for(std::chrono::milliseconds(50));

  std::thread stopper([&] { server_->Stop(); });
  EXPECT_EQ(idle.ReadUntilClose(), "");
  EXPECT_TRUE(WaitUntil([&] { return !RawClient(old_port).is_connected(); }));
  ASSERT_TRUE(sending.Send("llo"));
  EXPECT_EQ(sending.ReadAnswer().body, "hello");
  exchange->Respond(200, "text/plain", "last");
  const ClientAnswer last = busy.ReadAnswer();
  EXPECT_EQ(last.body, "last");
  EXPECT_EQ(last.Header("Connection"), "close");
  EXPECT_EQ(busy.ReadUntilClose(), "");
  stopper.join();
  EXPECT_EQ(server_->statistics().connections_open, 0u);
}

TEST_F(ServerLimitsTest, StoppingEndsAfterItsGrace) {
  options_.shutdown_grace_ms = 200;
  options_.idle_timeout_ms = 60'000;
  Start();
  RawClient client(port());
  ASSERT_TRUE(client.Send(Get("/held")));
  const auto exchange = TakeHeld();
  const int64_t start = MonotonicNanos();
  server_->Stop();
  EXPECT_LT(MonotonicNanos() - start, 3 * kNanosPerSecond);
  EXPECT_TRUE(exchange->cancelled());
  server_.reset();
  exchange->Respond({.status = 204});  // into the void
}

}  // namespace
}  // namespace tsdbd::http
