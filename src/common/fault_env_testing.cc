#include "common/fault_env_testing.h"

#include <algorithm>
#include <cstring>

#include "common/check.h"

namespace tsdbd {
namespace {

bool IsMutation(FileOperation operation) {
  return operation != FileOperation::kRead && operation != FileOperation::kOpen;
}

std::string_view OperationName(FileOperation operation) {
  static constexpr std::string_view kNames[] = {"open",     "read",   "write",  "fdatasync",
                                                "truncate", "rename", "remove", "fsync folder"};
  return kNames[static_cast<size_t>(operation)];
}

class MemoryMappedFile final : public MappedFile {
 public:
  explicit MemoryMappedFile(std::string contents) : contents_(std::move(contents)) {}
  std::string_view data() const override { return contents_; }

 private:
  const std::string contents_;
};

// Reads memory that other threads may be writing, as the kernel does with a mapping: what it gets
// of bytes that are being written is what a crash would leave of them.
#if defined(__clang__) || defined(__SANITIZE_THREAD__)
__attribute__((no_sanitize("thread"), noinline))
#endif
void CopyWhileOthersWrite(const char* from, char* to, size_t size) {
  const volatile char* source = from;
  for (size_t i = 0; i < size; ++i) {
    to[i] = source[i];
  }
}

}  // namespace

class FaultMapping final : public WritableMapping {
 public:
  FaultMapping(FaultEnv* env, FaultEnv::InodePointer inode, std::string path, uint64_t life)
      : env_(env),
        inode_(std::move(inode)),
        path_(std::move(path)),
        life_(life),
        memory_(inode_->current.begin(), inode_->current.end()) {
    inode_->mappings.emplace_back(memory_);
  }
  ~FaultMapping() override {
    MutexLock lock(&env_->mu_);
    FaultEnv::PullMappings(inode_.get());
    std::erase_if(inode_->mappings,
                  [&](const auto& mapping) { return mapping.data() == memory_.data(); });
  }

  std::span<char> data() const override { return memory_; }

  Status Sync(uint64_t offset, uint64_t size) override {
    MutexLock lock(&env_->mu_);
    RETURN_IF_ERROR(env_->BeginOnFile(FileOperation::kSync, path_, life_));
    const uint64_t first_page = offset / FaultEnv::kPageBytes;
    const uint64_t last_page = (offset + size + FaultEnv::kPageBytes - 1) / FaultEnv::kPageBytes;
    FaultEnv::PullMappings(inode_.get(), first_page, last_page);
    if (const Fault* fault = env_->FiredFault(FileOperation::kSync, path_)) {
      inode_->dirty_pages.erase(inode_->dirty_pages.lower_bound(first_page),
                                inode_->dirty_pages.lower_bound(last_page));
      return ErrnoStatus(fault->error_number, "msync", path_);
    }
    FaultEnv::SyncPages(inode_.get(), first_page, last_page);
    return OkStatus();
  }

 private:
  FaultEnv* const env_;
  const FaultEnv::InodePointer inode_;
  const std::string path_;
  const uint64_t life_;
  mutable std::vector<char> memory_;
};

class FaultFile final : public File {
 public:
  FaultFile(FaultEnv* env, FaultEnv::InodePointer inode, std::string path, uint64_t life)
      : env_(env), inode_(std::move(inode)), path_(std::move(path)), life_(life) {}

  Status WriteAt(uint64_t offset, std::string_view data) override {
    MutexLock lock(&env_->mu_);
    if (Status status = env_->BeginOnFile(FileOperation::kWrite, path_, life_); !status.ok()) {
      return status;
    }
    const Fault* fault = env_->FiredFault(FileOperation::kWrite, path_);
    if (fault == nullptr) {
      return env_->WriteInode(inode_.get(), offset, data, path_);
    }
    if (fault->short_write) {
      RETURN_IF_ERROR(
          env_->WriteInode(inode_.get(), offset, data.substr(0, data.size() / 2), path_));
    }
    return ErrnoStatus(fault->error_number, "write", path_);
  }

