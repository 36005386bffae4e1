#include "resp/server.h"

#include <atomic>
#include <deque>
#include <thread>

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/mutex.h"
#include "common/sanitizers_testing.h"
#include "resp/reply_writer.h"

namespace tsdbd::resp {
namespace {

// More than the kernel buffers for a connection that nobody reads from.
constexpr size_t kHugeBytes = size_t{24} << 20;

// ECHO x · WAIT (replied once Release is called) · POOL (only on the pool: its thread's reply) ·
// LARGE (1 MiB) · HUGE (24 MiB) · LONG (on the pool, until the client is gone) · QUIT.
class TestService final : public Service {
 public:
  std::unique_ptr<Session> Connect(const Peer&) override;

  void AddWaiting(std::shared_ptr<Completion> completion) {
    MutexLock lock(&mutex_);
    waiting_.push_back(std::move(completion));
  }
  size_t waiting_count() {
    MutexLock lock(&mutex_);
    return waiting_.size();
  }
  // In the reverse order, to see whether replies keep theirs.
  void Release(const std::string& error = {}) {
    MutexLock lock(&mutex_);
    while (!waiting_.empty()) {
      error.empty() ? waiting_.back()->Succeed() : waiting_.back()->Fail(error);
      waiting_.pop_back();
    }
  }

  std::atomic<int> executed = 0;
  std::atomic<bool> is_pool_held = false;
  std::atomic<bool> has_password = false;  // which nobody gives

 private:
  Mutex mutex_;
  std::vector<std::shared_ptr<Completion>> waiting_ GUARDED_BY(mutex_);
};

class TestSession final : public Session {
 public:
  explicit TestSession(TestService* service) : service_(service) {}

  Progress Execute(const CommandBatch& commands, Place place, Replies* replies) override {
    Progress progress;
    for (; progress.executed < commands.size() && !wants_close_; ++progress.executed) {
      const Command words = commands[progress.executed];
      if ((words[0] == "POOL" || words[0] == "LONG") && place == Place::kLoop) {
        progress.must_move = true;
        return progress;
      }
      ExecuteOne(words, replies);
      ++service_->executed;
    }
    return progress;
  }
  bool wants_close() const override { return wants_close_; }
  bool is_trusted() const override { return !service_->has_password; }

 private:
  void ExecuteOne(Command words, Replies* replies) {
    ReplyWriter reply(replies->text(), Protocol::kResp2);
    if (words[0] == "ECHO") {
      reply.Bulk(words[1]);
    } else if (words[0] == "LARGE") {
      reply.Bulk(std::string(1 << 20, 'l'));
    } else if (words[0] == "HUGE") {
      reply.Bulk(std::string(kHugeBytes, 'h'));
    } else if (words[0] == "LONG") {
      while (!replies->is_abandoned()) {
        std::this_thread::yield();
      }
      reply.Simple("LONG");
    } else if (words[0] == "WAIT") {
      auto completion = replies->NewCompletion();
      service_->AddWaiting(completion);
      replies->AddWaiting("+WAITED\r\n", 1, std::move(completion));
    } else if (words[0] == "POOL") {
      while (service_->is_pool_held) {
        std::this_thread::yield();
      }
      reply.Simple("POOL");
    } else {
      wants_close_ = true;
      reply.Simple("BYE");
    }
  }

