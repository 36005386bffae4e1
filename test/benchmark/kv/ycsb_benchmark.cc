// The core workloads of YCSB (Cooper et al., "Benchmarking cloud serving systems with YCSB", SoCC
// 2010) on one thread: a 50/50 read/update, b 95/5 read/update, c reads, d 95 % reads of what was
// inserted lately and 5 % inserts, e 95 % scans of 1 to 100 and 5 % inserts, f 50 % reads and 50 %
// read-modify-writes. Zipf-distributed, values of 100 bytes.
#include <cstdio>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include "benchmark_support.h"
#include "workload.h"

namespace tsdbd::benchmark {
namespace {

struct Workload {
  char name;
  int read_percent;
  int update_percent;
  int insert_percent;
  int scan_percent;  // the rest are read-modify-writes
  bool prefers_latest = false;
};

constexpr Workload kWorkloads[] = {
    {'a', 50, 50, 0, 0},      {'b', 95, 5, 0, 0}, {'c', 100, 0, 0, 0},
    {'d', 95, 0, 5, 0, true}, {'e', 0, 0, 5, 95}, {'f', 50, 0, 0, 0},
};

class Client {
 public:
  Client(const Workload& workload, Engine* engine, uint64_t size)
      : workload_(workload), engine_(engine), size_(size) {}

  double Run(const std::vector<uint32_t>& popular) {
    return NanosEach(popular.size(), [&](uint64_t i) { Step(popular[i], i); });
  }

 private:
  void Step(uint32_t popular, uint64_t number) {
    const auto dice = static_cast<int>(random_() % 100);
    // The latest are popular in d: count back from the newest.
    const uint64_t key = KeyAt(
        KeyOrder::kRandom,
        workload_.prefers_latest ? size_ - 1 - std::min<uint64_t>(popular, size_ - 1) : popular);
    int threshold = workload_.read_percent;
    if (dice < threshold) {
      Read(key);
      return;
    }
    if (dice < (threshold += workload_.update_percent)) {
      engine_->Put(key, values_.Make(key, static_cast<uint32_t>(number + 1)));
      return;
    }
    if (dice < (threshold += workload_.insert_percent)) {
      const uint64_t fresh = KeyAt(KeyOrder::kRandom, size_++);
      engine_->Put(fresh, values_.Make(fresh, 0));
      return;
    }
    if (dice < threshold + workload_.scan_percent) {
      Scan(key);
      return;
    }
    const uint32_t version = values_.VersionOf(Read(key));
    engine_->Put(key, values_.Make(key, version + 1));
  }

  std::string_view Read(uint64_t key) {
    const std::string_view value = engine_->Get(key);
    RequireRight(values_, key, value);
    return value;
  }
  void Scan(uint64_t from) {
    uint64_t before = from;
    engine_->Scan(from, 1 + random_() % 100, [&](uint64_t key, std::string_view value) {
      Require(key >= before && values_.IsRight(key, value), "a scan");
      before = key;
    });
  }

  const Workload workload_;
  Engine* const engine_;
  uint64_t size_;
  Values values_{100, 100};
  std::mt19937_64 random_{7};
};

int Main(int argc, char** argv) {
  CLI::App app("YCSB's core workloads, one thread");
  std::string workloads = "abcdef";
  uint64_t size = 1'000'000;
  size_t operations = 1'000'000;
  std::vector<std::string> engines = EngineNames();
  std::string folder = ".";
  bool is_smoke = false;
  app.add_option("--workload", workloads, "letters a to f");
  app.add_option("--size", size, "keys");
  app.add_option("--operations", operations);
  app.add_option("--engines", engines)->delimiter(',');
  app.add_option("--folder", folder, "where the stores put their files");
  app.add_flag("--smoke", is_smoke, "a run of a moment");
  CLI11_PARSE(app, argc, argv);
  if (is_smoke) {
    size = 2'000;
    operations = 1'000;
  }
  fmt::print("{}\n{} keys, values of 100 bytes, {} operations; logs written, not synced; ns each\n",
             CpuLine(), size, operations);
  fmt::print("{:<14}", "");
  for (const char letter : workloads) {
    fmt::print(" {:>9}", letter);
  }
  const std::vector<uint32_t> popular = ZipfIndexes(size, operations, 1);
  for (const std::string& name : engines) {
    fmt::print("\n{:<14}", name);
    for (const char letter : workloads) {
      const auto* const workload = std::ranges::find(kWorkloads, letter, &Workload::name);
      Require(workload != std::end(kWorkloads), "workloads are a to f");
      const ScratchFolder scratch(folder);
      const auto engine = MakeEngine(name, scratch.path());
      Values values(100, 100);
      Load(engine.get(), KeyOrder::kRandom, size, &values);
      fmt::print(" {:>9.0f}", Client(*workload, engine.get(), size).Run(popular));
      std::fflush(stdout);
    }
  }
  fmt::print("\n");
  return 0;
}

}  // namespace
}  // namespace tsdbd::benchmark

int main(int argc, char** argv) {
  return tsdbd::benchmark::Main(argc, argv);
}
