// How to find a key in a leaf of AlexMap from where the model says it is, by how far that is wrong
// on average: doubling steps from there on; halving the whole leaf; the window that is compared at
// once and then doubling steps, which is what AlexMap does, with plain instructions and with
// SSE4.2. The leaf is in the cache: what is measured are instructions and branches that nobody
// foresaw.

#include <algorithm>
#include <array>
#include <cstdint>
#include <random>
#include <vector>

#include <benchmark/benchmark.h>
#ifdef __SSE4_2__
#include <nmmintrin.h>
#endif

#include "index/alex_search.h"

namespace tsdbd::index::alex {
namespace {

constexpr uint32_t kCapacity = 4096;
// More than branch predictors learn by heart.
constexpr size_t kQueries = 1 << 16;
using LeafKeys = Keys<2>;
using LeafWindow = Window<2>;

// A leaf of slots of 16 bytes, keys to look for, and where a model that is wrong by `error` slots
// on average has them.
struct Leaf {
  explicit Leaf(int64_t error) {
    std::mt19937_64 random(1);
    uint64_t key = 1;
    data.assign(2, kNoKey);
    for (uint32_t i = 0; i < kCapacity; ++i) {
      key += 1 + random() % 1000;
      data.push_back(key);
      data.push_back(~key);
    }
    std::geometric_distribution<int64_t> distance(1.0 / static_cast<double>(1 + error));
    for (size_t i = 0; i < kQueries; ++i) {
      const auto slot = static_cast<int64_t>(random() % kCapacity);
      const int64_t off = distance(random) * (random() % 2 == 0 ? 1 : -1);
      queries.push_back({keys()[slot], std::clamp<int64_t>(slot + off, 0, kCapacity - 1), slot});
    }
  }
  LeafKeys keys() const { return LeafKeys(data.data() + 2); }

  struct Query {
    uint64_t key;
    int64_t predicted;
    int64_t slot;
  };
  std::vector<uint64_t> data;
  std::vector<Query> queries;
};

int64_t SearchByDoubling(LeafKeys keys, int64_t predicted, uint64_t key) {
  const auto from = static_cast<uint32_t>(predicted);
  return keys[from] <= key ? GallopRight(keys, from, kCapacity, key) : GallopLeft(keys, from, key);
}

int64_t SearchByHalving(LeafKeys keys, int64_t, uint64_t key) {
  return BinaryLastNotAbove(0, kCapacity, key, [&](uint32_t i) { return keys[i]; });
}

template <typename Count>
int64_t SearchInWindow(LeafKeys keys, int64_t predicted, uint64_t key, Count count_not_above) {
  const uint32_t start = LeafWindow::Start(predicted, kCapacity);
  const uint32_t count = count_not_above(keys.From(start), key);
  if (count % LeafWindow::kSlots == 0) {
    return SearchFar(keys, kCapacity, start, count, key);
  }
  return int64_t{start} + count - 1;
}

int64_t SearchByWindow(LeafKeys keys, int64_t predicted, uint64_t key) {
  return SearchInWindow(keys, predicted, key, [](LeafKeys window, uint64_t wanted) {
    return CountNotAbove<LeafWindow::kSlots>(window, wanted);
  });
}

#ifdef __SSE4_2__
int64_t SearchByVectorWindow(LeafKeys keys, int64_t predicted, uint64_t key) {
  return SearchInWindow(keys, predicted, key, [](LeafKeys window, uint64_t wanted) {
    // The instruction compares signed numbers.
    const __m128i sign = _mm_set1_epi64x(INT64_MIN);
    const __m128i limit = _mm_xor_si128(_mm_set1_epi64x(static_cast<int64_t>(wanted)), sign);
    __m128i above = _mm_setzero_si128();
    for (int i = 0; i < 8; i += 2) {
      const __m128i two =
          _mm_set_epi64x(static_cast<int64_t>(window[i + 1]), static_cast<int64_t>(window[i]));
      above = _mm_add_epi64(above, _mm_cmpgt_epi64(_mm_xor_si128(two, sign), limit));
    }
    return 8 + static_cast<uint32_t>(_mm_extract_epi64(above, 0) + _mm_extract_epi64(above, 1));
  });
}
#endif

template <int64_t (*kSearch)(LeafKeys, int64_t, uint64_t)>
void Run(benchmark::State& state) {
  const Leaf leaf(state.range(0));
  for (auto _ : state) {
    for (const Leaf::Query& query : leaf.queries) {
      if (kSearch(leaf.keys(), query.predicted, query.key) != query.slot) {
        state.SkipWithError("wrong answer");
        return;
      }
    }
  }
  state.SetItemsProcessed(state.iterations() * static_cast<int64_t>(kQueries));
}

BENCHMARK(Run<SearchByDoubling>)
    ->Name("doubling")
    ->ArgName("error")
    ->Arg(0)
    ->Arg(1)
    ->Arg(4)
    ->Arg(16)
    ->Arg(64)
    ->Arg(512);
BENCHMARK(Run<SearchByHalving>)->Name("halving")->ArgName("error")->Arg(0)->Arg(64)->Arg(512);
BENCHMARK(Run<SearchByWindow>)
    ->Name("window")
    ->ArgName("error")
    ->Arg(0)
    ->Arg(1)
    ->Arg(4)
    ->Arg(16)
    ->Arg(64)
    ->Arg(512);
#ifdef __SSE4_2__
BENCHMARK(Run<SearchByVectorWindow>)
    ->Name("window_sse")
    ->ArgName("error")
    ->Arg(0)
    ->Arg(1)
    ->Arg(4)
    ->Arg(16)
    ->Arg(64)
    ->Arg(512);
#endif

}  // namespace
}  // namespace tsdbd::index::alex

BENCHMARK_MAIN();
