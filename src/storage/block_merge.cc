#include "storage/block_merge.h"

#include <algorithm>
#include <limits>
#include <map>
#include <optional>
#include <vector>

#include <absl/container/flat_hash_map.h>

#include "common/check.h"
#include "common/hash.h"
#include "storage/block_writer.h"
#include "storage/chunk.h"

namespace tsdbd::storage {
namespace {

using model::TimeRange;
using model::Timestamp;

// Some columns of an input group, during some ranges of time: what deletions leave of it.
struct Slice {
  std::vector<uint32_t> columns;  // of the input group, rising
  std::vector<TimeRange> ranges;  // rising, apart from each other
};

// The rows that an input group, or a slice of it, gives to an output group.
struct Source {
  static constexpr uint32_t kAll = ~uint32_t{0};

  uint32_t input = 0;
  uint32_t group = 0;
  uint32_t slice = kAll;  // index into slices; or all of the group
};

struct OutputGroup {
  std::vector<Source> sources;   // in order of precedence
  uint32_t next = ~uint32_t{0};  // another one with the same hash
  bool ordered = false;
};

// How an input's sequence numbers are renumbered, so that those of later inputs are higher.
struct SequenceShift {
  uint64_t base = 0;   // of rows without a number
  uint64_t first = 0;  // becomes base + 1
  uint64_t Of(uint64_t sequence) const {
    return sequence == 0 ? base : base + 1 + (sequence - first);
  }
};

// Rows that are not in a chunk yet, in order of time.
struct PendingRows {
  std::vector<Timestamp> timestamps;
  std::vector<uint64_t> sequences;
  std::vector<std::vector<double>> columns;

  void DropFirst(size_t rows) {
    const auto drop = [rows](auto* vector) {
      vector->erase(vector->begin(), vector->begin() + static_cast<ptrdiff_t>(rows));
    };
    drop(&timestamps);
    drop(&sequences);
    std::ranges::for_each(columns, [&](auto& column) { drop(&column); });
  }
};

// Walks over the rows of a source in order of time. Chunks that fail their checks are noted and
// passed over.
class SourceCursor {
 public:
  // `slice` may be null: all rows, all columns.
  SourceCursor(const Block& block, uint32_t group, const Slice* slice,
               const std::function<Status(uint64_t)>& on_read)
      : block_(&block),
        group_(group),
        slice_(slice),
        chunks_(block.Chunks(group)),
        ranges_(slice == nullptr ? std::vector<TimeRange>{TimeRange()} : slice->ranges),
        on_read_(&on_read) {}

  // Goes to the first row. To be called once, before all else.
  Status Start() { return Settle(); }
  bool done() const { return row_ == end_; }
  // Of the row it is at.
  Timestamp time() const { return time_; }

  // 0 if it has none.
  uint64_t sequence() const {
    uint64_t sequence = 0;
    if (view_->has_sequences()) {
      view_->DecodeSequences(row_, 1, &sequence);
    }
    return sequence;
  }

  // The chunk it is at the beginning of, if all its rows and columns are wanted as they are.
  const ChunkRef* WholeChunk() const {
    const bool is_whole = row_ == 0 && end_ == view_->row_count() && slice_ == nullptr;
    return is_whole ? &chunks_[chunk_] : nullptr;
  }
  const ChunkView& view() const { return *view_; }

