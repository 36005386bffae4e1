#include "kv/log_recovery.h"

#include <algorithm>
#include <utility>

namespace tsdbd::kv {
namespace {

RecordState ReadAt(const LogSegment& segment, uint64_t offset, Record* record) {
  return ReadRecord(segment.bytes(), segment.salt(), offset, record);
}

std::optional<MarkValue> MarkOf(const Record& record) {
  MarkValue mark;
  if (record.kind != RecordKind::kMark || record.value.size() != sizeof(mark)) {
    return std::nullopt;
  }
  std::memcpy(&mark, record.value.data(), sizeof(mark));
  return mark;
}

std::optional<MarkValue> FirstMark(const LogSegment& segment) {
  Record record;
  return ReadAt(segment, kLogPageBytes, &record) == RecordState::kIntact ? MarkOf(record)
                                                                         : std::nullopt;
}

// The first record that is intact at `offset` or behind it, before `end`; `end` if there is none.
uint64_t FindIntact(const LogSegment& segment, uint64_t offset, uint64_t end) {
  Record record;
  while (offset < end && ReadAt(segment, offset, &record) != RecordState::kIntact) {
    offset += kRecordAlignment;
  }
  return std::min(offset, end);
}

bool IsZero(std::string_view bytes) {
  return bytes.find_first_not_of('\0') == std::string_view::npos;
}

// Whether only zeros follow from `offset` on.
bool IsZeroFrom(const LogSegment& segment, uint64_t offset) {
  return segment.bytes().find_first_not_of('\0', offset) == std::string_view::npos;
}

// Behind the last byte that was written.
Position WrittenEnd(const LogSegment& segment) {
  const uint64_t bytes = segment.bytes().find_last_not_of('\0') + 1;  // npos + 1 is 0
  return MakePosition(segment.number(), AlignRecord(bytes));
}

// The newest mark's word. Marks rise with the log, so the last segment that has one tells.
Position HighestMark(const std::vector<LogSegment*>& segments) {
  for (auto it = segments.rbegin(); it != segments.rend(); ++it) {
    const LogSegment& segment = **it;
    const uint64_t end = segment.bytes().size();
    std::optional<Position> highest;
    Record record;
    for (uint64_t offset = FindIntact(segment, kLogPageBytes, end); offset < end;
         offset = FindIntact(segment, offset + record.stored_bytes, end)) {
      ReadAt(segment, offset, &record);
      if (const auto mark = MarkOf(record)) {
        highest = std::max(highest.value_or(0), mark->durable_through);
      }
    }
    if (highest) {
      return *highest;
    }
  }
  return 0;
}

class Replay {
 public:
  Replay(RecoveredLog* log, const RecordVisitor& visitor, RecoveryReport* report)
      : log_(*log), visitor_(visitor), report_(*report) {}

  void Run(Position from) {
    size_t index = 0;
    while (index < log_.segments.size() && log_.segments[index]->number() < SegmentOf(from)) {
      ++index;
    }
    log_.end = from;
    for (bool goes_on = true; goes_on && index < log_.segments.size(); ++index) {
      LogSegment* const segment = log_.segments[index];
      if (segment->number() > SegmentOf(from) && !Follows(*segment)) {
        break;
      }
      const uint64_t begin = segment->number() == SegmentOf(from) ? OffsetOf(from) : kLogPageBytes;
      goes_on = ReplaySegment(segment, begin, EndToldByNext(index));
    }
    DropBehindEnd();
  }

 private:
  bool WasDurable(const LogSegment& segment, uint64_t offset) const {
    return MakePosition(segment.number(), offset) < log_.known_durable;
  }

  // Whether the log up to `segment` is there: what is missing before it was compacted away, and so
  // had been durable.
  bool Follows(const LogSegment& segment) const {
    const auto mark = FirstMark(segment);
    return !mark || mark->previous_end <= std::max(log_.known_durable, log_.end);
  }

  // Where the segment ends, as far as the one behind it knows.
  std::optional<uint64_t> EndToldByNext(size_t index) const {
    if (index + 1 == log_.segments.size()) {
      return std::nullopt;
    }
    const auto mark = FirstMark(*log_.segments[index + 1]);
    return mark && SegmentOf(mark->previous_end) == log_.segments[index]->number()
               ? std::optional(OffsetOf(mark->previous_end))
               : std::nullopt;
  }

