// The server on the wire: framing, keep-alive, order of answers, what it refuses, content codings.

#include "http/server.h"

#include <algorithm>
#include <atomic>
#include <fstream>
#include <random>

#include <unistd.h>

#include "http/compression.h"
#include "http/server_fixture.h"

namespace tsdbd::http {
namespace {

class ServerTest : public ServerFixture {
 protected:
  Mutex later_mutex_;
  std::vector<std::shared_ptr<Exchange>> later_ GUARDED_BY(later_mutex_);
};

int64_t ResidentBytes() {
  int64_t total_pages = 0;
  int64_t resident_pages = 0;
  std::ifstream("/proc/self/statm") >> total_pages >> resident_pages;
  return resident_pages * sysconf(_SC_PAGESIZE);
}

std::string Gzip(std::string_view bytes) {
  std::string out;
  GzipStream stream;
  stream.Write(bytes, &out);
  stream.End(&out);
  return out;
}

std::string Gunzip(std::string_view compressed) {
  BodyBuffer buffer(std::make_shared<BodyPool>(size_t{1} << 30));
  EXPECT_FALSE(Inflate(ContentCoding::kGzip, compressed, size_t{64} << 20, &buffer));
  return std::string(buffer.view());
}

TEST_F(ServerTest, AnswersWithTheHeadersItPromises) {
  Start();
  const ClientAnswer answer = Fetch(port(), "GET", "/hello");
  EXPECT_EQ(answer.status, 200);
  EXPECT_EQ(answer.body, std::string(2'000, 'h'));
  EXPECT_EQ(answer.Header("X-Content-Type-Options"), "nosniff");
  EXPECT_EQ(answer.Header("Content-Type"), "application/json");
  EXPECT_NE(answer.Header("Date"), "");
  EXPECT_EQ(answer.Header("Server"), "");
  EXPECT_EQ(answer.Header("Access-Control-Allow-Origin"), "");
}

TEST_F(ServerTest, HeadGetsTheLengthWithoutTheBody) {
  Start();
  RawClient client(port());
  ASSERT_TRUE(client.Send("HEAD /hello HTTP/1.1\r\nHost: h\r\n\r\n" + Get("/ping")));
  EXPECT_EQ(client.ReadAnswer(/*to_head=*/true).Header("Content-Length"), "2000");
  EXPECT_EQ(client.ReadAnswer().status, 204);
}

TEST_F(ServerTest, UnknownPathsAndMethodsAreRefusedAndTheConnectionStays) {
  Start();
  RawClient client(port());
  ASSERT_TRUE(
      client.Send(Get("/nowhere") + "DELETE /ping HTTP/1.1\r\nHost: h\r\n\r\n" + Get("/ping")));
  const ClientAnswer not_found = client.ReadAnswer();
  EXPECT_EQ(not_found.status, 404);
  EXPECT_EQ(not_found.body, "{\"error\":\"no such path\"}\n");
  const ClientAnswer not_allowed = client.ReadAnswer();
  EXPECT_EQ(not_allowed.status, 405);
  EXPECT_EQ(not_allowed.Header("Allow"), "GET, HEAD");
  EXPECT_EQ(client.ReadAnswer().status, 204);
}

TEST_F(ServerTest, KeepsConnectionsAsTheClientWishes) {
  Start();
  {
    RawClient client(port());
    ASSERT_TRUE(client.Send(Get("/ping", "Connection: close\r\n")));
    EXPECT_EQ(client.ReadAnswer().Header("Connection"), "close");
    EXPECT_EQ(client.ReadUntilClose(), "");
  }
  {
    RawClient client(port());
    ASSERT_TRUE(client.Send("GET /hello HTTP/1.0\r\n\r\n"));
    EXPECT_EQ(client.ReadAnswer().body.size(), 2'000u);
    EXPECT_EQ(client.ReadUntilClose(), "");
  }
  {
    RawClient client(port());
    for (int i = 0; i < 3; ++i) {
      ASSERT_TRUE(client.Send("GET /hello HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"));
      EXPECT_EQ(client.ReadAnswer().Header("Connection"), "keep-alive");
    }
  }
}

TEST_F(ServerTest, ReadsBodiesOfAllSizes) {
  Start();
  std::mt19937 random(1);
  for (const size_t size : {1, 100, 16'383, 16'384, 65'536, 65'537, 1'000'000, 9'000'000}) {
    std::string body(size, '\0');
    for (char& c : body) {
      c = static_cast<char>(random());
    }
    EXPECT_EQ(Fetch(port(), "POST", "/echo", body).body, body) << size;
  }
}

TEST_F(ServerTest, ReadsLargeBodiesThatArePipelined) {
  Start();
  RawClient client(port());
  std::string input;
  for (int i = 0; i < 5; ++i) {
    input += Post("/echo", std::string(300'000, static_cast<char>('a' + i))) + Get("/ping");
  }
  std::thread sender([&] { EXPECT_TRUE(client.Send(input)); });
  for (int i = 0; i < 5; ++i) {
    EXPECT_EQ(client.ReadAnswer().body, std::string(300'000, static_cast<char>('a' + i)));
    EXPECT_EQ(client.ReadAnswer().status, 204);
  }
  sender.join();
}

TEST_F(ServerTest, ReadsARequestCutAtEveryByte) {
  Start();
  const std::string input =
      "POST /echo HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
      "5;x\r\nhello\r\n6\r\n world\r\n0\r\nA: b\r\n\r\n";
  RawClient client(port());
  for (size_t cut = 1; cut < input.size(); ++cut) {
    ASSERT_TRUE(client.Send(input.substr(0, cut)));
    std::this_thread::sleep_for(std::chrono::microseconds(300));
    ASSERT_TRUE(client.Send(input.substr(cut)));
    ASSERT_EQ(client.ReadAnswer().body, "hello world") << cut;
  }
}

TEST_F(ServerTest, AnswersPipelinedRequestsInOrder) {
  Start();
  RawClient client(port());
  std::string input;
  for (int i = 0; i < 500; ++i) {
    input += Post("/echo", std::to_string(i)) + (i % 50 == 0 ? Get("/thread") : "");
  }
  ASSERT_TRUE(client.Send(input));
  for (int i = 0; i < 500; ++i) {
    ASSERT_EQ(client.ReadAnswer().body, std::to_string(i));
    if (i % 50 == 0) {
      ASSERT_EQ(client.ReadAnswer().status, 204);
    }
  }
}

TEST_F(ServerTest, AlwaysHavingRequestsWaitingCostsNoMemory) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "sanitizers keep freed memory";
#endif
  router_.Add(Method::kGet, "/later", [this](const std::shared_ptr<Exchange>& e) {
    MutexLock lock(&later_mutex_);
    later_.push_back(e);
  });
  options_.loop_count = 1;
  Start();
  std::atomic<bool> is_over = false;
  std::thread answerer([&] {
    while (!is_over) {
      std::vector<std::shared_ptr<Exchange>> taken;
      {
        MutexLock lock(&later_mutex_);
        taken.swap(later_);
      }
      for (const std::shared_ptr<Exchange>& exchange : taken) {
        exchange->Respond({.status = 204});
      }
    }
  });
  // Large heads, so that few requests make many bytes: 40 MB in all.
  const std::string request = Get("/later", "A: " + std::string(20'000, 'a') + "\r\n");
  constexpr int kRequests = 2'000;
  const int64_t before_bytes = ResidentBytes();
  int64_t most_bytes = 0;
  RawClient client(port());
  std::thread sender([&] {
    for (int i = 0; i < kRequests; ++i) {
      EXPECT_TRUE(client.Send(request));
    }
  });
  for (int i = 0; i < kRequests; ++i) {
    EXPECT_EQ(client.ReadAnswer().status, 204);
    most_bytes = std::max(most_bytes, ResidentBytes());
  }
  sender.join();
  is_over = true;
  answerer.join();
  EXPECT_LT(most_bytes - before_bytes, 20'000'000);
}

TEST_F(ServerTest, BeginsARequestWhenTheOneBeforeIsAnswered) {
  Start();
  RawClient client(port());
  ASSERT_TRUE(client.Send(Get("/held") + Get("/held")));
  const auto first = TakeHeld();
  EXPECT_FALSE(client.WaitForInput(50));
  EXPECT_EQ(held_count(), 0u);
  first->Respond(200, "text/plain", "first");
  TakeHeld()->Respond(200, "text/plain", "second");
  EXPECT_EQ(client.ReadAnswer().body, "first");
  EXPECT_EQ(client.ReadAnswer().body, "second");
}

TEST_F(ServerTest, RefusesHostileRequestsAndCloses) {
  Start();
  struct Case {
    const char* what;
    std::string bytes;
    int status;
  };
  const std::string host = "Host: h\r\n";
  for (const Case& c : std::vector<Case>{
           {"length and chunked",
            "POST /echo HTTP/1.1\r\n" + host +
                "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            400},
           {"two lengths",
            "POST /echo HTTP/1.1\r\n" + host + "Content-Length: 1\r\nContent-Length: 2\r\n\r\nab",
            400},
           {"LF", "GET /ping HTTP/1.1\nHost: h\n\n", 400},
           {"blank before colon", "GET /ping HTTP/1.1\r\nHost : h\r\n\r\n", 400},
           {"folded", "GET /ping HTTP/1.1\r\n" + host + "A: b\r\n c\r\n\r\n", 400},
           {"no host", "GET /ping HTTP/1.1\r\n\r\n", 400},
           {"bad chunk",
            "POST /echo HTTP/1.1\r\n" + host + "Transfer-Encoding: chunked\r\n\r\nzz\r\n", 400},
           {"unknown method", "BREW /ping HTTP/1.1\r\n" + host + "\r\n", 501},
           {"version", "GET /ping HTTP/3.0\r\n" + host + "\r\n", 505},
           {"long head", "GET /ping HTTP/1.1\r\nA: " + std::string(40'000, 'a'), 431},
           {"long target", "GET /" + std::string(40'000, 'a'), 414},
       }) {
    RawClient client(port());
    ASSERT_TRUE(client.Send(c.bytes + Get("/ping"))) << c.what;
    const ClientAnswer answer = client.ReadAnswer();
    EXPECT_EQ(answer.status, c.status) << c.what;
    EXPECT_EQ(answer.Header("Connection"), "close") << c.what;
    EXPECT_NE(answer.body.find("{\"error\":"), std::string::npos) << c.what;
    EXPECT_EQ(client.ReadUntilClose(), "") << c.what;
  }
  EXPECT_EQ(Fetch(port(), "GET", "/ping").status, 204);
}

TEST_F(ServerTest, TheAnswerToAHugeBodyArrivesThoughTheBodyIsStillSent) {
  options_.max_body_bytes = 1'000;
  Start();
  for (int i = 0; i < 5; ++i) {
    RawClient client(port());
    client.Send(Post("/echo", std::string(5'000'000, 'x')));
    EXPECT_EQ(client.ReadAnswer().status, 413);
    EXPECT_EQ(client.ReadUntilClose(), "");
  }
}

TEST_F(ServerTest, ARouteMayHaveItsOwnBodyLimit) {
  Start();
  EXPECT_EQ(Fetch(port(), "POST", "/small", "0123456789").status, 204);
  EXPECT_EQ(Fetch(port(), "POST", "/small", "0123456789a").status, 413);
  EXPECT_EQ(
      Fetch(port(), "POST", "/small", Gzip(std::string(1'000, 'a')), "Content-Encoding: gzip\r\n")
          .status,
      413);
}

TEST_F(ServerTest, ContinueIsSentOnlyToBodiesThatAreWelcome) {
  Start();
  RawClient client(port());
  ASSERT_TRUE(client.Send(
      "POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n"));
  EXPECT_EQ(client.ReadAnswer().status, 100);
  ASSERT_TRUE(client.Send("hello"));
  EXPECT_EQ(client.ReadAnswer().body, "hello");
  ASSERT_TRUE(client.Send(
      "POST /small HTTP/1.1\r\nHost: h\r\nContent-Length: 11\r\nExpect: 100-continue\r\n\r\n"));
  EXPECT_EQ(client.ReadAnswer().status, 413);
  RawClient other(port());
  ASSERT_TRUE(other.Send(
      "POST /nowhere HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nExpect: 100-continue\r\n\r\n"));
  EXPECT_EQ(other.ReadAnswer().status, 404);
}

TEST_F(ServerTest, InflatesBodies) {
  Start();
  const std::string body(3'000'000, 'a');
  const std::string gzip = "Content-Encoding: gzip\r\n";
  EXPECT_EQ(Fetch(port(), "POST", "/echo", Gzip("hello"), gzip).body, "hello");
  EXPECT_EQ(Fetch(port(), "POST", "/echo", Gzip(body), gzip).body, body);
  EXPECT_EQ(Fetch(port(), "POST", "/echo", "no gzip", gzip).status, 400);
  EXPECT_EQ(Fetch(port(), "POST", "/echo", "x", "Content-Encoding: br\r\n").status, 415);
  EXPECT_EQ(Fetch(port(), "POST", "/snappy", "raw", "Content-Encoding: snappy\r\n").body, "raw");
}

TEST_F(ServerTest, InflatesLargeBodiesBesideTheLoop) {
  Start();
  std::mt19937 random(5);
  std::string body;
  for (int i = 0; i < 2'000'000; ++i) {
    body.push_back(static_cast<char>('a' + random() % 8));
  }
  const std::string compressed = Gzip(body);
  ASSERT_GT(compressed.size(), 600'000u);
  RawClient client(port());
  ASSERT_TRUE(client.Send(Post("/echo", compressed, "Content-Encoding: gzip\r\n") + Get("/ping")));
  EXPECT_EQ(client.ReadAnswer().body, body);
  EXPECT_EQ(client.ReadAnswer().status, 204);
  // Gone while it is inflated: nothing to see but the sanitizers.
  RawClient leaver(port());
  ASSERT_TRUE(leaver.Send(Post("/echo", compressed, "Content-Encoding: gzip\r\n")));
  leaver.Reset();
}

TEST_F(ServerTest, BombsAreRefused) {
  options_.max_body_bytes = 1'000'000;
  Start();
  const std::string bomb = Gzip(std::string(100'000'000, '\0'));
  ASSERT_LT(bomb.size(), 1'000'000u);
  EXPECT_EQ(Fetch(port(), "POST", "/echo", bomb, "Content-Encoding: gzip\r\n").status, 413);
  EXPECT_EQ(server_->statistics().bodies_bytes, 0u);
}

TEST_F(ServerTest, CompressesAnswersForThoseWhoAsk) {
  Start();
  const ClientAnswer answer = Fetch(port(), "GET", "/hello", "", "Accept-Encoding: br, gzip\r\n");
  EXPECT_EQ(answer.Header("Content-Encoding"), "gzip");
  EXPECT_EQ(answer.Header("Vary"), "Accept-Encoding");
  EXPECT_LT(answer.body.size(), 200u);
  EXPECT_EQ(Gunzip(answer.body), std::string(2'000, 'h'));
  // Not text.
  EXPECT_EQ(Fetch(port(), "POST", "/echo", std::string(5'000, 'x'), "Accept-Encoding: gzip\r\n")
                .Header("Content-Encoding"),
            "");
}

TEST_F(ServerTest, ADroppedRequestIsAnsweredWith500) {
  Start();
  EXPECT_EQ(Fetch(port(), "GET", "/dropped").status, 500);
}

TEST_F(ServerTest, TheErrorAnswerCanBeReplaced) {
  options_.error_answer = [](int status, std::string_view reason) {
    return Answer{
        .status = status, .content_type = "text/plain", .body = "no: " + std::string(reason)};
  };
  Start();
  EXPECT_EQ(Fetch(port(), "GET", "/nowhere").body, "no: no such path");
}

TEST_F(ServerTest, CountsWhatItDoes) {
  Start();
  Fetch(port(), "POST", "/echo", "12345");
  Fetch(port(), "GET", "/nowhere");
  const ServerStatistics statistics = server_->statistics();
  EXPECT_EQ(statistics.connections_accepted, 2u);
  EXPECT_EQ(statistics.requests, 1u);
  EXPECT_EQ(statistics.refused_requests, 1u);
  EXPECT_EQ(statistics.answers_by_class[2], 1u);
  EXPECT_EQ(statistics.answers_by_class[4], 1u);
  EXPECT_GT(statistics.received_bytes, 50u);
  EXPECT_TRUE(WaitUntil([&] { return server_->statistics().sent_bytes > 100; }));
  EXPECT_TRUE(WaitUntil([&] { return server_->statistics().connections_open == 0; }));
}

TEST_F(ServerTest, TimesOfARequestAreInOrder) {
  router_.Add(Method::kPost, "/timed", [](const std::shared_ptr<Exchange>& e) {
    const int64_t took = e->request().complete_nanos() - e->request().arrived_nanos();
    e->Respond(200, "text/plain", std::to_string(took));
  });
  Start();
  RawClient client(port());
  ASSERT_TRUE(client.Send("POST /timed HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\n\r\n"));
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  ASSERT_TRUE(client.Send("x"));
  EXPECT_GE(std::stoll(client.ReadAnswer().body), 15'000'000);
}

TEST_F(ServerTest, ASecondServerOnThePortIsRefused) {
  Start();
  options_.port = port();
  Server second(options_, &router_);
  const Status status = second.Start();
  ASSERT_FALSE(status.ok());
  EXPECT_NE(Message(status).find(std::to_string(options_.port)), std::string_view::npos)
      << Message(status);
}

TEST_F(ServerTest, AnAddressThatIsNotOursIsAClearError) {
  options_.host = "192.0.2.1";
  Server server(options_, &router_);
  EXPECT_NE(Message(server.Start()).find("192.0.2.1"), std::string_view::npos);
}

}  // namespace
}  // namespace tsdbd::http
