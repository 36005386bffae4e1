#include "common/stages.h"

#include <cmath>
#include <vector>

#include <fmt/format.h>

#include "common/mutex.h"

namespace tsdbd {
namespace {

constexpr std::array<std::string_view, kStageCount> kStageNames = {
    "read",          "parse",        "resolve_hit",    "resolve_new",  "wal_append",
    "wal_sync",      "head_append",  "respond",        "query_parse",  "query_plan",
    "query_select",  "query_decode", "query_evaluate", "query_encode", "flush",
    "compact",       "retain",       "recover",        "kv_parse",     "kv_index",
    "kv_log_append", "kv_log_sync",  "kv_read",        "kv_compact"};
static_assert(!kStageNames.back().empty(), "every stage has a name");

// All recorders there ever were. A thread that ends hands its recorder, counts and all, to the
// next thread that starts: nothing is lost, and there are only as many as threads at one time.
class RecorderPool {
 public:
  internal::StageRecorder* Take() EXCLUDES(mutex_) {
    MutexLock lock(&mutex_);
    if (idle_.empty()) {
      all_.push_back(std::make_unique<internal::StageRecorder>());
      return all_.back().get();
    }
    internal::StageRecorder* recorder = idle_.back();
    idle_.pop_back();
    return recorder;
  }

  void GiveBack(internal::StageRecorder* recorder) EXCLUDES(mutex_) {
    MutexLock lock(&mutex_);
    idle_.push_back(recorder);
  }

  void AddTo(std::array<StageSummary, kStageCount>* summaries) EXCLUDES(mutex_) {
    MutexLock lock(&mutex_);
    for (const auto& recorder : all_) {
      recorder->AddTo(summaries);
    }
  }

