#pragma once
// Selection: the series that matched a query, over head and blocks, as they were at one moment.
// Implements model::SeriesSet for the database. Keeps a pin of the head and a snapshot of the
// blocks, so nothing that it points to goes away.

#include <algorithm>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include <absl/container/flat_hash_map.h>

#include "common/epoch.h"
#include "common/status.h"
#include "model/series_source.h"
#include "storage/block_deletions.h"
#include "storage/block_manager.h"
#include "tsdb/deletions.h"
#include "tsdb/head.h"
#include "tsdb/rows.h"

namespace tsdbd::tsdb {

class Selection : public model::SeriesSet {
 public:
  // First the head, then the blocks: rows that are being flushed meanwhile are seen in at least
  // one of them (and served once if in both).
  // What `deletions` says is left out. `now`: for its retention rules.
  Selection(const Head& head, const Deletions& deletions, model::Timestamp now)
      : pin_(head.gate()), deletions_(deletions), now_(now) {
    for (const RetentionRule& rule : deletions.rules()) {
      rules_reach_to_ = std::max(rules_reach_to_, now - rule.age_ns - 1);
    }
  }

  Status AddHead(const Head& head, const model::SelectRequest& request);
  // A block whose index is damaged goes to quarantine, and the others are served.
  Status AddBlocks(storage::BlockManager* blocks, const model::SelectRequest& request);

  size_t size() const override { return series_.size(); }
  void GetLabels(size_t series, model::LabelViews* labels) const override;
  Status Read(size_t series, const model::TimeRange& range,
              model::SampleColumns* samples) const override;
  Status ReadSteps(size_t first_series, size_t series_count, const model::StepTimes& times,
                   double* values) const override;
  Status ReadEdges(size_t series, const model::EdgeRequest& request,
                   model::EdgeSamples* samples) const override;
  void GetLabelValues(std::string_view name, size_t first_series, size_t series_count,
                      std::string_view* values) const override;

 private:
  static constexpr uint32_t kNone = ~uint32_t{0};

  // Rows of one generation of a group of the head that has matching series.
  struct HeadSource {
    const Group* group = nullptr;
    RowsSnapshot rows;
  };
  // A group of a block that has matching series.
  struct BlockSource {
    const storage::Block* block = nullptr;
    uint32_t group = 0;
    uint32_t deletions = kNone;  // index into block_deletions_
  };
  // A series' column in one source; `next` is the index of the same series' next one, in the order
  // of precedence.
  struct Column {
    static constexpr uint32_t kInBlock = uint32_t{1} << 31;

    uint32_t source = 0;  // index into head_sources_; with kInBlock set, into block_sources_
    uint32_t column = 0;
    uint32_t next = kNone;

    bool is_in_block() const { return (source & kInBlock) != 0; }
  };
  struct Series {
    uint32_t first_column = kNone;  // index into columns_
    uint32_t last_column = kNone;
  };
  struct Prehashed {
    size_t operator()(uint64_t hash) const { return hash; }
  };
  class LabelFinder;

  void AddGroup(const Group& group, const GroupSnapshot& snapshot,
                std::span<const uint32_t> columns);
  Status AddBlock(const std::shared_ptr<const storage::Block>& block,
                  const model::SelectRequest& request);
  // Replaces *ranges by what is deleted of a series of a block; and whether that is all of it.
  void FindDeletedRanges(const BlockSource& source, uint32_t column,
                         std::vector<model::TimeRange>* ranges) const;
  bool IsDeleted(const BlockSource& source, uint32_t column) const;
  // Takes what retention rules no longer show out of parts of the head.
  void ApplyRules(const Column& column, size_t first_part, std::vector<RowPart>* parts) const;
  // Adds the column to the series with its labels, or to a new one. Returns the series.
  uint32_t AddColumn(const Column& column);
  uint32_t AddSeries(const Column& column);
  void AppendColumn(uint32_t series, const Column& column);
  // The series with the column's labels; or kNone, and where the next series added will be found.
  uint32_t FindSeries(const Column& column);
  Status CheckLimits(const model::SelectRequest& request) const;

  const HeadSource& HeadOf(const Column& column) const { return head_sources_[column.source]; }
  const BlockSource& BlockOf(const Column& column) const {
    return block_sources_[column.source & ~Column::kInBlock];
  }
  uint64_t HashOf(const Column& column) const;
  void GetLabelsOf(const Column& column, model::LabelViews* labels) const;
  // Begins to look for series by their labels: when the first source comes that may have some of
  // them again.
  void IndexSeries();
  // Appends the parts of all sources of the series.
  void AddPartsOf(size_t series, const PartFilter& filter, std::vector<RowPart>* parts) const;
  // Fetch what the first look at a series' newest rows, or at its labels, needs.
  void PrefetchRows(size_t series) const;
  void PrefetchLabels(size_t series, size_t position) const;

  EpochGate::Pin pin_;
  const Deletions& deletions_;
  const model::Timestamp now_;
  model::Timestamp rules_reach_to_ = model::kMinTimestamp;  // no rule takes away what is newer
  storage::BlockSnapshot blocks_;
  std::vector<std::shared_ptr<const storage::BlockDeletions>> block_deletions_;
  std::vector<HeadSource> head_sources_;
  std::vector<BlockSource> block_sources_;
  std::vector<Column> columns_;
  std::vector<Series> series_;
  // Series by the hash of their labels; one whose place another has, by accident, is at the next
  // of the places that Rehash() leads to. Left empty while no series can occur twice.
  bool is_indexed_ = false;
  absl::flat_hash_map<uint64_t, uint32_t, Prehashed> series_of_hash_;
};

}  // namespace tsdbd::tsdb