  // False if the log ends in it.
  bool ReplaySegment(LogSegment* segment, uint64_t offset, std::optional<uint64_t> told_end) {
    const uint64_t file_bytes = segment->bytes().size();
    const uint64_t end = std::min(told_end.value_or(file_bytes), file_bytes);
    while (offset < end) {
      Record record;
      const RecordState state = ReadAt(*segment, offset, &record);
      if (state == RecordState::kIntact) {
        Take(segment, offset, record, state);
        offset += record.stored_bytes;
        continue;
      }
      if (!WasDurable(*segment, offset)) {
        return EndLog(*segment, offset);
      }
      // All of an earlier segment was durable, but how much was written in it is not known.
      if (!told_end && SegmentOf(log_.known_durable) > segment->number() &&
          IsZeroFrom(*segment, offset)) {
        break;
      }
      offset = PassDamage(segment, offset, end);
    }
    if (!told_end && !WasDurable(*segment, offset)) {
      return EndLog(*segment, offset);  // the file ends here, perhaps in the middle of a batch
    }
    VisitPending(segment);
    segment->figures.end_bytes = offset;
    log_.end = MakePosition(segment->number(), offset);
    return true;
  }

  // Returns where to go on.
  uint64_t PassDamage(LogSegment* segment, uint64_t offset, uint64_t end) {
    segment->is_damaged = true;
    Record record;
    const RecordState state = ReadOrMendRecord(segment->bytes(), segment->salt(), offset, &record);
    if (state != RecordState::kBadHeader) {
      report_.AddDamage({segment->path(), offset,
                         state == RecordState::kMended
                             ? "one byte of a record's header is wrong"
                             : "a record fails its checksum; its key has no value"});
      Take(segment, offset, record, state);
      return offset + record.stored_bytes;
    }
    uint64_t next = FindIntact(*segment, offset + kRecordAlignment, end);
    if (next == end && SegmentOf(log_.known_durable) == segment->number()) {
      next = std::min(std::max(offset + kRecordAlignment, OffsetOf(log_.known_durable)), end);
    }
    report_.AddDamage(
        {segment->path(), offset, fmt::format("{} bytes hold no readable record", next - offset)});
    return next;
  }

  void Take(LogSegment* segment, uint64_t offset, const Record& record, RecordState state) {
    pending_.push_back({offset, record, state});
    if (!record.more_follows) {
      VisitPending(segment);
    }
  }

  void VisitPending(LogSegment* segment) {
    for (const Pending& pending : pending_) {
      visitor_(segment, MakePosition(segment->number(), pending.offset), pending.record,
               pending.state);
      ++report_.records;
      report_.record_bytes += pending.record.stored_bytes;
    }
    pending_.clear();
  }

  // What is at `offset` does not count, nor does anything behind it, nor a batch that it cuts off.
  bool EndLog(const LogSegment& segment, uint64_t offset) {
    if (!pending_.empty()) {
      offset = pending_.front().offset;
      pending_.clear();
    }
    if (!IsZeroFrom(segment, offset)) {
      report_.torn_tail = TornTail{segment.path(), offset};
    }
    if (offset > kLogPageBytes) {
      log_.end = MakePosition(segment.number(), offset);
    }
    return false;
  }

  void DropBehindEnd() {
    while (!log_.segments.empty() && log_.segments.back()->number() > SegmentOf(log_.end)) {
      const LogSegment& segment = *log_.segments.back();
      if (!report_.torn_tail && !IsZeroFrom(segment, kLogPageBytes)) {
        report_.torn_tail = TornTail{segment.path(), kLogPageBytes};
      }
      log_.dropped.push_back(segment.path());
      log_.segments.pop_back();
    }
    if (!log_.segments.empty() && log_.segments.back()->number() == SegmentOf(log_.end)) {
      log_.segments.back()->figures.end_bytes = OffsetOf(log_.end);
    }
  }

  struct Pending {
    uint64_t offset;
    Record record;
    RecordState state;
  };