 private:
  Mutex mutex_;
  std::vector<std::unique_ptr<internal::StageRecorder>> all_ GUARDED_BY(mutex_);
  std::vector<internal::StageRecorder*> idle_ GUARDED_BY(mutex_);
};

// Never destroyed: threads may still record while the process ends.
RecorderPool& Pool() {
  static auto* const pool = new RecorderPool;
  return *pool;
}

// Lives as long as its thread.
struct RecorderLease {
  RecorderLease() { internal::stage_recorder = Pool().Take(); }
  ~RecorderLease() {
    Pool().GiveBack(internal::stage_recorder);
    internal::stage_recorder = nullptr;
  }
};

// "950ns", "12.3us", "4.56s": three digits and a unit.
std::string FormatDuration(double nanos) {
  constexpr std::array<const char*, 4> kUnits = {"ns", "us", "ms", "s"};
  size_t unit = 0;
  // 999.5 would print as 1000.
  while (nanos >= 999.5 && unit + 1 < kUnits.size()) {
    nanos /= 1000;
    ++unit;
  }
  const int decimals = unit == 0 || nanos >= 99.95 ? 0 : (nanos >= 9.995 ? 1 : 2);
  return fmt::format("{:.{}f}{}", nanos, decimals, kUnits[unit]);
}

}  // namespace

std::string_view StageName(Stage stage) {
  return kStageNames[static_cast<size_t>(stage)];
}

uint64_t StageSummary::QuantileNanos(double quantile) const {
  if (count == 0) {
    return 0;
  }
  const auto rank = std::max<uint64_t>(
      1, static_cast<uint64_t>(std::ceil(quantile * static_cast<double>(count))));
  uint64_t seen = 0;
  for (size_t i = 0; i < buckets.size(); ++i) {
    seen += buckets[i];
    if (seen >= rank) {
      const uint64_t width = stage_buckets::LowerEdge(i + 1) - stage_buckets::LowerEdge(i);
      return std::min(stage_buckets::LowerEdge(i) + width / 2, max_ns);
    }
  }
  return max_ns;
}

uint64_t StageSummary::CountBelowPowerOfTwo(int exponent) const {
  const size_t end = exponent >= stage_buckets::kMaxDurationBits
                         ? buckets.size()
                         : stage_buckets::IndexOf(uint64_t{1} << exponent);
  uint64_t below = 0;
  for (size_t i = 0; i < end; ++i) {
    below += buckets[i];
  }
  return below;
}

StageReport StageReport::Since(const StageReport& earlier) const {
  StageReport difference = *this;
  for (size_t stage = 0; stage < kStageCount; ++stage) {
    StageSummary& now = difference.summaries_[stage];
    const StageSummary& then = earlier.summaries_[stage];
    now.count -= then.count;
    now.items -= then.items;
    now.total_ns -= then.total_ns;
    size_t end = 0;
    for (size_t i = 0; i < now.buckets.size(); ++i) {
      now.buckets[i] -= then.buckets[i];
      end = now.buckets[i] > 0 ? i + 1 : end;
    }
    if (now.max_ns == then.max_ns) {
      now.max_ns = std::min(now.max_ns, stage_buckets::LowerEdge(end));
    }
  }
  return difference;
}

std::string StageReport::ToJson() const {
  std::string json = R"({"stages":[)";
  for (size_t i = 0; i < kStageCount; ++i) {
    const StageSummary& stage = summaries_[i];
    fmt::format_to(
        std::back_inserter(json),
        R"({}{{"stage":"{}","count":{},"items":{},"total_ns":{},"p50_ns":{},"p90_ns":{},"p99_ns":{},"p999_ns":{},"max_ns":{}}})",
        i == 0 ? "" : ",", kStageNames[i], stage.count, stage.items, stage.total_ns,
        stage.QuantileNanos(0.5), stage.QuantileNanos(0.9), stage.QuantileNanos(0.99),
        stage.QuantileNanos(0.999), stage.max_ns);
  }
  json += "]}";
  return json;
}

std::string StageReport::ToText() const {
  constexpr std::string_view kRow = "{:<15}{:>12}{:>14}{:>9}{:>9}{:>9}{:>9}{:>9}{:>9}{:>9}\n";
  std::string text = fmt::format(fmt::runtime(kRow), "stage", "count", "items", "total", "per item",
                                 "p50", "p90", "p99", "p99.9", "max");
  for (size_t i = 0; i < kStageCount; ++i) {
    const StageSummary& stage = summaries_[i];
    if (stage.count == 0) {
      continue;
    }
    const auto total_ns = static_cast<double>(stage.total_ns);
    const auto quantile = [&](double q) {
      return FormatDuration(static_cast<double>(stage.QuantileNanos(q)));
    };
    const std::string per_item =
        stage.items == 0 ? "-" : FormatDuration(total_ns / static_cast<double>(stage.items));
    fmt::format_to(std::back_inserter(text), fmt::runtime(kRow), kStageNames[i], stage.count,
                   stage.items, FormatDuration(total_ns), per_item, quantile(0.5), quantile(0.9),
                   quantile(0.99), quantile(0.999),
                   FormatDuration(static_cast<double>(stage.max_ns)));
  }
  return text;
}

StageReport TakeStageReport() {
  StageReport report;
  Pool().AddTo(&report.summaries_);
  return report;
}

namespace internal {

StageHistogram* StageRecorder::Add(size_t index) {
  auto* histogram = new StageHistogram;
  // Release: whoever sees the pointer sees zeroed counters.
  histograms_[index].store(histogram, std::memory_order_release);
  return histogram;
}

void StageRecorder::AddTo(std::array<StageSummary, kStageCount>* summaries) const {
  for (size_t i = 0; i < kStageCount; ++i) {
    const StageHistogram* histogram = histograms_[i].load(std::memory_order_acquire);
    if (histogram == nullptr) {
      continue;
    }
    StageSummary& summary = (*summaries)[i];
    summary.items += histogram->items.Get();
    summary.total_ns += histogram->total_ns.Get();
    summary.max_ns = std::max(summary.max_ns, histogram->max_ns.Get());
    // The count is the sum of the buckets, so that quantiles never disagree with it.
    for (size_t bucket = 0; bucket < stage_buckets::kCount; ++bucket) {
      const uint64_t records = histogram->buckets[bucket].Get();
      summary.buckets[bucket] += records;
      summary.count += records;
    }
  }
}

StageRecorder* RegisterStageRecorder() {
  static thread_local RecorderLease lease;
  return stage_recorder;
}

}  // namespace internal
}  // namespace tsdbd
