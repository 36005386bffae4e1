#pragma once
// Execution: what all operators of one running query share: its source, limits, annotations, and
// the threads that help it. Thread-safe.

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <string_view>

#include "common/status.h"
#include "common/thread_pool.h"
#include "model/series_source.h"
#include "query/annotations.h"
#include "query/engine.h"
#include "query/interrupt.h"

namespace tsdbd::query {

class Execution {
 public:
  // All that it is given must outlive it.
  Execution(const model::SeriesSource* source, const QueryOptions* options, std::string_view query)
      : source_(source),
        options_(options),
        annotations_(query),
        interrupt_(options->timeout_ns, options->cancel) {}

  const model::SeriesSource& source() const { return *source_; }
  const QueryOptions& options() const { return *options_; }
  Annotations& annotations() { return annotations_; }

  // Not OK once the query has to stop. Called once for each batch of work: at least every few ms.
  Status CheckAlive() const { return interrupt_.Check(); }
  Status InterruptReason() const { return interrupt_.Reason(); }

  // Accounts for memory that the query holds until its end or until Release.
  Status Reserve(uint64_t bytes);
  void Release(uint64_t bytes) { memory_bytes_.fetch_sub(bytes, std::memory_order_relaxed); }
  // For `rows` rows of `steps` doubles.
  Status ReserveRows(uint64_t rows, uint64_t steps) {
    return Reserve(rows * steps * sizeof(double));
  }
  uint64_t peak_memory_bytes() const { return peak_memory_bytes_.load(); }

  // Accounts for samples that were read from the source. Whoever reads more than the limit at once
  // asks CheckSampleCount.
  void CountSamples(uint64_t samples) {
    samples_read_.fetch_add(samples, std::memory_order_relaxed);
  }
  uint64_t samples_read() const { return samples_read_.load(); }
  Status CheckSampleCount(uint64_t samples) const;

  // Calls body(part) for each part of 0 .. parts - 1, on this thread and on idle ones of the pool.
  // Gives the first error; parts that have not begun by then are left out.
  Status ForEachPart(size_t parts, const std::function<Status(size_t part)>& body);
  // How many parts keep all threads busy.
  size_t thread_count() const;

 private:
  Status MemoryError() const;

  const model::SeriesSource* const source_;
  const QueryOptions* const options_;
  Annotations annotations_;
  const Interrupt interrupt_;
  std::atomic<uint64_t> memory_bytes_ = 0;
  std::atomic<uint64_t> peak_memory_bytes_ = 0;
  std::atomic<uint64_t> samples_read_ = 0;
};

}  // namespace tsdbd::query
