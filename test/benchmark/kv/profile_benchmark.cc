// Where a store's time goes: index::AlexMap alone, RocksDB alone, and the whole stores around them
// (AlexStore = AlexMap + value log, RocksStore = RocksDB + versions, expiry, hot values). The
// overhead is what the whole costs beyond its engine.
#include <cstdio>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include "benchmark_support.h"
#include "common/epoch.h"
#include "index/alex_map.h"
#include "workload.h"

namespace tsdbd::benchmark {
namespace {

struct Result {
  double insert_ns = 0;
  double get_ns = 0;
};

Result MeasureIndex(KeyOrder order, uint64_t size, const std::vector<uint32_t>& indexes) {
  EpochGate gate;
  Result result;
  index::AlexMap<uint64_t, uint64_t> map(&gate);
  result.insert_ns = NanosEach(size, [&](uint64_t i) { map.Insert(KeyAt(order, i), i); });
  const EpochGate::Pin pin(&gate);
  result.get_ns = NanosEach(indexes.size(), [&](uint64_t i) {
    uint64_t found = 0;
    Require(map.Find(KeyAt(order, indexes[i]), &found) && found == indexes[i], "a find");
  });
  return result;
}

Result MeasureEngine(const std::string& name, const std::string& parent, KeyOrder order,
                     uint64_t size, const std::vector<uint32_t>& indexes) {
  const ScratchFolder folder(parent);
  Values values(64, 256);
  const auto engine = MakeEngine(name, folder.path());
  Result result{.insert_ns = Load(engine.get(), order, size, &values)};
  result.get_ns = NanosEach(indexes.size(), [&](uint64_t i) {
    const uint64_t key = KeyAt(order, indexes[i]);
    RequireRight(values, key, engine->Get(key));
  });
  return result;
}

void Print(const char* what, const Result& result) {
  fmt::print("  {:<32} {:>10.0f} {:>10.0f}\n", what, result.insert_ns, result.get_ns);
  std::fflush(stdout);
}

void Profile(const std::string& folder, KeyOrder order, uint64_t size) {
  fmt::print("\n{} {} keys: ns per insert, per get\n", size,
             order == KeyOrder::kRandom ? "random" : "sequential");
  const std::vector<uint32_t> indexes = UniformIndexes(size, size, 1);
  const Result index = MeasureIndex(order, size, indexes);
  Print("AlexMap alone", index);
  const Result alex = MeasureEngine("alex", folder, order, size, indexes);
  Print("AlexStore", alex);
  Print("  its overhead: log, checks",
        {alex.insert_ns - index.insert_ns, alex.get_ns - index.get_ns});
  const Result rocksdb = MeasureEngine("rocksdb-tuned", folder, order, size, indexes);
  Print("RocksDB alone (tuned)", rocksdb);
  const Result rocks = MeasureEngine("rocks", folder, order, size, indexes);
  Print("RocksStore", rocks);
  Print("  its overhead", {rocks.insert_ns - rocksdb.insert_ns, rocks.get_ns - rocksdb.get_ns});
}

int Main(int argc, char** argv) {
  CLI::App app("Engines alone and the stores around them");
  std::vector<uint64_t> sizes = {100'000, 1'000'000};
  std::string folder = ".";
  bool is_smoke = false;
  app.add_option("--size", sizes, "keys")->delimiter(',');
  app.add_option("--folder", folder, "where the stores put their files");
  app.add_flag("--smoke", is_smoke, "a run of a moment");
  CLI11_PARSE(app, argc, argv);
  if (is_smoke) {
    sizes = {2'000};
  }
  fmt::print("{}\nvalues of 64 to 256 bytes; logs written, not synced\n", CpuLine());
  for (const uint64_t size : sizes) {
    Profile(folder, KeyOrder::kSequential, size);
    Profile(folder, KeyOrder::kRandom, size);
  }
  return 0;
}

}  // namespace
}  // namespace tsdbd::benchmark

int main(int argc, char** argv) {
  return tsdbd::benchmark::Main(argc, argv);
}
