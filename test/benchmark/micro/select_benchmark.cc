// What a query reads from a database: selecting, reading columns, steps and labels.
//
//   select_benchmark [--hosts=N] [--series=N] [Google Benchmark's options]
//
// Hosts have ten fields and 4,320 rows, 10 s apart: 12 h (N: 50; 1,000 is the case that dashboards
// are made for). Series have one field, ten labels and one row (N: 20,000; 1,000,000 is the goal).
// items/s are samples, or series, per second of CPU.

#include <algorithm>
#include <charconv>
#include <cmath>
#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include <benchmark/benchmark.h>
#include <fmt/format.h>

#include "common/check.h"
#include "common/clock.h"
#include "common/env.h"
#include "tsdb/batch_testing.h"
#include "tsdb/database.h"

namespace tsdbd::tsdb {
namespace {

constexpr size_t kFields = 10;
constexpr size_t kRows = 4320;
constexpr int64_t kInterval = 10 * kNanosPerSecond;
// Begins a day, so that the rows lie in one partition.
constexpr model::Timestamp kBegin = 20'000 * kNanosPerDay;
constexpr model::Timestamp kEnd = kBegin + (kRows - 1) * kInterval;
constexpr int64_t kLookback = 300 * kNanosPerSecond;
// As many series as a caller hands over at a time.
constexpr size_t kBatch = 512;

size_t g_host_count = 50;
size_t g_series_count = 20'000;

std::unique_ptr<Database> OpenDatabase(const std::string& name) {
  const char* temp = std::getenv("TMPDIR");
  DatabaseOptions options;
  options.data_dir = std::string(temp == nullptr ? "/tmp" : temp) + "/select_benchmark_" + name;
  std::filesystem::remove_all(options.data_dir);
  options.wal.sync_mode = wal::SyncMode::kNone;
  options.head_max_age_ms = 24 * 3'600'000;
  options.head_limit_bytes = 8ull << 30;
  options.wal_limit_bytes = 8ull << 30;
  return Database::Open(Env::Default(), options).value();
}

// Value of a field in the next row: most are whole numbers that wander, as usage figures do; every
// fifth has two decimals.
double NextValue(size_t field, uint64_t random, double value) {
  const double step = field % 5 == 4 ? static_cast<double>(random % 201) / 100 - 1
                                     : static_cast<double>(random % 3) - 1;
  const double next = std::round((value + step) * 100) / 100;
  return next < 0 || next > 100 ? value : next;
}

model::RowBatch BatchOf(const std::vector<std::string>& keys, size_t field_count) {
  static const PlainKeyDecoder decoder;
  model::RowBatch batch;
  batch.decoder = &decoder;
  model::FieldList& fields = batch.field_lists.emplace_back();
  for (size_t field = 0; field < field_count; ++field) {
    fields.names.push_back(fmt::format("f{}", field));
  }
  fields.hash = model::HashFieldNames(fields.names);
  for (size_t i = 0; i < keys.size(); ++i) {
    batch.rows.push_back({.key = keys[i],
                          .key_hash = HashTo128(keys[i]),
                          .timestamp = 0,
                          .first_value = static_cast<uint32_t>(i * field_count),
                          .field_list = 0,
                          .line = static_cast<uint32_t>(i + 1)});
  }
  batch.values.assign(keys.size() * field_count, 50);
  return batch;
}

std::string KeyOf(const char* measurement, size_t i) {
  return fmt::format(
      "{},arch=x86,datacenter=dc{},hostname=host_{},os=linux,rack={},region=region-{},service={},"
      "team={},version={},zone=z{}",
      measurement, i % 20, i, i % 97, i % 9, i % 19, i % 3, i % 5, i % 7);
}

void WriteHosts(Database* db) {
  std::vector<std::string> keys;
  for (size_t i = 0; i < g_host_count; ++i) {
    keys.push_back(KeyOf("cpu", i));
  }
  model::RowBatch batch = BatchOf(keys, kFields);
  uint64_t random = 1;
  for (size_t row = 0; row < kRows; ++row) {
    for (model::Row& each : batch.rows) {
      each.timestamp = kBegin + static_cast<int64_t>(row) * kInterval;
    }
    for (size_t i = 0; i < batch.values.size(); ++i) {
      random = random * 6364136223846793005 + 1442695040888963407;
      batch.values[i] = NextValue(i % kFields, random >> 33, batch.values[i]);
    }
    CHECK(db->Write(batch, WriteMode::kPartial).status.ok());
  }
}

// By name; made when first used, closed at the end of main.
using Databases = std::map<std::string, std::unique_ptr<Database>>;
Databases* g_databases = nullptr;

// The hosts' database, in the head or flushed.
Database* Hosts(bool flushed) {
  const std::string name = flushed ? "flushed" : "head";
  std::unique_ptr<Database>& db = (*g_databases)[name];
  if (db == nullptr) {
    db = OpenDatabase(name);
    WriteHosts(db.get());
    CHECK(!flushed || db->Flush().ok());
  }
  return db.get();
}

Database* ManySeries() {
  std::unique_ptr<Database>& db = (*g_databases)["series"];
  if (db == nullptr) {
    db = OpenDatabase("series");
    constexpr size_t kRowsPerWrite = 10'000;
    for (size_t begin = 0; begin < g_series_count; begin += kRowsPerWrite) {
      std::vector<std::string> keys;
      for (size_t i = begin; i < std::min(begin + kRowsPerWrite, g_series_count); ++i) {
        keys.push_back(KeyOf("m", i));
      }
      model::RowBatch batch = BatchOf(keys, 1);
      for (model::Row& row : batch.rows) {
        row.timestamp = kEnd;
      }
      CHECK(db->Write(batch, WriteMode::kPartial).status.ok());
    }
  }
  return db.get();
}

std::unique_ptr<model::SeriesSet> Select(const Database& db, const std::string& metric,
                                         const model::TimeRange& range) {
  const auto matcher = model::Matcher::Create(model::MatchType::kEqual, "__name__", metric);
  auto set = db.Select({.matchers = {*matcher}, .range = range});
  CHECK(set.ok());
  return *std::move(set);
}

void SelectHosts(benchmark::State& state, bool flushed) {
  const Database* db = Hosts(flushed);
  for (auto _ : state) {
    if (Select(*db, "cpu_f0", {kBegin, kEnd})->size() != g_host_count) {
      state.SkipWithError("selects another number of series");
    }
  }
  state.SetItemsProcessed(state.iterations() * static_cast<int64_t>(g_host_count));
}

void ReadHosts(benchmark::State& state, bool flushed, const std::string& field) {
  const Database* db = Hosts(flushed);
  model::SampleColumns samples;
  for (auto _ : state) {
    const auto set = Select(*db, "cpu_" + field, {kBegin, kEnd});
    size_t count = 0;
    for (size_t i = 0; i < set->size(); ++i) {
      CHECK(set->Read(i, {kBegin, kEnd}, &samples).ok());
      count += samples.size();
    }
    if (count != g_host_count * kRows) {
      state.SkipWithError("reads another number of samples");
    }
  }
  state.SetItemsProcessed(state.iterations() * static_cast<int64_t>(g_host_count * kRows));
}

// Items are the samples in the range.
void StepHosts(benchmark::State& state, bool flushed, const std::string& field, int64_t step_ns) {
  const Database* db = Hosts(flushed);
  const model::StepTimes times = {
      .first = kBegin + kLookback,
      .step_ns = step_ns,
      .count = static_cast<size_t>((kEnd - kBegin - kLookback) / step_ns + 1),
      .window_ns = kLookback};
  std::vector<double> values(g_host_count * times.count);
  for (auto _ : state) {
    const auto set = Select(*db, "cpu_" + field, times.Range());
    CHECK(set->size() == g_host_count);
    for (size_t first = 0; first < set->size(); first += kBatch) {
      const size_t count = std::min(kBatch, set->size() - first);
      CHECK(set->ReadSteps(first, count, times, values.data() + first * times.count).ok());
    }
    if (std::ranges::any_of(values, model::IsStaleMarker)) {
      state.SkipWithError("a step has no value");
    }
  }
  state.SetItemsProcessed(state.iterations() * static_cast<int64_t>(g_host_count * kRows));
}

void SelectSeries(benchmark::State& state) {
  const Database* db = ManySeries();
  for (auto _ : state) {
    if (Select(*db, "m_f0", {kEnd - kLookback, kEnd})->size() != g_series_count) {
      state.SkipWithError("selects another number of series");
    }
  }
  state.SetItemsProcessed(state.iterations() * static_cast<int64_t>(g_series_count));
}

// What count by (region) (m) asks for at one moment.
void CountSeriesByRegion(benchmark::State& state) {
  const Database* db = ManySeries();
  const model::StepTimes times = {
      .first = kEnd + kNanosPerSecond, .step_ns = 0, .count = 1, .window_ns = kLookback};
  double values[kBatch];
  std::string_view regions[kBatch];
  for (auto _ : state) {
    const auto set = Select(*db, "m_f0", times.Range());
    size_t counted = 0;
    for (size_t first = 0; first < set->size(); first += kBatch) {
      const size_t count = std::min(kBatch, set->size() - first);
      CHECK(set->ReadSteps(first, count, times, values).ok());
      set->GetLabelValues("region", first, count, regions);
      for (size_t i = 0; i < count; ++i) {
        counted += !model::IsStaleMarker(values[i]) && regions[i].size() == 8;
      }
    }
    if (counted != g_series_count) {
      state.SkipWithError("counts another number of series");
    }
  }
  state.SetItemsProcessed(state.iterations() * static_cast<int64_t>(g_series_count));
}

template <typename Function, typename... Arguments>
void Register(const std::string& name, Function function, Arguments... arguments) {
  benchmark::RegisterBenchmark(name.c_str(), function, arguments...)->Unit(benchmark::kMicrosecond);
}

void RegisterAll() {
  for (const bool flushed : {false, true}) {
    const std::string place = flushed ? "/flushed" : "/head";
    Register("select" + place, SelectHosts, flushed);
    for (const std::string field : {"f0", "f4"}) {
      const std::string what = place + (field == "f0" ? "/integers" : "/decimals");
      Register("read" + what, ReadHosts, flushed, field);
      Register("steps_60s" + what, StepHosts, flushed, field, 60 * kNanosPerSecond);
      Register("steps_1h" + what, StepHosts, flushed, field, 3600 * kNanosPerSecond);
    }
  }
  Register("select/many_series", SelectSeries);
  Register("count_by_region/many_series", CountSeriesByRegion);
}

// --name=N as the first argument. Takes it away if it is there.
void TakeNumber(std::string_view name, int* argc, char*** argv, size_t* number) {
  const std::string_view argument = *argc > 1 ? (*argv)[1] : "";
  if (argument.starts_with(name)) {
    const std::string_view digits = argument.substr(name.size());
    std::from_chars(digits.data(), digits.data() + digits.size(), *number);
    CHECK(*number > 0);
    (*argv)[1] = (*argv)[0];
    ++*argv;
    --*argc;
  }
}

}  // namespace
}  // namespace tsdbd::tsdb

int main(int argc, char** argv) {
  tsdbd::tsdb::TakeNumber("--hosts=", &argc, &argv, &tsdbd::tsdb::g_host_count);
  tsdbd::tsdb::TakeNumber("--series=", &argc, &argv, &tsdbd::tsdb::g_series_count);
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) {
    return 1;
  }
  tsdbd::tsdb::Databases databases;
  tsdbd::tsdb::g_databases = &databases;
  tsdbd::tsdb::RegisterAll();
  benchmark::RunSpecifiedBenchmarks();
}
