#include "wal/segment_files.h"

#include <algorithm>
#include <random>

#include <spdlog/spdlog.h>

#include "wal/format.h"

namespace tsdbd::wal {
namespace {

constexpr std::string_view kSparePrefix = "spare-";
constexpr std::string_view kQuarantineFolder = "quarantine";

// Zeros are written in steps of this size: large for the disk, small for the caches.
constexpr uint64_t kZeroStepBytes = 256 << 10;

uint64_t RandomSalt() {
  std::random_device device;
  return static_cast<uint64_t>(device()) << 32 | device();
}

ClosedSegment ClosedFrom(const RecoveredSegment& segment) {
  return {.number = segment.number,
          .generation = segment.generation,
          .size_bytes = segment.size_bytes,
          .damaged = segment.damaged,
          .reusable = true};
}

}  // namespace

SegmentFiles::SegmentFiles(Env* env, const LogOptions& options, const RecoveredLog& recovered)
    : env_(env), options_(options), next_number_(recovered.next_segment) {
  for (const RecoveredSegment& segment : recovered.segments) {
    closed_.push_back(ClosedFrom(segment));
  }
}

SegmentFiles::~SegmentFiles() {
  {
    MutexLock lock(&mu_);
    stopping_ = true;
  }
  wake_thread_.NotifyAll();
  if (thread_.joinable()) {
    thread_.join();
  }
}

std::string SegmentFiles::Path(const std::string& name) const {
  return options_.directory + "/" + name;
}

std::string SegmentFiles::SpareName(uint64_t number) const {
  return fmt::format("{}{:016x}.log", kSparePrefix, number);
}

Status SegmentFiles::Start(const RecoveredLog& recovered) {
  RETURN_IF_ERROR(CollectSpares());
  for (const RecoveredSegment& segment : recovered.unreadable) {
    if (Status status = Quarantine(SegmentName(segment.number)); !status.ok()) {
      // A full disk, perhaps. It does no harm where it is; the next start tries again.
      spdlog::warn("damaged wal segment stays in its place file={} error=\"{}\"", segment.path,
                   Message(status));
    }
  }
  for (const RecoveredSegment& segment : recovered.empty) {
    ASSIGN_OR_RETURN(std::string spare, Dispose(ClosedFrom(segment)));
    AddSpare(std::move(spare));
  }
  RETURN_IF_ERROR(env_->SyncDirectory(options_.directory));
  thread_ = std::thread([this] { Run(); });
  return OkStatus();
}

// A spare that is not of full size was being written when the process died.
Status SegmentFiles::CollectSpares() {
  ASSIGN_OR_RETURN(const std::vector<std::string> names, env_->List(options_.directory));
  MutexLock lock(&mu_);
  for (const std::string& name : names) {
    if (!name.starts_with(kSparePrefix)) {
      continue;
    }
    ASSIGN_OR_RETURN(const uint64_t size_bytes, env_->FileSize(Path(name)));
    if (size_bytes == options_.segment_bytes && spares_.size() < options_.max_spare_segments) {
      spares_.push_back(name);
    } else {
      RETURN_IF_ERROR(env_->Remove(Path(name)));
    }
  }
  return OkStatus();
}

StatusOr<PreparedSegment> SegmentFiles::Take() {
  MutexLock lock(&mu_);
  if (ready_.empty()) {
    ++waits_;
    failure_ = OkStatus();
    wake_thread_.NotifyAll();
    while (ready_.empty() && failure_.ok()) {
      attempt_done_.Wait(&mu_);
    }
    if (ready_.empty()) {
      return failure_;
    }
  }
  PreparedSegment segment = std::move(ready_.front());
  ready_.pop_front();
  ++active_segments_;
  wake_thread_.NotifyAll();
  return segment;
}

void SegmentFiles::Close(const ClosedSegment& segment) {
  MutexLock lock(&mu_);
  --active_segments_;
  closed_.push_back(segment);
}

void SegmentFiles::Discard(uint64_t number) {
  {
    MutexLock lock(&mu_);
    --active_segments_;
  }
  // If it stays, the next start finds a segment without commits, which does no harm.
  env_->Remove(Path(SegmentName(number))).IgnoreError();
}

void SegmentFiles::Run() {
  MutexLock lock(&mu_);
  while (true) {
    // One is made even where none is to be kept ready, as soon as somebody waits for it.
    const size_t wanted = std::max<size_t>(options_.prepared_segments, 1);
    while (!stopping_ && (ready_.size() >= wanted || !failure_.ok())) {
      wake_thread_.Wait(&mu_);
    }
    if (stopping_) {
      return;
    }
    const uint64_t number = next_number_;
    std::string spare;
    if (!spares_.empty()) {
      spare = std::move(spares_.back());
      spares_.pop_back();
    }
    mu_.Unlock();
    auto segment = Prepare(number, spare);
    mu_.Lock();
    if (segment.ok()) {
      ++next_number_;
      ++(spare.empty() ? created_ : recycled_);
      ready_.push_back(*std::move(segment));
    } else {
      failure_ = segment.status();
      spdlog::warn("wal segment cannot be prepared number={} error=\"{}\"", number,
                   Message(failure_));
    }
    attempt_done_.NotifyAll();
  }
}

StatusOr<PreparedSegment> SegmentFiles::Prepare(uint64_t number, const std::string& spare) {
  const std::string source = Path(spare.empty() ? SpareName(number) : spare);
  PreparedSegment segment{.number = number,
                          .salt = options_.make_salt ? options_.make_salt() : RandomSalt(),
                          .size_bytes = options_.segment_bytes,
                          .file = nullptr};
  Status status = [&]() -> Status {
    ASSIGN_OR_RETURN(segment.file, env_->Open(source, spare.empty() ? OpenMode::kCreateOrTruncate
                                                                    : OpenMode::kReadWrite));
    if (spare.empty()) {
      RETURN_IF_ERROR(FillWithZeros(segment.file.get()));
    }
    return WriteHeaderAndName(&segment, source);
  }();
  if (!status.ok()) {
    // It has one of the two names. What cannot be removed is put in order at the next start.
    env_->Remove(source).IgnoreError();
    env_->Remove(Path(SegmentName(number))).IgnoreError();
    return status;
  }
  return segment;
}

// A commit that overwrites written blocks needs no journal commit of the file system; one that
// fills in fallocate()d blocks does. So they are written once, here.
Status SegmentFiles::FillWithZeros(File* file) const {
  const std::string zeros(kZeroStepBytes, '\0');
  for (uint64_t offset = 0; offset < options_.segment_bytes; offset += kZeroStepBytes) {
    const uint64_t step_bytes = std::min(kZeroStepBytes, options_.segment_bytes - offset);
    RETURN_IF_ERROR(file->WriteAt(offset, std::string_view(zeros).substr(0, step_bytes)));
    // Spread over time: 16 MiB at once would make the log's own syncs wait (p99.9 6 ms, so 4 ms).
    file->StartWriteback(offset, step_bytes);
  }
  return OkStatus();
}

Status SegmentFiles::WriteHeaderAndName(PreparedSegment* segment, const std::string& from) {
  RETURN_IF_ERROR(
      segment->file->WriteAt(0, EncodeSegmentHeaderPage(segment->number, segment->salt)));
  RETURN_IF_ERROR(segment->file->Sync());
  const std::string path = Path(SegmentName(segment->number));
  RETURN_IF_ERROR(env_->Rename(from, path));
  RETURN_IF_ERROR(env_->SyncDirectory(options_.directory));
  // The open file goes by its old name in error messages.
  ASSIGN_OR_RETURN(segment->file, env_->Open(path, OpenMode::kReadWrite));
  return OkStatus();
}

Status SegmentFiles::DropThrough(uint64_t generation) {
  MutexLock drop_lock(&drop_mu_);
  while (true) {
    ClosedSegment segment;
    {
      MutexLock lock(&mu_);
      if (closed_.empty() || closed_.front().generation > generation) {
        return OkStatus();
      }
      segment = closed_.front();
    }
    std::string spare;
    if (segment.damaged) {
      RETURN_IF_ERROR(Quarantine(SegmentName(segment.number)));
    } else {
      ASSIGN_OR_RETURN(spare, Dispose(segment));
    }
    {
      MutexLock lock(&mu_);
      closed_.pop_front();
    }
    RETURN_IF_ERROR(env_->SyncDirectory(options_.directory));
    AddSpare(std::move(spare));
  }
}

StatusOr<std::string> SegmentFiles::Dispose(const ClosedSegment& segment) {
  const std::string name = SegmentName(segment.number);
  if (!MayKeepSpare(segment)) {
    RETURN_IF_ERROR(env_->Remove(Path(name)));
    return std::string();
  }
  std::string spare = SpareName(segment.number);
  RETURN_IF_ERROR(env_->Rename(Path(name), Path(spare)));
  return spare;
}

void SegmentFiles::AddSpare(std::string name) {
  if (!name.empty()) {
    MutexLock lock(&mu_);
    spares_.push_back(std::move(name));
  }
}

bool SegmentFiles::MayKeepSpare(const ClosedSegment& segment) {
  MutexLock lock(&mu_);
  return segment.reusable && segment.size_bytes == options_.segment_bytes &&
         spares_.size() < options_.max_spare_segments;
}

// Numbers begin again when a log's folder was emptied, so the name may be taken.
Status SegmentFiles::Quarantine(const std::string& name) {
  const std::string folder = Path(std::string(kQuarantineFolder));
  RETURN_IF_ERROR(env_->CreateDirectories(folder));
  std::string target = folder + "/" + name;
  for (int copy = 2;; ++copy) {
    ASSIGN_OR_RETURN(const bool taken, env_->Exists(target));
    if (!taken) {
      break;
    }
    target = fmt::format("{}/{}.{}", folder, name, copy);
  }
  RETURN_IF_ERROR(env_->Rename(Path(name), target));
  spdlog::warn("damaged wal segment kept aside file={}", target);
  return env_->SyncDirectory(folder);
}

void SegmentFiles::AddTo(LogStats* stats) const {
  MutexLock lock(&mu_);
  stats->segments = closed_.size() + active_segments_;
  stats->segment_bytes = active_segments_ * options_.segment_bytes;
  for (const ClosedSegment& segment : closed_) {
    stats->segment_bytes += segment.size_bytes;
  }
  stats->prepared_segments = ready_.size();
  stats->spare_segments = spares_.size();
  stats->segments_created = created_;
  stats->segments_recycled = recycled_;
  stats->segment_waits = waits_;
}

}  // namespace tsdbd::wal