  // The rows from here on that lie before `limit`, as far as they are in the same chunk; >= 1.
  size_t CountBefore(Timestamp limit) {
    if (limit > chunks_[chunk_].max_time) {
      return end_ - row_;
    }
    const size_t end = view_->LowerBound(limit);
    return std::min<size_t>(end, end_) - row_;
  }
  // Appends that many rows, which are in this chunk.
  void Append(size_t count, const SequenceShift& shift, PendingRows* rows) const {
    const size_t before = rows->timestamps.size();
    rows->timestamps.resize(before + count);
    view_->DecodeTimestamps(row_, count, rows->timestamps.data() + before);
    for (size_t i = 0; i < rows->columns.size(); ++i) {
      rows->columns[i].resize(before + count);
      view_->DecodeColumn(slice_ == nullptr ? i : slice_->columns[i], row_, count,
                          rows->columns[i].data() + before);
    }
    rows->sequences.resize(before + count, 0);
    if (view_->has_sequences()) {
      view_->DecodeSequences(row_, count, rows->sequences.data() + before);
    }
    for (size_t i = before; i < before + count; ++i) {
      rows->sequences[i] = shift.Of(rows->sequences[i]);
    }
  }
  // Goes on by that many rows, which are in this chunk.
  Status Skip(size_t count) {
    row_ += count;
    if (row_ < end_) {
      time_ = view_->TimestampAt(row_);
      return OkStatus();
    }
    GoOn();
    return Settle();
  }

 private:
  // From what chunk and range have in common to the next that may have something in common.
  void GoOn() {
    if (ranges_[range_].max >= chunks_[chunk_].max_time) {
      ++chunk_;
      view_.reset();
    } else {
      ++range_;
    }
  }

  // Goes to the first row from chunk_ and range_ on.
  Status Settle() {
    row_ = end_ = 0;
    while (chunk_ < chunks_.size() && range_ < ranges_.size()) {
      const ChunkRef& chunk = chunks_[chunk_];
      const TimeRange& range = ranges_[range_];
      if (range.Overlaps({chunk.min_time, chunk.max_time})) {
        RETURN_IF_ERROR(OpenChunk());
      }
      if (view_.has_value() && range.Overlaps({chunk.min_time, chunk.max_time})) {
        row_ = range.min <= chunk.min_time ? 0 : view_->LowerBound(range.min);
        end_ = range.max >= chunk.max_time ? view_->row_count() : view_->LowerBound(range.max + 1);
        if (row_ < end_) {
          time_ = view_->TimestampAt(row_);
          return OkStatus();
        }
      }
      GoOn();
    }
    row_ = end_ = 0;
    return OkStatus();
  }

  Status OpenChunk() {
    if (view_.has_value()) {
      return OkStatus();
    }
    const ChunkRef& chunk = chunks_[chunk_];
    RETURN_IF_ERROR((*on_read_)(chunk.size));
    StatusOr<ChunkView> view = block_->ReadChunk(group_, chunk);
    if (view.ok()) {
      view_ = *view;
    } else {
      block_->NoteDamage(chunk, view.status());
    }
    return OkStatus();
  }

  const Block* block_;
  uint32_t group_;
  const Slice* slice_;
  std::span<const ChunkRef> chunks_;
  std::vector<TimeRange> ranges_;
  const std::function<Status(uint64_t)>* on_read_;

  size_t chunk_ = 0;
  size_t range_ = 0;
  std::optional<ChunkView> view_;  // of chunk_
  size_t row_ = 0;  // rows row_ .. end_ - 1 of the chunk are wanted and still to come
  size_t end_ = 0;
  Timestamp time_ = 0;
};

// Which groups there will be, and from what.
class MergePlan {
 public:
  explicit MergePlan(std::span<const MergeInput> inputs) : inputs_(inputs) {}

  void Make() {
    for (uint32_t input = 0; input < inputs_.size(); ++input) {
      for (uint32_t group = 0; group < BlockOf(input).group_count(); ++group) {
        AddGroup(input, group);
      }
    }
    by_hash_ = {};
    FindShared();
  }

