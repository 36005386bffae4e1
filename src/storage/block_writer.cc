#include "storage/block_writer.h"

#include <algorithm>
#include <numeric>
#include <vector>

#include <roaring/roaring.h>

#include "common/check.h"
#include "common/hash.h"
#include "storage/block_format.h"
#include "storage/block_label_table.h"
#include "storage/chunk.h"
#include "storage/section_file.h"
#include "storage/short_integers.h"

namespace tsdbd::storage {
namespace {

template <typename Record>
std::string_view AsBytes(const std::vector<Record>& records) {
  return {reinterpret_cast<const char*>(records.data()), records.size() * sizeof(Record)};
}

// Appends a set of groups (rising) to the open postings section. `scratch` saves allocations.
Status WritePostings(std::span<const uint32_t> groups, uint64_t section_begin, SectionFile* file,
                     std::string* scratch, PostingsRef* ref) {
  ref->group_count = static_cast<uint32_t>(groups.size());
  if (groups.size() == 1) {
    ref->offset = groups[0];
    return OkStatus();
  }
  roaring_bitmap_t* bitmap = roaring_bitmap_of_ptr(groups.size(), groups.data());
  roaring_bitmap_run_optimize(bitmap);
  scratch->resize(roaring_bitmap_portable_size_in_bytes(bitmap));
  roaring_bitmap_portable_serialize(bitmap, scratch->data());
  roaring_bitmap_free(bitmap);
  ref->offset = file->offset() - section_begin;
  ref->size = static_cast<uint32_t>(scratch->size());
  return file->AppendToSection(*scratch);
}

// The groups of each of `bucket_count` buckets, by counting: bucket b has
// groups[begin[b]] .. groups[begin[b + 1] - 1].
struct Buckets {
  std::vector<uint64_t> begin;
  std::vector<uint32_t> groups;
  std::span<const uint32_t> Of(size_t bucket) const {
    return std::span(groups).subspan(begin[bucket], begin[bucket + 1] - begin[bucket]);
  }
};

template <typename ForEachMembership>  // calls its argument with (bucket, group), groups rising
Buckets MakeBuckets(size_t bucket_count, const ForEachMembership& for_each) {
  Buckets buckets;
  buckets.begin.resize(bucket_count + 1);
  for_each([&](uint32_t bucket, uint32_t) { ++buckets.begin[bucket + 1]; });
  std::partial_sum(buckets.begin.begin(), buckets.begin.end(), buckets.begin.begin());
  buckets.groups.resize(buckets.begin.back());
  std::vector<uint64_t> next(buckets.begin.begin(), buckets.begin.end() - 1);
  for_each([&](uint32_t bucket, uint32_t group) { buckets.groups[next[bucket]++] = group; });
  return buckets;
}

}  // namespace

struct BlockWriter::State {
  State(Env* env, const std::string& path, const BlockMeta& meta, std::unique_ptr<File> file)
      : env(env), path(path), meta(meta), file(std::move(file)) {}

  Status WritePostingsSection(std::vector<PairRecord>* pairs);
  Status WriteIndex();
  uint32_t SchemaNumber(std::string_view column_label,
                        std::span<const std::string_view> column_values);

  Env* const env;
  const std::string path;
  BlockMeta meta;
  SectionFile file;
  bool finished = false;

