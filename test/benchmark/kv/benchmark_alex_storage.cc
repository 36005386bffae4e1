// kv::AlexStore beside kv::RocksStore, RocksDB, SQLite and LMDB, one thread: bulk insert, point
// queries (uniform, uniform 64 at a time, Zipf, sequential), a mix of 80 % gets and 20 % puts,
// scans of 100, for values of several sizes; then durable writes: batches of 1, 100 and 1,000 that
// are on disk when they return, and single ones from 16 threads.
#include <atomic>
#include <cstdio>
#include <thread>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include "benchmark_support.h"
#include "workload.h"

namespace tsdbd::benchmark {
namespace {

struct Options {
  uint64_t size = 1'000'000;
  size_t operations = 1'000'000;
  std::vector<std::string> engines = EngineNames();
  std::vector<std::string> value_sizes = {"64-256", "64", "256", "1024"};
  std::string folder = ".";
  bool durable = true;
  bool is_smoke = false;
};

Values ParseValues(const std::string& text) {
  const size_t dash = text.find('-');
  const size_t low = std::stoul(text);
  return {low, dash == std::string::npos ? low : std::stoul(text.substr(dash + 1))};
}

class Run {
 public:
  Run(const Options& options, const std::string& engine, Values values)
      : options_(options),
        folder_(options.folder),
        values_(std::move(values)),
        engine_(MakeEngine(engine, folder_.path())) {}

  void Measure(const std::string& name) {
    const double insert = Load(engine_.get(), KeyOrder::kRandom, options_.size, &values_);
    const double bytes =
        static_cast<double>(DiskBytes(folder_.path())) / static_cast<double>(options_.size);
    const double uniform = Gets(UniformIndexes(options_.size, options_.operations, 1));
    const double together = GetsTogether();
    const double zipf = Gets(ZipfIndexes(options_.size, options_.operations, 2));
    std::vector<uint32_t> in_order(std::min<size_t>(options_.size, options_.operations));
    for (size_t i = 0; i < in_order.size(); ++i) {
      in_order[i] = static_cast<uint32_t>(i);
    }
    const double as_loaded = Gets(in_order);
    const double mixed = Mix();
    const double scan = Scans();
    fmt::print("{:<14} {:>8.0f} {:>8.0f} {:>8.0f} {:>8.0f} {:>8.0f} {:>8.0f} {:>9.0f} {:>8.0f}\n",
               name, insert, uniform, together, zipf, as_loaded, mixed, scan, bytes);
    std::fflush(stdout);
  }

 private:
  void GetOne(uint32_t index) {
    const uint64_t key = KeyAt(KeyOrder::kRandom, index);
    RequireRight(values_, key, engine_->Get(key));
  }
  double Gets(const std::vector<uint32_t>& indexes) {
    return NanosEach(indexes.size(), [&](uint64_t i) { GetOne(indexes[i]); });
  }

  double GetsTogether() {
    constexpr size_t kTogether = 64;
    std::vector<uint64_t> keys;
    for (const uint32_t index : UniformIndexes(options_.size, options_.operations, 5)) {
      keys.push_back(KeyAt(KeyOrder::kRandom, index));
    }
    keys.resize(keys.size() / kTogether * kTogether);
    return NanosEach(keys.size() / kTogether,
                     [&](uint64_t i) {
                       const auto group = std::span(keys).subspan(i * kTogether, kTogether);
                       engine_->GetMany(group, [&](size_t k, std::string_view value) {
                         RequireRight(values_, group[k], value);
                       });
                     }) /
           kTogether;
  }

  double Mix() {
    const std::vector<uint32_t> indexes = UniformIndexes(options_.size, options_.operations, 3);
    const double nanos = NanosEach(indexes.size(), [&](uint64_t i) {
      if (i % 5 == 0) {
        const uint64_t key = KeyAt(KeyOrder::kRandom, indexes[i]);
        engine_->Put(key, values_.Make(key, static_cast<uint32_t>(i + 1)));
      } else {
        GetOne(indexes[i]);
      }
    });
    CheckVersions(indexes);
    return nanos;
  }
  // The last write of each key that the mix wrote.
  void CheckVersions(const std::vector<uint32_t>& indexes) {
    std::vector<uint32_t> versions(options_.size);
    for (size_t i = 0; i < indexes.size(); i += 5) {
      versions[indexes[i]] = static_cast<uint32_t>(i + 1);
    }
    for (size_t i = 0; i < indexes.size(); ++i) {
      const uint64_t key = KeyAt(KeyOrder::kRandom, indexes[i]);
      Require(values_.VersionOf(engine_->Get(key)) == versions[indexes[i]], "an old version");
    }
  }

  double Scans() {
    const std::vector<uint32_t> indexes =
        UniformIndexes(options_.size, std::max<size_t>(options_.operations / 100, 10), 4);
    return NanosEach(indexes.size(), [&](uint64_t i) {
      uint64_t before = KeyAt(KeyOrder::kRandom, indexes[i]);
      engine_->Scan(before, 100, [&](uint64_t key, std::string_view value) {
        Require(key >= before && values_.IsRight(key, value), "a scan");
        before = key;
      });
    });
  }

