// A load generator against the real binary over HTTP: starts tsdbd on a free port in a scratch
// folder, sends line protocol over several connections, checks what was stored, and reports
// samples/s, latencies, the server's CPU-seconds per million samples, memory and bytes per sample.
// With --url it uses a server that runs already (any that takes POST /write), without the checks.
#include <atomic>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include <CLI/CLI.hpp>
#include <arpa/inet.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "benchmark_support.h"
#include "line_workload.h"

namespace tsdbd::benchmark {
namespace {

// One keep-alive connection, blocking.
class Connection {
 public:
  explicit Connection(uint16_t port) {
    socket_ = socket(AF_INET, SOCK_STREAM, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    const int on = 1;
    setsockopt(socket_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    is_open_ = connect(socket_, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0;
  }
  ~Connection() { close(socket_); }
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  bool is_open() const { return is_open_; }

  // The status of the answer; 0 if the connection broke. *answer gets the body.
  int Request(std::string_view method, std::string_view target, std::string_view body,
              std::string* answer) {
    const std::string head = fmt::format(
        "{} {} HTTP/1.1\r\nHost: localhost\r\nAccept: text/plain, */*;q=0.5\r\n"
        "Content-Length: {}\r\n\r\n",
        method, target, body.size());
    if (!Send(head, body)) {
      return 0;
    }
    return ReadAnswer(answer);
  }

 private:
  bool Send(std::string_view head, std::string_view body) const {
    iovec parts[2] = {{const_cast<char*>(head.data()), head.size()},
                      {const_cast<char*>(body.data()), body.size()}};
    size_t left = head.size() + body.size();
    while (left > 0) {
      const ssize_t sent = writev(socket_, parts, 2);
      if (sent <= 0) {
        return false;
      }
      left -= static_cast<size_t>(sent);
      size_t skip = static_cast<size_t>(sent);
      for (iovec& part : parts) {
        const size_t taken = std::min(skip, part.iov_len);
        part.iov_base = static_cast<char*>(part.iov_base) + taken;
        part.iov_len -= taken;
        skip -= taken;
      }
    }
    return true;
  }

  bool Fill() {
    char bytes[64 * 1024];
    const ssize_t count = read(socket_, bytes, sizeof(bytes));
    if (count > 0) {
      received_.append(bytes, static_cast<size_t>(count));
    }
    return count > 0;
  }
  bool TakeLine(std::string* line) {
    size_t end = 0;
    while ((end = received_.find("\r\n")) == std::string::npos) {
      if (!Fill()) {
        return false;
      }
    }
    *line = received_.substr(0, end);
    received_.erase(0, end + 2);
    return true;
  }
  bool TakeBytes(size_t count, std::string* bytes) {
    while (received_.size() < count) {
      if (!Fill()) {
        return false;
      }
    }
    bytes->append(received_, 0, count);
    received_.erase(0, count);
    return true;
  }

  int ReadAnswer(std::string* answer) {
    answer->clear();
    std::string line;
    if (!TakeLine(&line) || line.size() < 12) {
      return 0;
    }
    const int status = std::stoi(line.substr(9, 3));
    size_t length = 0;
    bool chunked = false;
    while (TakeLine(&line) && !line.empty()) {
      if (line.starts_with("Content-Length:")) {
        length = std::stoul(line.substr(15));
      }
      chunked = chunked || line == "Transfer-Encoding: chunked";
    }
    if (!chunked) {
      return TakeBytes(length, answer) ? status : 0;
    }
    for (size_t size = 1; size > 0;) {
      if (!TakeLine(&line)) {
        return 0;
      }
      size = std::stoul(line, nullptr, 16);
      std::string end_of_chunk;
      if (!TakeBytes(size, answer) || !TakeBytes(2, &end_of_chunk)) {
        return 0;
      }
    }
    return status;
  }

  int socket_ = -1;
  bool is_open_ = false;
  std::string received_;
};

// The server under load: started here, or found by its process id.
class Server {
 public:
  Server(const std::string& binary, const std::string& folder, uint16_t port,
         const std::string& sync)
      : port_(port) {
    const std::string listen = fmt::format("127.0.0.1:{}", port);
    pid_ = fork();
    if (pid_ == 0) {
      const int log = creat((folder + "/log").c_str(), 0644);
      dup2(log, STDOUT_FILENO);
      dup2(log, STDERR_FILENO);
      execl(binary.c_str(), binary.c_str(), "--data-dir", (folder + "/data").c_str(), "--listen",
            listen.c_str(), "--wal-sync", sync.c_str(), nullptr);
      _exit(127);
    }
    Require(WaitUntilReady(), "the server did not become ready");
  }
  ~Server() {
    kill(pid_, SIGTERM);
    int status = 0;
    waitpid(pid_, &status, 0);
    Require(WIFEXITED(status) && WEXITSTATUS(status) == 0, "the server ended badly");
  }

  double CpuSeconds() const {
    std::ifstream stat(fmt::format("/proc/{}/stat", pid_));
    std::string text((std::istreambuf_iterator<char>(stat)), std::istreambuf_iterator<char>());
    std::istringstream fields(text.substr(text.rfind(')') + 2));
    std::string skipped;
    for (int i = 0; i < 11; ++i) {
      fields >> skipped;
    }
    double user = 0;
    double system = 0;
    fields >> user >> system;
    return (user + system) / static_cast<double>(sysconf(_SC_CLK_TCK));
  }
  double PeakResidentMib() const {
    std::ifstream status(fmt::format("/proc/{}/status", pid_));
    for (std::string line; std::getline(status, line);) {
      if (line.starts_with("VmHWM:")) {
        return std::stod(line.substr(6)) / 1024;
      }
    }
    return 0;
  }

 private:
  bool WaitUntilReady() const {
    for (int attempt = 0; attempt < 500; ++attempt) {
      Connection connection(port_);
      std::string answer;
      if (connection.is_open() && connection.Request("GET", "/-/ready", "", &answer) == 200) {
        return true;
      }
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
    }
    return false;
  }

  const uint16_t port_;
  pid_t pid_ = -1;
};

struct Workload {
  std::string name;
  std::vector<std::string> bodies;
  uint64_t samples = 0;
  std::string check_target;    // an export
  uint64_t check_samples = 0;  // that it must have
};

// Hosts of 10 fields, each `rounds` times.
Workload MakeHosts(uint32_t hosts, size_t lines, size_t batch_lines) {
  Workload load{.name = fmt::format("10-field lines, {} hosts", hosts)};
  HostLines generator(hosts);
  const size_t rounds = std::max<size_t>(1, lines / hosts);
  for (size_t done = 0; done < rounds * hosts; done += batch_lines) {
    generator.Append(std::min(batch_lines, rounds * hosts - done), &load.bodies.emplace_back());
  }
  load.samples = rounds * hosts * HostLines::kFields;
  load.check_target = "/api/v1/export?match%5B%5D=cpu_usage_user%7Bhostname%3D%22host_7%22%7D";
  load.check_samples = rounds;
  return load;
}

Workload MakeChurn(size_t lines, size_t batch_lines) {
  Workload load{.name = "new series, 1 field"};
  for (size_t done = 0; done < lines; done += batch_lines) {
    AppendSensorLines(done, std::min(batch_lines, lines - done), 1'704'067'200,
                      &load.bodies.emplace_back());
  }
  load.samples = lines;
  load.check_target = "/api/v1/export?match%5B%5D=sensor_value%7Bid%3D%22s0000042%22%7D";
  load.check_samples = 1;
  return load;
}

Workload MakeHot(size_t lines, size_t batch_lines) {
  Workload load{.name = "one hot series, 1 field"};
  for (size_t done = 0; done < lines;) {
    std::string& body = load.bodies.emplace_back();
    for (size_t i = 0; i < batch_lines && done < lines; ++i, ++done) {
      fmt::format_to(std::back_inserter(body), "hot,host=a value={} {}\n", done % 1000,
                     1'704'067'200'000'000'000 + static_cast<int64_t>(done) * 1'000'000);
    }
  }
  load.samples = lines;
  load.check_target = "/api/v1/export?match%5B%5D=hot_value";
  load.check_samples = lines;
  return load;
}

struct Sent {
  double seconds = 0;
  std::vector<double> latencies_ms;
};

Sent SendAll(const Workload& load, uint16_t port, int connections) {
  std::atomic<size_t> next = 0;
  std::vector<std::vector<double>> latencies(connections);
  std::vector<std::thread> threads;
  const int64_t start_ns = MonotonicNanos();
  for (int c = 0; c < connections; ++c) {
    threads.emplace_back([&, c] {
      Connection connection(port);
      Require(connection.is_open(), "cannot connect");
      std::string answer;
      for (size_t i = next++; i < load.bodies.size(); i = next++) {
        const int64_t sent_ns = MonotonicNanos();
        const int status = connection.Request("POST", "/write?db=bench", load.bodies[i], &answer);
        Require(status == 204, fmt::format("status {}: {}", status, answer));
        latencies[c].push_back(static_cast<double>(MonotonicNanos() - sent_ns) * 1e-6);
      }
    });
  }
  Sent sent;
  for (int c = 0; c < connections; ++c) {
    threads[c].join();
    sent.latencies_ms.insert(sent.latencies_ms.end(), latencies[c].begin(), latencies[c].end());
  }
  sent.seconds = static_cast<double>(MonotonicNanos() - start_ns) * 1e-9;
  return sent;
}

void PrintSent(const Workload& load, int connections, Sent sent) {
  std::printf("%s, %d connection(s): %.2f M samples/s   batch ms p50 %.2f p99 %.2f max %.2f\n",
              load.name.c_str(), connections,
              static_cast<double>(load.samples) / sent.seconds * 1e-6,
              Quantile(&sent.latencies_ms, 0.5), Quantile(&sent.latencies_ms, 0.99),
              Quantile(&sent.latencies_ms, 1));
}

uint64_t CountValues(const std::string& exported) {
  uint64_t count = 0;
  for (size_t at = exported.find("\"timestamps\":["); at != std::string::npos;
       at = exported.find("\"timestamps\":[", at + 1)) {
    const size_t end = exported.find(']', at);
    count += 1 + static_cast<uint64_t>(std::count(exported.begin() + static_cast<long>(at),
                                                  exported.begin() + static_cast<long>(end), ','));
  }
  return count;
}

uint64_t FolderBytes(const std::string& folder) {
  uint64_t bytes = 0;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(folder)) {
    bytes += entry.is_regular_file() ? entry.file_size() : 0;
  }
  return bytes;
}

struct Options {
  std::string binary;
  std::string folder = ".";
  std::string sync = "always";
  uint16_t port = 18086;
  int connections = 4;
  bool stages = false;
};

void RunAgainstOwnServer(const Workload& load, const Options& options) {
  const ScratchFolder folder(options.folder);
  const Server server(options.binary, folder.path(), options.port, options.sync);
  const double cpu_before = server.CpuSeconds();
  const Sent sent = SendAll(load, options.port, options.connections);
  const double cpu_write = server.CpuSeconds() - cpu_before;
  const double peak_write_mib = server.PeakResidentMib();
  PrintSent(load, options.connections, sent);
  Connection connection(options.port);
  std::string answer;
  const auto check = [&](const char* when) {
    const int status = connection.Request("GET", load.check_target, "", &answer);
    Require(status == 200 && CountValues(answer) == load.check_samples,
            fmt::format("{}: status {}, {} samples instead of {}", when, status,
                        CountValues(answer), load.check_samples));
  };
  check("after the load");
  Require(connection.Request("POST", "/api/v1/admin/flush", "", &answer) == 200, "flush");
  check("after the flush");
  const double millions = static_cast<double>(load.samples) * 1e-6;
  std::printf(
      "  server: %.3f CPU-s per M samples to the last answer, %.3f with the flush; "
      "peak RSS %.0f MiB, %.0f with the flush; blocks %.3f bytes/sample\n",
      cpu_write / millions, (server.CpuSeconds() - cpu_before) / millions, peak_write_mib,
      server.PeakResidentMib(),
      static_cast<double>(FolderBytes(folder.path() + "/data/blocks")) /
          static_cast<double>(load.samples));
  if (options.stages) {
    Require(connection.Request("GET", "/debug/stages", "", &answer) == 200, "stages");
    std::printf("%s\n", answer.c_str());
  }
}

int Main(int argc, char** argv) {
  CLI::App app("Load over HTTP against the real binary");
  Options options;
  bool smoke = false;
  size_t lines = 1'000'000;
  size_t batch_lines = 5000;
  uint16_t other_port = 0;
  std::vector<std::string> names = {"hosts-1k", "hosts-100k", "churn", "hot"};
  app.add_flag("--smoke", smoke, "a run of seconds, to see that it works");
  app.add_option("--server", options.binary, "the tsdbd binary")->required();
  app.add_option("--dir", options.folder, "where the data directory is made (removed at the end)");
  app.add_option("--port", options.port, "the port that the server gets");
  app.add_option("--other-port", other_port,
                 "load a server that runs already on this port of 127.0.0.1 instead");
  app.add_option("--sync", options.sync, "wal.sync of the server");
  app.add_option("--connections", options.connections, "connections (the hot series uses one)");
  app.add_option("--batch", batch_lines, "lines per request");
  app.add_option("--lines", lines, "lines per workload");
  app.add_option("--workload", names, "hosts-1k hosts-100k churn hot");
  app.add_flag("--stages", options.stages, "print the server's stage report");
  CLI11_PARSE(app, argc, argv);
  if (smoke) {
    lines = 20'000;
    options.port = static_cast<uint16_t>(20'000 + getpid() % 10'000);
  }
  std::printf("%s\n", MachineLine(wal::SyncMode::kAlways).substr(0, 60).c_str());
  std::printf("wal.sync=%s, batches of %zu lines\n", options.sync.c_str(), batch_lines);
  for (const std::string& name : names) {
    Workload load;
    Options run = options;
    if (name == "hosts-1k") {
      load = MakeHosts(1'000, lines, batch_lines);
    } else if (name == "hosts-100k") {
      load = MakeHosts(smoke ? 10'000 : 100'000, smoke ? lines : std::min<size_t>(lines, 100'000),
                       batch_lines);
    } else if (name == "churn") {
      load = MakeChurn(lines, batch_lines);
    } else if (name == "hot") {
      load = MakeHot(smoke ? lines : lines * 10, batch_lines);
      run.connections = 1;
    } else {
      Require(false, "no such workload: " + name);
    }
    if (other_port != 0) {
      PrintSent(load, run.connections, SendAll(load, other_port, run.connections));
    } else {
      RunAgainstOwnServer(load, run);
    }
  }
  return 0;
}

}  // namespace
}  // namespace tsdbd::benchmark

int main(int argc, char** argv) {
  return tsdbd::benchmark::Main(argc, argv);
}
