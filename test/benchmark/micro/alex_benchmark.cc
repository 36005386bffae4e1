// AlexMap against other ordered maps in memory: absl::btree_map, std::map, a sorted array with
// binary search, and the paper's own implementation if the build knows where its headers are
// (-DTSDBD_REFERENCE_ALEX_DIR=...). Nanoseconds of processor time an operation, the least of
// `repeats` runs; a single insert's are of the clock.
// Every answer is checked before a figure is printed.
//
//   alex_benchmark [--smoke] [--size=N] [--repeats=R] [--sets=uniform,…] [--peers=alex,btree,…]

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <functional>
#include <limits>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <absl/container/btree_map.h>
#include <fmt/format.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "common/clock.h"
#include "index/alex_keys_testing.h"
#include "index/alex_map.h"
#include "reference_alex.h"

namespace tsdbd::benchmark {
namespace {

using index::KeySet;
using Map = index::AlexMap<uint64_t, uint64_t>;
using Pair = Map::Pair;

constexpr size_t kScanLength = 100;
constexpr uint64_t kSeed = 20200614;

void Require(bool is_right, std::string_view what) {
  if (!is_right) {
    fmt::print(stderr, "wrong answer: {}\n", what);
    std::exit(1);
  }
}

// What std containers have allocated.
size_t allocated_bytes = 0;
template <typename T>
struct CountingAllocator {
  using value_type = T;
  CountingAllocator() = default;
  template <typename U>
  CountingAllocator(const CountingAllocator<U>&) {}
  T* allocate(size_t count) {
    allocated_bytes += count * sizeof(T);
    return std::allocator<T>().allocate(count);
  }
  void deallocate(T* pointer, size_t count) {
    allocated_bytes -= count * sizeof(T);
    std::allocator<T>().deallocate(pointer, count);
  }
  bool operator==(const CountingAllocator&) const { return true; }
};

// The maps under one interface. Find gives the payload, or 0; Scan adds up payloads.

class OursAdapter {
 public:
  static constexpr std::string_view kName = "AlexMap";
  static constexpr bool kInserts = true;

  void Load(const std::vector<Pair>& pairs) { map_.BulkLoad(pairs); }
  uint64_t Find(uint64_t key) const {
    uint64_t payload = 0;
    map_.Find(key, &payload);
    return payload;
  }
  void Insert(uint64_t key, uint64_t payload) { map_.Insert(key, payload); }
  uint64_t Scan(uint64_t from) const {
    std::array<Pair, kScanLength> pairs;
    const size_t count = map_.ScanForward(from, pairs);
    uint64_t sum = 0;
    for (size_t i = 0; i < count; ++i) {
      sum += pairs[i].payload;
    }
    return sum;
  }
  size_t bytes() const { return map_.memory_bytes(); }
  const Map& map() const { return map_; }

 private:
  EpochGate gate_;
  Map map_{&gate_};
};

#ifdef TSDBD_HAS_REFERENCE_ALEX
class ReferenceAdapter {
 public:
  static constexpr std::string_view kName = "microsoft/ALEX";
  static constexpr bool kInserts = true;

  void Load(const std::vector<Pair>& pairs) {
    std::vector<std::pair<uint64_t, uint64_t>> values;
    for (const Pair& pair : pairs) {
      values.emplace_back(pair.key, pair.payload);
    }
    alex_.Load(values);
  }
  void Insert(uint64_t key, uint64_t payload) { alex_.Insert(key, payload); }
  size_t bytes() const { return alex_.bytes(); }
  ReferenceAlex& alex() { return alex_; }

 private:
  ReferenceAlex alex_;
};
using benchmark::CountWrongFinds;
using benchmark::InsertAll;
using benchmark::SumOfScans;
uint64_t CountWrongFinds(ReferenceAdapter* map, const std::vector<uint64_t>& keys, uint64_t mask,
                         bool is_dependent) {
  return map->alex().CountWrongFinds(keys, mask, is_dependent);
}
void InsertAll(ReferenceAdapter* map, const std::vector<uint64_t>& keys) {
  map->alex().InsertAll(keys);
}
uint64_t SumOfScans(ReferenceAdapter* map, const std::vector<uint64_t>& starts) {
  return map->alex().SumOfScans(starts, kScanLength);
}
#endif

template <typename Container, bool kIsTree>
class TreeAdapter {
 public:
  static constexpr std::string_view kName = kIsTree ? "absl::btree_map" : "std::map";
  static constexpr bool kInserts = true;

