// kv::AlexStore beside SQLite (its defaults, and tuned): benchmark_vs_sqlite SIZE
// sequential|random [--inserts-only].
#include <cstdio>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include "benchmark_support.h"
#include "workload.h"

namespace tsdbd::benchmark {
namespace {

struct Result {
  double insert_ns = 0;
  double get_ns = 0;
};

Result Measure(const std::string& name, const std::string& parent, KeyOrder order, uint64_t size,
               bool inserts_only) {
  constexpr size_t kMaxGets = 2'000'000;
  const ScratchFolder folder(parent);
  Values values(64, 256);
  const auto engine = MakeEngine(name, folder.path());
  Result result{.insert_ns = Load(engine.get(), order, size, &values)};
  if (!inserts_only) {
    const std::vector<uint32_t> indexes = UniformIndexes(size, std::min<size_t>(size, kMaxGets), 1);
    result.get_ns = NanosEach(indexes.size(), [&](uint64_t i) {
      const uint64_t key = KeyAt(order, indexes[i]);
      RequireRight(values, key, engine->Get(key));
    });
  }
  return result;
}

int Main(int argc, char** argv) {
  CLI::App app("AlexStore beside SQLite");
  uint64_t size = 1'000'000;
  std::string order = "random";
  std::string folder = ".";
  bool inserts_only = false;
  bool is_smoke = false;
  app.add_option("size", size, "keys");
  app.add_option("order", order)->check(CLI::IsMember({"sequential", "random"}));
  app.add_option("--folder", folder, "where the stores put their files");
  app.add_flag("--inserts-only", inserts_only);
  app.add_flag("--smoke", is_smoke, "a run of a moment");
  CLI11_PARSE(app, argc, argv);
  if (is_smoke) {
    size = 2'000;
  }
  fmt::print("{}\n{} {} keys, values of 64 to 256 bytes; logs written, not synced; ns\n", CpuLine(),
             size, order);
  fmt::print("{:<14} {:>10} {:>10} {:>12} {:>12}\n", "", "insert", "get", "insert ratio",
             "get ratio");
  Result ours;
  for (const char* name : {"alex", "sqlite", "sqlite-tuned"}) {
    const Result result =
        Measure(name, folder, order == "random" ? KeyOrder::kRandom : KeyOrder::kSequential, size,
                inserts_only);
    ours = ours.insert_ns == 0 ? result : ours;
    fmt::print("{:<14} {:>10.0f} {:>10.0f} {:>12.1f} {:>12.1f}\n", name, result.insert_ns,
               result.get_ns, result.insert_ns / ours.insert_ns,
               inserts_only ? 0 : result.get_ns / ours.get_ns);
    std::fflush(stdout);
  }
  return 0;
}

}  // namespace
}  // namespace tsdbd::benchmark

int main(int argc, char** argv) {
  return tsdbd::benchmark::Main(argc, argv);
}
