// Remote write bytes → row batch → database: nanoseconds per sample of one thread, for series of
// ten labels and one sample each. Every run's answers are compared with what was put into the
// message.
//
// Smoke mode: --benchmark_min_time=0.01

#include <cstdint>
#include <filesystem>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include <benchmark/benchmark.h>
#include <fmt/format.h>

#include "common/check.h"
#include "common/env.h"
#include "ingest/remote_key_decoder.h"
#include "ingest/remote_write.h"
#include "ingest/remote_write_testing.h"
#include "ingest/snappy_block.h"
#include "tsdb/database.h"

namespace tsdbd::ingest {
namespace {

// As many as Prometheus sends at a time by default.
constexpr size_t kSeries = 2'000;
constexpr int64_t kStartMillis = 1'700'000'000'000;
constexpr size_t kMaxBytes = size_t{64} << 20;

// A message and what must come out of it.
struct Corpus {
  RemoteWriteVersion version;
  std::string message;
  std::string block;
  std::vector<double> values;
};

// As of a Kubernetes node exporter: ten labels, 250 bytes.
RemoteLabels LabelsOf(size_t series) {
  return {{"__name__", fmt::format("container_network_receive_bytes_{}", series % 50)},
          {"cluster", "production-eu-west"},
          {"container", fmt::format("container-{}", series % 7)},
          {"endpoint", "https-metrics"},
          {"instance", fmt::format("10.0.{}.{}:10250", series / 250, series % 250)},
          {"interface", "eth0"},
          {"job", "kubelet"},
          {"namespace", fmt::format("namespace-{}", series % 20)},
          {"node", fmt::format("ip-10-0-{}-{}", series / 250, series % 250)},
          {"pod", fmt::format("server-{:08x}", series * 2'654'435'761)}};
}

Corpus MakeCorpus(RemoteWriteVersion version) {
  Corpus corpus{.version = version, .message = {}, .block = {}, .values = {}};
  std::mt19937_64 random(1);
  std::vector<std::string> series;
  RequestV2 request;
  for (size_t i = 0; i < kSeries; ++i) {
    corpus.values.push_back(static_cast<double>(random() % 1'000'000) / 8);
    const std::vector<RemoteSample> samples = {{corpus.values[i], kStartMillis}};
    if (version == RemoteWriteVersion::kV1) {
      series.push_back(SeriesV1(LabelsOf(i), samples));
    } else {
      request.AddSeries(LabelsOf(i), samples);
    }
  }
  corpus.message = version == RemoteWriteVersion::kV1 ? RequestV1(series) : request.Message();
  corpus.block = SnappyBlock(corpus.message);
  return corpus;
}

const Corpus& CorpusOf(RemoteWriteVersion version) {
  static const Corpus v1 = MakeCorpus(RemoteWriteVersion::kV1);
  static const Corpus v2 = MakeCorpus(RemoteWriteVersion::kV2);
  return version == RemoteWriteVersion::kV1 ? v1 : v2;
}

void CountSamples(benchmark::State& state) {
  const auto samples = static_cast<double>(state.iterations()) * kSeries;
  state.counters["s/sample"] =
      benchmark::Counter(samples, benchmark::Counter::kIsRate | benchmark::Counter::kInvert);
  state.counters["samples/s"] = benchmark::Counter(samples, benchmark::Counter::kIsRate);
}

// Decompresses and parses.
void Parse(benchmark::State& state, RemoteWriteVersion version) {
  const Corpus& corpus = CorpusOf(version);
  const RemoteKeyDecoder key_decoder;
  const RemoteWriteOptions options = {.decoder = &key_decoder};
  SnappyDecoder snappy;
  RemoteWriteParser parser;
  model::RowBatch batch;
  RemoteWriteReport report;
  bool right = true;
  for (auto _ : state) {
    const auto message = snappy.Decode(corpus.block, kMaxBytes);
    right = message.ok() && parser.Parse(version, *message, options, &batch, &report).ok();
    benchmark::DoNotOptimize(batch.values.data());
  }
  if (!right || batch.values != corpus.values || report.refused_sample_count != 0) {
    state.SkipWithError("wrong answer");
    return;
  }
  CountSamples(state);
}

// Decompresses, parses and writes to a database that knows the series. The log is not synced, so
// this is the processor's share.
void Write(benchmark::State& state, RemoteWriteVersion version) {
  const Corpus& corpus = CorpusOf(version);
  const auto folder =
      std::filesystem::temp_directory_path() / fmt::format("remote_write_benchmark_{}", ::getpid());
  tsdb::DatabaseOptions database_options;
  database_options.data_dir = folder;
  database_options.wal.sync_mode = wal::SyncMode::kNone;
  auto database = tsdb::Database::Open(Env::Default(), database_options);
  CHECK(database.ok());
  const RemoteKeyDecoder key_decoder;
  const RemoteWriteOptions options = {.decoder = &key_decoder};
  SnappyDecoder snappy;
  RemoteWriteParser parser;
  model::RowBatch batch;
  RemoteWriteReport report;
  int64_t added_ns = 0;
  bool right = true;
  for (auto _ : state) {
    const auto message = snappy.Decode(corpus.block, kMaxBytes);
    right = message.ok() && parser.Parse(version, *message, options, &batch, &report).ok();
    added_ns += 15 * kNanosPerSecond;
    for (model::Row& row : batch.rows) {
      row.timestamp += added_ns;
    }
    const tsdb::WriteResult result = (*database)->Write(batch, tsdb::WriteMode::kPartial);
    right = right && result.status.ok() && result.rows_stored == kSeries;
    if (!right) {
      break;
    }
  }
  if (!right || (*database)->Stats().series != kSeries) {
    state.SkipWithError("wrong answer");
  }
  CountSamples(state);
  CHECK((*database)->Close().ok());
  database->reset();
  std::filesystem::remove_all(folder);
}

void Decode(benchmark::State& state) {
  const RemoteKeyDecoder decoder;
  std::vector<std::string> keys;
  for (size_t i = 0; i < kSeries; ++i) {
    keys.push_back(LabelsV1(LabelsOf(i)));
  }
  model::GroupLabels group;
  for (auto _ : state) {
    for (const std::string& key : keys) {
      if (!decoder.Decode(key, {}, &group).ok() || group.labels.size() != 9) {
        state.SkipWithError("wrong answer");
        return;
      }
    }
  }
  state.counters["s/key"] =
      benchmark::Counter(static_cast<double>(state.iterations()) * kSeries,
                         benchmark::Counter::kIsRate | benchmark::Counter::kInvert);
}

BENCHMARK_CAPTURE(Parse, v1, RemoteWriteVersion::kV1);
BENCHMARK_CAPTURE(Parse, v2, RemoteWriteVersion::kV2);
BENCHMARK_CAPTURE(Write, v1, RemoteWriteVersion::kV1);
BENCHMARK_CAPTURE(Write, v2, RemoteWriteVersion::kV2);
BENCHMARK(Decode);

}  // namespace
}  // namespace tsdbd::ingest

BENCHMARK_MAIN();