  void Load(const std::vector<Pair>& pairs) {
    for (const Pair& pair : pairs) {
      map_.emplace_hint(map_.end(), pair.key, pair.payload);
    }
  }
  uint64_t Find(uint64_t key) const {
    const auto at = map_.find(key);
    return at == map_.end() ? 0 : at->second;
  }
  void Insert(uint64_t key, uint64_t payload) { map_.emplace(key, payload); }
  uint64_t Scan(uint64_t from) const {
    uint64_t sum = 0;
    auto at = map_.lower_bound(from);
    for (size_t i = 0; i < kScanLength && at != map_.end(); ++i, ++at) {
      sum += at->second;
    }
    return sum;
  }
  size_t bytes() const { return allocated_bytes - before_; }

 private:
  using Entry = std::pair<const uint64_t, uint64_t>;
  const size_t before_ = allocated_bytes;
  Container map_;
};
using Entry = std::pair<const uint64_t, uint64_t>;
using BtreeAdapter =
    TreeAdapter<absl::btree_map<uint64_t, uint64_t, std::less<>, CountingAllocator<Entry>>, true>;
using StdMapAdapter =
    TreeAdapter<std::map<uint64_t, uint64_t, std::less<>, CountingAllocator<Entry>>, false>;

class ArrayAdapter {
 public:
  static constexpr std::string_view kName = "sorted array";
  static constexpr bool kInserts = false;

  void Load(const std::vector<Pair>& pairs) { pairs_ = pairs; }
  uint64_t Find(uint64_t key) const {
    const auto at = LowerBound(key);
    return at == pairs_.end() || at->key != key ? 0 : at->payload;
  }
  void Insert(uint64_t, uint64_t) {}
  uint64_t Scan(uint64_t from) const {
    uint64_t sum = 0;
    auto at = LowerBound(from);
    for (size_t i = 0; i < kScanLength && at != pairs_.end(); ++i, ++at) {
      sum += at->payload;
    }
    return sum;
  }
  size_t bytes() const { return pairs_.size() * sizeof(Pair); }

