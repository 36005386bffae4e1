#include "common/env.h"

#include <algorithm>
#include <cerrno>

#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

namespace tsdbd {
namespace {

// The data is the owner's, and its group may read it (backups).
constexpr mode_t kFileMode = 0640;
constexpr mode_t kDirectoryMode = 0750;

// Repeats a system call that a signal interrupted.
template <typename Call>
auto RetryOnInterrupt(Call call) {
  auto result = call();
  while (result < 0 && errno == EINTR) {
    result = call();
  }
  return result;
}

class FileDescriptor {
 public:
  explicit FileDescriptor(int fd) : fd_(fd) {}
  ~FileDescriptor() {
    if (fd_ >= 0) {
      close(fd_);  // not repeated: on Linux it is closed even when a signal interrupts the call
    }
  }
  FileDescriptor(FileDescriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  FileDescriptor(const FileDescriptor&) = delete;
  FileDescriptor& operator=(const FileDescriptor&) = delete;
  int get() const { return fd_; }

 private:
  int fd_;
};

StatusOr<FileDescriptor> OpenDescriptor(const std::string& path, int flags) {
  const int fd = RetryOnInterrupt([&] { return open(path.c_str(), flags | O_CLOEXEC, kFileMode); });
  if (fd < 0) {
    return ErrnoStatus(errno, "open", path);
  }
  return FileDescriptor(fd);
}

StatusOr<uint64_t> DescriptorSize(const FileDescriptor& fd, const std::string& path) {
  struct stat info;
  if (fstat(fd.get(), &info) != 0) {
    return ErrnoStatus(errno, "fstat", path);
  }
  return static_cast<uint64_t>(info.st_size);
}

class PosixFile final : public File {
 public:
  PosixFile(FileDescriptor fd, std::string path) : fd_(std::move(fd)), path_(std::move(path)) {}

  Status WriteAt(uint64_t offset, std::string_view data) override {
    while (!data.empty()) {
      const ssize_t written = RetryOnInterrupt(
          [&] { return pwrite(fd_.get(), data.data(), data.size(), static_cast<off_t>(offset)); });
      if (written < 0) {
        return ErrnoStatus(errno, fmt::format("write {} bytes at {} of", data.size(), offset),
                           path_);
      }
      offset += static_cast<uint64_t>(written);
      data.remove_prefix(static_cast<size_t>(written));
    }
    return OkStatus();
  }

  StatusOr<size_t> ReadAt(uint64_t offset, std::span<char> buffer) const override {
    size_t total = 0;
    while (total < buffer.size()) {
      const ssize_t count = RetryOnInterrupt([&] {
        return pread(fd_.get(), buffer.data() + total, buffer.size() - total,
                     static_cast<off_t>(offset + total));
      });
      if (count < 0) {
        return ErrnoStatus(errno, fmt::format("read {} bytes at {} of", buffer.size(), offset),
                           path_);
      }
      if (count == 0) {
        break;
      }
      total += static_cast<size_t>(count);
    }
    return total;
  }

  Status Sync() override {
    if (RetryOnInterrupt([&] { return fdatasync(fd_.get()); }) != 0) {
      return ErrnoStatus(errno, "fdatasync", path_);
    }
    return OkStatus();
  }

  void StartWriteback(uint64_t offset, uint64_t size) override {
#ifdef SYNC_FILE_RANGE_WRITE
    (void)sync_file_range(fd_.get(), static_cast<off_t>(offset), static_cast<off_t>(size),
                          SYNC_FILE_RANGE_WRITE);
#endif
  }

  Status Truncate(uint64_t size) override {
    if (RetryOnInterrupt([&] { return ftruncate(fd_.get(), static_cast<off_t>(size)); }) != 0) {
      return ErrnoStatus(errno, fmt::format("truncate to {} bytes", size), path_);
    }
    return OkStatus();
  }

  Status Allocate(uint64_t size) override {
    // Returns the error instead of setting errno.
    int error_number = EINTR;
    while (error_number == EINTR) {
      error_number = posix_fallocate(fd_.get(), 0, static_cast<off_t>(size));
    }
    if (error_number != 0) {
      return ErrnoStatus(error_number, fmt::format("allocate {} bytes of", size), path_);
    }
    return OkStatus();
  }

  StatusOr<uint64_t> Size() const override {
    return DescriptorSize(fd_, path_);
  }

  const std::string& path() const override {
    return path_;
  }

