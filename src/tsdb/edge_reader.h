#pragma once
// EdgeReader: the samples that functions need which look at the ends of windows and at the places
// where values fall (model::SeriesSet::ReadEdges), out of the parts of a series. In chunks with
// zone statistics it decodes only the zones whose statistics say that it must. One thread at a
// time.

#include <cstdint>
#include <vector>

#include "model/series_source.h"
#include "tsdb/rows.h"

namespace tsdbd::tsdb {

class EdgeReader {
 public:
  explicit EdgeReader(const model::EdgeRequest& request);

  // What the windows cover; min > max if no sample can lie there.
  const model::TimeRange& range() const { return range_; }
  // Replaces *samples, from any parts that overlap range(). Sorts *parts.
  void Read(std::vector<RowPart>* parts, model::EdgeSamples* samples);

 private:
  void AddAll(std::span<const RowPart> cluster, model::EdgeSamples* samples);
  void AddChunk(const RowPart& part, model::EdgeSamples* samples);
  // Marks in wanted_ what is wanted of rows first .. end - 1; false if that is most of them.
  bool MarkRows(const RowPart& part, size_t first, size_t end);
  void AddMarked(const RowPart& part, size_t zone, size_t first, model::EdgeSamples* samples);

  void Mark(size_t row) { wanted_[row / 64] |= uint64_t{1} << (row % 64); }

  model::TimeRange range_;
  bool with_falls_;
  // The first and the last timestamps of the windows; both rise, not strictly.
  std::vector<model::Timestamp> begins_;
  std::vector<model::Timestamp> ends_;

  uint32_t next_ordinal_ = 0;
  uint64_t wanted_[storage::kMaxChunkRows / 64] = {};  // a bit per row
};

}  // namespace tsdbd::tsdb
