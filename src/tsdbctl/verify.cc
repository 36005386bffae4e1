#include "tsdbctl/verify.h"

#include <map>
#include <memory>

#include "kv/checkpoint.h"
#include "kv/keyspace_definition.h"
#include "kv/log_recovery.h"
#include "storage/block.h"
#include "tsdb/write_record.h"
#include "wal/recovery.h"

namespace tsdbd::tsdbctl {
namespace {

// The records of the WAL as the database would read them, without keeping anything.
class RecordCheck : public tsdb::WriteRecordVisitor {
 public:
  Status Check(const wal::RecordView& record) {
    if (record.generation != generation_) {  // references begin anew
      generation_ = record.generation;
      columns_.clear();
    }
    return tsdb::DecodeWriteRecord(record.bytes, this);
  }

  void OnDefinition(const tsdb::GroupDefinition& definition) override {
    columns_[definition.reference] = definition.column_values.size();
  }
  size_t ColumnCount(uint32_t reference) override {
    const auto group = columns_.find(reference);
    return group == columns_.end() ? 0 : group->second;
  }
  void OnRow(uint32_t, model::Timestamp, const double*) override {}

 private:
  uint64_t generation_ = 0;
  std::map<uint32_t, size_t> columns_;  // by reference
};

class Verifier {
 public:
  Verifier(Env* env, std::string data_dir, const Finding& finding)
      : env_(env), data_dir_(std::move(data_dir)), finding_(finding) {}

  StatusOr<VerifyReport> Run() {
    ASSIGN_OR_RETURN(const bool exists, env_->Exists(data_dir_));
    if (!exists) {
      return NotFound("no such folder: {}", data_dir_);
    }
    const std::string lock_path = data_dir_ + "/LOCK";
    std::unique_ptr<FileLock> lock;
    if (env_->Exists(lock_path).value_or(false)) {
      StatusOr<std::unique_ptr<FileLock>> locked = env_->Lock(lock_path);
      // A copy that cannot be written cannot be locked either, and need not be.
      if (locked.status().code() == StatusCode::kFailedPrecondition) {
        return locked.status();
      }
      lock = locked.ok() ? *std::move(locked) : nullptr;
    }
    RETURN_IF_ERROR(VerifyBlocks(data_dir_ + "/blocks"));
    RETURN_IF_ERROR(VerifyWal(data_dir_ + "/wal"));
    RETURN_IF_ERROR(VerifyKeyspaces(data_dir_ + "/kv"));
    return report_;
  }

 private:
  void Tell(const std::string& path, std::string damage) {
    report_.damages += damage.empty() ? 0 : 1;
    if (const std::string prefix = path + ": "; damage.starts_with(prefix)) {
      damage.erase(0, prefix.size());
    }
    finding_(path, damage);
  }

  void Count(uint64_t bytes) {
    ++report_.files;
    report_.bytes += bytes;
  }

  // Nothing for a folder that is not there.
  StatusOr<std::vector<std::string>> List(const std::string& folder) {
    ASSIGN_OR_RETURN(const bool exists, env_->Exists(folder));
    if (!exists) {
      return std::vector<std::string>();
    }
    return env_->List(folder);
  }

  Status VerifyBlocks(const std::string& folder) {
    ASSIGN_OR_RETURN(const std::vector<std::string> names, List(folder));
    for (const std::string& name : names) {
      if (!name.ends_with(storage::kBlockSuffix)) {
        continue;
      }
      const std::string path = folder + "/" + name;
      ASSIGN_OR_RETURN(const uint64_t size_bytes, env_->FileSize(path));
      Count(size_bytes);
      const auto block = storage::Block::Open(env_, path);
      const Status status = block.ok() ? (*block)->Verify() : block.status();
      if (!status.ok() && status.code() != StatusCode::kDataLoss) {
        return status;
      }
      Tell(path, std::string(Message(status)));
    }
    return OkStatus();
  }

