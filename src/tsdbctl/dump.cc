#include "tsdbctl/dump.h"

#include <map>
#include <vector>

#include "model/labels.h"
#include "storage/block.h"
#include "tsdb/write_record.h"
#include "wal/recovery.h"

namespace tsdbd::tsdbctl {
namespace {

// {a="b",c="d"}, with \, " and newlines escaped as PromQL does.
std::string ToText(const model::LabelViews& labels) {
  std::string text = "{";
  for (const model::LabelView& label : labels) {
    text += text.size() > 1 ? "," : "";
    text += label.name;
    text += "=\"";
    for (const char c : label.value) {
      if (c == '\n') {
        text += "\\n";
        continue;
      }
      if (c == '\\' || c == '"') {
        text += '\\';
      }
      text += c;
    }
    text += '"';
  }
  return text + "}";
}

std::string_view NameOf(storage::ColumnCodec codec) {
  switch (codec) {
    case storage::ColumnCodec::kConstant:
      return "constant";
    case storage::ColumnCodec::kRaw:
      return "raw";
    case storage::ColumnCodec::kDecimalFrame:
      return "decimal_frame";
    case storage::ColumnCodec::kDecimalDelta:
      return "decimal_delta";
    case storage::ColumnCodec::kDecimalCodedFrame:
      return "decimal_coded_frame";
    case storage::ColumnCodec::kDecimalCodedDelta:
      return "decimal_coded_delta";
    case storage::ColumnCodec::kReals:
      return "reals";
  }
  return "unknown";
}

Status DumpChunk(const storage::Block& block, uint32_t group, const storage::ChunkRef& ref,
                 DumpDetail detail, const Output& output) {
  ASSIGN_OR_RETURN(const storage::ChunkView chunk, block.CheckChunk(group, ref));
  std::string text = fmt::format("  chunk offset={} bytes={} rows={} min_time={} max_time={}\n",
                                 ref.offset, ref.size, ref.row_count, ref.min_time, ref.max_time);
  for (size_t column = 0; column < chunk.column_count(); ++column) {
    text += fmt::format("    column {}={} codec={} bytes={}\n", block.ColumnLabel(group),
                        block.ColumnValue(group, static_cast<uint32_t>(column)),
                        NameOf(chunk.codec(column)), chunk.column_size_bytes(column));
  }
  if (detail == DumpDetail::kSamples) {
    std::vector<model::Timestamp> timestamps(chunk.row_count());
    chunk.DecodeTimestamps(0, chunk.row_count(), timestamps.data());
    std::vector<std::vector<double>> values(chunk.column_count());
    for (size_t column = 0; column < chunk.column_count(); ++column) {
      values[column].resize(chunk.row_count());
      chunk.DecodeColumn(column, 0, chunk.row_count(), values[column].data());
    }
    for (size_t row = 0; row < chunk.row_count(); ++row) {
      text += fmt::format("    {}", timestamps[row]);
      for (const std::vector<double>& column : values) {
        text += fmt::format(" {}", column[row]);
      }
      text += '\n';
    }
  }
  output(text);
  return OkStatus();
}

class WalDump : public tsdb::WriteRecordVisitor {
 public:
  WalDump(DumpDetail detail, const Output& output) : detail_(detail), output_(output) {}

  Status OnRecord(const wal::RecordView& record) {
    if (record.generation != generation_) {  // references begin anew
      generation_ = record.generation;
      columns_.clear();
    }
    text_.clear();
    rows_ = 0;
    const Status status = tsdb::DecodeWriteRecord(record.bytes, this);
    output_(fmt::format("record segment={} offset={} generation={} bytes={} rows={}\n",
                        record.position.segment, record.position.offset, record.generation,
                        record.bytes.size(), rows_));
    output_(text_);
    return status;
  }

  void OnDefinition(const tsdb::GroupDefinition& definition) override {
    columns_[definition.reference] = definition.column_values.size();
    text_ += fmt::format("  group {} {} {}=", definition.reference, ToText(definition.labels),
                         definition.column_label);
    for (size_t i = 0; i < definition.column_values.size(); ++i) {
      text_ += fmt::format("{}{}", i == 0 ? "" : ",", definition.column_values[i]);
    }
    text_ += '\n';
  }
  size_t ColumnCount(uint32_t reference) override {
    const auto group = columns_.find(reference);
    return group == columns_.end() ? 0 : group->second;
  }
  void OnRow(uint32_t reference, model::Timestamp timestamp, const double* values) override {
    ++rows_;
    if (detail_ == DumpDetail::kIndex) {
      return;
    }
    text_ += fmt::format("  row group={} {}", reference, timestamp);
    for (size_t i = 0; i < ColumnCount(reference); ++i) {
      text_ += fmt::format(" {}", values[i]);
    }
    text_ += '\n';
  }

 private:
  const DumpDetail detail_;
  const Output& output_;
  uint64_t generation_ = 0;
  uint64_t rows_ = 0;                   // of the record
  std::string text_;                    // what the record holds
  std::map<uint32_t, size_t> columns_;  // by reference
};

}  // namespace

Status DumpBlock(Env* env, const std::string& path, DumpDetail detail, const Output& output) {
  ASSIGN_OR_RETURN(const auto block, storage::Block::Open(env, path));
  const storage::BlockMeta& meta = block->meta();
  output(fmt::format(
      "block {} bytes={} partition={}..{} generations={}..{} level={} times={}..{} "
      "groups={} series={} chunks={} rows={} samples={}\n",
      path, block->size_bytes(), meta.partition_start, meta.partition_end, meta.generation_min,
      meta.generation_max, meta.level, meta.min_time, meta.max_time, meta.group_count,
      meta.series_count, meta.chunk_count, meta.row_count, meta.sample_count));
  for (const std::string& parent : meta.parents) {
    output(fmt::format("parent {}\n", parent));
  }
  RETURN_IF_ERROR(block->CheckIndex());
  model::LabelViews labels;
  for (uint32_t group = 0; group < block->group_count(); ++group) {
    block->GetLabels(group, &labels);
    output(fmt::format("group {} {} columns={} chunks={}{}\n", group, ToText(labels),
                       block->ColumnCount(group), block->Chunks(group).size(),
                       block->IsOrdered(group) ? " ordered" : ""));
    for (const storage::ChunkRef& chunk : block->Chunks(group)) {
      RETURN_IF_ERROR(DumpChunk(*block, group, chunk, detail, output));
    }
  }
  return OkStatus();
}

Status DumpWal(Env* env, const std::string& folder, DumpDetail detail, const Output& output) {
  WalDump dump(detail, output);
  wal::RecoveryReport report;
  ASSIGN_OR_RETURN(
      const wal::RecoveredLog log,
      wal::ReadLog(
          env, folder, /*first_generation=*/0,
          [&](const wal::RecordView& record) { return dump.OnRecord(record); }, &report));
  for (const wal::Damage& damage : report.damages) {
    output(fmt::format("damage {} offset={} {}\n", damage.path, damage.offset, damage.what));
  }
  if (report.torn_tail) {
    output(
        fmt::format("torn tail {} offset={}\n", report.torn_tail->path, report.torn_tail->offset));
  }
  output(fmt::format("log segments={} commits={} records={} bytes={} damages={}\n",
                     log.segments.size(), report.commits, report.records, report.record_bytes,
                     report.damage_count));
  return OkStatus();
}

}  // namespace tsdbd::tsdbctl