  TestService* const service_;
  bool wants_close_ = false;
};

std::unique_ptr<Session> TestService::Connect(const Peer& peer) {
  EXPECT_EQ(peer.address.substr(0, 10), "127.0.0.1:");
  return std::make_unique<TestSession>(this);
}

class Client {
 public:
  explicit Client(uint16_t port) : socket_(socket(AF_INET, SOCK_STREAM, 0)) {
    sockaddr_in address = {};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    EXPECT_EQ(connect(socket_, reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
    const timeval timeout = {.tv_sec = 20, .tv_usec = 0};
    setsockopt(socket_, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout));
  }
  ~Client() { close(socket_); }

  void Send(std::string_view bytes) {
    while (!bytes.empty()) {
      const ssize_t sent = send(socket_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      ASSERT_GT(sent, 0);
      bytes.remove_prefix(static_cast<size_t>(sent));
    }
  }
  // `size` bytes, or fewer at the end of the stream.
  std::string Receive(size_t size) {
    std::string bytes(size, '\0');
    size_t received = 0;
    while (received < size) {
      const ssize_t got = recv(socket_, bytes.data() + received, size - received, 0);
      if (got <= 0) {
        break;
      }
      received += static_cast<size_t>(got);
    }
    bytes.resize(received);
    return bytes;
  }
  std::string ReceiveAll() { return Receive(size_t{64} << 20); }
  void Expect(std::string_view reply) { EXPECT_EQ(Receive(reply.size()), reply); }
  void EndInput() { shutdown(socket_, SHUT_WR); }

 private:
  const int socket_;
};

class ServerTest : public testing::Test {
 protected:
  ServerTest() {
    options_.port = 0;
    options_.loop_count = 2;
    options_.shutdown_grace_ms = 1'000;
  }
  ~ServerTest() override {
    service_.is_pool_held = false;
    service_.Release();
    server_.reset();
  }
  void Start() {
    server_ = std::make_unique<Server>(options_, &service_);
    const Status status = server_->Start();
    ASSERT_TRUE(status.ok()) << Message(status);
  }
  uint16_t port() const { return server_->port(); }
  template <typename Condition>
  static bool Eventually(Condition condition) {
    for (int i = 0; i < 20'000; ++i) {
      if (condition()) {
        return true;
      }
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    return false;
  }

  ServerOptions options_;
  TestService service_;
  std::unique_ptr<Server> server_;
};

TEST_F(ServerTest, PipelinedCommandsAreAnsweredInOrder) {
  Start();
  Client client(port());
  client.Send("ECHO a\r\nECHO b\r\n*2\r\n$4\r\nECHO\r\n$1\r\nc\r\n");
  client.Expect("$1\r\na\r\n$1\r\nb\r\n$1\r\nc\r\n");
}

TEST_F(ServerTest, AWaitingReplyHoldsUpThoseBehindItButNotTheirExecution) {
  Start();
  Client client(port());
  client.Send("ECHO a\r\nWAIT\r\nECHO b\r\nWAIT\r\nECHO c\r\n");
  client.Expect("$1\r\na\r\n");
  EXPECT_TRUE(Eventually([&] { return service_.executed == 5; }));
  client.Send("ECHO d\r\n");
  EXPECT_TRUE(Eventually([&] { return service_.executed == 6; }));
  service_.Release();
  client.Expect("+WAITED\r\n$1\r\nb\r\n+WAITED\r\n$1\r\nc\r\n$1\r\nd\r\n");
}

TEST_F(ServerTest, AReplyThatFailsBecomesItsError) {
  Start();
  Client client(port());
  client.Send("WAIT\r\nECHO a\r\n");
  EXPECT_TRUE(Eventually([&] { return service_.waiting_count() == 1; }));
  service_.Release("ERR no disk");
  client.Expect("-ERR no disk\r\n$1\r\na\r\n");
}

TEST_F(ServerTest, WhatMayWaitRunsOnThePoolInOrder) {
  Start();
  Client client(port());
  service_.is_pool_held = true;
  client.Send("ECHO a\r\nPOOL\r\nECHO b\r\n");
  client.Expect("$1\r\na\r\n");
  client.Send("ECHO c\r\nPOOL\r\n");
  // Others are served meanwhile.
  Client other(port());
  other.Send("ECHO x\r\n");
  other.Expect("$1\r\nx\r\n");
  service_.is_pool_held = false;
  client.Expect("+POOL\r\n$1\r\nb\r\n$1\r\nc\r\n+POOL\r\n");
}

TEST_F(ServerTest, AClientThatLeavesWhileThePoolWorksIsForgottenAfterwards) {
  Start();
  service_.is_pool_held = true;
  {
    Client client(port());
    client.Send("ECHO a\r\nPOOL\r\n");
    client.Expect("$1\r\na\r\n");
  }
  service_.is_pool_held = false;
  EXPECT_TRUE(Eventually([&] { return server_->statistics().connections_open == 0; }));
}

TEST_F(ServerTest, ClosingBeforeAWaitingReplyIsNoHarm) {
  Start();
  {
    Client client(port());
    client.Send("WAIT\r\nWAIT\r\n");
    EXPECT_TRUE(Eventually([&] { return service_.waiting_count() == 2; }));
  }
  // Its end of input is noticed, but the replies are still owed.
  service_.Release();
  EXPECT_TRUE(Eventually([&] { return server_->statistics().connections_open == 0; }));
}

TEST_F(ServerTest, WhatWasSentBeforeTheEndOfInputIsAnswered) {
  Start();
  Client client(port());
  client.Send("ECHO a\r\nWAIT\r\nECHO b\r\nECH");
  client.EndInput();
  EXPECT_TRUE(Eventually([&] { return service_.waiting_count() == 1; }));
  service_.Release();
  EXPECT_EQ(client.ReceiveAll(), "$1\r\na\r\n+WAITED\r\n$1\r\nb\r\n");
}

TEST_F(ServerTest, NothingIsExecutedAfterQuit) {
  Start();
  Client client(port());
  client.Send("ECHO a\r\nQUIT\r\nECHO b\r\n");
  EXPECT_EQ(client.ReceiveAll(), "$1\r\na\r\n+BYE\r\n");
  EXPECT_EQ(service_.executed, 2);
}

TEST_F(ServerTest, WrongBytesEndTheConnectionAfterTheReplies) {
  Start();
  Client client(port());
  client.Send("ECHO a\r\n*x\r\nECHO b\r\n");
  EXPECT_EQ(client.ReceiveAll(), "$1\r\na\r\n-ERR Protocol error: invalid multibulk length\r\n");
  EXPECT_EQ(server_->statistics().protocol_errors, 1);
}

TEST_F(ServerTest, AClientThatDoesNotReadIsNotServedFurther) {
  // More than all buffers on the way hold. A MiB takes the thread sanitizer tens of milliseconds.
  constexpr int kCommands = kHasThreadSanitizer ? 60 : 200;
  Start();
  Client client(port());
  std::string commands;
  for (int i = 0; i < kCommands; ++i) {
    commands += "LARGE\r\n";
  }
  client.Send(commands);
  // The kernel takes a few.
  std::this_thread::sleep_for(std::chrono::milliseconds(100));
  const int executed = service_.executed;
  EXPECT_LT(executed, kCommands);
  const std::string reply = "$1048576\r\n" + std::string(1 << 20, 'l') + "\r\n";
  for (int i = 0; i < kCommands; ++i) {
    ASSERT_EQ(client.Receive(reply.size()), reply) << i;
  }
}

TEST_F(ServerTest, WhatTakesLongEndsWhenItsClientIsGone) {
  options_.pool_thread_count = 1;
  Start();
  Client other(port());
  {
    Client client(port());
    client.Send("ECHO a\r\nLONG\r\n");
    client.Expect("$1\r\na\r\n");
  }
  other.Send("POOL\r\n");
  other.Expect("+POOL\r\n");
  EXPECT_TRUE(Eventually([&] { return server_->statistics().connections_open == 1; }));
}

TEST_F(ServerTest, WhatTakesLongEndsWhenTheServerStops) {
  options_.shutdown_grace_ms = 50;
  Start();
  Client client(port());
  client.Send("ECHO a\r\nLONG\r\n");
  client.Expect("$1\r\na\r\n");
  server_->Stop();
}

TEST_F(ServerTest, RepliesThatNobodyTakesAreBoundedOverAllConnections) {
  options_.max_memory_bytes = 2 * kHugeBytes;
  Start();
  std::deque<Client> clients;
  for (int i = 0; i < 6; ++i) {
    clients.emplace_back(port()).Send("HUGE\r\n");
  }
  EXPECT_TRUE(Eventually([&] { return service_.executed == 6; }));
  EXPECT_TRUE(Eventually([&] { return server_->statistics().out_of_memory >= 2; }));
  EXPECT_LE(server_->statistics().memory_bytes, 2 * kHugeBytes);
  // Those that have theirs get all of it, and then there is memory again.
  size_t whole = 0;
  for (Client& client : clients) {
    whole += client.Receive(kHugeBytes + 13).size() == kHugeBytes + 13 ? 1 : 0;
  }
  EXPECT_GE(whole, 2u);
  EXPECT_EQ(whole + server_->statistics().out_of_memory, 6u);
  EXPECT_TRUE(Eventually([&] { return server_->statistics().memory_bytes == 0; }));
}

TEST_F(ServerTest, WhileMemoryIsScarceAClientThatTakesNothingIsClosed) {
  options_.max_memory_bytes = kHugeBytes;
  options_.progress_timeout_ms = 300;
  Start();
  Client client(port());
  client.Send("HUGE\r\n");
  EXPECT_TRUE(Eventually([&] { return server_->statistics().connections_timed_out == 1; }));
  EXPECT_TRUE(Eventually([&] { return server_->statistics().memory_bytes == 0; }));
}

TEST_F(ServerTest, WhileThereIsMemoryAClientMayTakeItsTime) {
  options_.progress_timeout_ms = 100;
  Start();
  Client client(port());
  client.Send("HUGE\r\n");
  std::this_thread::sleep_for(std::chrono::milliseconds(800));
  EXPECT_EQ(client.Receive(kHugeBytes + 13).size(), kHugeBytes + 13);
  EXPECT_EQ(server_->statistics().connections_timed_out, 0);
}

TEST_F(ServerTest, ALargeRequestMayComeInPieces) {
  Start();
  Client client(port());
  const std::string value(3 << 20, 'v');
  client.Send("*2\r\n$4\r\nECHO\r\n$3145728\r\n" + value.substr(0, 1'000'000));
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  client.Send(value.substr(1'000'000) + "\r\nECHO a\r\n");
  client.Expect("$3145728\r\n" + value + "\r\n$1\r\na\r\n");
  EXPECT_EQ(server_->statistics().memory_bytes, 0);
}

TEST_F(ServerTest, WhoNeedsMoreMemoryThanThereIsIsToldSo) {
  options_.max_memory_bytes = 1 << 20;
  Start();
  Client client(port());
  client.Send("*2\r\n$4\r\nECHO\r\n$3145728\r\n" + std::string(1'100'000, 'v'));
  EXPECT_EQ(client.Receive(100), "-ERR out of memory for requests\r\n");
}

TEST_F(ServerTest, AShortageOfMemoryThatIsOverIsNobodysConcern) {
  options_.loop_count = 1;
  options_.max_memory_bytes = 100'000;
  Start();
  std::deque<Client> others;
  for (int i = 0; i < 5; ++i) {
    others.emplace_back(port()).Send("*2\r\n$4\r\nECHO\r\n$11000\r\n" + std::string(10'000, 'o'));
  }
  EXPECT_TRUE(Eventually([&] { return server_->statistics().memory_bytes >= 50'000; }));
  const auto has_received = [&, before = server_->statistics().received_bytes](size_t size) {
    return Eventually([&] { return server_->statistics().received_bytes >= before + size; });
  };
  Client client(port());
  const std::string value(40'000, 'v');
  const std::string request = "*2\r\n$4\r\nECHO\r\n$40000\r\n" + value + "\r\n";
  constexpr size_t kFirstBytes = 1'000;
  constexpr size_t kReadBytes = 16'384;
  client.Send(std::string_view(request).substr(0, kFirstBytes));
  EXPECT_TRUE(has_received(kFirstBytes));
  // Fills the buffer, so that the loop tries to read on at once, for which there is no memory.
  client.Send(std::string_view(request).substr(kFirstBytes, kReadBytes));
  EXPECT_TRUE(has_received(kFirstBytes + kReadBytes));
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  others.clear();
  EXPECT_TRUE(Eventually([&] { return server_->statistics().connections_open == 1; }));
  client.Send(std::string_view(request).substr(kFirstBytes + kReadBytes));
  client.Expect("$40000\r\n" + value + "\r\n");
}

TEST_F(ServerTest, ARequestThatDoesNotGetOnEndsTheConnection) {
  options_.progress_timeout_ms = 100;
  Start();
  Client client(port());
  client.Send("*2\r\n$4\r\nECHO\r\n$1000\r\nabc");
  EXPECT_EQ(client.ReceiveAll(), "-ERR the request came too slowly\r\n");
  EXPECT_EQ(server_->statistics().connections_timed_out, 1);
  EXPECT_EQ(server_->statistics().memory_bytes, 0);
}

TEST_F(ServerTest, ARequestOfAFewBytesAtATimeDoesNotGetOn) {
  options_.progress_timeout_ms = 300;
  Start();
  Client client(port());
  client.Send("*2\r\n$4\r\nECHO\r\n$1000000\r\n");
  EXPECT_TRUE(Eventually([&] {
    client.Send("abc");
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    return server_->statistics().connections_timed_out == 1;
  }));
}

TEST_F(ServerTest, IdleClientsAndThoseThatGetOnAreNotHurried) {
  options_.progress_timeout_ms = 500;
  Start();
  Client idle(port());
  Client client(port());
  client.Send("*2\r\n$4\r\nECHO\r\n$30000\r\n");
  const std::string value(30'000, 'v');
  for (size_t sent = 0; sent < value.size(); sent += 2'000) {
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
    client.Send(std::string_view(value).substr(sent, 2'000));
  }
  client.Send("\r\n");
  client.Expect("$30000\r\n" + value + "\r\n");
  idle.Send("ECHO a\r\n");
  idle.Expect("$1\r\na\r\n");
}

TEST_F(ServerTest, WaitingForThePoolIsNoTimeout) {
  options_.progress_timeout_ms = 100;
  Start();
  Client client(port());
  service_.is_pool_held = true;
  client.Send("POOL\r\nECH");
  std::this_thread::sleep_for(std::chrono::milliseconds(600));
  client.Send("O a\r\n");
  service_.is_pool_held = false;
  client.Expect("+POOL\r\n$1\r\na\r\n");
}

TEST_F(ServerTest, WithoutThePasswordLittleIsHeld) {
  service_.has_password = true;
  Start();
  Client client(port());
  std::string request = "*10\r\n";
  for (int i = 0; i < 9; ++i) {
    request += "$16384\r\n" + std::string(16'384, 'a') + "\r\n";
  }
  client.Send(request);
  EXPECT_TRUE(Eventually([&] { return server_->statistics().received_bytes == request.size(); }));
  EXPECT_LE(server_->statistics().memory_bytes, 2 * request.size());
  client.Send("$16385\r\n");
  EXPECT_EQ(client.ReceiveAll(), "-ERR Protocol error: unauthenticated bulk length\r\n");
}

TEST_F(ServerTest, ConnectionsOverTheLimitAreToldSo) {
  options_.max_connections = 1;
  Start();
  {
    Client first(port());
    first.Send("ECHO a\r\n");
    first.Expect("$1\r\na\r\n");
    Client second(port());
    EXPECT_EQ(second.ReceiveAll(), "-ERR max number of clients reached\r\n");
  }
  EXPECT_TRUE(Eventually([&] { return server_->statistics().connections_open == 0; }));
  Client third(port());
  third.Send("ECHO a\r\n");
  third.Expect("$1\r\na\r\n");
  EXPECT_EQ(server_->statistics().connections_refused, 1);
}

TEST_F(ServerTest, AStopWaitsForRepliesThatAreOwed) {
  options_.shutdown_grace_ms = 20'000;
  Start();
  Client idle(port());
  Client client(port());
  client.Send("WAIT\r\n");
  EXPECT_TRUE(Eventually([&] { return service_.waiting_count() == 1; }));
  std::thread stop([&] { server_->Stop(); });
  EXPECT_EQ(idle.ReceiveAll(), "");
  service_.Release();
  EXPECT_EQ(client.ReceiveAll(), "+WAITED\r\n");
  stop.join();
}

TEST_F(ServerTest, AStopDoesNotWaitForever) {
  options_.shutdown_grace_ms = 50;
  Start();
  Client client(port());
  client.Send("WAIT\r\n");
  EXPECT_TRUE(Eventually([&] { return service_.waiting_count() == 1; }));
  server_->Stop();
  EXPECT_EQ(client.ReceiveAll(), "");
  service_.Release();  // nobody is there any more
}

TEST_F(ServerTest, ManyClientsAtOnceEachHaveTheirOwnReplies) {
  Start();
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([this, t] {
      Client client(port());
      for (int i = 0; i < 200; ++i) {
        const std::string text = std::to_string(1'000'000 + 1'000 * t + i);
        client.Send("ECHO " + text + (i % 10 == 0 ? "\r\nPOOL\r\n" : "\r\n"));
        client.Expect("$7\r\n" + text + (i % 10 == 0 ? "\r\n+POOL\r\n" : "\r\n"));
      }
    });
  }
  for (std::thread& thread : threads) {
    thread.join();
  }
  EXPECT_EQ(server_->statistics().connections_accepted, 4);
}

}  // namespace
}  // namespace tsdbd::resp
