// Answers that are streamed, and answers from other threads.

#include <atomic>
#include <chrono>

#include "http/compression.h"
#include "http/server_fixture.h"

namespace tsdbd::http {
namespace {

class ServerStreamTest : public ServerFixture {
 protected:
  static constexpr int kLines = 200'000;

  // GET /stream: kLines lines from a thread of its own.
  void StartWithStream() {
    router_.Add(Method::kGet, "/stream", [this](const std::shared_ptr<Exchange>& exchange) {
      RunOnThread([this, exchange] {
        exchange->BeginStream(200, "text/plain", {{"X-Extra", "yes"}});
        int i = 0;
        while (i < kLines && exchange->Write(Line(i))) {
          written_ = ++i;
        }
        exchange->End();
        ++ended_;
      });
    });
    Start();
  }

  static std::string Line(int i) { return fmt::format("line number {}\n", i); }
  static const std::string& AllLines() {
    static const std::string all = [] {
      std::string lines;
      for (int i = 0; i < kLines; ++i) {
        lines += Line(i);
      }
      return lines;
    }();
    return all;
  }

  std::atomic<int> written_ = 0;
  std::atomic<int> ended_ = 0;
};

TEST_F(ServerStreamTest, StreamsInChunks) {
  StartWithStream();
  RawClient client(port());
  ASSERT_TRUE(client.Send(Get("/stream") + Get("/ping")));
  const ClientAnswer answer = client.ReadAnswer();
  EXPECT_EQ(answer.status, 200);
  EXPECT_EQ(answer.Header("Transfer-Encoding"), "chunked");
  EXPECT_EQ(answer.Header("X-Extra"), "yes");
  EXPECT_EQ(answer.Header("X-Content-Type-Options"), "nosniff");
  EXPECT_TRUE(answer.body == AllLines());
  EXPECT_EQ(client.ReadAnswer().status, 204);
}

TEST_F(ServerStreamTest, CompressesStreams) {
  StartWithStream();
  const ClientAnswer answer = Fetch(port(), "GET", "/stream", "", "Accept-Encoding: gzip\r\n");
  EXPECT_EQ(answer.Header("Content-Encoding"), "gzip");
  EXPECT_LT(answer.body.size(), AllLines().size() / 3);
  BodyBuffer inflated(std::make_shared<BodyPool>(size_t{1} << 30));
  ASSERT_FALSE(Inflate(ContentCoding::kGzip, answer.body, size_t{64} << 20, &inflated));
  EXPECT_TRUE(inflated.view() == AllLines());
}

TEST_F(ServerStreamTest, ForHttp10TheEndOfTheConnectionIsTheEndOfTheStream) {
  StartWithStream();
  RawClient client(port());
  ASSERT_TRUE(client.Send("GET /stream HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"));
  const ClientAnswer answer = client.ReadAnswer();
  EXPECT_EQ(answer.Header("Transfer-Encoding"), "");
  EXPECT_EQ(answer.Header("Connection"), "close");
  EXPECT_TRUE(answer.body == AllLines());
}

TEST_F(ServerStreamTest, HeadStopsTheStreamAtOnce) {
  StartWithStream();
  RawClient client(port());
  ASSERT_TRUE(client.Send("HEAD /stream HTTP/1.1\r\nHost: h\r\n\r\n" + Get("/ping")));
  EXPECT_EQ(client.ReadAnswer(/*to_head=*/true).status, 200);
  EXPECT_EQ(client.ReadAnswer().status, 204);
  EXPECT_EQ(written_, 0);
}

TEST_F(ServerStreamTest, TheWriterWaitsForASlowClient) {
  options_.max_stream_bytes = 100'000;
  StartWithStream();
  RawClient client(port(), /*receive_buffer_bytes=*/4'096);
  ASSERT_TRUE(client.Send(Get("/stream")));
  int written = -1;
  ASSERT_TRUE(WaitUntil([&] {
    const int before = std::exchange(written, written_.load());
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
    return written == before && written > 0;
  }));
  EXPECT_LT(written, kLines);
  EXPECT_TRUE(client.ReadAnswer().body == AllLines());
  EXPECT_TRUE(WaitUntil([&] { return ended_ == 1; }));
}

TEST_F(ServerStreamTest, TheWriterLearnsThatItsClientIsGone) {
  options_.max_stream_bytes = 100'000;
  StartWithStream();
  for (int i = 1; i <= 2; ++i) {
    auto client = std::make_unique<RawClient>(port(), /*receive_buffer_bytes=*/4'096);
    ASSERT_TRUE(client->Send(Get("/stream")));
    ASSERT_TRUE(client->WaitForInput(RawClient::kTimeoutMs));
    client->Reset();
    EXPECT_TRUE(WaitUntil([&] { return ended_ == i; }));
    EXPECT_LT(written_, kLines);
  }
}

TEST_F(ServerStreamTest, TheWriterIsFreedWhenTheServerStops) {
  options_.max_stream_bytes = 100'000;
  options_.shutdown_grace_ms = 200;
  StartWithStream();
  RawClient client(port(), /*receive_buffer_bytes=*/4'096);
  ASSERT_TRUE(client.Send(Get("/stream")));
  ASSERT_TRUE(client.WaitForInput(RawClient::kTimeoutMs));
  server_->Stop();
  EXPECT_TRUE(WaitUntil([&] { return ended_ == 1; }));
}

TEST_F(ServerStreamTest, AnAbortedStreamDoesNotLookWhole) {
  router_.Add(Method::kGet, "/abort", [](const std::shared_ptr<Exchange>& exchange) {
    exchange->BeginStream(200, "text/plain");
    exchange->Write(std::string(100'000, 'x'));
    if (exchange->request().query().Get("how") == "abort") {
      exchange->Abort();
    }
  });
  Start();
  for (const char* target : {"/abort?how=abort", "/abort?how=drop"}) {
    RawClient client(port());
    ASSERT_TRUE(client.Send(Get(target)));
    EXPECT_NE(client.ReadAnswer().status, 200) << target;
  }
}

TEST_F(ServerStreamTest, AStreamAbortedAfterSomeOfItIsSentIsReset) {
  std::atomic<bool> go_on = false;
  router_.Add(Method::kGet, "/abort", [&](const std::shared_ptr<Exchange>& exchange) {
    RunOnThread([&go_on, exchange] {
      exchange->BeginStream(200, "text/plain");
      exchange->Write(std::string(100'000, 'x'));
      WaitUntil([&] { return go_on.load(); });
      exchange->Abort();
    });
  });
  Start();
  RawClient client(port());
  ASSERT_TRUE(client.Send("GET /abort HTTP/1.0\r\n\r\n"));
  ASSERT_TRUE(client.WaitForInput(RawClient::kTimeoutMs));
  go_on = true;
  const std::optional<std::string> all = client.ReadUntilClose();
  ASSERT_TRUE(all.has_value());
  EXPECT_TRUE(all->starts_with("HTTP/1.1 200"));
  EXPECT_TRUE(client.was_reset());
}

TEST_F(ServerStreamTest, ManyThreadsAnswerManyClients) {
  Start();
  std::vector<std::thread> clients;
  std::atomic<int> answered = 0;
  for (int i = 0; i < 8; ++i) {
    clients.emplace_back([&] {
      RawClient client(port());
      for (int round = 0; round < 50; ++round) {
        if (client.Send(Get("/thread")) && client.ReadAnswer().status == 204) {
          ++answered;
        }
      }
    });
  }
  for (std::thread& client : clients) {
    client.join();
  }
  EXPECT_EQ(answered, 400);
}

}  // namespace
}  // namespace tsdbd::http
