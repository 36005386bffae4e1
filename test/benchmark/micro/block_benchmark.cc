// Blocks of many groups on a real file: writing, opening, the first use of the index, selecting.
//
//   block_benchmark [--groups=N] [Google Benchmark's options]     N: 20,000; 1,000,000 is the case
//                                                                 that start-up is made for
//
// A group has ten labels, one of them its own, and one chunk of ten fields and sixteen rows.
// items/s are groups per second.

#include <charconv>
#include <string>
#include <vector>

#include <benchmark/benchmark.h>

#include "common/check.h"
#include "common/clock.h"
#include "common/env.h"
#include "storage/block.h"
#include "storage/block_writer.h"
#include "storage/column_generators_testing.h"

namespace tsdbd::storage {
namespace {

constexpr size_t kRows = 16;
constexpr size_t kFields = 10;
size_t g_group_count = 20'000;

const std::string& Directory() {
  static const std::string directory = [] {
    const char* temp = std::getenv("TMPDIR");
    std::string path = std::string(temp == nullptr ? "/tmp" : temp) + "/block_benchmark";
    CHECK(Env::Default()->CreateDirectories(path).ok());
    return path;
  }();
  return directory;
}

BlockMeta Meta() {
  BlockMeta meta;
  meta.partition_end = kNanosPerDay;
  return meta;
}

std::string Chunk() {
  Random random(1);
  std::vector<model::Timestamp> timestamps;
  for (size_t row = 0; row < kRows; ++row) {
    timestamps.push_back(static_cast<int64_t>(row) * 10 * kNanosPerSecond);
  }
  std::vector<std::vector<double>> columns;
  std::vector<const double*> pointers;
  for (size_t field = 0; field < kFields; ++field) {
    columns.push_back(ValueShapeNamed("integer_walk").generate(kRows, &random));
    pointers.push_back(columns.back().data());
  }
  std::string chunk;
  ChunkEncoder().Encode({.timestamps = timestamps, .columns = pointers}, &chunk);
  return chunk;
}

std::string Host(size_t group) {
  return "host_" + std::to_string(group);
}

void WriteBlock(const std::string& path) {
  static const std::vector<std::string_view> kFieldNames = {
      "cpu_usage_user", "cpu_usage_system", "cpu_usage_idle", "cpu_usage_nice",
      "cpu_usage_io",   "cpu_usage_irq",    "cpu_usage_soft", "cpu_usage_steal",
      "cpu_usage_vm",   "cpu_usage_vm_nice"};
  const std::string chunk = Chunk();
  auto writer = BlockWriter::Create(Env::Default(), path, Meta()).value();
  for (size_t group = 0; group < g_group_count; ++group) {
    const std::string host = Host(group);
    const std::string rack = std::to_string(group % 97);
    const std::string region = "region-" + std::to_string(group % 9);
    const model::LabelViews labels = {{"arch", group % 2 ? "x86" : "arm"},
                                      {"datacenter", region},
                                      {"db", "benchmark"},
                                      {"hostname", host},
                                      {"os", "linux"},
                                      {"rack", rack},
                                      {"region", region},
                                      {"service", rack},
                                      {"team", group % 3 ? "a" : "b"},
                                      {"version", group % 5 ? "1" : "2"}};
    CHECK(writer->AddGroup(labels, "__name__", kFieldNames, false).ok());
    CHECK(writer->AddChunk(chunk).ok());
  }
  CHECK(writer->Finish().ok());
}

const std::string& BlockPath() {
  static const std::string path = [] {
    WriteBlock(Directory() + "/block");
    return Directory() + "/block";
  }();
  return path;
}

std::shared_ptr<const Block> OpenBlock() {
  return Block::Open(Env::Default(), BlockPath()).value();
}

void Write(benchmark::State& state) {
  for (auto _ : state) {
    WriteBlock(Directory() + "/written");
  }
  state.SetItemsProcessed(static_cast<int64_t>(state.iterations() * g_group_count));
  CHECK(Env::Default()->Remove(Directory() + "/written").ok());
}

void Open(benchmark::State& state) {
  BlockPath();
  for (auto _ : state) {
    benchmark::DoNotOptimize(OpenBlock());
  }
  const auto block = OpenBlock();
  state.counters["index_bytes_per_group"] = (static_cast<double>(block->size_bytes()) -
                                             static_cast<double>(Chunk().size() * g_group_count)) /
                                            static_cast<double>(g_group_count);
}

// From opening to the first answer: checksums and structure of the index.
void FirstUse(benchmark::State& state) {
  BlockPath();
  for (auto _ : state) {
    if (!OpenBlock()->CheckIndex().ok()) {
      state.SkipWithError("the index fails its checks");
    }
  }
  state.SetItemsProcessed(static_cast<int64_t>(state.iterations() * g_group_count));
}

void Select(benchmark::State& state, const std::vector<model::Matcher>& matchers, size_t expected) {
  const auto block = OpenBlock();
  for (auto _ : state) {
    const StatusOr<BlockSelection> selection = block->Select(matchers);
    if (!selection.ok() || selection->groups.size() != expected) {
      state.SkipWithError("selects another number of groups");
      return;
    }
  }
}

void ReadChunks(benchmark::State& state) {
  const auto block = OpenBlock();
  CHECK(block->CheckIndex().ok());
  uint32_t group = 0;
  double value = 0;
  for (auto _ : state) {
    group = static_cast<uint32_t>((group + 7919) % g_group_count);
    const StatusOr<ChunkView> chunk = block->ReadChunk(group, block->Chunks(group)[0]);
    if (!chunk.ok()) {
      state.SkipWithError("a chunk fails its checks");
      return;
    }
    chunk->DecodeColumn(3, kRows - 1, 1, &value);
    benchmark::DoNotOptimize(value);
  }
}

model::Matcher Match(model::MatchType type, const std::string& name, const std::string& value) {
  return model::Matcher::Create(type, name, value).value();
}

void RegisterAll() {
  using model::MatchType;
  benchmark::RegisterBenchmark("write", Write);
  benchmark::RegisterBenchmark("open", Open);
  benchmark::RegisterBenchmark("first_use", FirstUse);
  const auto select = [](const char* name, std::vector<model::Matcher> matchers, size_t expected) {
    benchmark::RegisterBenchmark(
        name, [=](benchmark::State& state) { Select(state, matchers, expected); });
  };
  const model::Matcher metric = Match(MatchType::kEqual, "__name__", "cpu_usage_user");
  select("select/one_host", {metric, Match(MatchType::kEqual, "hostname", Host(17))}, 1);
  select("select/all", {metric}, g_group_count);
  select(
      "select/arch_and_version",
      {metric, Match(MatchType::kEqual, "arch", "arm"), Match(MatchType::kEqual, "version", "2")},
      (g_group_count + 9) / 10);
  select("select/every_host_by_regex", {metric, Match(MatchType::kRegex, "hostname", "host_.*")},
         g_group_count);
  benchmark::RegisterBenchmark("read_chunk", ReadChunks);
}

}  // namespace
}  // namespace tsdbd::storage

int main(int argc, char** argv) {
  constexpr std::string_view kGroups = "--groups=";
  if (argc > 1 && std::string_view(argv[1]).starts_with(kGroups)) {
    const std::string_view number = std::string_view(argv[1]).substr(kGroups.size());
    std::from_chars(number.data(), number.data() + number.size(), tsdbd::storage::g_group_count);
    CHECK(tsdbd::storage::g_group_count > 17);
    argv[1] = argv[0];
    ++argv;
    --argc;
  }
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) {
    return 1;
  }
  tsdbd::storage::RegisterAll();
  benchmark::RunSpecifiedBenchmarks();
}
