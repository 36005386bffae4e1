// What a get of kv::AlexStore is made of, at 10 M keys: finding the position (index::AlexMap over
// the same keys), fetching the record, checking it, and the rest. Measured as differences between
// runs that do one thing more each, over the same keys in the same order.
#include <cstdio>

#include <CLI/CLI.hpp>
#include <fmt/format.h>
#include <sys/mman.h>

#include "benchmark_support.h"
#include "common/epoch.h"
#include "common/hash.h"
#include "index/alex_map.h"
#include "workload.h"

namespace tsdbd::benchmark {
namespace {

// A value log without everything: records of one size behind each other in memory.
class BareLog {
 public:
  BareLog(uint64_t records, size_t record_bytes)
      : size_(records * record_bytes), record_bytes_(record_bytes) {
    void* const mapped = mmap(nullptr, size_, PROT_READ | PROT_WRITE,
                              MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    Require(mapped != MAP_FAILED, "out of memory");
    data_ = static_cast<char*>(mapped);
    // Without huge pages, as the pages of a file are.
    madvise(mapped, size_, MADV_NOHUGEPAGE);
    for (uint64_t i = 0; i < records; ++i) {
      data_[i * record_bytes] = static_cast<char>(i);
    }
  }
  ~BareLog() { munmap(data_, size_); }
  std::string_view At(uint64_t index) const {
    return {data_ + index * record_bytes_, record_bytes_};
  }

 private:
  const size_t size_;
  const size_t record_bytes_;
  char* data_ = nullptr;
};

int Main(int argc, char** argv) {
  CLI::App app("The parts of a get");
  uint64_t size = 10'000'000;
  size_t gets = 2'000'000;
  std::string folder = ".";
  bool is_smoke = false;
  app.add_option("--size", size, "keys");
  app.add_option("--gets", gets);
  app.add_option("--folder", folder, "where the store puts its files");
  app.add_flag("--smoke", is_smoke, "a run of a moment");
  CLI11_PARSE(app, argc, argv);
  if (is_smoke) {
    size = 2'000;
    gets = 2'000;
  }
  constexpr size_t kValueBytes = 160;
  constexpr size_t kRecordBytes = kValueBytes + 32;
  const std::vector<uint32_t> indexes = UniformIndexes(size, gets, 1);
  double find = 0;
  double fetch = 0;
  double check = 0;
  uint64_t sink = 0;
  {
    EpochGate gate;
    index::AlexMap<uint64_t, uint64_t> map(&gate);
    for (uint64_t i = 0; i < size; ++i) {
      map.Insert(KeyAt(KeyOrder::kRandom, i), i);
    }
    const BareLog log(size, kRecordBytes);
    const EpochGate::Pin pin(&gate);
    const auto position = [&](uint64_t i) {
      uint64_t found = 0;
      Require(map.Find(KeyAt(KeyOrder::kRandom, indexes[i]), &found) && found == indexes[i],
              "a find");
      return found;
    };
    find = NanosEach(gets, [&](uint64_t i) { sink += position(i); });
    fetch =
        NanosEach(gets, [&](uint64_t i) { sink += static_cast<uint8_t>(log.At(position(i))[0]); });
    check = NanosEach(gets, [&](uint64_t i) { sink += Hash64(log.At(position(i))); });
  }
  const ScratchFolder scratch(folder);
  const auto engine = MakeEngine("alex", scratch.path());
  Values values(kValueBytes, kValueBytes);
  Load(engine.get(), KeyOrder::kRandom, size, &values);
  const double whole = NanosEach(gets, [&](uint64_t i) {
    const uint64_t key = KeyAt(KeyOrder::kRandom, indexes[i]);
    RequireRight(values, key, engine->Get(key));
  });
  fmt::print("{}\n{} random keys, values of {} bytes: ns per get (sink {})\n", CpuLine(), size,
             kValueBytes, sink % 10);
  fmt::print(
      "  find in the index  {:>6.0f}\n  fetch the record   {:>6.0f}\n"
      "  check it           {:>6.0f}\n  the rest           {:>6.0f}\n"
      "  AlexStore, whole   {:>6.0f}\n",
      find, fetch - find, check - fetch, whole - check, whole);
  fmt::print("\n{}", TakeStageReport().ToText());
  return 0;
}

}  // namespace
}  // namespace tsdbd::benchmark

int main(int argc, char** argv) {
  return tsdbd::benchmark::Main(argc, argv);
}
