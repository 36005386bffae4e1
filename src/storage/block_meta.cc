#include "storage/block_meta.h"

#include <ctime>
#include <tuple>

#include "common/clock.h"
#include "storage/block_format.h"
#include "storage/short_integers.h"

namespace tsdbd::storage {

bool Precedes(const BlockMeta& a, const BlockMeta& b) {
  const auto key = [](const BlockMeta& meta) {
    return std::tuple(meta.partition_start, meta.generation_max, meta.generation_min, meta.level);
  };
  return key(a) < key(b);
}

std::string BlockFileName(const BlockMeta& meta) {
  const std::time_t seconds = meta.partition_start / kNanosPerSecond;
  std::tm utc = {};
  gmtime_r(&seconds, &utc);
  char start[32];
  std::strftime(start, sizeof(start), "%Y%m%dT%H%M%S", &utc);
  // Partitions of less than a second are of use in tests only.
  const int64_t nanos = meta.partition_start % kNanosPerSecond;
  return fmt::format("{}{}Z-{:010}-{:010}-{:02}{}", start,
                     nanos == 0 ? "" : fmt::format(".{:09}", nanos), meta.generation_min,
                     meta.generation_max, meta.level, kBlockSuffix);
}

std::string EncodeBlockMeta(const BlockMeta& meta) {
  const MetaRecord record = {.partition_start = meta.partition_start,
                             .partition_end = meta.partition_end,
                             .generation_min = meta.generation_min,
                             .generation_max = meta.generation_max,
                             .min_time = meta.min_time,
                             .max_time = meta.max_time,
                             .group_count = meta.group_count,
                             .series_count = meta.series_count,
                             .chunk_count = meta.chunk_count,
                             .row_count = meta.row_count,
                             .sample_count = meta.sample_count,
                             .level = meta.level,
                             .parent_count = static_cast<uint32_t>(meta.parents.size())};
  std::string section(reinterpret_cast<const char*>(&record), sizeof(record));
  for (const std::string& parent : meta.parents) {
    AppendBytes(parent.size(), sizeof(uint32_t), &section);
    section += parent;
  }
  if (meta.deletions_applied != 0) {
    AppendBytes(meta.deletions_applied, sizeof(uint64_t), &section);
  }
  return section;
}

StatusOr<BlockMeta> DecodeBlockMeta(std::string_view section) {
  MetaRecord record;
  if (section.size() < sizeof(record)) {
    return DataLoss("meta section has {} bytes", section.size());
  }
  std::memcpy(&record, section.data(), sizeof(record));
  section.remove_prefix(sizeof(record));
  BlockMeta meta = {.partition_start = record.partition_start,
                    .partition_end = record.partition_end,
                    .generation_min = record.generation_min,
                    .generation_max = record.generation_max,
                    .level = record.level,
                    .parents = {},
                    .deletions_applied = 0,
                    .min_time = record.min_time,
                    .max_time = record.max_time,
                    .group_count = record.group_count,
                    .series_count = record.series_count,
                    .chunk_count = record.chunk_count,
                    .row_count = record.row_count,
                    .sample_count = record.sample_count};
  for (uint32_t i = 0; i < record.parent_count; ++i) {
    const uint64_t size =
        section.size() < sizeof(uint32_t) ? 0 : ReadUnsigned(section.data(), sizeof(uint32_t));
    if (section.size() < sizeof(uint32_t) + size || size == 0) {
      return DataLoss("meta section ends within parent {} of {}", i, record.parent_count);
    }
    meta.parents.emplace_back(section.substr(sizeof(uint32_t), size));
    section.remove_prefix(sizeof(uint32_t) + size);
  }
  if (section.size() >= sizeof(uint64_t)) {
    meta.deletions_applied = ReadUnsigned(section.data(), sizeof(uint64_t));
  }
  return meta;
}

}  // namespace tsdbd::storage