  const std::vector<OutputGroup>& outputs() const { return outputs_; }
  bool has_ordered() const { return has_ordered_; }
  const Block& BlockOf(uint32_t input) const { return *inputs_[input].block; }
  const Slice* SliceOf(const Source& source) const {
    return source.slice == Source::kAll ? nullptr : &slices_[source.slice];
  }
  size_t ColumnCount(const Source& source) const {
    const Slice* slice = SliceOf(source);
    return slice == nullptr ? BlockOf(source.input).ColumnCount(source.group)
                            : slice->columns.size();
  }
  std::string_view ColumnValue(const Source& source, size_t column) const {
    const Slice* slice = SliceOf(source);
    return BlockOf(source.input)
        .ColumnValue(source.group,
                     slice == nullptr ? static_cast<uint32_t>(column) : slice->columns[column]);
  }

 private:
  void AddGroup(uint32_t input, uint32_t group) {
    const BlockDeletions& deletions = inputs_[input].deletions;
    if (deletions.empty() || !Cut(input, group)) {
      AddSource({.input = input, .group = group});
    }
  }

  // Adds what deletions leave of the group, as slices; false if they leave all of it.
  bool Cut(uint32_t input, uint32_t group) {
    const Block& block = BlockOf(input);
    std::vector<std::vector<TimeRange>> deleted(block.ColumnCount(group));
    std::vector<Timestamp> edges = {model::kMinTimestamp};  // where the columns left may change
    for (uint32_t column = 0; column < deleted.size(); ++column) {
      AddDeletedRanges(inputs_[input].deletions, group, column, &deleted[column]);
      JoinRanges(&deleted[column]);
      for (const TimeRange& range : deleted[column]) {
        edges.push_back(std::max(range.min, model::kMinTimestamp));
        edges.push_back(range.max + 1);
      }
    }
    if (edges.size() == 1) {
      return false;
    }
    edges.push_back(model::kMaxTimestamp + 1);
    std::ranges::sort(edges);
    std::map<std::vector<uint32_t>, std::vector<TimeRange>> ranges_of_columns;
    for (size_t i = 0; i + 1 < edges.size(); ++i) {
      if (edges[i] == edges[i + 1]) {
        continue;
      }
      std::vector<uint32_t> columns;
      for (uint32_t column = 0; column < deleted.size(); ++column) {
        if (std::ranges::none_of(deleted[column],
                                 [&](const TimeRange& r) { return r.Contains(edges[i]); })) {
          columns.push_back(column);
        }
      }
      if (!columns.empty()) {
        ranges_of_columns[columns].push_back({edges[i], edges[i + 1] - 1});
      }
    }
    for (auto& [columns, ranges] : ranges_of_columns) {
      JoinRanges(&ranges);
      slices_.push_back({columns, std::move(ranges)});
      AddSource(
          {.input = input, .group = group, .slice = static_cast<uint32_t>(slices_.size() - 1)});
    }
    return true;
  }

  void AddSource(const Source& source) {
    const auto next = static_cast<uint32_t>(outputs_.size());
    const auto [entry, is_new] = by_hash_.try_emplace(HashOf(source), next);
    uint32_t* link = &entry->second;
    while (!is_new && *link != kNone) {
      if (AreOfOneGroup(outputs_[*link].sources.front(), source)) {
        outputs_[*link].sources.push_back(source);
        return;
      }
      link = &outputs_[*link].next;
    }
    *link = next;
    outputs_.push_back({.sources = {source}});
  }

  uint64_t HashOf(const Source& source) const {
    const Block& block = BlockOf(source.input);
    uint64_t hash = Hash64(block.ColumnLabel(source.group), block.LabelsHash(source.group));
    for (size_t column = 0; column < ColumnCount(source); ++column) {
      hash = Hash64(ColumnValue(source, column), hash);
    }
    return hash;
  }

  bool AreOfOneGroup(const Source& a, const Source& b) {
    const Block& block_a = BlockOf(a.input);
    const Block& block_b = BlockOf(b.input);
    if (block_a.ColumnLabel(a.group) != block_b.ColumnLabel(b.group) ||
        ColumnCount(a) != ColumnCount(b)) {
      return false;
    }
    for (size_t column = 0; column < ColumnCount(a); ++column) {
      if (ColumnValue(a, column) != ColumnValue(b, column)) {
        return false;
      }
    }
    block_a.GetLabels(a.group, &labels_a_);
    block_b.GetLabels(b.group, &labels_b_);
    return labels_a_ == labels_b_;
  }