  StatusOr<size_t> ReadAt(uint64_t offset, std::span<char> buffer) const override {
    MutexLock lock(&env_->mu_);
    RETURN_IF_ERROR(env_->BeginOnFile(FileOperation::kRead, path_, life_));
    if (const Fault* fault = env_->FiredFault(FileOperation::kRead, path_)) {
      return ErrnoStatus(fault->error_number, "read", path_);
    }
    FaultEnv::PullMappings(inode_.get());
    const std::string& current = inode_->current;
    if (offset >= current.size()) {
      return 0;
    }
    const size_t count = std::min<size_t>(buffer.size(), current.size() - offset);
    std::memcpy(buffer.data(), current.data() + offset, count);
    return count;
  }

  Status Sync() override {
    MutexLock lock(&env_->mu_);
    RETURN_IF_ERROR(env_->BeginOnFile(FileOperation::kSync, path_, life_));
    if (const Fault* fault = env_->FiredFault(FileOperation::kSync, path_)) {
      FaultEnv::PullMappings(inode_.get());
      inode_->dirty_pages.clear();
      return ErrnoStatus(fault->error_number, "fdatasync", path_);
    }
    FaultEnv::PullMappings(inode_.get());
    FaultEnv::SyncInode(inode_.get());
    return OkStatus();
  }

  Status Truncate(uint64_t size) override {
    MutexLock lock(&env_->mu_);
    RETURN_IF_ERROR(env_->BeginOnFile(FileOperation::kTruncate, path_, life_));
    if (const Fault* fault = env_->FiredFault(FileOperation::kTruncate, path_)) {
      return ErrnoStatus(fault->error_number, "truncate", path_);
    }
    FaultEnv::TruncateInode(inode_.get(), size);
    return OkStatus();
  }

  // Counts as a write.
  Status Allocate(uint64_t size) override {
    StatusOr<uint64_t> old_size = Size();
    if (*old_size >= size) {
      return OkStatus();
    }
    return WriteAt(*old_size, std::string(size - *old_size, '\0'));
  }

  StatusOr<uint64_t> Size() const override {
    MutexLock lock(&env_->mu_);
    return inode_->current.size();
  }

  const std::string& path() const override { return path_; }

 private:
  FaultEnv* const env_;
  const FaultEnv::InodePointer inode_;
  const std::string path_;
  const uint64_t life_;
};

class FaultLock final : public FileLock {
 public:
  FaultLock(FaultEnv* env, std::string path, uint64_t life)
      : env_(env), path_(std::move(path)), life_(life) {}
  ~FaultLock() override {
    MutexLock lock(&env_->mu_);
    if (life_ == env_->life_) {
      env_->locks_.erase(path_);
    }
  }

