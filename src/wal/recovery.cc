#include "wal/recovery.h"

#include <algorithm>
#include <utility>

#include <spdlog/spdlog.h>

#include "common/clock.h"
#include "wal/format.h"
#include "wal/segment_image.h"

namespace tsdbd::wal {
namespace {

constexpr uint64_t kUnknown = UINT64_MAX;

// Reads the segments in log order. It needs two things ahead: up to which commit the log is known
// to have been durable (evidence_), told by the newest commits, and with which commit each segment
// ended, told by the first commit of the next.
class LogReader {
 public:
  LogReader(Env* env, uint64_t first_generation, const RecordVisitor& visitor,
            RecoveryReport* report)
      : env_(env), first_generation_(first_generation), visitor_(visitor), report_(report) {}

  StatusOr<RecoveredLog> Read(const std::string& directory);

 private:
  struct Source {
    RecoveredSegment segment;
    uint64_t last_commit_before = kUnknown;  // from its first commit, if that can be read
  };

  StatusOr<std::vector<Source>> ListSources(const std::string& directory);
  StatusOr<uint64_t> ReadLastCommitBefore(const RecoveredSegment& segment) const;
  Status GatherEvidence(const std::vector<Source>& sources);

  // `last_commit_of_segment` is kUnknown for the last one.
  Status ReadSegment(RecoveredSegment segment, uint64_t last_commit_of_segment);
  // What to do with the commit found, or not found, where the one after last_commit_ should begin.
  enum class Verdict { kRead, kEnd, kTorn };
  Verdict Judge(const std::optional<CommitHeader>& found, uint64_t position, uint64_t limit,
                RecoveredSegment* segment);
  Status ReadCommit(const CommitHeader& commit, RecoveredSegment* segment);
  void NoteDamage(RecoveredSegment* segment, uint64_t offset, std::string what);
  void NoteLostCommits(RecoveredSegment* segment, uint64_t offset, uint64_t last_lost);

  Env* const env_;
  const uint64_t first_generation_;
  const RecordVisitor& visitor_;
  RecoveryReport* const report_;