  BlockLabelTable labels;
  std::vector<GroupRecord> groups;
  std::vector<uint32_t> group_labels;  // numbers of pairs; in the end, their indexes
  std::vector<ChunkRef> chunks;
  std::vector<SchemaRecord> schemas;
  std::vector<StringRef> schema_columns;
  StringNumbers schema_numbers;
};

StatusOr<std::unique_ptr<BlockWriter>> BlockWriter::Create(Env* env, const std::string& path,
                                                           const BlockMeta& meta) {
  CHECK(meta.partition_start < meta.partition_end && meta.generation_min <= meta.generation_max);
  ASSIGN_OR_RETURN(auto file, env->Open(path, OpenMode::kCreateOrTruncate));
  auto state = std::make_unique<State>(env, path, meta, std::move(file));
  state->meta.min_time = model::kMaxTimestamp;
  state->meta.max_time = 0;
  state->meta.group_count = state->meta.series_count = state->meta.chunk_count = 0;
  state->meta.row_count = state->meta.sample_count = 0;
  RETURN_IF_ERROR(state->file.AppendHeader());
  return std::unique_ptr<BlockWriter>(new BlockWriter(std::move(state)));
}

BlockWriter::BlockWriter(std::unique_ptr<State> state) : state_(std::move(state)) {}

BlockWriter::~BlockWriter() {
  if (!state_->finished) {
    // If it cannot be removed, the next start of the block manager does it.
    state_->env->Remove(state_->path).IgnoreError();
  }
}

Status BlockWriter::AddGroup(const model::LabelViews& labels, std::string_view column_label,
                             std::span<const std::string_view> column_values, bool ordered) {
  GroupRecord group = {.labels_hash = model::HashLabels(labels),
                       .first_label = static_cast<uint32_t>(state_->group_labels.size()),
                       .label_count = static_cast<uint32_t>(labels.size()),
                       .first_chunk = static_cast<uint32_t>(state_->chunks.size()),
                       .chunk_count = 0,
                       .schema = state_->SchemaNumber(column_label, column_values),
                       .flags = ordered ? kGroupOrdered : 0};
  std::string_view previous;
  for (const model::LabelView& label : labels) {
    if (label.name <= previous || label.name == column_label || label.value.empty()) {
      return InvalidArgument("{}: label {}=\"{}\" is empty, out of order or the column label",
                             state_->path, label.name, label.value);
    }
    previous = label.name;
    state_->group_labels.push_back(state_->labels.NumberOf(label));
  }
  state_->groups.push_back(group);
  ++state_->meta.group_count;
  state_->meta.series_count += column_values.size();
  return OkStatus();
}

// One number for each combination of column label and values.
uint32_t BlockWriter::State::SchemaNumber(std::string_view column_label,
                                          std::span<const std::string_view> column_values) {
  std::string key;
  const auto append = [&](std::string_view string) {
    AppendBytes(string.size(), sizeof(uint32_t), &key);
    key += string;
  };
  append(column_label);
  std::ranges::for_each(column_values, append);
  const auto [entry, inserted] =
      schema_numbers.try_emplace(std::move(key), static_cast<uint32_t>(schemas.size()));
  if (inserted) {
    schemas.push_back({.column_label = labels.AddString(column_label),
                       .groups = {},
                       .first_column = static_cast<uint32_t>(schema_columns.size()),
                       .column_count = static_cast<uint32_t>(column_values.size())});
    for (const std::string_view value : column_values) {
      schema_columns.push_back(labels.AddString(value));
    }
  }
  return entry->second;
}

Status BlockWriter::AddChunk(std::string_view bytes) {
  CHECK(!state_->groups.empty());
  GroupRecord& group = state_->groups.back();
  StatusOr<ChunkView> chunk = ChunkView::Open(bytes);
  if (!chunk.ok()) {
    return InvalidArgument("{}: {}", state_->path, Message(chunk.status()));
  }
  const ChunkRef ref = {.offset = state_->file.offset(),
                        .size = static_cast<uint32_t>(bytes.size()),
                        .row_count = static_cast<uint32_t>(chunk->row_count()),
                        .min_time = chunk->min_time(),
                        .max_time = chunk->max_time(),
                        .checksum = Hash64(bytes)};
  BlockMeta& meta = state_->meta;
  if (chunk->column_count() != state_->schemas[group.schema].column_count ||
      chunk->has_sequences() != ((group.flags & kGroupOrdered) != 0)) {
    return InvalidArgument("{}: chunk of {} columns is not one of its group", state_->path,
                           chunk->column_count());
  }
  const bool is_late =
      ref.max_time >= meta.partition_end && meta.partition_end != model::kMaxTimestamp;
  if (ref.min_time < meta.partition_start || is_late ||
      (group.chunk_count > 0 && ref.min_time <= state_->chunks.back().max_time)) {
    return InvalidArgument("{}: chunk from {} to {} overlaps the one before or its partition",
                           state_->path, ref.min_time, ref.max_time);
  }
  RETURN_IF_ERROR(state_->file.Append(bytes));
  state_->chunks.push_back(ref);
  ++group.chunk_count;
  ++meta.chunk_count;
  meta.row_count += ref.row_count;
  meta.sample_count += ref.row_count * chunk->column_count();
  meta.min_time = std::min(meta.min_time, ref.min_time);
  meta.max_time = std::max(meta.max_time, ref.max_time);
  return OkStatus();
}

StatusOr<BlockMeta> BlockWriter::Finish() {
  CHECK(!state_->finished);
  BlockMeta& meta = state_->meta;
  meta.min_time = std::min(meta.min_time, meta.max_time);  // if there is no chunk
  RETURN_IF_ERROR(state_->WriteIndex());
  RETURN_IF_ERROR(state_->file.WriteSection(SectionId::kMeta, EncodeBlockMeta(meta)));
  RETURN_IF_ERROR(state_->file.Finish());
  state_->finished = true;
  return meta;
}

Status BlockWriter::State::WriteIndex() {
  if (group_labels.size() > UINT32_MAX || chunks.size() > UINT32_MAX) {
    return ResourceExhausted("{}: {} labels of groups and {} chunks are too many for one block",
                             path, group_labels.size(), chunks.size());
  }
  std::vector<NameRecord> names;
  std::vector<PairRecord> pairs;
  const std::vector<uint32_t> index_of = labels.Sort(&names, &pairs);
  for (uint32_t& label : group_labels) {
    label = index_of[label];
  }
  RETURN_IF_ERROR(WritePostingsSection(&pairs));
  RETURN_IF_ERROR(file.WriteSection(SectionId::kStrings, labels.strings()));
  RETURN_IF_ERROR(file.WriteSection(SectionId::kNames, AsBytes(names)));
  RETURN_IF_ERROR(file.WriteSection(SectionId::kPairs, AsBytes(pairs)));
  RETURN_IF_ERROR(file.WriteSection(SectionId::kSchemas, AsBytes(schemas)));
  RETURN_IF_ERROR(file.WriteSection(SectionId::kSchemaColumns, AsBytes(schema_columns)));
  RETURN_IF_ERROR(file.WriteSection(SectionId::kGroups, AsBytes(groups)));
  RETURN_IF_ERROR(file.WriteSection(SectionId::kGroupLabels, AsBytes(group_labels)));
  return file.WriteSection(SectionId::kChunks, AsBytes(chunks));
}

Status BlockWriter::State::WritePostingsSection(std::vector<PairRecord>* pairs) {
  RETURN_IF_ERROR(file.BeginSection(SectionId::kPostings));
  const uint64_t begin = file.offset();
  std::string scratch;
  const Buckets by_pair = MakeBuckets(pairs->size(), [&](const auto& add) {
    for (uint32_t group = 0; group < groups.size(); ++group) {
      for (uint32_t i = 0; i < groups[group].label_count; ++i) {
        add(group_labels[groups[group].first_label + i], group);
      }
    }
  });
  for (size_t i = 0; i < pairs->size(); ++i) {
    RETURN_IF_ERROR(WritePostings(by_pair.Of(i), begin, &file, &scratch, &(*pairs)[i].groups));
  }
  const Buckets by_schema = MakeBuckets(schemas.size(), [&](const auto& add) {
    for (uint32_t group = 0; group < groups.size(); ++group) {
      add(groups[group].schema, group);
    }
  });
  for (size_t i = 0; i < schemas.size(); ++i) {
    RETURN_IF_ERROR(WritePostings(by_schema.Of(i), begin, &file, &scratch, &schemas[i].groups));
  }
  file.EndSection();
  return OkStatus();
}

}  // namespace tsdbd::storage