 private:
  const FileDescriptor fd_;
  const std::string path_;
};

class PosixMappedFile final : public MappedFile {
 public:
  PosixMappedFile(void* address, size_t size) : address_(address), size_(size) {}
  ~PosixMappedFile() override {
    if (size_ > 0) {
      munmap(address_, size_);
    }
  }
  PosixMappedFile(const PosixMappedFile&) = delete;
  PosixMappedFile& operator=(const PosixMappedFile&) = delete;

  std::string_view data() const override { return {static_cast<const char*>(address_), size_}; }

 private:
  void* const address_;
  const size_t size_;
};

class PosixWritableMapping final : public WritableMapping {
 public:
  PosixWritableMapping(void* address, size_t size, std::string path)
      : address_(address), size_(size), path_(std::move(path)) {}
  ~PosixWritableMapping() override { munmap(address_, size_); }
  PosixWritableMapping(const PosixWritableMapping&) = delete;
  PosixWritableMapping& operator=(const PosixWritableMapping&) = delete;

  std::span<char> data() const override { return {static_cast<char*>(address_), size_}; }

  Status Sync(uint64_t offset, uint64_t size) override {
    static const auto page_bytes = static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
    const uint64_t begin = offset / page_bytes * page_bytes;
    // Linux makes this an fdatasync of the range; the length is rounded up to whole pages.
    if (msync(static_cast<char*>(address_) + begin, offset + size - begin, MS_SYNC) != 0) {
      return ErrnoStatus(errno, fmt::format("msync {} bytes at {} of", size, offset), path_);
    }
    return OkStatus();
  }

 private:
  void* const address_;
  const size_t size_;
  const std::string path_;
};

// The kernel drops the lock with the descriptor. The file stays: removing it would let a third
// process lock a new file of the same name while the second still waits for the old one.
class PosixFileLock final : public FileLock {
 public:
  explicit PosixFileLock(FileDescriptor fd) : fd_(std::move(fd)) {}

 private:
  const FileDescriptor fd_;
};

class PosixEnv final : public Env {
 public:
  StatusOr<std::unique_ptr<File>> Open(const std::string& path, OpenMode mode) override {
    int flags = O_RDWR;
    if (mode == OpenMode::kReadOnly) {
      flags = O_RDONLY;
    } else if (mode == OpenMode::kCreateOrTruncate) {
      flags = O_RDWR | O_CREAT | O_TRUNC;
    }
    ASSIGN_OR_RETURN(FileDescriptor fd, OpenDescriptor(path, flags));
    return std::make_unique<PosixFile>(std::move(fd), path);
  }

  StatusOr<std::unique_ptr<MappedFile>> Map(const std::string& path) override {
    ASSIGN_OR_RETURN(const FileDescriptor fd, OpenDescriptor(path, O_RDONLY));
    ASSIGN_OR_RETURN(const uint64_t size, DescriptorSize(fd, path));
    if (size == 0) {  // which mmap refuses
      return std::make_unique<PosixMappedFile>(nullptr, 0);
    }
    void* address = mmap(nullptr, size, PROT_READ, MAP_SHARED, fd.get(), 0);
    if (address == MAP_FAILED) {
      return ErrnoStatus(errno, fmt::format("map {} bytes of", size), path);
    }
    return std::make_unique<PosixMappedFile>(address, size);
  }

  StatusOr<std::unique_ptr<WritableMapping>> MapWritable(const std::string& path) override {
    ASSIGN_OR_RETURN(const FileDescriptor fd, OpenDescriptor(path, O_RDWR));
    ASSIGN_OR_RETURN(const uint64_t size, DescriptorSize(fd, path));
    void* address = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd.get(), 0);
    if (address == MAP_FAILED) {
      return ErrnoStatus(errno, fmt::format("map {} bytes for writing of", size), path);
    }
    return std::make_unique<PosixWritableMapping>(address, size, path);
  }

  StatusOr<std::vector<std::string>> List(const std::string& path) override {
    const std::unique_ptr<DIR, int (*)(DIR*)> directory(opendir(path.c_str()), closedir);
    if (directory == nullptr) {
      return ErrnoStatus(errno, "list", path);
    }
    std::vector<std::string> names;
    errno = 0;
    while (const dirent* entry = readdir(directory.get())) {
      const std::string_view name = entry->d_name;
      if (name != "." && name != "..") {
        names.emplace_back(name);
      }
    }
    if (errno != 0) {
      return ErrnoStatus(errno, "list", path);
    }
    std::sort(names.begin(), names.end());
    return names;
  }

