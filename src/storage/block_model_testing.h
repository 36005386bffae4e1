#pragma once
// The slow twin of a block: its groups as vectors; and how to write and read a block as such.
// For tests, fuzz targets and benchmarks.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "common/env.h"
#include "model/labels.h"
#include "storage/block.h"
#include "storage/block_writer.h"
#include "storage/column_generators_testing.h"

namespace tsdbd::storage {

struct ModelGroup {
  model::Labels labels;
  std::string column_label;
  std::vector<std::string> column_values;
  std::vector<model::Timestamp> timestamps;
  std::vector<std::vector<double>> columns;
  std::vector<uint64_t> sequences;  // empty: the group is not ordered
};

// Groups with few names and values, so that matchers meet many of them. Their rows lie in the
// partition of DefaultMeta().
std::vector<ModelGroup> RandomGroups(size_t count, size_t max_rows, Random* random);

// One day, generation 1.
BlockMeta DefaultMeta();

// Writes a finished block to `path`. Chunks get `rows_per_chunk` rows each.
StatusOr<BlockMeta> WriteModelBlock(Env* env, const std::string& path, const BlockMeta& meta,
                                    const std::vector<ModelGroup>& groups,
                                    size_t rows_per_chunk = kMaxChunkRows);

// The same as bytes.
std::string ModelBlockBytes(const std::vector<ModelGroup>& groups,
                            size_t rows_per_chunk = kMaxChunkRows,
                            const BlockMeta& meta = DefaultMeta());

// Everything in a block, through its public interface.
StatusOr<std::vector<ModelGroup>> ReadModelGroups(const Block& block);

// Equal text means equal groups, bit for bit.
std::string ToText(const std::vector<ModelGroup>& groups);

// `block` with the checksums of its chunks, sections and section table as its bytes demand, as far
// as they can be found: what an enemy, not an accident, would write.
std::string WithRightChecksums(std::string block);

// Bytes where a Block can read them: aligned, and of exactly this size for the sanitizers.
class AlignedBytes {
 public:
  explicit AlignedBytes(std::string_view bytes);
  ~AlignedBytes();
  AlignedBytes(const AlignedBytes&) = delete;
  AlignedBytes& operator=(const AlignedBytes&) = delete;
  std::string_view view() const { return {data_, size_}; }

 private:
  char* data_;
  size_t size_;
};

}  // namespace tsdbd::storage
