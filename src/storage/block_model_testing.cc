#include "storage/block_model_testing.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <new>

#include "common/check.h"
#include "common/clock.h"
#include "common/fault_env_testing.h"
#include "common/hash.h"

namespace tsdbd::storage {
namespace {

constexpr model::Timestamp kPartitionStart = 19'700 * kNanosPerDay;

template <typename T>
const T& OneOf(const std::vector<T>& choices, Random* random) {
  return choices[(*random)() % choices.size()];
}

model::Labels RandomLabels(size_t unique, Random* random) {
  static const std::vector<std::string> kValues = {"a", "b", "c", "aa", "ab", "x", "été"};
  model::Labels labels;
  for (const char* name : {"__name__", "dc", "host", "job", "tier"}) {
    if ((*random)() % 3 > 0) {
      labels.push_back({name, OneOf(kValues, random)});
    }
  }
  labels.push_back({"unique", std::to_string(unique)});
  return labels;
}

void AddColumnLabels(ModelGroup* group, Random* random) {
  static const std::vector<std::vector<std::string>> kFieldLists = {
      {"cpu_user", "cpu_system"}, {"cpu_user"}, {"up"}, {"", "count", "sum"}, {"a", "b", "c"}};
  group->column_label = (*random)() % 3 ? "__name__" : "__field__";
  group->column_values = OneOf(kFieldLists, random);
  std::erase_if(group->labels,
                [&](const model::Label& label) { return label.name == group->column_label; });
}

void RenewChunkChecksums(const SectionEntry& section, std::string* block) {
  for (size_t at = 0; at + sizeof(ChunkRef) <= section.size; at += sizeof(ChunkRef)) {
    ChunkRef chunk;
    std::memcpy(&chunk, block->data() + section.offset + at, sizeof(chunk));
    if (chunk.offset <= block->size() && chunk.size <= block->size() - chunk.offset) {
      chunk.checksum = Hash64(std::string_view(*block).substr(chunk.offset, chunk.size));
      std::memcpy(block->data() + section.offset + at, &chunk, sizeof(chunk));
    }
  }
}

}  // namespace

std::vector<ModelGroup> RandomGroups(size_t count, size_t max_rows, Random* random) {
  std::vector<ModelGroup> groups(count);
  for (size_t i = 0; i < count; ++i) {
    ModelGroup& group = groups[i];
    group.labels = RandomLabels(i, random);
    AddColumnLabels(&group, random);
    const size_t rows = 1 + (*random)() % max_rows;
    model::Timestamp timestamp = kPartitionStart + static_cast<int64_t>((*random)() % 1000);
    for (size_t row = 0; row < rows; ++row) {
      group.timestamps.push_back(timestamp);
      timestamp += 1'000'000'000 + static_cast<int64_t>((*random)() % 3);
    }
    for (size_t column = 0; column < group.column_values.size(); ++column) {
      group.columns.push_back(OneOf(ValueShapes(), random).generate(rows, random));
    }
    if ((*random)() % 4 == 0) {
      for (size_t row = 0; row < rows; ++row) {
        group.sequences.push_back(100 * i + row);
      }
    }
  }
  return groups;
}

BlockMeta DefaultMeta() {
  BlockMeta meta;
  meta.partition_start = kPartitionStart;
  meta.partition_end = kPartitionStart + kNanosPerDay;
  meta.generation_min = meta.generation_max = 1;
  return meta;
}

StatusOr<BlockMeta> WriteModelBlock(Env* env, const std::string& path, const BlockMeta& meta,
                                    const std::vector<ModelGroup>& groups, size_t rows_per_chunk) {
  ASSIGN_OR_RETURN(const auto writer, BlockWriter::Create(env, path, meta));
  ChunkEncoder encoder;
  for (const ModelGroup& group : groups) {
    const model::LabelViews labels = [&] {
      model::LabelViews views;
      for (const model::Label& label : group.labels) {
        views.push_back({label.name, label.value});
      }
      return views;
    }();
    const std::vector<std::string_view> column_values(group.column_values.begin(),
                                                      group.column_values.end());
    RETURN_IF_ERROR(
        writer->AddGroup(labels, group.column_label, column_values, !group.sequences.empty()));
    for (size_t first = 0; first < group.timestamps.size(); first += rows_per_chunk) {
      const size_t count = std::min(rows_per_chunk, group.timestamps.size() - first);
      std::vector<const double*> columns;
      for (const auto& column : group.columns) {
        columns.push_back(column.data() + first);
      }
      std::string chunk;
      encoder.Encode(
          {.timestamps = std::span(group.timestamps).subspan(first, count),
           .columns = columns,
           .sequences = group.sequences.empty() ? nullptr : group.sequences.data() + first},
          &chunk);
      RETURN_IF_ERROR(writer->AddChunk(chunk));
    }
  }
  return writer->Finish();
}

std::string ModelBlockBytes(const std::vector<ModelGroup>& groups, size_t rows_per_chunk,
                            const BlockMeta& meta) {
  FaultEnv env;
  CHECK(env.CreateDirectories("/blocks").ok());
  CHECK(WriteModelBlock(&env, "/blocks/block", meta, groups, rows_per_chunk).ok());
  return env.Contents("/blocks/block");
}

StatusOr<std::vector<ModelGroup>> ReadModelGroups(const Block& block) {
  RETURN_IF_ERROR(block.CheckIndex());
  std::vector<ModelGroup> groups(block.group_count());
  for (uint32_t i = 0; i < groups.size(); ++i) {
    ModelGroup& group = groups[i];
    model::LabelViews labels;
    block.GetLabels(i, &labels);
    for (const model::LabelView& label : labels) {
      group.labels.push_back({std::string(label.name), std::string(label.value)});
    }
    group.column_label = block.ColumnLabel(i);
    for (uint32_t column = 0; column < block.ColumnCount(i); ++column) {
      group.column_values.emplace_back(block.ColumnValue(i, column));
    }
    group.columns.resize(group.column_values.size());
    for (const ChunkRef& ref : block.Chunks(i)) {
      ASSIGN_OR_RETURN(const ChunkView chunk, block.ReadChunk(i, ref));
      const size_t first = group.timestamps.size();
      const size_t rows = chunk.row_count();
      group.timestamps.resize(first + rows);
      chunk.DecodeTimestamps(0, rows, group.timestamps.data() + first);
      for (size_t column = 0; column < group.columns.size(); ++column) {
        group.columns[column].resize(first + rows);
        chunk.DecodeColumn(column, 0, rows, group.columns[column].data() + first);
      }
      if (block.IsOrdered(i)) {
        group.sequences.resize(first + rows);
        chunk.DecodeSequences(0, rows, group.sequences.data() + first);
      }
    }
  }
  return groups;
}

std::string ToText(const std::vector<ModelGroup>& groups) {
  std::string text;
  for (const ModelGroup& group : groups) {
    for (const model::Label& label : group.labels) {
      text += fmt::format("{}={},", label.name, label.value);
    }
    text += fmt::format(" {}:", group.column_label);
    for (size_t column = 0; column < group.column_values.size(); ++column) {
      text += fmt::format(" {}[", group.column_values[column]);
      for (const double value : group.columns[column]) {
        text += fmt::format("{:x} ", std::bit_cast<uint64_t>(value));
      }
      text += "]";
    }
    for (size_t row = 0; row < group.timestamps.size(); ++row) {
      text += fmt::format(" at {}", group.timestamps[row]);
      text += group.sequences.empty() ? "" : fmt::format(" as {}", group.sequences[row]);
    }
    text += '\n';
  }
  return text;
}

std::string WithRightChecksums(std::string block) {
  Footer footer;
  if (block.size() < sizeof(footer)) {
    return block;
  }
  const size_t footer_offset = block.size() - sizeof(footer);
  std::memcpy(&footer, block.data() + footer_offset, sizeof(footer));
  const uint64_t table_size = uint64_t{footer.section_count} * sizeof(SectionEntry);
  if (table_size > footer_offset) {
    return block;
  }
  const size_t table_offset = footer_offset - table_size;
  for (size_t at = table_offset; at < footer_offset; at += sizeof(SectionEntry)) {
    SectionEntry section;
    std::memcpy(&section, block.data() + at, sizeof(section));
    if (section.offset > table_offset || section.size > table_offset - section.offset) {
      continue;
    }
    if (section.id == SectionId::kChunks) {
      RenewChunkChecksums(section, &block);
    }
    section.checksum = Hash64(std::string_view(block).substr(section.offset, section.size));
    std::memcpy(block.data() + at, &section, sizeof(section));
  }
  footer.table_checksum =
      Hash64(std::string_view(block).substr(table_offset, table_size), SectionTableSeed(footer));
  std::memcpy(block.data() + footer_offset, &footer, sizeof(footer));
  return block;
}

AlignedBytes::AlignedBytes(std::string_view bytes)
    : data_(static_cast<char*>(::operator new(bytes.size(), std::align_val_t(8)))),
      size_(bytes.size()) {
  std::memcpy(data_, bytes.data(), bytes.size());
}

AlignedBytes::~AlignedBytes() {
  ::operator delete(data_, std::align_val_t(8));
}

}  // namespace tsdbd::storage
