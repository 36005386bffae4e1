// What an AlexStore takes beside reads and writes: the space it needs after overwrites and deletes,
// before and after compaction; and how long it takes to open, after it was closed and after it was
// not (a checkpoint and the tail of the log).
#include <CLI/CLI.hpp>
#include <fmt/format.h>
#include <sys/wait.h>
#include <unistd.h>

#include "benchmark_support.h"
#include "kv/alex_store.h"
#include "kv/store.h"
#include "workload.h"

namespace tsdbd::benchmark {
namespace {

struct Options {
  uint64_t size = 10'000'000;
  std::string folder = ".";
  bool is_smoke = false;
};

class Upkeep {
 public:
  explicit Upkeep(const Options& options)
      : options_(options), scratch_(options.folder), folder_(scratch_.path() + "/store") {}

  void Measure() {
    fmt::print("{}\n{} random keys, values of 64-256 bytes, written, not synced\n", CpuLine(),
               options_.size);
    std::fflush(stdout);
    // Another process writes, and ends as if it was killed.
    const pid_t writer = fork();
    Require(writer >= 0, "fork");
    if (writer == 0) {
      Write();
      _exit(0);
    }
    int status = 0;
    Require(waitpid(writer, &status, 0) == writer && status == 0, "the writing process");
    auto store = Open("opened after a kill");
    CheckKeys(store.get());
    Check(store->Close());
    store.reset();
    CheckKeys(Open("opened after it was closed").get());
  }

 private:
  void Write() {
    const auto store = Open("opened, empty");
    for (uint64_t i = 0; i < options_.size; ++i) {
      Put(store.get(), i, 0);
    }
    PrintSpace("loaded", *store);
    for (const uint32_t i : UniformIndexes(options_.size, options_.size / 2, 1)) {
      Put(store.get(), i, 1);
    }
    for (uint64_t i = 0; i < options_.size; i += 10) {
      const auto bytes = kv::IntegerKey(KeyAt(KeyOrder::kRandom, i));
      kv::WriteBatch batch;
      batch.Delete({bytes.data(), bytes.size()});
      Check(store->Write(batch, nullptr, nullptr));
    }
    PrintSpace("half overwritten, a tenth deleted", *store);
    const int64_t start_ns = MonotonicNanos();
    Check(store->Compact());
    fmt::print("compacted in {:.2f} s\n", Seconds(start_ns));
    PrintSpace("compacted", *store);
    Check(store->Sync());
  }

  static void Check(const Status& status) { Require(status.ok(), ToString(status)); }
  static double Seconds(int64_t start_ns) {
    return static_cast<double>(MonotonicNanos() - start_ns) / 1e9;
  }

  void Put(kv::Store* store, uint64_t i, uint32_t version) {
    const uint64_t key = KeyAt(KeyOrder::kRandom, i);
    const auto bytes = kv::IntegerKey(key);
    kv::WriteBatch batch;
    batch.Put({bytes.data(), bytes.size()}, values_.Make(key, version));
    Check(store->Write(batch, nullptr, nullptr));
  }

  std::unique_ptr<kv::Store> Open(const std::string& what) {
    kv::StoreOptions options;
    options.directory = folder_;
    options.key_type = kv::KeyType::kInteger;
    options.sync_mode = kv::SyncMode::kNone;
    kv::RecoveryReport report;
    auto store = kv::OpenAlexStore(Env::Default(), options, &report);
    Require(store.ok(), ToString(store.status()));
    Require(report.damage_count == 0, "damage");
    fmt::print("{}: {:.3f} s, {} keys from the checkpoint, {} records replayed\n", what,
               static_cast<double>(report.elapsed_ns) / 1e9, report.checkpoint_keys,
               report.records);
    std::fflush(stdout);
    if (!report.checkpoint_problem.empty()) {
      fmt::print("  {}\n", report.checkpoint_problem);
    }
    return std::move(*store);
  }

  void PrintSpace(const std::string& what, const kv::Store& store) const {
    const kv::StoreStats stats = store.stats();
    fmt::print("{}: {} keys, {:.0f} MB alive, {:.0f} MB on disk (x {:.2f}), {} segments\n", what,
               stats.keys, static_cast<double>(stats.live_bytes) / 1e6,
               static_cast<double>(stats.disk_bytes) / 1e6,
               static_cast<double>(stats.disk_bytes) / static_cast<double>(stats.live_bytes),
               stats.segments);
    std::fflush(stdout);
  }

  // Every thousandth key is as it was left.
  void CheckKeys(kv::Store* store) {
    const auto view = store->Read(kv::Consistency::kLatest);
    for (uint64_t i = 0; i < options_.size; i += 1 + options_.size / 1000) {
      const uint64_t key = KeyAt(KeyOrder::kRandom, i);
      const auto bytes = kv::IntegerKey(key);
      kv::Entry entry;
      const Status status = view->Get({bytes.data(), bytes.size()}, &entry);
      Require(i % 10 == 0 ? status.code() == StatusCode::kNotFound
                          : status.ok() && values_.IsRight(key, entry.value),
              "a key after opening");
    }
  }

  const Options options_;
  const ScratchFolder scratch_;
  const std::string folder_;
  Values values_{64, 256};
};

int Main(int argc, char** argv) {
  CLI::App app("AlexStore: space and restart");
  Options options;
  app.add_option("--size", options.size, "keys");
  app.add_option("--folder", options.folder, "where the stores put their files");
  app.add_flag("--smoke", options.is_smoke, "a run of a moment");
  CLI11_PARSE(app, argc, argv);
  if (options.is_smoke) {
    options.size = 5'000;
  }
  Upkeep(options).Measure();
  return 0;
}

}  // namespace
}  // namespace tsdbd::benchmark

int main(int argc, char** argv) {
  return tsdbd::benchmark::Main(argc, argv);
}
