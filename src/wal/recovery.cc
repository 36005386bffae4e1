#include "wal/recovery.h"

#include <algorithm>
#include <utility>

#include "common/clock.h"
#include "wal/format.h"
#include "wal/segment_image.h"

namespace tsdbd::wal {
namespace {

constexpr uint64_t kUnknown = UINT64_MAX;

// Reads the segments in log order. It needs two things ahead: up to which commit the log is known
// to have been durable (evidence_), told by the newest commits, and with which commit each segment
// ends, told by the first commit of the next.
class LogReader {
 public:
  LogReader(Env* env, uint64_t first_generation, const RecordVisitor& visitor,
            RecoveryReport* report)
      : env_(env), first_generation_(first_generation), visitor_(visitor), report_(report) {}

  StatusOr<RecoveredLog> Read(const std::string& directory);

 private:
  struct Source {
    RecoveredSegment segment;
    uint64_t last_commit_before = kUnknown;  // told by its first commit, if that can be read
  };
  // The last commit that counts in a segment: known, known only not to be later, or unknown (of the
  // log's last segment).
  struct SegmentEnd {
    uint64_t commit = kUnknown;
    bool is_exact = false;
  };

  StatusOr<std::vector<Source>> ListSources(const std::string& directory);
  Status GatherEvidence(const std::vector<Source>& sources);
  Status ReadFirstCommit(Source* source);
  SegmentEnd EndOf(const std::vector<Source>& sources, size_t index) const;

  Status ReadSegment(RecoveredSegment segment, const SegmentEnd& segment_end);
  // What to do with the commit found, or not found, where the one after last_commit_ should begin.
  enum class Verdict { kRead, kEnd, kTorn };
  Verdict Judge(const std::optional<CommitHeader>& found, uint64_t position,
                const SegmentEnd& segment_end, RecoveredSegment* segment);
  Status ReadCommit(const CommitHeader& commit, RecoveredSegment* segment);
  void NoteDamage(RecoveredSegment* segment, uint64_t offset, std::string what);
  void NoteLostCommits(RecoveredSegment* segment, uint64_t offset, uint64_t last_lost);

  Env* const env_;
  const uint64_t first_generation_;
  const RecordVisitor& visitor_;
  RecoveryReport* const report_;