 private:
  std::vector<Pair>::const_iterator LowerBound(uint64_t key) const {
    return std::lower_bound(pairs_.begin(), pairs_.end(), key,
                            [](const Pair& pair, uint64_t wanted) { return pair.key < wanted; });
  }
  std::vector<Pair> pairs_;
};

struct Settings {
  size_t size = 1'000'000;
  int repeats = 3;
  std::string sets;
  std::string peers;
};

// What is measured; in this order in the table.
enum Figure : size_t {
  kLoad,
  kFind,
  kFindDependent,
  kFindMany,
  kFindAfterInserts,
  kFindManyAfterInserts,
  kInsert,
  kAppend,
  kInsert9999,
  kInsertLongest,
  kBytes,
  kScan,
  kFigureCount,
};
constexpr std::array<std::string_view, kFigureCount> kFigureNames = {
    "bulk load",   "find",         "dependent find",  "batched find",
    "find, ins'd", "batch, ins'd", "random insert",   "insert as come",
    "p99.99 ins",  "longest ins",  "bytes/key ins'd", "scan of 100",
};
using Figures = std::array<double, kFigureCount>;
constexpr double kUnknown = std::numeric_limits<double>::infinity();

// Keys as they come, sorted, in random order, and what to look up.
struct Workload {
  std::vector<uint64_t> keys;
  std::vector<uint64_t> shuffled;
  std::vector<Pair> sorted;
  std::vector<uint64_t> queries;
  std::vector<uint64_t> scan_starts;
  uint64_t scan_sum = 0;
};

Workload MakeWorkload(KeySet set, size_t size) {
  Workload work;
  work.keys = index::MakeKeys(set, size, kSeed);
  work.shuffled = work.keys;
  std::mt19937_64 random(kSeed);
  std::shuffle(work.shuffled.begin(), work.shuffled.end(), random);
  for (const uint64_t key : work.keys) {
    work.sorted.push_back({key, PayloadOf(key)});
  }
  std::sort(work.sorted.begin(), work.sorted.end(),
            [](const Pair& a, const Pair& b) { return a.key < b.key; });
  // More than a few million teach nothing new.
  const size_t query_count = std::min<size_t>(size, 2'000'000);
  for (size_t i = 0; i < query_count; ++i) {
    work.queries.push_back(work.keys[random() % size]);
  }
  for (size_t i = 0; i < std::min<size_t>(size, 100'000); ++i) {
    const size_t at = random() % size;
    work.scan_starts.push_back(work.sorted[at].key);
    for (size_t k = at; k < std::min(at + kScanLength, size); ++k) {
      work.scan_sum += work.sorted[k].payload;
    }
  }
  return work;
}

int64_t ThreadNanos() {
  timespec time{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return int64_t{time.tv_sec} * 1'000'000'000 + time.tv_nsec;
}

template <typename Action>
double NanosPer(size_t count, Action action) {
  const int64_t begin = ThreadNanos();
  action();
  return static_cast<double>(ThreadNanos() - begin) / static_cast<double>(count);
}

class Least {
 public:
  explicit Least(double* figure) : figure_(figure) {}
  void Add(double value) const { *figure_ = std::min(*figure_, value); }

 private:
  double* const figure_;
};

// A wrong answer of ours ends the program; one of another map costs it the figure.
template <typename Adapter>
double Checked(double nanos, uint64_t wrong, std::string_view what) {
  if (wrong == 0) {
    return nanos;
  }
  Require(!std::is_same_v<Adapter, OursAdapter>, what);
  fmt::print("{}: {} wrong answers to {}\n", Adapter::kName, wrong, what);
  return kUnknown;
}

template <typename Adapter>
double MeasureFind(const Workload& work, Adapter* map, bool is_dependent) {
  volatile uint64_t no_bits = 0;
  uint64_t wrong = 0;
  const double nanos = NanosPer(work.queries.size(), [&] {
    wrong = CountWrongFinds(map, work.queries, no_bits, is_dependent);
  });
  return Checked<Adapter>(nanos, wrong, "find");
}

double MeasureFindMany(const Workload& work, const Map& map) {
  std::vector<uint64_t> payloads(work.queries.size());
  const auto found = std::make_unique<bool[]>(work.queries.size());
  constexpr size_t kBatch = 128;
  const double nanos = NanosPer(work.queries.size(), [&] {
    for (size_t i = 0; i < work.queries.size(); i += kBatch) {
      const size_t count = std::min(kBatch, work.queries.size() - i);
      map.FindMany({&work.queries[i], count}, {&payloads[i], count}, {&found[i], count});
    }
  });
  for (size_t i = 0; i < work.queries.size(); ++i) {
    Require(found[i] && payloads[i] == PayloadOf(work.queries[i]), "batched find");
  }
  return nanos;
}

template <typename Adapter>
double MeasureScan(const Workload& work, Adapter* map) {
  uint64_t sum = 0;
  const double nanos =
      NanosPer(work.scan_starts.size(), [&] { sum = SumOfScans(map, work.scan_starts); });
  return Checked<Adapter>(nanos, sum != work.scan_sum, "scan");
}

// Each insert timed by itself; `least` has the least time of each in all runs, as they do the same
// in each, and what else the machine did at the time does not count.
template <typename Adapter>
void MeasureSingleInserts(const Workload& work, std::vector<uint32_t>* least, Figures* figures) {
  auto map = std::make_unique<Adapter>();
  std::vector<uint32_t> nanos;
  nanos.reserve(work.shuffled.size());
  int64_t last = MonotonicNanos();
  for (const uint64_t key : work.shuffled) {
    map->Insert(key, PayloadOf(key));
    const int64_t now = MonotonicNanos();
    nanos.push_back(static_cast<uint32_t>(now - last));
    last = now;
  }
  for (size_t i = 0; i < least->size(); ++i) {
    nanos[i] = std::min(nanos[i], (*least)[i]);
  }
  *least = nanos;
  std::sort(nanos.begin(), nanos.end());
  Least(&(*figures)[kInsert9999]).Add(nanos[nanos.size() - 1 - nanos.size() / 10'000]);
  Least(&(*figures)[kInsertLongest]).Add(nanos.back());
}

template <typename Adapter>
double MeasureInsert(const std::vector<uint64_t>& keys, Adapter* map) {
  return NanosPer(keys.size(), [&] { InsertAll(map, keys); });
}

template <typename Adapter>
void MeasureOnce(const Workload& work, std::vector<uint32_t>* least_inserts, Figures* figures) {
  const auto add = [&](Figure figure, double value) { Least(&(*figures)[figure]).Add(value); };
  {
    auto map = std::make_unique<Adapter>();
    add(kLoad, NanosPer(work.keys.size(), [&] { map->Load(work.sorted); }));
    add(kFind, MeasureFind(work, map.get(), false));
    add(kFindDependent, MeasureFind(work, map.get(), true));
    add(kScan, MeasureScan(work, map.get()));
    if constexpr (std::is_same_v<Adapter, OursAdapter>) {
      add(kFindMany, MeasureFindMany(work, map->map()));
    }
  }
  if constexpr (Adapter::kInserts) {
    {
      auto map = std::make_unique<Adapter>();
      add(kInsert, MeasureInsert(work.shuffled, map.get()));
      add(kBytes, static_cast<double>(map->bytes()) / static_cast<double>(work.keys.size()));
      add(kFindAfterInserts, MeasureFind(work, map.get(), false));
      MeasureScan(work, map.get());
      if constexpr (std::is_same_v<Adapter, OursAdapter>) {
        add(kFindManyAfterInserts, MeasureFindMany(work, map->map()));
      }
    }
    {
      auto map = std::make_unique<Adapter>();
      add(kAppend, MeasureInsert(work.keys, map.get()));
      MeasureFind(work, map.get(), false);
    }
    MeasureSingleInserts<Adapter>(work, least_inserts, figures);
  }
}

bool IsChosen(const std::string& list, std::string_view name) {
  return list.empty() || ("," + list + ",").find(fmt::format(",{},", name)) != std::string::npos;
}

template <typename Format>
void PrintRow(std::string_view title, const Figures& figures, const Format& format) {
  fmt::print("{:>16}", title);
  for (const double figure : figures) {
    fmt::print(" {:>15}", figure == kUnknown ? "" : format(figure));
  }
  fmt::print("\n");
}

template <typename Adapter>
void Print(const Figures& figures, const Figures& ours) {
  PrintRow(Adapter::kName, figures, [](double value) { return fmt::format("{:.1f}", value); });
  if constexpr (!std::is_same_v<Adapter, OursAdapter>) {
    Figures ratios;
    for (size_t i = 0; i < kFigureCount; ++i) {
      ratios[i] = figures[i] == kUnknown ? kUnknown : ours[i] / figures[i];
    }
    PrintRow("AlexMap :", ratios, [](double value) { return fmt::format("x{:.2f}", value); });
  }
  std::fflush(stdout);
}

template <typename Adapter>
void MeasureAndPrint(const Settings& settings, const Workload& work, std::string_view name,
                     Figures* ours) {
  if (!std::is_same_v<Adapter, OursAdapter> && !IsChosen(settings.peers, name)) {
    return;
  }
  Figures figures;
  figures.fill(kUnknown);
  std::vector<uint32_t> least_inserts;
  for (int i = 0; i < settings.repeats; ++i) {
    MeasureOnce<Adapter>(work, &least_inserts, &figures);
  }
  Print<Adapter>(figures, *ours);
  if constexpr (std::is_same_v<Adapter, OursAdapter>) {
    *ours = figures;
  }
}

#ifdef TSDBD_HAS_REFERENCE_ALEX
// In a process of its own: with some keys no memory is enough for its inserts. Then it prints what
// it has so far.
void MeasureAndPrintReference(const Settings& settings, const Workload& work, const Figures& ours) {
  if (!IsChosen(settings.peers, "alex")) {
    return;
  }
  std::fflush(stdout);
  const pid_t child = fork();
  Require(child >= 0, "fork");
  if (child > 0) {
    Require(waitpid(child, nullptr, 0) == child, "waitpid");
    return;
  }
  const rlim_t limit = (rlim_t{4} << 30) + settings.size * 1000;
  const rlimit address_space{limit, limit};
  setrlimit(RLIMIT_AS, &address_space);
  static Figures figures;
  static Figures compared;
  figures.fill(kUnknown);
  std::vector<uint32_t> least_inserts;
  compared = ours;
  std::set_terminate([] {
    fmt::print("{}: out of memory\n", ReferenceAdapter::kName);
    Print<ReferenceAdapter>(figures, compared);
    _exit(0);
  });
  [&]() noexcept {
    for (int i = 0; i < settings.repeats; ++i) {
      MeasureOnce<ReferenceAdapter>(work, &least_inserts, &figures);
    }
  }();
  Print<ReferenceAdapter>(figures, compared);
  _exit(0);
}
#endif

void PrintShape(const Workload& work) {
  OursAdapter map;
  map.Load(work.sorted);
  const Map::Stats stats = map.map().stats();
  fmt::print(
      "loaded: depth {}, {} inner nodes, {} leaves on a line, {} with fences, {:.1f} bytes/key\n",
      stats.depth, stats.inner_nodes, stats.model_leaves, stats.fenced_leaves,
      static_cast<double>(map.bytes()) / static_cast<double>(work.keys.size()));
}

void Run(const Settings& settings, KeySet set) {
  const Workload work = MakeWorkload(set, settings.size);
  fmt::print("\n{}, {} keys, ns; ratios: AlexMap to the row above\n", NameOf(set), settings.size);
  PrintShape(work);
  fmt::print("{:>16}", "");
  for (const std::string_view name : kFigureNames) {
    fmt::print(" {:>15}", name);
  }
  fmt::print("\n");
  Figures ours;
  MeasureAndPrint<OursAdapter>(settings, work, "ours", &ours);
#ifdef TSDBD_HAS_REFERENCE_ALEX
  MeasureAndPrintReference(settings, work, ours);
#endif
  MeasureAndPrint<BtreeAdapter>(settings, work, "btree", &ours);
  MeasureAndPrint<StdMapAdapter>(settings, work, "map", &ours);
  MeasureAndPrint<ArrayAdapter>(settings, work, "array", &ours);
  std::fflush(stdout);
}

int Main(int argc, char** argv) {
  Settings settings;
  for (int i = 1; i < argc; ++i) {
    const std::string_view argument = argv[i];
    const auto value =
        std::string(argument.substr(std::min(argument.find('=') + 1, argument.size())));
    if (argument == "--smoke") {
      settings.size = 20'000;
      settings.repeats = 1;
    } else if (argument.starts_with("--size=")) {
      settings.size = std::stoull(value);
    } else if (argument.starts_with("--repeats=")) {
      settings.repeats = std::stoi(value);
    } else if (argument.starts_with("--sets=")) {
      settings.sets = value;
    } else if (argument.starts_with("--peers=")) {
      settings.peers = value;
    } else {
      fmt::print(stderr, "unknown argument {}\n", argument);
      return 1;
    }
  }
  for (const KeySet set : index::kKeySets) {
    if (IsChosen(settings.sets, NameOf(set))) {
      Run(settings, set);
    }
  }
  return 0;
}

}  // namespace
}  // namespace tsdbd::benchmark

int main(int argc, char** argv) {
  return tsdbd::benchmark::Main(argc, argv);
}