  // Marks the groups that have a series in common with another one; or, which does no harm, one
  // with the same hash.
  void FindShared() {
    struct SeriesOfGroup {
      uint64_t hash;
      uint32_t group;
    };
    std::vector<SeriesOfGroup> series;
    for (uint32_t i = 0; i < outputs_.size(); ++i) {
      const Source& source = outputs_[i].sources.front();
      const Block& block = BlockOf(source.input);
      for (size_t column = 0; column < ColumnCount(source); ++column) {
        const std::string_view value = ColumnValue(source, column);
        const uint64_t of_column =
            value.empty() ? 0 : model::HashLabel(block.ColumnLabel(source.group), value);
        series.push_back({block.LabelsHash(source.group) + of_column, i});
      }
    }
    std::ranges::sort(series, {}, &SeriesOfGroup::hash);
    for (size_t i = 1; i < series.size(); ++i) {
      if (series[i].hash == series[i - 1].hash && series[i].group != series[i - 1].group) {
        outputs_[series[i].group].ordered = outputs_[series[i - 1].group].ordered = true;
        has_ordered_ = true;
      }
    }
  }

  static constexpr uint32_t kNone = ~uint32_t{0};

  const std::span<const MergeInput> inputs_;
  std::vector<OutputGroup> outputs_;
  std::vector<Slice> slices_;
  absl::flat_hash_map<uint64_t, uint32_t> by_hash_;  // the first output group with that hash
  bool has_ordered_ = false;
  model::LabelViews labels_a_;
  model::LabelViews labels_b_;
};

class Merger {
 public:
  Merger(std::span<const MergeInput> inputs, const MergeOptions& options)
      : inputs_(inputs),
        options_(options),
        plan_(inputs),
        shifts_(inputs.size()),
        on_read_([this](uint64_t bytes) {
          result_.read_bytes += bytes;
          return options_.on_bytes(bytes);
        }) {}

  StatusOr<MergeResult> Run() {
    for (const MergeInput& input : inputs_) {
      RETURN_IF_ERROR(input.block->CheckIndex());
    }
    plan_.Make();
    if (plan_.has_ordered()) {
      RETURN_IF_ERROR(FindShifts());
    }
    ASSIGN_OR_RETURN(writer_, BlockWriter::Create(options_.env, options_.path, MakeMeta()));
    for (const OutputGroup& output : plan_.outputs()) {
      RETURN_IF_ERROR(MergeGroup(output));
    }
    if (result_.chunks_copied + result_.chunks_encoded > 0) {
      ASSIGN_OR_RETURN(result_.meta, writer_->Finish());
    }
    return std::move(result_);
  }

 private:
  BlockMeta MakeMeta() const {
    const BlockMeta& first = inputs_.front().block->meta();
    BlockMeta meta;
    meta.partition_start = first.partition_start;
    meta.partition_end = first.partition_end;
    meta.generation_min = first.generation_min;
    meta.deletions_applied = options_.deletions_applied;
    for (const MergeInput& input : inputs_) {
      const BlockMeta& parent = input.block->meta();
      CHECK(parent.partition_start == first.partition_start &&
            parent.partition_end == first.partition_end);
      meta.generation_min = std::min(meta.generation_min, parent.generation_min);
      meta.generation_max = std::max(meta.generation_max, parent.generation_max);
      meta.level = std::max(meta.level, parent.level + 1);
      meta.parents.push_back(BlockFileName(parent));
    }
    return meta;
  }