  SegmentImage image_;
  RecoveredLog log_;
  uint64_t evidence_ = 0;      // commits up to this one had been on disk
  uint64_t highest_seen_ = 0;  // number of any valid commit
  uint64_t last_commit_ = kUnknown;
};

StatusOr<RecoveredLog> LogReader::Read(const std::string& directory) {
  ASSIGN_OR_RETURN(const std::vector<Source> sources, ListSources(directory));
  RETURN_IF_ERROR(GatherEvidence(sources));
  for (size_t i = 0; i < sources.size(); ++i) {
    uint64_t limit = kUnknown;
    for (size_t later = i + 1; later < sources.size() && limit == kUnknown; ++later) {
      limit = sources[later].last_commit_before;
    }
    RETURN_IF_ERROR(ReadSegment(sources[i].segment, limit));
  }
  log_.last_commit = last_commit_ == kUnknown ? 0 : last_commit_;
  log_.next_commit = std::max({log_.last_commit, highest_seen_, evidence_}) + 1;
  report_->segments = log_.segments.size();
  return std::move(log_);
}

StatusOr<std::vector<LogReader::Source>> LogReader::ListSources(const std::string& directory) {
  ASSIGN_OR_RETURN(const std::vector<std::string> names, env_->List(directory));
  std::vector<Source> sources;
  for (const std::string& name : names) {  // sorted, so in log order
    const std::optional<uint64_t> number = ParseSegmentName(name);
    if (!number) {
      continue;
    }
    Source source;
    source.segment.number = *number;
    source.segment.path = directory + "/" + name;
    ASSIGN_OR_RETURN(source.segment.size_bytes, env_->FileSize(source.segment.path));
    ASSIGN_OR_RETURN(source.last_commit_before, ReadLastCommitBefore(source.segment));
    log_.next_segment = std::max(log_.next_segment, *number + 1);
    sources.push_back(std::move(source));
  }
  return sources;
}

StatusOr<uint64_t> LogReader::ReadLastCommitBefore(const RecoveredSegment& segment) const {
  ASSIGN_OR_RETURN(const auto file, env_->Open(segment.path, OpenMode::kReadOnly));
  char buffer[kPageBytes + sizeof(CommitHeader)];
  const auto count = file->ReadAt(0, buffer);
  if (!count.ok() || *count < sizeof(buffer)) {
    return kUnknown;
  }
  const std::string_view bytes(buffer, sizeof(buffer));
  const auto header = DecodeSegmentHeaderPage(bytes.substr(0, kPageBytes));
  if (!header || header->number != segment.number) {
    return kUnknown;
  }
  const auto commit = DecodeCommitHeader(bytes.substr(kPageBytes), header->salt);
  return commit && commit->offset == kPageBytes ? commit->previous : kUnknown;
}

// Later commits know at least as much as earlier ones, so the newest segment with any commit
// tells all.
Status LogReader::GatherEvidence(const std::vector<Source>& sources) {
  for (auto source = sources.rbegin(); source != sources.rend() && highest_seen_ == 0; ++source) {
    RETURN_IF_ERROR(image_.Load(env_, source->segment.path, source->segment.number));
    auto commit = image_.NextCommit(kPageBytes);
    while (commit) {
      highest_seen_ = std::max(highest_seen_, commit->number);
      evidence_ = std::max({evidence_, commit->durable_through, commit->previous});
      commit = image_.NextCommit(commit->offset + CommitBytes(commit->payload_bytes));
    }
  }
  return OkStatus();
}

Status LogReader::ReadSegment(RecoveredSegment segment, uint64_t last_commit_of_segment) {
  RETURN_IF_ERROR(image_.Load(env_, segment.path, segment.number));
  if (!image_.valid()) {
    NoteDamage(&segment, 0, "the segment header cannot be read, nor anything in the segment");
    log_.unreadable.push_back(std::move(segment));
    return OkStatus();
  }
  if (image_.has_unreadable_parts()) {
    NoteDamage(&segment, 0, "the disk did not give back all pages");
  }
  uint64_t position = kPageBytes;
  uint64_t commits = 0;
  Verdict verdict;
  while (true) {
    const bool is_done = last_commit_ != kUnknown && last_commit_ == last_commit_of_segment;
    const auto commit = is_done ? std::nullopt : image_.NextCommit(position);
    verdict = Judge(commit, position, last_commit_of_segment, &segment);
    if (verdict != Verdict::kRead) {
      break;
    }
    RETURN_IF_ERROR(ReadCommit(*commit, &segment));
    position = commit->offset + CommitBytes(commit->payload_bytes);
    ++commits;
  }
  if (verdict == Verdict::kTorn) {
    spdlog::warn("wal: torn tail cut at {} offset {}", segment.path, position);
    report_->torn_tail = TornTail{segment.path, position};
  }
  const bool is_last = last_commit_of_segment == kUnknown;
  const bool nothing_missing = evidence_ <= last_commit_ && !segment.damaged;
  if ((is_last || verdict == Verdict::kTorn) && nothing_missing) {
    segment.cut_bytes = position;
  }
  if (commits > 0) {
    log_.segments.push_back(std::move(segment));
  } else {
    (segment.damaged ? log_.unreadable : log_.empty).push_back(std::move(segment));
  }
  return OkStatus();
}

LogReader::Verdict LogReader::Judge(const std::optional<CommitHeader>& found, uint64_t position,
                                    uint64_t limit, RecoveredSegment* segment) {
  if (!found || found->number > limit) {
    // What is beyond the limit failed when it was written, and the log went on in a new segment.
    const bool is_empty_log_begin = last_commit_ == kUnknown && limit == 0;
    if (limit != kUnknown && last_commit_ != limit && !is_empty_log_begin) {
      NoteLostCommits(segment, position, limit);
    }
    const bool cut_in_a_page = image_.file_bytes() % kPageBytes != 0;
    return limit == kUnknown && cut_in_a_page ? Verdict::kTorn : Verdict::kEnd;
  }
  highest_seen_ = std::max(highest_seen_, found->number);
  if (last_commit_ == kUnknown) {  // the log begins here: what was before it has been dropped
    const bool at_begin = found->offset == position;
    last_commit_ = at_begin ? found->previous : std::max<uint64_t>(found->previous, 1) - 1;
  }
  if (found->number <= last_commit_) {
    NoteDamage(segment, found->offset,
               fmt::format("commit {} follows commit {}", found->number, last_commit_));
    return Verdict::kEnd;
  }
  if (found->previous > last_commit_) {
    if (evidence_ <= last_commit_) {
      return Verdict::kTorn;  // a power cut kept a later commit but not this one
    }
    NoteLostCommits(segment, position, found->previous);
  }
  const bool was_durable = found->number <= evidence_;
  return was_durable || image_.IsIntact(*found) ? Verdict::kRead : Verdict::kTorn;
}

Status LogReader::ReadCommit(const CommitHeader& commit, RecoveredSegment* segment) {
  last_commit_ = commit.number;
  segment->generation = std::max(segment->generation, commit.generation);
  if (commit.generation < first_generation_) {
    return OkStatus();
  }
  ++report_->commits;
  report_->newest_generation = std::max(report_->newest_generation, commit.generation);
  const auto visit = [&](std::string_view bytes, uint64_t offset) {
    Status status = visitor_({commit.generation, bytes, {segment->number, offset}});
    if (status.code() == StatusCode::kDataLoss) {
      ++report_->damaged_records;
      NoteDamage(segment, offset, std::string(Message(status)));
      return OkStatus();
    }
    if (status.ok()) {
      ++report_->records;
      report_->record_bytes += bytes.size();
    }
    return status;
  };
  const auto lost = [&](uint64_t offset, uint64_t count) {
    report_->damaged_records += count;
    NoteDamage(segment, offset, fmt::format("{} damaged record(s) skipped", count));
  };
  return image_.VisitRecords(commit, visit, lost);
}

void LogReader::NoteDamage(RecoveredSegment* segment, uint64_t offset, std::string what) {
  segment->damaged = true;
  ++report_->damage_count;
  if (report_->damages.size() < RecoveryReport::kMaxListedDamages) {
    spdlog::error("wal: damage in {} at offset {}: {}; the file is kept aside", segment->path,
                  offset, what);
    report_->damages.push_back({segment->path, offset, std::move(what)});
  }
}

void LogReader::NoteLostCommits(RecoveredSegment* segment, uint64_t offset, uint64_t last_lost) {
  const bool known = last_commit_ != kUnknown && last_commit_ < last_lost;
  const uint64_t count = known ? last_lost - last_commit_ : 1;
  report_->lost_commits += count;
  NoteDamage(segment, offset,
             fmt::format("{} commit(s) up to {} cannot be read", count, last_lost));
  last_commit_ = last_lost;
}

}  // namespace

StatusOr<RecoveredLog> ReadLog(Env* env, const std::string& directory, uint64_t first_generation,
                               const RecordVisitor& visitor, RecoveryReport* report) {
  const int64_t start_ns = MonotonicNanos();
  *report = {};
  auto log = LogReader(env, first_generation, visitor, report).Read(directory);
  report->elapsed_ns = MonotonicNanos() - start_ns;
  return log;
}

Status MakeDurable(Env* env, RecoveredLog* log) {
  for (RecoveredSegment& segment : log->segments) {
    ASSIGN_OR_RETURN(const auto file, env->Open(segment.path, OpenMode::kReadWrite));
    if (segment.cut_bytes && *segment.cut_bytes < segment.size_bytes) {
      RETURN_IF_ERROR(file->Truncate(*segment.cut_bytes));
      segment.size_bytes = *segment.cut_bytes;
    }
    RETURN_IF_ERROR(file->Sync());
  }
  return OkStatus();
}

}  // namespace tsdbd::wal
