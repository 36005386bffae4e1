#include "kv/checkpoint.h"

#include <algorithm>
#include <cstring>

namespace tsdbd::kv {
namespace {

static_assert(sizeof(KeyIndex::Pair) == 16 && sizeof(ExpiryEntry) == 16,
              "they go to the disk as they are");

// Where the keys begin: aligned for them, and apart from the header, which is written last.
constexpr uint64_t kDataOffset = 4096;
// What one checksum covers: large enough to cost nothing, small enough to say where damage is.
constexpr uint64_t kBlockBytes = 1 << 20;

uint64_t HeaderChecksum(const CheckpointHeader& header) {
  return Hash64({reinterpret_cast<const char*>(&header), offsetof(CheckpointHeader, checksum)});
}

std::string_view TableBytes(std::span<const uint64_t> checksums) {
  return {reinterpret_cast<const char*>(checksums.data()), checksums.size_bytes()};
}

template <typename T>
std::span<const T> TakeSpan(std::string_view* bytes, uint64_t count) {
  const std::span<const T> taken(reinterpret_cast<const T*>(bytes->data()), count);
  bytes->remove_prefix(taken.size_bytes());
  return taken;
}

}  // namespace

// ---- Writing

StatusOr<std::unique_ptr<CheckpointWriter>> CheckpointWriter::Create(
    Env* env, const std::string& directory, const CheckpointHeader& header) {
  std::unique_ptr<CheckpointWriter> writer(new CheckpointWriter(env, directory, header));
  ASSIGN_OR_RETURN(writer->file_, env->Open(writer->path_ + ".tmp", OpenMode::kCreateOrTruncate));
  writer->offset_ = kDataOffset;
  writer->block_.reserve(kBlockBytes);
  return writer;
}

CheckpointWriter::~CheckpointWriter() {
  if (!is_finished_ && file_ != nullptr) {
    env_->Remove(path_ + ".tmp").IgnoreError();
  }
}

Status CheckpointWriter::AddKeys(std::span<const KeyIndex::Pair> keys) {
  for (const KeyIndex::Pair& pair : keys) {
    header_.has_collisions |= header_.key_count != 0 && pair.key == last_key_ ? 1 : 0;
    last_key_ = pair.key;
    ++header_.key_count;
  }
  return Append(keys.data(), keys.size_bytes());
}

Status CheckpointWriter::AddExpiries(std::span<const ExpiryEntry> expiries) {
  header_.expiry_count += expiries.size();
  return Append(expiries.data(), expiries.size_bytes());
}

Status CheckpointWriter::AddSegments(std::span<const CheckpointSegment> segments) {
  header_.segment_count += segments.size();
  return Append(segments.data(), segments.size_bytes());
}

Status CheckpointWriter::Append(const void* data, size_t size) {
  const char* from = static_cast<const char*>(data);
  while (size > 0) {
    const size_t step = std::min<size_t>(size, kBlockBytes - block_.size());
    block_.append(from, step);
    from += step;
    size -= step;
    if (block_.size() == kBlockBytes) {
      RETURN_IF_ERROR(EndBlock());
    }
  }
  return OkStatus();
}

Status CheckpointWriter::EndBlock() {
  checksums_.push_back(Hash64(block_, checksums_.size()));
  RETURN_IF_ERROR(file_->WriteAt(offset_, block_));
  file_->StartWriteback(offset_, block_.size());
  offset_ += block_.size();
  block_.clear();
  return OkStatus();
}

Status CheckpointWriter::Finish() {
  if (!block_.empty()) {
    RETURN_IF_ERROR(EndBlock());
  }
  RETURN_IF_ERROR(file_->WriteAt(offset_, TableBytes(checksums_)));
  header_.table_checksum = Hash64(TableBytes(checksums_));
  header_.checksum = HeaderChecksum(header_);
  std::string page(kDataOffset, '\0');
  std::memcpy(page.data(), &header_, sizeof(header_));
  RETURN_IF_ERROR(file_->WriteAt(0, page));
  RETURN_IF_ERROR(file_->Sync());
  RETURN_IF_ERROR(env_->Rename(path_ + ".tmp", path_));
  is_finished_ = true;
  return env_->SyncDirectory(ParentDirectory(path_));
}

// ---- Reading

StatusOr<Checkpoint> Checkpoint::Read(Env* env, const std::string& directory, KeyType key_type) {
  const std::string path = directory + "/" + std::string(kCheckpointName);
  Checkpoint checkpoint;
  ASSIGN_OR_RETURN(checkpoint.file_, env->Map(path));
  const std::string_view bytes = checkpoint.file_->data();
  CheckpointHeader& header = checkpoint.header_;
  if (bytes.size() < kDataOffset) {
    return DataLoss("{}: {} bytes are no checkpoint", path, bytes.size());
  }
  std::memcpy(&header, bytes.data(), sizeof(header));
  if (std::memcmp(header.magic, CheckpointHeader().magic, sizeof(header.magic)) != 0 ||
      header.format_version != CheckpointHeader().format_version ||
      header.checksum != HeaderChecksum(header)) {
    return DataLoss("{}: the header is damaged", path);
  }
  if (header.key_type != static_cast<uint32_t>(key_type)) {
    return FailedPrecondition("{}: made for keys of another type", path);
  }
  const uint64_t data_bytes = header.key_count * sizeof(KeyIndex::Pair) +
                              header.expiry_count * sizeof(ExpiryEntry) +
                              header.segment_count * sizeof(CheckpointSegment);
  const uint64_t block_count = (data_bytes + kBlockBytes - 1) / kBlockBytes;
  if (bytes.size() != kDataOffset + data_bytes + block_count * sizeof(uint64_t)) {
    return DataLoss("{}: {} bytes, where the header tells of {} of data", path, bytes.size(),
                    data_bytes);
  }
  const std::string_view table = bytes.substr(kDataOffset + data_bytes);
  if (Hash64(table) != header.table_checksum) {
    return DataLoss("{}: the checksums at {} are damaged", path, kDataOffset + data_bytes);
  }
  std::string_view data = bytes.substr(kDataOffset, data_bytes);
  for (uint64_t i = 0; i < block_count; ++i) {
    uint64_t checksum;
    std::memcpy(&checksum, table.data() + i * sizeof(checksum), sizeof(checksum));
    if (Hash64(data.substr(i * kBlockBytes, kBlockBytes), i) != checksum) {
      return DataLoss("{}: the block at {} is damaged", path, kDataOffset + i * kBlockBytes);
    }
  }
  checkpoint.keys_ = TakeSpan<KeyIndex::Pair>(&data, header.key_count);
  checkpoint.expiries_ = TakeSpan<ExpiryEntry>(&data, header.expiry_count);
  checkpoint.segments_ = TakeSpan<CheckpointSegment>(&data, header.segment_count);
  return checkpoint;
}

}  // namespace tsdbd::kv
