#include "net/server.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <deque>
#include <thread>

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/mutex.h"
#include "net/connection.h"
#include "net/event_loop.h"

namespace tsdbd::net {
namespace {

// What the connections of a test have done, on any loop.
struct Record {
  std::atomic<int> wakes = 0;
  std::atomic<int> ticks = 0;
  Mutex mutex;
  std::vector<std::shared_ptr<Link>> links GUARDED_BY(mutex);
  std::vector<size_t> loops GUARDED_BY(mutex);  // by the index that each connection's has
};

// Sends back what comes, and an "!" when it is woken. "S" makes it ignore a stop.
class EchoConnection final : public Connection {
 public:
  EchoConnection(EventLoop* loop, Record* record) : Connection(loop), record_(record) {
    MutexLock lock(&record_->mutex);
    record_->links.push_back(link_);
    record_->loops.push_back(loop->index());
  }

  void OnWake() override {
    EXPECT_TRUE(IsLoopThread());
    ++record_->wakes;
    socket_.SendNow("!");
  }
  void CheckTimeouts(uint64_t) override { ++record_->ticks; }
  void BeginStop() override {
    if (!is_stubborn_) {
      Close();
    }
  }

 private:
  std::span<char> ReadSpace() override { return loop_->read_buffer(); }
  void OnRead(std::span<char> bytes) override {
    loop_->counters().received_bytes.Add(bytes.size());
    is_stubborn_ = bytes[0] == 'S';
    socket_.SendNow({bytes.data(), bytes.size()});
    NoteSent();
  }
  void OnEndOfInput() override { Close(); }
  void OnWritten() override {}

  Record* const record_;
  bool is_stubborn_ = false;
};

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
    EXPECT_EQ(send(socket_, bytes.data(), bytes.size(), MSG_NOSIGNAL),
              static_cast<ssize_t>(bytes.size()));
  }
  // Empty at the end of the stream.
  std::string Receive() {
    char bytes[64];
    const ssize_t size = recv(socket_, bytes, sizeof(bytes), 0);
    return size > 0 ? std::string(bytes, static_cast<size_t>(size)) : "";
  }
  std::string Echo(std::string_view bytes) {
    Send(bytes);
    return Receive();
  }

 private:
  const int socket_;
};

class NetServerTest : public testing::Test {
 protected:
  void Start() {
    server_ = std::make_unique<Server>(
        options_, Protocol{.name = "echo",
                           .full_answer = "full",
                           .tick_ms = 10,
                           .new_connection = [this](EventLoop* loop) {
                             return std::make_unique<EchoConnection>(loop, &record_);
                           }});
    const Status status = server_->Start();
    ASSERT_TRUE(status.ok()) << Message(status);
  }
  template <typename Condition>
  static bool Eventually(Condition condition) {
    for (int i = 0; i < 20'000 && !condition(); ++i) {
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    return condition();
  }
  std::shared_ptr<Link> link(size_t index) {
    MutexLock lock(&record_.mutex);
    return record_.links.at(index);
  }
  uint64_t open() const { return server_->statistics().connections_open; }

  ServerOptions options_;
  Record record_;
  std::unique_ptr<Server> server_;
};

TEST_F(NetServerTest, ConnectionsGoToTheLoopThatHasTheFewest) {
  options_.loop_count = 3;
  Start();
  std::deque<Client> clients;
  for (int i = 0; i < 9; ++i) {
    EXPECT_EQ(clients.emplace_back(server_->port()).Echo("a"), "a");
  }
  MutexLock lock(&record_.mutex);
  for (const size_t index : {0, 1, 2}) {
    EXPECT_EQ(std::count(record_.loops.begin(), record_.loops.end(), index), 3);
  }
}

TEST_F(NetServerTest, ConnectionsOverTheLimitAreToldSoAndThePlaceOfOneThatLeftIsFree) {
  options_.max_connections = 2;
  Start();
  Client first(server_->port());
  EXPECT_EQ(first.Echo("a"), "a");
  {
    Client second(server_->port());
    EXPECT_EQ(second.Echo("b"), "b");
    Client third(server_->port());
    EXPECT_EQ(third.Receive(), "full");
    EXPECT_EQ(third.Receive(), "");
  }
  EXPECT_TRUE(Eventually([&] { return open() == 1; }));
  EXPECT_EQ(Client(server_->port()).Echo("c"), "c");
  EXPECT_TRUE(Eventually([&] { return server_->statistics().sent_bytes == 3; }));
  const ServerStatistics statistics = server_->statistics();
  EXPECT_EQ(statistics.connections_accepted, 4u);
  EXPECT_EQ(statistics.connections_refused, 1u);
  EXPECT_EQ(statistics.received_bytes, 3u);
}

TEST_F(NetServerTest, AWakeFromAnotherThreadIsNeverLost) {
  Start();
  Client client(server_->port());
  EXPECT_EQ(client.Echo("a"), "a");
  const std::shared_ptr<Link> woken = link(0);
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 1'000; ++i) {
        woken->Wake();
      }
    });
  }
  for (std::thread& thread : threads) {
    thread.join();
  }
  const int seen = record_.wakes;
  woken->Wake();
  EXPECT_TRUE(Eventually([&] { return record_.wakes > seen; }));
}

TEST_F(NetServerTest, AWakeAfterTheConnectionOrTheServerIsGoneDoesNothing) {
  Start();
  { EXPECT_EQ(Client(server_->port()).Echo("a"), "a"); }
  EXPECT_TRUE(Eventually([&] { return open() == 0; }));
  const std::shared_ptr<Link> gone = link(0);
  gone->Wake();
  EXPECT_EQ(Client(server_->port()).Echo("b"), "b");
  server_.reset();
  gone->Wake();
  link(1)->Wake();
  EXPECT_EQ(record_.wakes, 0);
}

TEST_F(NetServerTest, TheClockTicksWhileThereAreConnections) {
  Start();
  Client client(server_->port());
  EXPECT_EQ(client.Echo("a"), "a");
  EXPECT_TRUE(Eventually([&] { return record_.ticks >= 3; }));
}

TEST_F(NetServerTest, AStopEndsConnectionsThatDoNotWantToAfterTheGrace) {
  options_.shutdown_grace_ms = 50;
  Start();
  Client quick(server_->port());
  Client stubborn(server_->port());
  EXPECT_EQ(quick.Echo("a"), "a");
  EXPECT_EQ(stubborn.Echo("S"), "S");
  server_->Stop();
  EXPECT_EQ(quick.Receive(), "");
  EXPECT_EQ(stubborn.Receive(), "");
  EXPECT_EQ(open(), 0u);
}

TEST_F(NetServerTest, APortThatIsTakenIsAnErrorThatNamesIt) {
  Start();
  options_.port = server_->port();
  Server second(options_, Protocol{});
  const Status status = second.Start();
  EXPECT_NE(Message(status).find(std::to_string(options_.port)), std::string::npos)
      << Message(status);
}

}  // namespace
}  // namespace tsdbd::net