  RecoveredLog& log_;
  const RecordVisitor& visitor_;
  RecoveryReport& report_;
  std::vector<Pending> pending_;  // of a batch whose last record has not come yet
};

// Whether the log passed over `number`: such a segment was prepared but never used, and could not
// be removed then.
bool IsPassedOver(uint32_t number, const std::vector<LogSegment*>& segments) {
  return std::any_of(segments.begin(), segments.end(), [&](const LogSegment* segment) {
    const auto mark = segment->number() > number ? FirstMark(*segment) : std::nullopt;
    return mark && SegmentOf(mark->previous_end) < number;
  });
}

// Whether nothing in the segment counts: it was prepared and not used, or nothing of it was synced,
// since its header was not.
bool IsUnused(const LogSegment& segment, const RecoveredLog& log) {
  const bool is_passed_over = IsPassedOver(segment.number(), log.segments);
  if (segment.has_header()) {
    return is_passed_over;
  }
  const bool was_durable = segment.number() <= SegmentOf(log.known_durable);
  if (IsZeroFrom(segment, kLogPageBytes)) {
    return is_passed_over || !was_durable;
  }
  return !was_durable && IsZero(segment.bytes().substr(0, kLogPageBytes));
}

void DropUnused(RecoveredLog* log, RecoveryReport* report) {
  std::erase_if(log->files, [&](const std::unique_ptr<LogSegment>& file) {
    const bool is_unused = IsUnused(*file, *log);
    if (is_unused) {
      if (!IsZeroFrom(*file, kLogPageBytes)) {
        report->torn_tail = TornTail{file->path(), 0};
      }
      log->dropped.push_back(file->path());
      std::erase(log->segments, file.get());
    }
    return is_unused;
  });
}

// A segment without a header stays in its place: what the checkpoint has in it is a loss when it is
// read, and not a key that never was. All of it counts as acknowledged.
void KeepLost(RecoveredLog* log, RecoveryReport* report) {
  for (LogSegment* segment : log->segments) {
    if (!segment->has_header()) {
      segment->is_damaged = true;
      log->known_durable = std::max(log->known_durable, WrittenEnd(*segment));
      report->AddDamage(
          {segment->path(), 0, "the segment's header is damaged: nothing in it can be read"});
    }
  }
}

StatusOr<std::unique_ptr<LogSegment>> MapSegment(Env* env, const std::string& path, uint32_t number,
                                                 KeyType key_type) {
  ASSIGN_OR_RETURN(auto file, env->Map(path));
  const auto header = DecodeLogSegmentHeader(file->data());
  if (!header || header->number != number) {
    return std::make_unique<LogSegment>(number, LogSegment::kUnknownSalt, path, std::move(file));
  }
  if (header->key_type != static_cast<uint32_t>(key_type)) {
    return FailedPrecondition("{}: holds keys of another type", path);
  }
  return std::make_unique<LogSegment>(number, header->salt, path, std::move(file));
}

// A sync that failed in an earlier life may have left pages that the kernel takes for clean
// although they are not on disk. What is written once more is written.
Status WriteAgain(const LogSegment& segment, uint64_t begin, File* file) {
  constexpr uint64_t kStepBytes = 1 << 20;
  for (uint64_t offset = begin; offset < segment.figures.end_bytes; offset += kStepBytes) {
    const uint64_t step_bytes = std::min(kStepBytes, segment.figures.end_bytes - offset);
    const std::string bytes(segment.bytes().substr(offset, step_bytes));
    RETURN_IF_ERROR(file->WriteAt(offset, bytes));
  }
  return file->Sync();
}

}  // namespace

StatusOr<RecoveredLog> OpenLog(Env* env, const std::string& directory, KeyType key_type,
                               Position durable, RecoveryReport* report) {
  RecoveredLog log;
  ASSIGN_OR_RETURN(const std::vector<std::string> names, env->List(directory));
  for (const std::string& name : names) {
    if (const auto number = ParseLogSegmentName(name)) {
      ASSIGN_OR_RETURN(auto segment, MapSegment(env, directory + "/" + name, *number, key_type));
      log.segments.push_back(segment.get());
      log.files.push_back(std::move(segment));
      log.next_number = *number + 1;
    }
  }
  log.known_durable = std::max(durable, HighestMark(log.segments));
  log.synced = log.known_durable;
  DropUnused(&log, report);
  KeepLost(&log, report);
  report->segments = log.segments.size();
  return log;
}

void ReplayLog(RecoveredLog* log, Position from, const RecordVisitor& visitor,
               RecoveryReport* report) {
  Replay(log, visitor, report).Run(from);
}

Status MakeDurable(Env* env, const std::string& directory, RecoveredLog* log) {
  std::sort(log->dropped.rbegin(), log->dropped.rend());
  for (const std::string& path : log->dropped) {
    // One by one, the last first: what is left after a crash has the same end.
    RETURN_IF_ERROR(env->Remove(path));
    RETURN_IF_ERROR(env->SyncDirectory(directory));
  }
  for (LogSegment* segment : log->segments) {
    if (segment->number() < SegmentOf(log->synced)) {
      continue;
    }
    ASSIGN_OR_RETURN(const auto file, env->Open(segment->path(), OpenMode::kReadWrite));
    const uint64_t end = segment->figures.end_bytes;
    if (segment->number() == SegmentOf(log->end) && end < segment->bytes().size()) {
      RETURN_IF_ERROR(file->Truncate(end));
      segment->TrimTo(end);
    }
    const bool is_synced_in_part = segment->number() == SegmentOf(log->synced);
    RETURN_IF_ERROR(
        WriteAgain(*segment, is_synced_in_part ? OffsetOf(log->synced) : 0, file.get()));
  }
  return env->SyncDirectory(directory);
}

}  // namespace tsdbd::kv
