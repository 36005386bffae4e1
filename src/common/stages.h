#pragma once
// Stage timers: how long each named step of a write, a query or the background work takes. Always
// on. What they have counted is read by /metrics, /debug/stages and every benchmark.
//
// Threads: everything may be called from any thread, except from the destructors of thread-local
// objects. A thread counts into histograms of its own, so recording takes no lock and shares no
// cache line; it costs a few ns besides reading the clock. A thread that ends leaves its counts.
//
// Accuracy: counts, totals and maxima are exact. A quantile is the middle of a bucket that is at
// most 1/16 of its lower edge wide: off by at most 3.2 %, and never above the maximum.

#include <algorithm>
#include <array>
#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "common/clock.h"

namespace tsdbd {

enum class Stage : uint8_t {
  // A write. One record is one request, except where noted; items are lines, except where noted.
  kRead,        // first byte of the request to its last; items are body bytes
  kParse,       // bytes to rows
  kResolveHit,  // rows of known groups to their groups
  kResolveNew,  // making new groups; items are groups
  kWalAppend,   // encoding the record and handing it to the log
  kWalSync,     // write and fsync of one group commit; items are records
  kHeadAppend,  // rows to the buffers of their groups
  kRespond,     // durable to the answer being handed to the socket
  // A query.
  kQueryParse,
  kQueryPlan,
  kQuerySelect,    // matchers to series; items are series
  kQueryDecode,    // chunks to samples; items are samples
  kQueryEvaluate,  // items are samples
  kQueryEncode,    // with the wait for a client that reads slowly; items are bytes
  // The background.
  kFlush,    // one generation to blocks; items are samples
  kCompact,  // items are samples
  kRetain,   // items are files dropped
  kRecover,  // items are samples
  // The key-value engine. Items are operations, except where noted.
  kKvParse,      // one RESP command, or one HTTP body
  kKvIndex,      // one write's changes of the index
  kKvLogAppend,  // one write's records to the log
  kKvLogSync,    // one group commit; items are writes
  kKvRead,       // one read: index and records
  kKvCompact,    // one segment; items are bytes
};
inline constexpr size_t kStageCount = static_cast<size_t>(Stage::kKvCompact) + 1;

// "wal_sync", "query_parse": the name in metrics and reports.
std::string_view StageName(Stage stage);

// Log-linear buckets of durations in ns: below 16 ns one bucket per ns, above sixteen equal ones
// per power of two. Powers of two are edges, so coarser histograms are exact sums of these.
namespace stage_buckets {

inline constexpr int kSubBucketBits = 4;
// Longer durations (18 minutes) count in the last bucket; their total and maximum stay exact.
inline constexpr int kMaxDurationBits = 40;
inline constexpr size_t kCount = size_t{kMaxDurationBits - kSubBucketBits + 1} << kSubBucketBits;

constexpr size_t IndexOf(uint64_t nanos) {
  const uint64_t clamped = std::min(nanos, (uint64_t{1} << kMaxDurationBits) - 1);
  if (clamped < (1U << kSubBucketBits)) {
    return clamped;
  }
  const int shift = static_cast<int>(std::bit_width(clamped)) - 1 - kSubBucketBits;
  return (static_cast<size_t>(shift) << kSubBucketBits) + (clamped >> shift);
}

// The smallest duration that counts in bucket `index`; for kCount, the end of the last one.
constexpr uint64_t LowerEdge(size_t index) {
  if (index < (2U << kSubBucketBits)) {
    return index;
  }
  const size_t shift = (index >> kSubBucketBits) - 1;
  return (index - (shift << kSubBucketBits)) << shift;
}

}  // namespace stage_buckets

// What one stage has counted.
struct StageSummary {
  uint64_t count = 0;
  uint64_t items = 0;
  uint64_t total_ns = 0;
  uint64_t max_ns = 0;
  std::array<uint64_t, stage_buckets::kCount> buckets{};

  // The duration that `quantile` (0 to 1) of the records do not exceed; 0 if there are none.
  uint64_t QuantileNanos(double quantile) const;
  // How many records were shorter than 2^exponent ns: exact.
  uint64_t CountBelowPowerOfTwo(int exponent) const;
};

// All stages at one moment. Records that are being made meanwhile may be in it or not.
class StageReport {
 public:
  const StageSummary& of(Stage stage) const { return summaries_[static_cast<size_t>(stage)]; }

