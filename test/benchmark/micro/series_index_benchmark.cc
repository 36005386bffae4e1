// The series index: raw keys to groups (hits, in batches as a request brings them, and new keys),
// and matchers to groups. Each benchmark checks its answers.
#include <algorithm>
#include <atomic>
#include <deque>
#include <memory>
#include <random>
#include <string>
#include <unordered_map>
#include <vector>

#include <benchmark/benchmark.h>
#include <fmt/format.h>

#include "index/key_table.h"
#include "index/series_index.h"
#include "tsdb/head.h"

namespace tsdbd::index {
namespace {

std::vector<std::string> MakeKeys(size_t count) {
  std::vector<std::string> keys;
  for (size_t i = 0; i < count; ++i) {
    keys.push_back(fmt::format(
        "cpu,hostname=host_{},region=eu-west-1,datacenter=eu-west-1a,rack={},os=Ubuntu16.04LTS", i,
        i % 100));
  }
  return keys;
}

class KeyTableFixture {
 public:
  explicit KeyTableFixture(size_t count) : keys_(MakeKeys(count)), groups_(count) {
    const std::vector<std::string> names = {"usage_user", "usage_system"};
    fields_ = table_.InternFieldSet("benchmark", {names, model::HashFieldNames(names)});
    for (size_t i = 0; i < count; ++i) {
      table_.Insert(QueryFor(i), &groups_[i], &list_);
    }
    std::mt19937_64 random(1);
    for (size_t i = 0; i < count; ++i) {
      order_.push_back(i);
    }
    std::ranges::shuffle(order_, random);
  }

  KeyTable::Query QueryFor(size_t i) const {
    return {keys_[i], fields_, KeyTable::HashOf(HashTo128(keys_[i]), *fields_), nullptr};
  }

  const std::vector<std::string> keys_;
  std::deque<IndexedGroup> groups_;
  std::vector<size_t> order_;
  KeyTable table_;
  const FieldSet* fields_ = nullptr;
  std::atomic<RawKey*> list_ = nullptr;
};

// Known keys in random order, hashes given as the parser gives them, `batch` look-ups a call.
void BM_FindKnownKeys(benchmark::State& state) {
  const auto count = static_cast<size_t>(state.range(0));
  const auto batch = static_cast<size_t>(state.range(1));
  KeyTableFixture fixture(count);
  std::vector<KeyTable::Query> all;
  for (const size_t i : fixture.order_) {
    all.push_back(fixture.QueryFor(i));
  }
  size_t at = 0;
  for (auto _ : state) {
    at = at + batch > count ? 0 : at;
    fixture.table_.Find(std::span(all).subspan(at, batch));
    if (all[at].group != &fixture.groups_[fixture.order_[at]]) {
      state.SkipWithError("a key led to the wrong group");
    }
    at += batch;
  }
  state.SetItemsProcessed(state.iterations() * state.range(1));
}
BENCHMARK(BM_FindKnownKeys)
    ->Args({1'000, 1})
    ->Args({1'000, 1'000})
    ->Args({100'000, 1})
    ->Args({100'000, 1'000})
    ->Args({1'000'000, 1})
    ->Args({1'000'000, 1'000});

// The peer: std::unordered_map from key to group, one look-up at a time.
void BM_FindInUnorderedMap(benchmark::State& state) {
  const auto count = static_cast<size_t>(state.range(0));
  KeyTableFixture fixture(count);
  std::unordered_map<std::string_view, IndexedGroup*> map;
  for (size_t i = 0; i < count; ++i) {
    map[fixture.keys_[i]] = &fixture.groups_[i];
  }
  size_t at = 0;
  for (auto _ : state) {
    const size_t i = fixture.order_[at];
    if (map.find(fixture.keys_[i])->second != &fixture.groups_[i]) {
      state.SkipWithError("a key led to the wrong group");
    }
    at = at + 1 == count ? 0 : at + 1;
  }
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(BM_FindInUnorderedMap)->Arg(1'000)->Arg(100'000)->Arg(1'000'000);

// New series: labels to a group, with everything that a group needs (but no rows, no log).
void BM_CreateGroups(benchmark::State& state) {
  const auto count = static_cast<size_t>(state.range(0));
  std::vector<std::string> hosts;
  for (size_t i = 0; i < count; ++i) {
    hosts.push_back(fmt::format("host_{}", i));
  }
  for (auto _ : state) {
    auto head = std::make_unique<tsdb::Head>();
    for (const std::string& host : hosts) {
      benchmark::DoNotOptimize(
          head->FindOrCreate({{"host", host}, {"region", "eu-west-1"}}, "__name__", {"cpu_user"}));
    }
    state.PauseTiming();
    if (head->series_count() != count) {
      state.SkipWithError("a series is missing");
    }
    head.reset();
    state.ResumeTiming();
  }
  state.SetItemsProcessed(state.iterations() * state.range(0));
}
BENCHMARK(BM_CreateGroups)->Arg(10'000)->Arg(1'000'000)->Unit(benchmark::kMillisecond);

// {host="…",region=~"eu.*"} among 100 thousand groups.
void BM_SelectOneHost(benchmark::State& state) {
  tsdb::Head head;
  constexpr int kGroups = 100'000;
  for (int i = 0; i < kGroups; ++i) {
    const std::string host = fmt::format("host_{}", i);
    head.FindOrCreate({{"host", host}, {"region", "eu-west-1"}}, "__name__", {"cpu_user"});
  }
  const std::vector<model::Matcher> matchers = {
      *model::Matcher::Create(model::MatchType::kEqual, "host", "host_777"),
      *model::Matcher::Create(model::MatchType::kRegex, "region", "eu.*")};
  for (auto _ : state) {
    const auto selected = head.index()->Select(matchers, 0);
    if (!selected.ok() || selected->groups.size() != 1) {
      state.SkipWithError("not exactly one group was selected");
    }
  }
}
BENCHMARK(BM_SelectOneHost)->Unit(benchmark::kMicrosecond);

}  // namespace
}  // namespace tsdbd::index

BENCHMARK_MAIN();