  Status VerifyWal(const std::string& folder) {
    ASSIGN_OR_RETURN(const bool exists, env_->Exists(folder));
    if (!exists) {
      return OkStatus();
    }
    RecordCheck check;
    wal::RecoveryReport found;
    ASSIGN_OR_RETURN(
        const wal::RecoveredLog log,
        wal::ReadLog(
            env_, folder, /*first_generation=*/0,
            [&](const wal::RecordView& record) { return check.Check(record); }, &found));
    for (const auto& segment : log.segments) {
      Count(segment.end_bytes);
    }
    for (const wal::Damage& damage : found.damages) {
      Tell(damage.path, fmt::format("offset {}: {}", damage.offset, damage.what));
    }
    TellUnlisted(folder, found.damage_count - found.damages.size());
    if (found.damage_count == 0) {
      Tell(folder, "");
    }
    return OkStatus();
  }

  void TellUnlisted(const std::string& path, uint64_t count) {
    if (count > 0) {
      Tell(path, fmt::format("{} more damaged places", count));
      report_.damages += count - 1;
    }
  }

  Status VerifyKeyspaces(const std::string& folder) {
    ASSIGN_OR_RETURN(const std::vector<std::string> names, List(folder));
    for (const std::string& name : names) {
      const std::string definition_path = folder + "/" + name + "/definition";
      ASSIGN_OR_RETURN(const bool exists, env_->Exists(definition_path));
      if (!exists) {
        continue;  // dropped, or none of ours
      }
      kv::KeyspaceDefinition definition;
      uint64_t store_number = 0;
      ASSIGN_OR_RETURN(const auto file, env_->Map(definition_path));
      if (const Status status = kv::DecodeDefinition(file->data(), &definition, &store_number);
          !status.ok()) {
        Tell(definition_path, std::string(Message(status)));
        continue;
      }
      // RocksDB checks what it reads; its files are not ours to interpret.
      if (definition.backend == kv::Backend::kAlex) {
        RETURN_IF_ERROR(VerifyStore(fmt::format("{}/{}/store-{}", folder, name, store_number),
                                    definition.key_type));
      }
    }
    return OkStatus();
  }

  Status VerifyStore(const std::string& folder, kv::KeyType key_type) {
    ASSIGN_OR_RETURN(const bool exists, env_->Exists(folder));
    if (!exists) {
      Tell(folder, "the keyspace's folder is missing");
      return OkStatus();
    }
    const auto checkpoint = kv::Checkpoint::Read(env_, folder, key_type);
    const bool is_checkpoint_damaged = checkpoint.status().code() == StatusCode::kDataLoss;
    if (is_checkpoint_damaged) {
      Tell(folder, std::string(Message(checkpoint.status())));
    }
    const kv::Position durable = checkpoint.ok() ? checkpoint->header().log_position : 0;
    kv::RecoveryReport found;
    ASSIGN_OR_RETURN(kv::RecoveredLog log, kv::OpenLog(env_, folder, key_type, durable, &found));
    kv::ReplayLog(
        &log, /*from=*/0, [](kv::LogSegment*, kv::Position, const kv::Record&, kv::RecordState) {},
        &found);
    for (const kv::LogSegment* segment : log.segments) {
      Count(segment->bytes().size());
    }
    for (const kv::Damage& damage : found.damages) {
      Tell(damage.path, fmt::format("offset {}: {}", damage.offset, damage.what));
    }
    TellUnlisted(folder, found.damage_count - found.damages.size());
    if (found.damage_count == 0 && !is_checkpoint_damaged) {
      Tell(folder, "");
    }
    return OkStatus();
  }

  Env* const env_;
  const std::string data_dir_;
  const Finding& finding_;
  VerifyReport report_;
};

}  // namespace

StatusOr<VerifyReport> VerifyDataDir(Env* env, const std::string& data_dir,
                                     const Finding& finding) {
  return Verifier(env, data_dir, finding).Run();
}

}  // namespace tsdbd::tsdbctl
