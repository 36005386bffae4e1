#include "storage/block.h"

#include <algorithm>
#include <cstring>

#include <spdlog/spdlog.h>

#include "common/check.h"
#include "common/hash.h"
#include "storage/block_select.h"

namespace tsdbd::storage {
namespace {

// Far more than there are kinds of sections; bounds what a damaged footer can ask for.
constexpr uint32_t kMaxSections = 64;

bool IsWithin(uint64_t offset, uint64_t size, uint64_t limit) {
  return offset <= limit && size <= limit - offset;
}

}  // namespace

StatusOr<std::shared_ptr<const Block>> Block::Open(Env* env, const std::string& path) {
  ASSIGN_OR_RETURN(std::unique_ptr<MappedFile> file, env->Map(path));
  std::shared_ptr<Block> block(new Block);
  block->path_ = path;
  block->bytes_ = file->data();
  block->file_ = std::move(file);
  RETURN_IF_ERROR(block->Parse());
  return std::shared_ptr<const Block>(std::move(block));
}

StatusOr<std::shared_ptr<const Block>> Block::OpenBytes(std::string_view bytes,
                                                        const std::string& path) {
  std::shared_ptr<Block> block(new Block);
  block->path_ = path;
  block->bytes_ = bytes;
  RETURN_IF_ERROR(block->Parse());
  return std::shared_ptr<const Block>(std::move(block));
}

Status Block::Parse() {
  if (reinterpret_cast<uintptr_t>(bytes_.data()) % kSectionAlignment != 0) {
    return FailedPrecondition("{}: is not mapped at a multiple of {}", path_, kSectionAlignment);
  }
  RETURN_IF_ERROR(ParseSectionTable());
  RETURN_IF_ERROR(BindSections());
  ASSIGN_OR_RETURN(const std::string_view section, FindSection(SectionId::kMeta));
  StatusOr<BlockMeta> meta = DecodeBlockMeta(section);
  if (!meta.ok()) {
    return DataLoss("{}: {}", path_, Message(meta.status()));
  }
  meta_ = *std::move(meta);
  if (meta_.group_count != groups_.size() || meta_.chunk_count != chunks_.size()) {
    return DataLoss("{}: meta says {} groups and {} chunks, but there are {} and {}", path_,
                    meta_.group_count, meta_.chunk_count, groups_.size(), chunks_.size());
  }
  return OkStatus();
}

Status Block::ParseSectionTable() {
  FileHeader header;
  Footer footer;
  if (bytes_.size() < sizeof(header) + sizeof(footer)) {
    return DataLoss("{}: {} bytes are too few for a block", path_, bytes_.size());
  }
  std::memcpy(&header, bytes_.data(), sizeof(header));
  const uint64_t footer_offset = bytes_.size() - sizeof(footer);
  std::memcpy(&footer, bytes_.data() + footer_offset, sizeof(footer));
  if (std::memcmp(header.magic, kBlockMagic, kBlockMagicSize) != 0 ||
      std::memcmp(footer.magic, kBlockMagic, kBlockMagicSize) != 0) {
    return DataLoss("{}: does not begin and end as a block does (cut off?)", path_);
  }
  if (header.version != kBlockVersion || footer.version != kBlockVersion) {
    return DataLoss("{}: version {} at the beginning, {} at the end, but {} is known here", path_,
                    header.version, footer.version, kBlockVersion);
  }
  const uint64_t table_size = uint64_t{footer.section_count} * sizeof(SectionEntry);
  if (footer.section_count == 0 || footer.section_count > kMaxSections ||
      table_size > footer_offset - sizeof(header)) {
    return DataLoss("{}: says it has {} sections", path_, footer.section_count);
  }
  const uint64_t table_offset = footer_offset - table_size;
  const std::string_view table = bytes_.substr(table_offset, table_size);
  if (Hash64(table, SectionTableSeed(footer)) != footer.table_checksum) {
    return DataLoss("{}: section table at offset {} fails its checksum", path_, table_offset);
  }
  section_table_.resize(footer.section_count);
  std::memcpy(section_table_.data(), table.data(), table_size);
  for (const SectionEntry& section : section_table_) {
    if (section.offset < sizeof(header) || section.offset % kSectionAlignment != 0 ||
        !IsWithin(section.offset, section.size, table_offset)) {
      return DataLoss("{}: section {} says it has {} bytes at offset {}", path_,
                      static_cast<uint32_t>(section.id), section.size, section.offset);
    }
  }
  return OkStatus();
}

StatusOr<std::string_view> Block::FindSection(SectionId id) const {
  const auto found = std::find_if(section_table_.begin(), section_table_.end(),
                                  [&](const SectionEntry& section) { return section.id == id; });
  if (found == section_table_.end()) {
    return DataLoss("{}: has no section {}", path_, static_cast<uint32_t>(id));
  }
  if (id == SectionId::kMeta) {  // the others are checked when they are first used
    RETURN_IF_ERROR(CheckChecksum(*found));
  }
  return bytes_.substr(found->offset, found->size);
}

template <typename Record>
Status Block::BindArray(SectionId id, std::span<const Record>* records) const {
  ASSIGN_OR_RETURN(const std::string_view section, FindSection(id));
  const size_t count = section.size() / sizeof(Record);
  if (section.size() % sizeof(Record) != 0 || count > UINT32_MAX) {
    return DataLoss("{}: section {} has {} bytes, which is no number of records", path_,
                    static_cast<uint32_t>(id), section.size());
  }
  *records = {reinterpret_cast<const Record*>(section.data()), count};
  return OkStatus();
}

Status Block::BindSections() {
  ASSIGN_OR_RETURN(strings_, FindSection(SectionId::kStrings));
  ASSIGN_OR_RETURN(postings_, FindSection(SectionId::kPostings));
  RETURN_IF_ERROR(BindArray(SectionId::kNames, &names_));
  RETURN_IF_ERROR(BindArray(SectionId::kPairs, &pairs_));
  RETURN_IF_ERROR(BindArray(SectionId::kSchemas, &schemas_));
  RETURN_IF_ERROR(BindArray(SectionId::kSchemaColumns, &schema_columns_));
  RETURN_IF_ERROR(BindArray(SectionId::kGroups, &groups_));
  RETURN_IF_ERROR(BindArray(SectionId::kGroupLabels, &group_labels_));
  RETURN_IF_ERROR(BindArray(SectionId::kChunks, &chunks_));
  good_chunks_ = std::vector<std::atomic<uint64_t>>((chunks_.size() + 63) / 64);
  return OkStatus();
}

Status Block::CheckIndex() const {
  if (index_is_good_.load(std::memory_order_acquire)) {
    return OkStatus();
  }
  MutexLock lock(&check_mutex_);
  if (!index_was_checked_) {
    for (const SectionEntry& section : section_table_) {
      index_status_.Update(CheckChecksum(section));
    }
    if (index_status_.ok()) {
      index_status_ = CheckStructure();
    }
    index_was_checked_ = true;
    index_is_good_.store(index_status_.ok(), std::memory_order_release);
  }
  return index_status_;
}

Status Block::CheckChecksum(const SectionEntry& section) const {
  if (Hash64(bytes_.substr(section.offset, section.size)) != section.checksum) {
    return DataLoss("{}: section {} ({} bytes at offset {}) fails its checksum", path_,
                    static_cast<uint32_t>(section.id), section.size, section.offset);
  }
  return OkStatus();
}

// All references point into their sections, so that the accessors need not look again.
Status Block::CheckStructure() const {
  const auto is_string = [&](const StringRef& string) {
    return IsWithin(string.offset, string.size, strings_.size());
  };
  const auto is_postings = [&](const PostingsRef& postings) {
    return postings.group_count == 1 ? postings.offset < groups_.size()
                                     : IsWithin(postings.offset, postings.size, postings_.size());
  };
  const auto is_name = [&](const NameRecord& name) {
    return is_string(name.name) && IsWithin(name.first_pair, name.pair_count, pairs_.size());
  };
  const auto is_pair = [&](const PairRecord& pair) {
    return IsWithin(pair.value_offset, pair.value_size, strings_.size()) &&
           pair.name < names_.size() && is_postings(pair.groups);
  };
  const auto is_schema = [&](const SchemaRecord& schema) {
    return is_string(schema.column_label) && is_postings(schema.groups) &&
           IsWithin(schema.first_column, schema.column_count, schema_columns_.size());
  };
  // A chunk belongs to one group: what was found right for one is not read as another's.
  size_t next_chunk = 0;
  const auto is_group = [&](const GroupRecord& group) {
    const bool follows = group.first_chunk == next_chunk;
    next_chunk += group.chunk_count;
    return IsWithin(group.first_label, group.label_count, group_labels_.size()) && follows &&
           next_chunk <= chunks_.size() && group.schema < schemas_.size();
  };
  const auto is_label = [&](uint32_t pair) { return pair < pairs_.size(); };
  const auto is_chunk = [&](const ChunkRef& chunk) {
    return IsWithin(chunk.offset, chunk.size, bytes_.size()) && chunk.min_time <= chunk.max_time;
  };
  if (!std::ranges::all_of(names_, is_name) || !std::ranges::all_of(pairs_, is_pair) ||
      !std::ranges::all_of(schemas_, is_schema) ||
      !std::ranges::all_of(schema_columns_, is_string) || !std::ranges::all_of(groups_, is_group) ||
      !std::ranges::all_of(group_labels_, is_label) || !std::ranges::all_of(chunks_, is_chunk)) {
    return DataLoss("{}: the index points outside of itself", path_);
  }
  return OkStatus();
}

StatusOr<BlockSelection> Block::Select(std::span<const model::Matcher> matchers) const {
  RETURN_IF_ERROR(CheckIndex());
  return BlockSelector(*this).Select(matchers);
}

StatusOr<std::vector<std::string_view>> Block::LabelNames(
    std::span<const model::Matcher> matchers) const {
  RETURN_IF_ERROR(CheckIndex());
  return BlockSelector(*this).LabelNames(matchers);
}

StatusOr<std::vector<std::string_view>> Block::LabelValues(
    std::string_view name, std::span<const model::Matcher> matchers) const {
  RETURN_IF_ERROR(CheckIndex());
  return BlockSelector(*this).LabelValues(name, matchers);
}

void Block::GetLabels(uint32_t group, model::LabelViews* labels) const {
  const GroupRecord& record = groups_[group];
  labels->clear();
  for (const uint32_t index : group_labels_.subspan(record.first_label, record.label_count)) {
    const PairRecord& pair = pairs_[index];
    labels->push_back({StringAt(names_[pair.name].name), PairValue(pair)});
  }
}

std::string_view Block::ColumnLabel(uint32_t group) const {
  return StringAt(Schema(group).column_label);
}

uint32_t Block::ColumnCount(uint32_t group) const {
  return Schema(group).column_count;
}

std::string_view Block::ColumnValue(uint32_t group, uint32_t column) const {
  return StringAt(schema_columns_[Schema(group).first_column + column]);
}

bool Block::IsOrdered(uint32_t group) const {
  return groups_[group].flags & kGroupOrdered;
}

std::span<const ChunkRef> Block::Chunks(uint32_t group) const {
  return chunks_.subspan(groups_[group].first_chunk, groups_[group].chunk_count);
}

uint32_t Block::FindName(std::string_view name) const {
  const NameRecord* record = BlockSelector(*this).FindName(name);
  return record == nullptr ? kNoName : static_cast<uint32_t>(record - names_.data());
}

std::string_view Block::LabelValue(uint32_t group, uint32_t name) const {
  const PairRecord* pair =
      name == kNoName ? nullptr : BlockSelector(*this).LabelOf(group, names_[name]);
  return pair == nullptr ? std::string_view() : PairValue(*pair);
}

StatusOr<ChunkView> Block::ReadChunk(uint32_t group, const ChunkRef& chunk) const {
  const auto number = static_cast<size_t>(&chunk - chunks_.data());
  DCHECK(number < chunks_.size());
  std::atomic<uint64_t>& word = good_chunks_[number / 64];
  const uint64_t bit = uint64_t{1} << (number % 64);
  if (word.load(std::memory_order_relaxed) & bit) {
    return ChunkView::OpenTrusted(bytes_.substr(chunk.offset, chunk.size));
  }
  StatusOr<ChunkView> view = CheckChunk(group, chunk);
  if (view.ok()) {
    word.fetch_or(bit, std::memory_order_relaxed);
  }
  return view;
}

StatusOr<ChunkView> Block::CheckChunk(uint32_t group, const ChunkRef& chunk) const {
  const std::string_view bytes = bytes_.substr(chunk.offset, chunk.size);
  if (Hash64(bytes) != chunk.checksum) {
    return DataLoss("{}: chunk of {} bytes at offset {} fails its checksum", path_, chunk.size,
                    chunk.offset);
  }
  StatusOr<ChunkView> view = ChunkView::Open(bytes);
  if (!view.ok()) {
    return DataLoss("{}: at offset {}: {}", path_, chunk.offset, Message(view.status()));
  }
  if (view->row_count() != chunk.row_count || view->min_time() != chunk.min_time ||
      view->max_time() != chunk.max_time || view->column_count() != ColumnCount(group) ||
      view->has_sequences() != IsOrdered(group)) {
    return DataLoss("{}: chunk at offset {} is not the one that group {} names", path_,
                    chunk.offset, group);
  }
  return view;
}

void Block::NoteDamage(const ChunkRef& chunk, const Status& reason) const {
  MutexLock lock(&check_mutex_);
  if (damaged_offsets_.insert(chunk.offset).second) {
    spdlog::error("damaged chunk is left out: {}", Message(reason));
  }
}

uint64_t Block::damaged_chunks() const {
  MutexLock lock(&check_mutex_);
  return damaged_offsets_.size();
}

}  // namespace tsdbd::storage
