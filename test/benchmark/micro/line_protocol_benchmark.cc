// Line protocol bytes → row batch: nanoseconds per sample and bytes per second of one thread. Every
// run's answers are compared with the numbers that were printed into the lines.
//
// Smoke mode: --benchmark_min_time=0.01

#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include <benchmark/benchmark.h>
#include <fmt/format.h>

#include "ingest/line_key_decoder.h"
#include "ingest/line_protocol.h"

namespace tsdbd::ingest {
namespace {

constexpr size_t kHosts = 1000;
constexpr int64_t kStartNs = 1'451'606'400'000'000'000;

// A body and what must come out of it.
struct Corpus {
  std::string body;
  std::vector<double> values;
  std::vector<model::Timestamp> timestamps;

  void AddValue(std::string_view text, double value) {
    body += text;
    values.push_back(value);
  }
  void EndLine(int64_t timestamp) {
    body += fmt::format(" {}\n", timestamp);
    timestamps.push_back(timestamp);
  }
};

std::string TsbsKey(size_t host) {
  return fmt::format(
      "cpu,hostname=host_{},region=eu-central-1,datacenter=eu-central-1a,rack={},os=Ubuntu15.10,"
      "arch=x86,team=SF,service={},service_version=1,service_environment=test",
      host, host % 100, host % 20);
}

// TSBS' cpu-only lines: ten tags, ten fields. `decimals` < 0: integers.
Corpus TsbsLines(int decimals) {
  static constexpr const char* kFields[] = {
      "usage_user", "usage_system",  "usage_idle",  "usage_nice",  "usage_iowait",
      "usage_irq",  "usage_softirq", "usage_steal", "usage_guest", "usage_guest_nice"};
  Corpus corpus;
  std::mt19937_64 random(1);
  for (size_t host = 0; host < kHosts; ++host) {
    corpus.body += TsbsKey(host);
    char separator = ' ';
    for (const char* field : kFields) {
      corpus.body += fmt::format("{}{}=", separator, field);
      separator = ',';
      const double value = std::uniform_real_distribution<>(0, 100)(random);
      const std::string text = decimals < 0 ? fmt::format("{}i", static_cast<int>(value))
                                            : fmt::format("{:.{}f}", value, decimals);
      corpus.AddValue(text, std::stod(text));
    }
    corpus.EndLine(kStartNs + static_cast<int64_t>(host) * 1000);
  }
  return corpus;
}

Corpus OneFieldLines() {
  Corpus corpus;
  std::mt19937_64 random(1);
  for (size_t host = 0; host < kHosts; ++host) {
    corpus.body += fmt::format("temperature,sensor=s{:05},room={} value=", host, host % 50);
    const std::string text =
        fmt::format("{:.2f}", std::uniform_real_distribution<>(-20, 40)(random));
    corpus.AddValue(text, std::stod(text));
    corpus.EndLine(kStartNs + static_cast<int64_t>(host));
  }
  return corpus;
}

// As Telegraf sends: a few lines of each input in turn, one of them with a string.
Corpus TelegrafLines() {
  Corpus corpus;
  std::mt19937_64 random(1);
  for (size_t i = 0; i < kHosts; ++i) {
    const auto counter = static_cast<int64_t>(random() >> 20);
    const double percent = static_cast<double>(random() % 10'000) / 100;
    switch (i % 4) {
      case 0:
        corpus.body += "mem,host=server01 active=";
        corpus.AddValue(fmt::format("{}i", counter), static_cast<double>(counter));
        corpus.body += ",used_percent=";
        corpus.AddValue(fmt::format("{}", percent), percent);
        break;
      case 1:
      case 2:
        corpus.body += fmt::format("net,host=server01,interface=eth{} bytes_recv=", i % 4);
        corpus.AddValue(fmt::format("{}i", counter), static_cast<double>(counter));
        corpus.body += ",err_in=";
        corpus.AddValue("0i", 0);
        break;
      default:
        corpus.body += "system,host=server01 uptime_format=\"13 days, 2:25\",load1=";
        corpus.AddValue(fmt::format("{}", percent), percent);
    }
    corpus.EndLine(kStartNs + static_cast<int64_t>(i));
  }
  return corpus;
}

bool IsRight(const Corpus& corpus, const model::RowBatch& batch, const ParseReport& report) {
  bool right = report.error_count == 0 && batch.values == corpus.values &&
               batch.rows.size() == corpus.timestamps.size();
  for (size_t i = 0; right && i < batch.rows.size(); ++i) {
    right = batch.rows[i].timestamp == corpus.timestamps[i];
  }
  return right;
}

void Parse(benchmark::State& state, const Corpus& corpus) {
  const LineKeyDecoder decoder({});
  const ParseOptions options = {.decoder = &decoder};
  LineProtocolParser parser;
  model::RowBatch batch;
  ParseReport report;
  for (auto _ : state) {
    parser.Parse(corpus.body, options, &batch, &report);
    benchmark::DoNotOptimize(batch.values.data());
  }
  if (!IsRight(corpus, batch, report)) {
    state.SkipWithError("wrong answer");
    return;
  }
  const auto runs = static_cast<double>(state.iterations());
  state.SetBytesProcessed(state.iterations() * static_cast<int64_t>(corpus.body.size()));
  state.counters["s/sample"] =
      benchmark::Counter(runs * static_cast<double>(corpus.values.size()),
                         benchmark::Counter::kIsRate | benchmark::Counter::kInvert);
  state.counters["s/line"] =
      benchmark::Counter(runs * static_cast<double>(corpus.timestamps.size()),
                         benchmark::Counter::kIsRate | benchmark::Counter::kInvert);
}

void Decode(benchmark::State& state) {
  const LineKeyDecoder decoder({.database = "metrics"});
  const model::FieldList fields = {.names = {"usage_user", "usage_system", "usage_idle"}};
  std::vector<std::string> keys;
  for (size_t host = 0; host < kHosts; ++host) {
    keys.push_back(TsbsKey(host));
  }
  model::GroupLabels group;
  for (auto _ : state) {
    for (const std::string& key : keys) {
      if (!decoder.Decode(key, fields, &group).ok() || group.labels.size() != 11) {
        state.SkipWithError("wrong answer");
        return;
      }
    }
  }
  state.counters["s/key"] =
      benchmark::Counter(static_cast<double>(state.iterations()) * kHosts,
                         benchmark::Counter::kIsRate | benchmark::Counter::kInvert);
}

BENCHMARK_CAPTURE(Parse, ten_integers, TsbsLines(-1));
BENCHMARK_CAPTURE(Parse, ten_decimals, TsbsLines(3));
BENCHMARK_CAPTURE(Parse, ten_full_doubles, TsbsLines(15));
BENCHMARK_CAPTURE(Parse, one_field, OneFieldLines());
BENCHMARK_CAPTURE(Parse, telegraf, TelegrafLines());
BENCHMARK(Decode);

}  // namespace
}  // namespace tsdbd::ingest

BENCHMARK_MAIN();