  // Reads the sequence numbers of the groups that will carry some.
  Status FindShifts() {
    struct Bounds {
      uint64_t min = std::numeric_limits<uint64_t>::max();
      uint64_t max = 0;
    };
    std::vector<Bounds> bounds(inputs_.size());
    for (const OutputGroup& output : plan_.outputs()) {
      for (const Source& source : output.sources) {
        if (output.ordered && plan_.BlockOf(source.input).IsOrdered(source.group)) {
          RETURN_IF_ERROR(ForEachSequence(source, [&](uint64_t sequence) {
            if (sequence != 0) {
              bounds[source.input].min = std::min(bounds[source.input].min, sequence);
              bounds[source.input].max = std::max(bounds[source.input].max, sequence);
            }
          }));
        }
      }
    }
    uint64_t base = 0;
    for (size_t input = 0; input < inputs_.size(); ++input) {
      const auto [min, max] = bounds[input];
      const uint64_t span = max == 0 ? 0 : max - min + 1;
      if (span > std::numeric_limits<uint64_t>::max() - base - 1) {
        return ResourceExhausted("{}: sequence numbers from {} to {} leave no room for those after",
                                 inputs_[input].block->path(), min, max);
      }
      shifts_[input] = {.base = base, .first = min};
      base += span + 1;
    }
    return OkStatus();
  }

  template <typename Visitor>
  Status ForEachSequence(const Source& source, const Visitor& visit) {
    std::vector<uint64_t> sequences;
    const Block& block = plan_.BlockOf(source.input);
    for (const ChunkRef& chunk : block.Chunks(source.group)) {
      RETURN_IF_ERROR(options_.on_bytes(chunk.size));
      const StatusOr<ChunkView> view = block.ReadChunk(source.group, chunk);
      if (!view.ok()) {
        continue;  // noted when its rows are read
      }
      sequences.resize(view->row_count());
      view->DecodeSequences(0, sequences.size(), sequences.data());
      std::ranges::for_each(sequences, visit);
    }
    return OkStatus();
  }

  Status MergeGroup(const OutputGroup& output) {
    output_ = &output;
    is_added_ = false;
    pending_.columns.resize(plan_.ColumnCount(output.sources.front()));
    std::vector<SourceCursor> cursors;
    cursors.reserve(output.sources.size());
    for (const Source& source : output.sources) {
      cursors.emplace_back(plan_.BlockOf(source.input), source.group, plan_.SliceOf(source),
                           on_read_);
      RETURN_IF_ERROR(cursors.back().Start());
    }
    while (true) {
      // Of the rows with the earliest time, the last one wins.
      SourceCursor* earliest = nullptr;
      Timestamp limit = std::numeric_limits<Timestamp>::max();
      bool has_duplicates = false;
      for (SourceCursor& cursor : cursors) {
        if (cursor.done()) {
          continue;
        }
        if (earliest == nullptr || cursor.time() < earliest->time()) {
          limit = earliest == nullptr ? limit : earliest->time();
          earliest = &cursor;
          has_duplicates = false;
        } else if (cursor.time() == earliest->time()) {
          earliest = Later(earliest, &cursor, cursors);
          has_duplicates = true;
        } else {
          limit = std::min(limit, cursor.time());
        }
      }
      if (earliest == nullptr) {
        return WriteChunks(/*only_full=*/false);
      }
      if (has_duplicates) {
        RETURN_IF_ERROR(TakeRow(earliest, &cursors));
      } else {
        RETURN_IF_ERROR(TakeRows(limit, earliest, SourceOf(*earliest, cursors)));
      }
    }
  }

  const Source& SourceOf(const SourceCursor& cursor, const std::vector<SourceCursor>& all) const {
    return output_->sources[static_cast<size_t>(&cursor - all.data())];
  }

  // Of two rows with the same time the one that was written later. Two groups of one input may
  // become one when deletions take away columns; then sequence numbers tell.
  SourceCursor* Later(SourceCursor* a, SourceCursor* b,
                      const std::vector<SourceCursor>& all) const {
    const bool a_is_later =
        SourceOf(*a, all).input == SourceOf(*b, all).input && a->sequence() > b->sequence();
    return a_is_later ? a : b;
  }