  SegmentImage image_;
  RecoveredLog log_;
  uint64_t evidence_ = 0;        // commits up to this one had been on disk
  uint64_t highest_seen_ = 0;    // number of any valid commit
  uint64_t newest_segment_ = 0;  // that holds a valid commit
  uint64_t last_commit_ = kUnknown;
};

StatusOr<RecoveredLog> LogReader::Read(const std::string& directory) {
  ASSIGN_OR_RETURN(std::vector<Source> sources, ListSources(directory));
  RETURN_IF_ERROR(GatherEvidence(sources));
  for (Source& source : sources) {
    RETURN_IF_ERROR(ReadFirstCommit(&source));
  }
  for (size_t i = 0; i < sources.size(); ++i) {
    RETURN_IF_ERROR(ReadSegment(sources[i].segment, EndOf(sources, i)));
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
    source.segment.path = fmt::format("{}/{}", directory, name);
    ASSIGN_OR_RETURN(source.segment.size_bytes, env_->FileSize(source.segment.path));
    log_.next_segment = std::max(log_.next_segment, *number + 1);
    sources.push_back(std::move(source));
  }
  return sources;
}

// Later commits know at least as much as earlier ones, so the newest segment with any commit
// tells all.
Status LogReader::GatherEvidence(const std::vector<Source>& sources) {
  for (auto source = sources.rbegin(); source != sources.rend() && highest_seen_ == 0; ++source) {
    RETURN_IF_ERROR(image_.Load(env_, source->segment.path, source->segment.number));
    auto commit = image_.NextCommit(kPageBytes);
    while (commit) {
      newest_segment_ = source->segment.number;
      highest_seen_ = std::max(highest_seen_, commit->number);
      evidence_ = std::max(evidence_, commit->durable_through);
      commit = image_.NextCommit(commit->offset + CommitBytes(commit->payload_bytes));
    }
  }
  return OkStatus();
}

Status LogReader::ReadFirstCommit(Source* source) {
  const RecoveredSegment& segment = source->segment;
  if (segment.number > newest_segment_) {
    return OkStatus();  // it has none
  }
  ASSIGN_OR_RETURN(const auto file, env_->Open(segment.path, OpenMode::kReadOnly));
  char buffer[kPageBytes + sizeof(CommitHeader)];
  const auto count = file->ReadAt(0, buffer);
  const std::string_view bytes(buffer, count.ok() ? *count : 0);
  const auto header = DecodeSegmentHeaderPage(bytes.substr(0, kPageBytes));
  std::optional<CommitHeader> commit;
  if (header && header->number == segment.number && bytes.size() == sizeof(buffer)) {
    commit = DecodeCommitHeader(bytes.substr(kPageBytes), header->salt);
  }
  if (!commit) {  // perhaps the copy at its end is good
    RETURN_IF_ERROR(image_.Load(env_, segment.path, segment.number));
    commit = image_.NextCommit(kPageBytes);
  }
  if (commit && commit->offset == kPageBytes) {
    source->last_commit_before = commit->previous;
  }
  return OkStatus();
}

LogReader::SegmentEnd LogReader::EndOf(const std::vector<Source>& sources, size_t index) const {
  for (size_t later = index + 1; later < sources.size(); ++later) {
    if (sources[later].last_commit_before != kUnknown) {
      const bool is_next = sources[later].segment.number == sources[index].segment.number + 1;
      return {sources[later].last_commit_before, is_next};
    }
  }
  return {};
}

Status LogReader::ReadSegment(RecoveredSegment segment, const SegmentEnd& segment_end) {
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
    const bool is_done = last_commit_ != kUnknown && last_commit_ == segment_end.commit;
    const auto commit = is_done ? std::nullopt : image_.NextCommit(position);
    verdict = Judge(commit, position, segment_end, &segment);
    if (verdict != Verdict::kRead) {
      break;
    }
    RETURN_IF_ERROR(ReadCommit(*commit, &segment));
    position = commit->offset + CommitBytes(commit->payload_bytes);
    ++commits;
  }
  if (verdict == Verdict::kTorn) {
    report_->torn_tail = TornTail{segment.path, position};
  }
  segment.end_bytes = position;
  if (commits > 0) {
    log_.segments.push_back(std::move(segment));
  } else {
    (segment.damaged ? log_.unreadable : log_.empty).push_back(std::move(segment));
  }
  return OkStatus();
}

LogReader::Verdict LogReader::Judge(const std::optional<CommitHeader>& found, uint64_t position,
                                    const SegmentEnd& segment_end, RecoveredSegment* segment) {
  const uint64_t end_commit = segment_end.commit;
  if (!found || found->number > end_commit) {
    // What is beyond the end failed when it was written, and the log went on in a new segment.
    const bool is_empty_log_begin = last_commit_ == kUnknown && end_commit == 0;
    if (end_commit != kUnknown && last_commit_ != end_commit && !is_empty_log_begin) {
      if (segment_end.is_exact) {
        NoteLostCommits(segment, position, end_commit);
      }
      // Otherwise the next readable segment tells the loss; it may have been in this one.
      segment->damaged = true;
    }
    const bool cut_in_a_page = image_.file_bytes() % kPageBytes != 0;
    return end_commit == kUnknown && cut_in_a_page ? Verdict::kTorn : Verdict::kEnd;
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
    // What follows in an earlier segment is ruled out by the commits of a later one. A damaged file
    // stays as it is, for whoever wants to look into it.
    const bool is_last = &segment == &log->segments.back();
    if (is_last && !segment.damaged && segment.end_bytes < segment.size_bytes) {
      RETURN_IF_ERROR(file->Truncate(segment.end_bytes));
      segment.size_bytes = segment.end_bytes;
    }
    RETURN_IF_ERROR(file->Sync());
  }
  return OkStatus();
}

}  // namespace tsdbd::wal
