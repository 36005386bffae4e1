#pragma once
// A checkpoint: the index of an AlexStore as it was at one place of the log, in a file. With it a
// start only replays the log from there. It holds nothing that the log does not: a damaged one
// costs a longer start. Format: docs/formats/kv.md.

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "common/env.h"
#include "common/status.h"
#include "kv/key_index.h"
#include "kv/log_segment.h"

namespace tsdbd::kv {

inline constexpr std::string_view kCheckpointName = "checkpoint.kvc";

struct CheckpointHeader {
  char magic[8] = {'t', 's', 'd', 'b', 'd', 'k', 'v', 'c'};
  uint32_t format_version = 1;
  uint32_t key_type = 0;
  Position log_position = 0;  // all before it is in here, nothing behind it
  uint64_t version = 0;       // the newest before it
  uint64_t key_count = 0;
  uint64_t expiry_count = 0;
  uint64_t segment_count = 0;
  uint64_t has_collisions = 0;  // 1: several keys have the same index key
  uint64_t table_checksum = 0;  // of the blocks' checksums
  uint64_t checksum = 0;        // of what is before it
};
static_assert(sizeof(CheckpointHeader) == 80);

// When the record at `position` expires.
struct ExpiryEntry {
  int64_t expires_ns = 0;
  Position position = 0;
  friend auto operator<=>(const ExpiryEntry&, const ExpiryEntry&) = default;
};

struct CheckpointSegment {
  uint64_t number = 0;
  SegmentFigures figures;
  static constexpr uint64_t kIsDamaged = 1;
  static constexpr uint64_t kHasClear = 2;
  uint64_t flags = 0;
};
static_assert(sizeof(CheckpointSegment) == 48);

// Writes a checkpoint beside the old one and then puts it in its place. Everything in order: keys,
// expiries, segments.
class CheckpointWriter {
 public:
  static StatusOr<std::unique_ptr<CheckpointWriter>> Create(Env* env, const std::string& directory,
                                                            const CheckpointHeader& header);
  // Removes the file unless it is finished.
  ~CheckpointWriter();
  CheckpointWriter(const CheckpointWriter&) = delete;
  CheckpointWriter& operator=(const CheckpointWriter&) = delete;

  // Rising; where several keys have the same index key they follow each other.
  Status AddKeys(std::span<const KeyIndex::Pair> keys);
  Status AddExpiries(std::span<const ExpiryEntry> expiries);
  Status AddSegments(std::span<const CheckpointSegment> segments);
  Status Finish();

 private:
  CheckpointWriter(Env* env, const std::string& directory, const CheckpointHeader& header)
      : env_(env), path_(directory + "/" + std::string(kCheckpointName)), header_(header) {}
  Status Append(const void* data, size_t size);
  Status EndBlock();

  Env* const env_;
  const std::string path_;
  CheckpointHeader header_;
  std::unique_ptr<File> file_;
  uint64_t offset_ = 0;
  uint64_t last_key_ = 0;
  std::string block_;
  std::vector<uint64_t> checksums_;
  bool is_finished_ = false;
};

class Checkpoint {
 public:
  // Checked as a whole. kNotFound if there is none; kDataLoss, saying where, if it is damaged.
  static StatusOr<Checkpoint> Read(Env* env, const std::string& directory, KeyType key_type);

  const CheckpointHeader& header() const { return header_; }
  std::span<const KeyIndex::Pair> keys() const { return keys_; }
  std::span<const ExpiryEntry> expiries() const { return expiries_; }
  std::span<const CheckpointSegment> segments() const { return segments_; }

 private:
  std::unique_ptr<MappedFile> file_;
  CheckpointHeader header_;
  std::span<const KeyIndex::Pair> keys_;
  std::span<const ExpiryEntry> expiries_;
  std::span<const CheckpointSegment> segments_;
};

}  // namespace tsdbd::kv