  // Takes the row that `winner` is at; the other rows of that time are passed over.
  Status TakeRow(SourceCursor* winner, std::vector<SourceCursor>* cursors) {
    const Timestamp time = winner->time();
    winner->Append(1, shifts_[SourceOf(*winner, *cursors).input], &pending_);
    for (SourceCursor& cursor : *cursors) {
      if (!cursor.done() && cursor.time() == time) {
        RETURN_IF_ERROR(cursor.Skip(1));
      }
    }
    return WriteChunks(/*only_full=*/true);
  }

  // Takes the rows before `limit`, as far as they are in one chunk.
  Status TakeRows(Timestamp limit, SourceCursor* cursor, const Source& source) {
    const ChunkRef* whole = cursor->WholeChunk();
    if (whole != nullptr && whole->max_time < limit && whole->row_count == kMaxChunkRows &&
        pending_.timestamps.empty() && !output_->ordered && !cursor->view().has_sequences()) {
      ++result_.chunks_copied;
      RETURN_IF_ERROR(AddChunk(cursor->view().bytes()));
      return cursor->Skip(kMaxChunkRows);
    }
    const size_t count = cursor->CountBefore(limit);
    cursor->Append(count, shifts_[source.input], &pending_);
    RETURN_IF_ERROR(cursor->Skip(count));
    return WriteChunks(/*only_full=*/true);
  }

  Status WriteChunks(bool only_full) {
    const size_t count = pending_.timestamps.size();
    size_t done = 0;
    while (done < count && (!only_full || count - done >= kMaxChunkRows)) {
      const size_t rows = std::min(count - done, kMaxChunkRows);
      columns_.clear();
      for (const std::vector<double>& column : pending_.columns) {
        columns_.push_back(column.data() + done);
      }
      chunk_.clear();
      encoder_.Encode({.timestamps = std::span(pending_.timestamps).subspan(done, rows),
                       .columns = columns_,
                       .sequences = output_->ordered ? pending_.sequences.data() + done : nullptr},
                      &chunk_);
      ++result_.chunks_encoded;
      RETURN_IF_ERROR(AddChunk(chunk_));
      done += rows;
    }
    if (done > 0) {
      pending_.DropFirst(done);
    }
    return OkStatus();
  }

  Status AddChunk(std::string_view chunk) {
    if (!is_added_) {
      is_added_ = true;
      const Source& source = output_->sources.front();
      const Block& block = plan_.BlockOf(source.input);
      block.GetLabels(source.group, &labels_);
      std::vector<std::string_view> values;
      for (size_t column = 0; column < plan_.ColumnCount(source); ++column) {
        values.push_back(plan_.ColumnValue(source, column));
      }
      RETURN_IF_ERROR(
          writer_->AddGroup(labels_, block.ColumnLabel(source.group), values, output_->ordered));
    }
    RETURN_IF_ERROR(writer_->AddChunk(chunk));
    return options_.on_bytes(chunk.size());
  }

  const std::span<const MergeInput> inputs_;
  const MergeOptions& options_;
  MergePlan plan_;
  std::vector<SequenceShift> shifts_;  // by input
  const std::function<Status(uint64_t)> on_read_;
  std::unique_ptr<BlockWriter> writer_;
  MergeResult result_;

  // Of the group at hand.
  const OutputGroup* output_ = nullptr;
  bool is_added_ = false;
  PendingRows pending_;

  ChunkEncoder encoder_{EncodeFor::kCompaction};
  std::string chunk_;
  std::vector<const double*> columns_;
  model::LabelViews labels_;
};

}  // namespace

StatusOr<MergeResult> MergeBlocks(std::span<const MergeInput> inputs, const MergeOptions& options) {
  CHECK(!inputs.empty());
  return Merger(inputs, options).Run();
}

}  // namespace tsdbd::storage