 private:
  FaultEnv* const env_;
  const std::string path_;
  const uint64_t life_;
};

Status FaultEnv::Begin(FileOperation operation, const std::string& path) {
  ++operations_[static_cast<size_t>(operation)];
  if (IsMutation(operation)) {
    if (mutations_ >= stop_at_mutation_) {
      Stop();
    }
    ++mutations_;
  }
  if (stopped_) {
    return MakeStatus(StatusCode::kInternal, "{} {}: the process is dead", OperationName(operation),
                      path);
  }
  return OkStatus();
}

Status FaultEnv::BeginOnFile(FileOperation operation, const std::string& path, uint64_t life) {
  if (life != life_) {
    return MakeStatus(StatusCode::kInternal, "{} {}: opened before the crash",
                      OperationName(operation), path);
  }
  return Begin(operation, path);
}

const Fault* FaultEnv::FiredFault(FileOperation operation, const std::string& path) {
  const Fault* fired = nullptr;
  for (ArmedFault& armed : faults_) {
    const Fault& fault = armed.fault;
    if (fault.operation != operation || path.find(fault.path_part) == std::string::npos) {
      continue;
    }
    const uint64_t index = armed.seen++;
    if (index >= fault.after && index - fault.after < fault.times) {
      fired = &fault;
    }
  }
  return fired;
}

Status FaultEnv::WriteInode(Inode* inode, uint64_t offset, std::string_view data,
                            const std::string& path) {
  const uint64_t used = UsedBytes();
  const uint64_t room =
      inode->current.size() + (capacity_bytes_ > used ? capacity_bytes_ - used : 0);
  const bool full = offset + data.size() > std::max<uint64_t>(room, inode->current.size());
  if (full) {
    data = data.substr(0, room > offset ? room - offset : 0);
  }
  if (!data.empty()) {
    if (inode->current.size() < offset + data.size()) {
      inode->current.resize(offset + data.size(), '\0');
    }
    std::memcpy(inode->current.data() + offset, data.data(), data.size());
    for (uint64_t page = offset / kPageBytes; page * kPageBytes < offset + data.size(); ++page) {
      inode->dirty_pages.insert(page);
    }
  }
  return full ? ErrnoStatus(ENOSPC, "write", path) : OkStatus();
}

void FaultEnv::PullMappings(Inode* inode, uint64_t first_page, uint64_t last_page) {
  char page[kPageBytes];
  for (const std::span<const char> mapping : inode->mappings) {
    const uint64_t size = std::min<uint64_t>(mapping.size(), inode->current.size());
    const uint64_t end = std::min(last_page, (size + kPageBytes - 1) / kPageBytes);
    for (uint64_t i = first_page; i < end; ++i) {
      const uint64_t begin = i * kPageBytes;
      const uint64_t page_bytes = std::min(kPageBytes, size - begin);
      CopyWhileOthersWrite(mapping.data() + begin, page, page_bytes);
      if (std::memcmp(page, inode->current.data() + begin, page_bytes) != 0) {
        std::memcpy(inode->current.data() + begin, page, page_bytes);
        inode->dirty_pages.insert(i);
      }
    }
  }
}

void FaultEnv::Stop() {
  if (stopped_) {
    return;
  }
  stopped_ = true;
  for (const Names* names : {&names_, &durable_names_}) {  // a removed name may come back
    for (const auto& [name, inode] : *names) {
      PullMappings(inode.get());
      inode->mappings.clear();
    }
  }
}

void FaultEnv::TruncateInode(Inode* inode, uint64_t size) {
  inode->current.resize(size, '\0');
  inode->smallest_size = std::min(inode->smallest_size, size);
  inode->dirty_pages.erase(inode->dirty_pages.lower_bound((size + kPageBytes - 1) / kPageBytes),
                           inode->dirty_pages.end());
}

void FaultEnv::SyncInode(Inode* inode) {
  inode->durable.resize(std::min(inode->durable.size(), inode->smallest_size));
  inode->durable.resize(inode->current.size(), '\0');
  inode->smallest_size = inode->current.size();
  for (const uint64_t page : inode->dirty_pages) {
    const uint64_t begin = page * kPageBytes;
    if (begin < inode->current.size()) {
      const uint64_t size = std::min(kPageBytes, inode->current.size() - begin);
      inode->durable.replace(begin, size, inode->current, begin, size);
    }
  }
  inode->dirty_pages.clear();
}

// As SyncInode, of a file that has kept its size since its first sync.
void FaultEnv::SyncPages(Inode* inode, uint64_t first_page, uint64_t last_page) {
  const std::set<uint64_t> all = std::move(inode->dirty_pages);
  std::set<uint64_t> others;
  inode->dirty_pages.clear();
  for (const uint64_t page : all) {
    (page >= first_page && page < last_page ? inode->dirty_pages : others).insert(page);
  }
  SyncInode(inode);
  inode->dirty_pages = std::move(others);
}

// Some pages were written back, and the size changed or did not.
void FaultEnv::KeepRandomPages(Inode* inode, std::mt19937_64* random) {
  std::set<uint64_t> kept;
  for (const uint64_t page : inode->dirty_pages) {
    if ((*random)() % 2 == 0) {
      kept.insert(page);
    }
  }
  const bool size_kept = (*random)() % 2 == 0;
  if (!size_kept) {
    inode->current.resize(inode->durable.size(), '\0');
    inode->smallest_size = inode->durable.size();
  }
  inode->dirty_pages = std::move(kept);
  SyncInode(inode);
}

void FaultEnv::ApplyDurably(const NameEdit& edit) {
  if (edit.inode == nullptr) {
    durable_names_.erase(edit.name);
    return;
  }
  std::erase_if(durable_names_, [&](const auto& entry) { return entry.second == edit.inode; });
  durable_names_[edit.name] = edit.inode;
}

uint64_t FaultEnv::UsedBytes() const {
  uint64_t total = 0;
  for (const auto& [name, inode] : names_) {
    total += inode->current.size();
  }
  return total;
}

StatusOr<std::unique_ptr<File>> FaultEnv::Open(const std::string& path, OpenMode mode) {
  MutexLock lock(&mu_);
  RETURN_IF_ERROR(Begin(FileOperation::kOpen, path));
  if (const Fault* fault = FiredFault(FileOperation::kOpen, path)) {
    return ErrnoStatus(fault->error_number, "open", path);
  }
  auto found = names_.find(path);
  if (mode != OpenMode::kCreateOrTruncate) {
    if (found == names_.end()) {
      return ErrnoStatus(ENOENT, "open", path);
    }
  } else if (found == names_.end()) {
    const std::string folder = ParentDirectory(path);
    if (!folders_.contains(folder)) {
      return ErrnoStatus(ENOENT, "open", path);
    }
    found = names_.emplace(path, std::make_shared<Inode>()).first;
    pending_edits_.push_back({folder, path, found->second});
  } else {
    TruncateInode(found->second.get(), 0);
  }
  return std::make_unique<FaultFile>(this, found->second, path, life_);
}

StatusOr<std::unique_ptr<MappedFile>> FaultEnv::Map(const std::string& path) {
  MutexLock lock(&mu_);
  RETURN_IF_ERROR(Begin(FileOperation::kRead, path));
  if (const Fault* fault = FiredFault(FileOperation::kRead, path)) {
    return ErrnoStatus(fault->error_number, "map", path);
  }
  const auto found = names_.find(path);
  if (found == names_.end()) {
    return ErrnoStatus(ENOENT, "map", path);
  }
  PullMappings(found->second.get());
  return std::make_unique<MemoryMappedFile>(found->second->current);
}

StatusOr<std::unique_ptr<WritableMapping>> FaultEnv::MapWritable(const std::string& path) {
  MutexLock lock(&mu_);
  RETURN_IF_ERROR(Begin(FileOperation::kOpen, path));
  if (const Fault* fault = FiredFault(FileOperation::kOpen, path)) {
    return ErrnoStatus(fault->error_number, "map", path);
  }
  const auto found = names_.find(path);
  if (found == names_.end()) {
    return ErrnoStatus(ENOENT, "map", path);
  }
  return std::make_unique<FaultMapping>(this, found->second, path, life_);
}

StatusOr<std::vector<std::string>> FaultEnv::List(const std::string& path) {
  MutexLock lock(&mu_);
  RETURN_IF_ERROR(Begin(FileOperation::kRead, path));
  if (!folders_.contains(path)) {
    return ErrnoStatus(ENOENT, "list", path);
  }
  std::vector<std::string> entries;
  const auto add_if_inside = [&](const std::string& entry) {
    if (entry != path && ParentDirectory(entry) == path) {
      entries.push_back(entry.substr(entry.find_last_of('/') + 1));
    }
  };
  for (const auto& [name, inode] : names_) {
    add_if_inside(name);
  }
  for (const std::string& folder : folders_) {
    add_if_inside(folder);
  }
  std::sort(entries.begin(), entries.end());
  return entries;
}

Status FaultEnv::CreateDirectories(const std::string& path) {
  MutexLock lock(&mu_);
  RETURN_IF_ERROR(Begin(FileOperation::kSyncDirectory, path));
  for (std::string folder = path; !folders_.contains(folder); folder = ParentDirectory(folder)) {
    folders_.insert(folder);
  }
  return OkStatus();
}

Status FaultEnv::SyncDirectory(const std::string& path) {
  MutexLock lock(&mu_);
  RETURN_IF_ERROR(Begin(FileOperation::kSyncDirectory, path));
  if (const Fault* fault = FiredFault(FileOperation::kSyncDirectory, path)) {
    return ErrnoStatus(fault->error_number, "fsync folder", path);
  }
  if (!folders_.contains(path)) {
    return ErrnoStatus(ENOENT, "fsync folder", path);
  }
  for (const NameEdit& edit : pending_edits_) {
    if (IsSyncedWith(edit.folder, path)) {
      ApplyDurably(edit);
    }
  }
  std::erase_if(pending_edits_,
                [&](const NameEdit& edit) { return IsSyncedWith(edit.folder, path); });
  return OkStatus();
}

Status FaultEnv::Rename(const std::string& from, const std::string& to) {
  MutexLock lock(&mu_);
  RETURN_IF_ERROR(Begin(FileOperation::kRename, from));
  if (const Fault* fault = FiredFault(FileOperation::kRename, from)) {
    return ErrnoStatus(fault->error_number, "rename", from);
  }
  const auto source = names_.find(from);
  if (source == names_.end() || !folders_.contains(ParentDirectory(to))) {
    return ErrnoStatus(ENOENT, "rename", from);
  }
  const InodePointer inode = source->second;
  names_.erase(source);
  names_[to] = inode;
  pending_edits_.push_back({ParentDirectory(to), to, inode});
  return OkStatus();
}

Status FaultEnv::Remove(const std::string& path) {
  MutexLock lock(&mu_);
  RETURN_IF_ERROR(Begin(FileOperation::kRemove, path));
  if (const Fault* fault = FiredFault(FileOperation::kRemove, path)) {
    return ErrnoStatus(fault->error_number, "remove", path);
  }
  if (folders_.contains(path)) {
    return RemoveFolder(path);
  }
  if (names_.erase(path) == 0) {
    return ErrnoStatus(ENOENT, "remove", path);
  }
  pending_edits_.push_back({ParentDirectory(path), path, nullptr});
  return OkStatus();
}

Status FaultEnv::RemoveFolder(const std::string& path) {
  const auto is_inside = [&](const std::string& entry) { return ParentDirectory(entry) == path; };
  if (std::any_of(folders_.begin(), folders_.end(), is_inside) ||
      std::any_of(names_.begin(), names_.end(),
                  [&](const auto& entry) { return is_inside(entry.first); })) {
    return ErrnoStatus(ENOTEMPTY, "remove", path);
  }
  folders_.erase(path);
  return OkStatus();
}

bool FaultEnv::IsSyncedWith(std::string folder, const std::string& path) const {
  while (folder != path && !folders_.contains(folder)) {
    folder = ParentDirectory(folder);
  }
  return folder == path;
}

StatusOr<bool> FaultEnv::Exists(const std::string& path) {
  MutexLock lock(&mu_);
  RETURN_IF_ERROR(Begin(FileOperation::kRead, path));
  return names_.contains(path) || folders_.contains(path);
}

StatusOr<uint64_t> FaultEnv::FileSize(const std::string& path) {
  MutexLock lock(&mu_);
  RETURN_IF_ERROR(Begin(FileOperation::kRead, path));
  const auto found = names_.find(path);
  if (found == names_.end()) {
    return ErrnoStatus(ENOENT, "stat", path);
  }
  return found->second->current.size();
}

StatusOr<uint64_t> FaultEnv::FreeBytes(const std::string& path) {
  MutexLock lock(&mu_);
  RETURN_IF_ERROR(Begin(FileOperation::kRead, path));
  const uint64_t used = UsedBytes();
  return capacity_bytes_ > used ? capacity_bytes_ - used : 0;
}

StatusOr<std::unique_ptr<FileLock>> FaultEnv::Lock(const std::string& path) {
  MutexLock lock(&mu_);
  RETURN_IF_ERROR(Begin(FileOperation::kOpen, path));
  if (!locks_.insert(path).second) {
    return FailedPrecondition("lock {}: another process holds it", path);
  }
  return std::make_unique<FaultLock>(this, path, life_);
}

void FaultEnv::Inject(Fault fault) {
  MutexLock lock(&mu_);
  faults_.push_back({std::move(fault), 0});
}

void FaultEnv::ClearFaults() {
  MutexLock lock(&mu_);
  faults_.clear();
}

void FaultEnv::SetCapacity(uint64_t bytes) {
  MutexLock lock(&mu_);
  capacity_bytes_ = bytes;
}

void FaultEnv::StopAfter(uint64_t mutations) {
  MutexLock lock(&mu_);
  stop_at_mutation_ = mutations_ + mutations;
}

bool FaultEnv::is_stopped() const {
  MutexLock lock(&mu_);
  return stopped_;
}

void FaultEnv::Crash(CrashMode mode, uint64_t seed) {
  MutexLock lock(&mu_);
  Stop();
  if (mode == CrashMode::kKeepAll) {
    return;
  }
  std::mt19937_64 random(seed);
  const bool keep_some = mode == CrashMode::kKeepRandomSubset;
  for (const NameEdit& edit : pending_edits_) {
    if (keep_some && random() % 2 == 0) {
      ApplyDurably(edit);
    }
  }
  pending_edits_.clear();
  names_ = durable_names_;
  for (const auto& [name, inode] : names_) {
    for (std::string folder = ParentDirectory(name); folders_.insert(folder).second;) {
      folder = ParentDirectory(folder);
    }
    if (keep_some) {
      KeepRandomPages(inode.get(), &random);
    }
    inode->current = inode->durable;
    inode->dirty_pages.clear();
    inode->smallest_size = inode->durable.size();
  }
}

void FaultEnv::Restart() {
  MutexLock lock(&mu_);
  stopped_ = false;
  stop_at_mutation_ = UINT64_MAX;
  locks_.clear();
  ++life_;
}

uint64_t FaultEnv::OperationCount(FileOperation operation) const {
  MutexLock lock(&mu_);
  return operations_[static_cast<size_t>(operation)];
}

uint64_t FaultEnv::MutationCount() const {
  MutexLock lock(&mu_);
  return mutations_;
}

std::string FaultEnv::Contents(const std::string& path) const {
  MutexLock lock(&mu_);
  const auto found = names_.find(path);
  CHECK(found != names_.end());
  PullMappings(found->second.get());
  return found->second->current;
}

void FaultEnv::SetContents(const std::string& path, std::string contents) {
  MutexLock lock(&mu_);
  const auto inode = std::make_shared<Inode>();
  inode->current = contents;
  inode->durable = std::move(contents);
  inode->smallest_size = inode->durable.size();
  for (std::string folder = ParentDirectory(path); folders_.insert(folder).second;) {
    folder = ParentDirectory(folder);
  }
  std::erase_if(pending_edits_, [&](const NameEdit& edit) { return edit.name == path; });
  names_[path] = inode;
  durable_names_[path] = inode;
}

}  // namespace tsdbd
