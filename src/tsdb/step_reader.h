#pragma once
// StepReader: the latest sample at each of many moments (model::StepTimes), out of the parts of a
// series. Decodes what the moments need: single values where they lie far apart, runs of rows where
// they lie close. One thread at a time.

#include <cstdint>
#include <span>
#include <vector>

#include "model/series_source.h"
#include "tsdb/rows.h"

namespace tsdbd::tsdb {

class StepReader {
 public:
  explicit StepReader(const model::StepTimes& times);

  size_t count() const { return moments_.size(); }
  // Rising, not strictly.
  std::span<const model::Timestamp> moments() const { return moments_; }
  // What the windows cover; min > max if no sample can lie there.
  const model::TimeRange& range() const { return range_; }

  // values[0 .. count() - 1] from a series that has these rows only: column `column` of `rows`.
  // False, and nothing done, if it takes more than looking at the open buffer.
  bool ReadFromBuffer(const RowsSnapshot& rows, uint32_t column, double* values) const;
  // The same from any parts that overlap range(); of each source at least those that have the
  // latest row at any of the moments. Sorts *parts.
  void Read(std::vector<RowPart>* parts, double* values);

 private:
  // Steps first .. end - 1.
  struct Steps {
    size_t first = 0;
    size_t end = 0;
    size_t count() const { return end - first; }
  };

  // How many moments lie before `time`; `known` of them do.
  size_t StepsBefore(model::Timestamp time, size_t known) const;
  // Each of these fills values[] for `steps`, whose moments lie at or behind the first row.
  void ReadCluster(std::span<const RowPart> cluster, Steps steps, double* values);
  void ReadBuffer(const RowsSnapshot& rows, uint32_t column, Steps steps, double* values) const;
  void ReadChunk(const RowPart& part, Steps steps, double* values);
  void ReadMerged(std::span<const RowPart> cluster, Steps steps, double* values);

  // The first steps.count() of rows_.
  std::span<uint16_t> Rows(Steps steps) { return {rows_.data(), steps.count()}; }
  // rows_[i] = the latest row at the moment of step steps.first + i, or kNoRow if it lies before
  // the window.
  void FindRows(const RowPart& part, Steps steps);
  void FindRegularRows(const RowPart& part, int64_t interval_ns, Steps steps);
  void FindEvenRows(const RowPart& part, int64_t interval_ns, Steps steps);
  void FindDecodedRows(const RowPart& part, Steps steps);
  void FindSparseRows(const RowPart& part, Steps steps);

  bool IsInWindow(size_t step, model::Timestamp timestamp) const {
    return timestamp >= window_begins_[step];
  }

  static constexpr uint16_t kNoRow = UINT16_MAX;

  model::TimeRange range_;
  int64_t step_ns_;
  std::vector<model::Timestamp> moments_;        // rising, not strictly
  std::vector<model::Timestamp> window_begins_;  // the first timestamp in each step's window

  // Of the chunk before, since its neighbours mostly have the same: the distance of its rows (0 if
  // it is not regular), and how many of them a step passes if that is a whole number, or 0.
  int64_t interval_ns_ = 0;
  int64_t rows_per_step_ = 0;

  // Scratch: of a chunk, with room for all steps or all rows once it is used; of a cluster.
  std::vector<uint16_t> rows_;
  std::vector<model::Timestamp> timestamps_;
  std::vector<double> decoded_;
  std::vector<model::Timestamp> merged_timestamps_;
  std::vector<double> merged_values_;
};

}  // namespace tsdbd::tsdb