  Status CreateDirectories(const std::string& path) override {
    const std::string parent = ParentDirectory(path);
    struct stat info;
    if (stat(path.c_str(), &info) == 0) {
      if (!S_ISDIR(info.st_mode)) {
        return FailedPrecondition("create folder {}: a file of that name exists", path);
      }
      // Whoever made it may have been killed before the sync. A parent that we may not read is not
      // one in which we made something.
      return access(parent.c_str(), R_OK) == 0 ? SyncDirectory(parent) : OkStatus();
    }
    if (errno != ENOENT) {
      return ErrnoStatus(errno, "stat", path);
    }
    RETURN_IF_ERROR(CreateDirectories(parent));
    if (mkdir(path.c_str(), kDirectoryMode) != 0 && errno != EEXIST) {
      return ErrnoStatus(errno, "create folder", path);
    }
    return SyncDirectory(parent);
  }

  Status SyncDirectory(const std::string& path) override {
    ASSIGN_OR_RETURN(const FileDescriptor fd, OpenDescriptor(path, O_RDONLY | O_DIRECTORY));
    if (RetryOnInterrupt([&] { return fsync(fd.get()); }) != 0) {
      return ErrnoStatus(errno, "fsync folder", path);
    }
    return OkStatus();
  }

  Status Rename(const std::string& from, const std::string& to) override {
    if (rename(from.c_str(), to.c_str()) != 0) {
      return ErrnoStatus(errno, "rename", fmt::format("{} to {}", from, to));
    }
    return OkStatus();
  }

  Status Remove(const std::string& path) override {
    if (remove(path.c_str()) != 0) {
      return ErrnoStatus(errno, "remove", path);
    }
    return OkStatus();
  }

  StatusOr<bool> Exists(const std::string& path) override {
    struct stat info;
    if (stat(path.c_str(), &info) == 0) {
      return true;
    }
    if (errno == ENOENT || errno == ENOTDIR) {
      return false;
    }
    return ErrnoStatus(errno, "stat", path);
  }

  StatusOr<uint64_t> FileSize(const std::string& path) override {
    struct stat info;
    if (stat(path.c_str(), &info) != 0) {
      return ErrnoStatus(errno, "stat", path);
    }
    return static_cast<uint64_t>(info.st_size);
  }

  StatusOr<uint64_t> FreeBytes(const std::string& path) override {
    struct statvfs info;
    if (RetryOnInterrupt([&] { return statvfs(path.c_str(), &info); }) != 0) {
      return ErrnoStatus(errno, "statvfs", path);
    }
    return static_cast<uint64_t>(info.f_bavail) * info.f_frsize;
  }

  StatusOr<std::unique_ptr<FileLock>> Lock(const std::string& path) override {
    ASSIGN_OR_RETURN(FileDescriptor fd, OpenDescriptor(path, O_RDWR | O_CREAT));
    // flock and not fcntl: it also keeps out a second call of this process.
    if (RetryOnInterrupt([&] { return flock(fd.get(), LOCK_EX | LOCK_NB); }) != 0) {
      if (errno == EWOULDBLOCK) {
        return FailedPrecondition("lock {}: another process holds it", path);
      }
      return ErrnoStatus(errno, "lock", path);
    }
    return std::make_unique<PosixFileLock>(std::move(fd));
  }
};

Status WriteTemporary(Env* env, const std::string& path, std::string_view contents) {
  ASSIGN_OR_RETURN(const auto file, env->Open(path, OpenMode::kCreateOrTruncate));
  RETURN_IF_ERROR(file->WriteAt(0, contents));
  return file->Sync();
}

}  // namespace

Env* Env::Default() {
  static PosixEnv env;
  return &env;
}

Status WriteFileAtomically(Env* env, const std::string& path, std::string_view contents) {
  const std::string temporary = path + ".tmp";
  Status status = WriteTemporary(env, temporary, contents);
  if (status.ok()) {
    status = env->Rename(temporary, path);
  }
  if (!status.ok()) {
    env->Remove(temporary).IgnoreError();  // the failure before it is the one to tell
    return status;
  }
  return env->SyncDirectory(ParentDirectory(path));
}

StatusOr<std::string> ReadFile(Env* env, const std::string& path) {
  ASSIGN_OR_RETURN(const auto file, env->Open(path, OpenMode::kReadOnly));
  ASSIGN_OR_RETURN(const uint64_t size, file->Size());
  std::string contents(size, '\0');
  ASSIGN_OR_RETURN(const size_t count, file->ReadAt(0, contents));
  contents.resize(count);
  return contents;
}

std::string ParentDirectory(std::string_view path) {
  while (path.size() > 1 && path.back() == '/') {
    path.remove_suffix(1);
  }
  const size_t slash = path.find_last_of('/');
  if (slash == std::string_view::npos) {
    return ".";
  }
  return std::string(path.substr(0, std::max<size_t>(slash, 1)));
}

}  // namespace tsdbd
