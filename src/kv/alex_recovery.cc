// What AlexStore does at its start: index from the checkpoint, the rest from the log.

#include <spdlog/spdlog.h>

#include "kv/alex_engine.h"

namespace tsdbd::kv {

Status AlexStore::Recover(RecoveryReport* report) {
  const std::string& directory = options_.store.directory;
  auto checkpoint = Checkpoint::Read(env_, directory, options_.store.key_type);
  if (!checkpoint.ok() && checkpoint.status().code() == StatusCode::kDataLoss) {
    report->AddDamage({directory + "/" + std::string(kCheckpointName), 0,
                       std::string(Message(checkpoint.status()))});
    report->checkpoint_problem = Message(checkpoint.status());
  } else if (!checkpoint.ok() && checkpoint.status().code() != StatusCode::kNotFound) {
    return checkpoint.status();
  }
  // A checkpoint is only put in its place when the log was on disk up to there.
  const Position from = checkpoint.ok() ? checkpoint->header().log_position : 0;
  ASSIGN_OR_RETURN(RecoveredLog log,
                   OpenLog(env_, directory, options_.store.key_type, from, report));
  for (std::unique_ptr<LogSegment>& file : log.files) {
    log_.Adopt(std::move(file));
  }
  if (checkpoint.ok()) {
    LoadCheckpoint(*checkpoint, log);
    report->checkpoint_keys = index_.size();
  }
  ReplayLog(
      &log, from,
      [this](LogSegment* segment, Position position, const Record& record, RecordState state)
          NO_THREAD_SAFETY_ANALYSIS { Replay(segment, position, record, state); },
      report);
  RETURN_IF_ERROR(MakeDurable(env_, directory, &log));
  log_.Start(log.next_number, log.end);
  bytes_since_checkpoint_ = report->record_bytes;
  damaged_count_ = report->damage_count;
  return OkStatus();
}

void AlexStore::LoadCheckpoint(const Checkpoint& checkpoint, const RecoveredLog& log) {
  version_ = checkpoint.header().version;
  std::set<uint64_t> present;
  for (const LogSegment* segment : log.segments) {
    present.insert(segment->number());
  }
  bool is_complete = true;
  for (const CheckpointSegment& saved : checkpoint.segments()) {
    LogSegment* const segment = log_.Find(MakePosition(saved.number, 0));
    if (segment == nullptr) {
      is_complete = false;
      continue;
    }
    segment->figures = saved.figures;
    if ((saved.flags & CheckpointSegment::kIsDamaged) != 0) {
      segment->is_damaged = true;
    }
    segment->has_clear = (saved.flags & CheckpointSegment::kHasClear) != 0;
    live_bytes_ += saved.figures.live_bytes;
  }
  const auto is_there = [&](Position position) {
    return is_complete || present.contains(SegmentOf(position));
  };
  if (is_complete) {
    index_.Load(checkpoint.keys(), checkpoint.header().has_collisions != 0);
  } else {
    // The rest was compacted away after the checkpoint: what was alive there is further on in the
    // log.
    std::vector<KeyIndex::Pair> keys;
    for (const KeyIndex::Pair& pair : checkpoint.keys()) {
      if (is_there(pair.payload)) {
        keys.push_back(pair);
      }
    }
    index_.Load(keys, checkpoint.header().has_collisions != 0);
  }
  for (const ExpiryEntry& entry : checkpoint.expiries()) {
    if (is_there(entry.position)) {
      expiries_.insert(expiries_.end(), entry);
    }
  }
}

void AlexStore::Replay(LogSegment* segment, Position position, const Record& record,
                       RecordState state) {
  version_ = std::max(version_, record.version);
  switch (record.kind) {
    case RecordKind::kPut:
      ReplayPut(segment, position, record, state);
      return;
    case RecordKind::kDelete:
      segment->figures.delete_bytes += record.stored_bytes;
      ReplayDelete(record, state);
      return;
    case RecordKind::kClear:
      ResetIndex();
      segment->has_clear = true;
      return;
    case RecordKind::kMark:
      return;
  }
}

void AlexStore::ReplayPut(LogSegment* segment, Position position, const Record& record,
                          RecordState state) {
  const bool key_is_known = is_integer_ || state != RecordState::kBadBody;
  const Position old = key_is_known ? index_.Put(record.index_key, record.key, position)
                                    : index_.PutUnreadable(record.index_key, position);
  segment->figures.put_bytes += record.stored_bytes;
  segment->figures.live_bytes += record.stored_bytes;
  live_bytes_ += record.stored_bytes;
  if (record.has_expiry()) {
    expiries_.insert({record.expires_ns, position});
  }
  if (old != 0) {
    Forget(old);
  }
}

void AlexStore::ReplayDelete(const Record& record, RecordState state) {
  std::string_view key = record.key;
  Record deleted;
  if (!is_integer_ && state == RecordState::kBadBody) {
    // Only the hash is known: the key that has it, then.
    const Position position = index_.FindFirst(record.index_key);
    if (position == 0 || ReadRecordAt(position, &deleted) != RecordState::kIntact) {
      return;
    }
    key = deleted.key;
  }
  if (const Position old = index_.Remove(record.index_key, key); old != 0) {
    Forget(old);
  }
}

}  // namespace tsdbd::kv