  const Options& options_;
  ScratchFolder folder_;
  Values values_;
  const std::unique_ptr<Engine> engine_;
};

double DurableBatches(Engine* engine, size_t batch_size, double seconds) {
  std::vector<Values> values(batch_size, Values(64, 256));
  std::vector<Record> records(batch_size);
  const int64_t end_ns = MonotonicNanos() + static_cast<int64_t>(seconds * 1e9);
  const int64_t start_ns = MonotonicNanos();
  uint64_t done = 0;
  while (MonotonicNanos() < end_ns) {
    for (size_t i = 0; i < batch_size; ++i) {
      const uint64_t key = KeyAt(KeyOrder::kRandom, done + i);
      records[i] = {key, values[i].Make(key, 0)};
    }
    engine->PutDurably(records);
    done += batch_size;
  }
  const auto elapsed_ns = static_cast<double>(MonotonicNanos() - start_ns);
  for (uint64_t i = 0; i < done; ++i) {
    const uint64_t key = KeyAt(KeyOrder::kRandom, i);
    Require(values[0].IsRight(key, engine->Get(key)), "a durable write is not there");
  }
  return static_cast<double>(done) / elapsed_ns * 1e9;
}

double DurableThreads(Engine* engine, int thread_count, double seconds) {
  std::atomic<uint64_t> done = 0;
  const int64_t start_ns = MonotonicNanos();
  const int64_t end_ns = start_ns + static_cast<int64_t>(seconds * 1e9);
  std::vector<std::thread> threads;
  for (int t = 0; t < thread_count; ++t) {
    threads.emplace_back([&] {
      Values values(64, 256);
      while (MonotonicNanos() < end_ns) {
        const uint64_t key = KeyAt(KeyOrder::kRandom, done.fetch_add(1));
        const Record record{key, values.Make(key, 0)};
        engine->PutDurably({&record, 1});
      }
    });
  }
  for (std::thread& thread : threads) {
    thread.join();
  }
  return static_cast<double>(done) / static_cast<double>(MonotonicNanos() - start_ns) * 1e9;
}

void MeasureDurable(const Options& options) {
  const double seconds = options.is_smoke ? 0.05 : 3;
  fmt::print("\nOn disk when the call returns: operations/s\n{:<14} {:>10} {:>10} {:>10} {:>14}\n",
             "", "batch 1", "batch 100", "batch 1000", "1, 16 threads");
  for (const std::string& name : options.engines) {
    const ScratchFolder folder(options.folder);
    const auto engine = MakeEngine(name, folder.path(), Durability::kOnDisk);
    const double one = DurableBatches(engine.get(), 1, seconds);
    const double hundred = DurableBatches(engine.get(), 100, seconds);
    const double thousand = DurableBatches(engine.get(), 1000, seconds);
    const std::string threads =
        engine->supports_threads()
            ? fmt::format("{:.0f}", DurableThreads(engine.get(), 16, seconds))
            : "-";
    fmt::print("{:<14} {:>10.0f} {:>10.0f} {:>10.0f} {:>14}\n", name, one, hundred, thousand,
               threads);
    std::fflush(stdout);
  }
}

int Main(int argc, char** argv) {
  CLI::App app("Key-value stores beside each other, ns per operation");
  Options options;
  app.add_option("--size", options.size, "keys");
  app.add_option("--operations", options.operations, "of each kind");
  app.add_option("--engines", options.engines)->delimiter(',');
  app.add_option("--values", options.value_sizes, "value sizes in bytes: 64 or 64-256")
      ->delimiter(',');
  app.add_option("--folder", options.folder, "where the stores put their files");
  app.add_flag("--durable,!--no-durable", options.durable, "measure durable writes, too");
  app.add_flag("--smoke", options.is_smoke, "a run of a moment");
  CLI11_PARSE(app, argc, argv);
  if (options.is_smoke) {
    options.size = 2'000;
    options.operations = 2'000;
    options.value_sizes = {"64-256"};
  }
  fmt::print("{}\n", CpuLine());
  fmt::print("{} random keys, {} operations of each kind; the log of each is written, not synced\n",
             options.size, options.operations);
  for (const std::string& size : options.value_sizes) {
    fmt::print("\nvalues of {} bytes: ns per operation, bytes on disk per key after loading\n",
               size);
    fmt::print("{:<14} {:>8} {:>8} {:>8} {:>8} {:>8} {:>8} {:>9} {:>8}\n", "", "insert", "get",
               "get x 64", "zipf", "in order", "80/20", "scan 100", "bytes");
    for (const std::string& name : options.engines) {
      Run(options, name, ParseValues(size)).Measure(name);
    }
  }
  if (options.durable) {
    MeasureDurable(options);
  }
  fmt::print("\n{}", TakeStageReport().ToText());
  return 0;
}

}  // namespace
}  // namespace tsdbd::benchmark

int main(int argc, char** argv) {
  return tsdbd::benchmark::Main(argc, argv);
}
