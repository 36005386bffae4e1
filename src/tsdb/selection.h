#pragma once
// Selection: the series that matched a query, over head and blocks, as they were at one moment.
// Implements model::SeriesSet for the database. Keeps a pin of the head and a snapshot of the
// blocks, so nothing that it points to goes away.

#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include <absl/container/flat_hash_map.h>

#include "common/epoch.h"
#include "common/status.h"
#include "model/series_source.h"
#include "storage/block_manager.h"
#include "tsdb/head.h"

namespace tsdbd::tsdb {

class Selection : public model::SeriesSet {
 public:
  // First the head, then the blocks: rows that are being flushed meanwhile are seen in at least
  // one of them (and served once if in both).
  explicit Selection(const Head& head) : pin_(head.gate()) {}

  Status AddHead(const Head& head, const model::SelectRequest& request);
  // A block whose index is damaged goes to quarantine, and the others are served.
  Status AddBlocks(storage::BlockManager* blocks, const model::SelectRequest& request);

  size_t size() const override { return series_.size(); }
  void GetLabels(size_t series, model::LabelViews* labels) const override;
  Status Read(size_t series, const model::TimeRange& range,
              model::SampleColumns* samples) const override;

 private:
  static constexpr uint32_t kNone = ~uint32_t{0};

  // A group at one place that has matching series.
  struct Source {
    const Group* group = nullptr;  // of the head, with its rows; or
    GroupSnapshot rows;
    const storage::Block* block = nullptr;  // a group of a block
    uint32_t block_group = 0;
  };
  // A series' column in one source; `next` is the index of the same series' next one, in the order
  // of precedence.
  struct Column {
    uint32_t source = 0;
    uint32_t column = 0;
    uint32_t next = kNone;
  };
  struct Series {
    uint64_t hash = 0;              // of all its labels
    uint32_t first_column = kNone;  // index into columns_
    uint32_t last_column = kNone;
  };
  struct Prehashed {
    size_t operator()(uint64_t hash) const { return hash; }
  };

  Status AddBlock(const storage::Block& block, const model::SelectRequest& request);
  // Adds a column of the newest source to the series with its labels.
  void AddColumn(uint32_t column, uint64_t series_hash);
  Status CheckLimits(const model::SelectRequest& request) const;
  uint64_t LabelsHash(const Source& source) const;
  void GetLabelsOf(const Column& column, model::LabelViews* labels) const;
  // Fills series_of_hash_ for the series that are there, when the first source comes that may
  // have some of them again.
  void IndexSeries();
  void AddPartsOf(const Column& column, const model::TimeRange& range,
                  std::vector<struct RowPart>* parts) const;

  EpochGate::Pin pin_;
  storage::BlockSnapshot blocks_;
  std::vector<Source> sources_;
  std::vector<Column> columns_;
  std::vector<Series> series_;
  // Series by the hash of their labels, and those that share a hash by accident behind each other.
  // Left empty while no series can occur twice.
  bool is_indexed_ = false;
  absl::flat_hash_map<uint64_t, std::vector<uint32_t>, Prehashed> series_of_hash_;
};

}  // namespace tsdbd::tsdb