  // What was counted after `earlier` was taken. A maximum that is older than `earlier` is replaced
  // by the upper edge of the highest bucket that grew since.
  StageReport Since(const StageReport& earlier) const;

  // {"stages":[{"stage":"read","count":1,"items":1,"total_ns":9,"p50_ns":9,…,"max_ns":9},…]}
  std::string ToJson() const;
  // A table for people: one row per stage that has records.
  std::string ToText() const;

 private:
  friend StageReport TakeStageReport();
  std::array<StageSummary, kStageCount> summaries_;
};

// About 90 KB and as many loads per thread: for reports, not for hot paths.
StageReport TakeStageReport();

namespace internal {

// A counter with one writer: a plain load and store where many writers would need a locked add.
class OwnedCounter {
 public:
  void Add(uint64_t n) { value_.store(Get() + n, std::memory_order_relaxed); }
  void RaiseTo(uint64_t n) {
    if (n > Get()) {
      value_.store(n, std::memory_order_relaxed);
    }
  }
  uint64_t Get() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<uint64_t> value_ = 0;
};

struct StageHistogram {
  OwnedCounter items;
  OwnedCounter total_ns;
  OwnedCounter max_ns;
  std::array<OwnedCounter, stage_buckets::kCount> buckets;
};

// One thread's histograms, made when the thread first records the stage: most threads see few.
class StageRecorder {
 public:
  void Record(Stage stage, uint64_t nanos, uint64_t items) {
    const auto index = static_cast<size_t>(stage);
    StageHistogram* histogram = histograms_[index].load(std::memory_order_relaxed);
    if (histogram == nullptr) [[unlikely]] {
      histogram = Add(index);
    }
    histogram->items.Add(items);
    histogram->total_ns.Add(nanos);
    histogram->max_ns.RaiseTo(nanos);
    histogram->buckets[stage_buckets::IndexOf(nanos)].Add(1);
  }
  void AddTo(std::array<StageSummary, kStageCount>* summaries) const;

 private:
  StageHistogram* Add(size_t index);

  // Written by the owning thread, never changed back to null.
  std::array<std::atomic<StageHistogram*>, kStageCount> histograms_{};
};

inline thread_local constinit StageRecorder* stage_recorder = nullptr;
// Gives the calling thread its recorder.
StageRecorder* RegisterStageRecorder();

}  // namespace internal

inline void RecordStage(Stage stage, int64_t nanos, uint64_t items = 1) {
  internal::StageRecorder* recorder = internal::stage_recorder;
  if (recorder == nullptr) [[unlikely]] {
    recorder = internal::RegisterStageRecorder();
  }
  recorder->Record(stage, static_cast<uint64_t>(std::max<int64_t>(nanos, 0)), items);
}

// Times a scope, or several stages that follow each other with one clock reading between them:
//   StageTimer timer(Stage::kParse);
//   …                                          // parse
//   timer.Next(Stage::kResolveHit, lines);     // records kParse with `lines` items
//   …                                          // resolve
//   timer.set_items(rows);                     // for the stage that the end of the scope records
// One thread at a time.
class StageTimer {
 public:
  explicit StageTimer(Stage stage) : stage_(stage), start_ns_(MonotonicNanos()) {}
  ~StageTimer() {
    if (running_) {
      RecordStage(stage_, MonotonicNanos() - start_ns_, items_);
    }
  }
  StageTimer(const StageTimer&) = delete;
  StageTimer& operator=(const StageTimer&) = delete;

  void set_items(uint64_t items) { items_ = items; }

  // Ends the stage and starts `next`.
  void Next(Stage next, uint64_t items = 1) {
    const int64_t now_ns = MonotonicNanos();
    RecordStage(stage_, now_ns - start_ns_, items);
    stage_ = next;
    start_ns_ = now_ns;
    items_ = 1;
  }

  // Ends the stage; the end of the scope then records nothing.
  void Stop(uint64_t items = 1) {
    RecordStage(stage_, MonotonicNanos() - start_ns_, items);
    running_ = false;
  }

  // For work that was not done after all: the end of the scope records nothing.
  void Cancel() { running_ = false; }

 private:
  Stage stage_;
  bool running_ = true;
  uint64_t items_ = 1;
  int64_t start_ns_;
};

}  // namespace tsdbd
