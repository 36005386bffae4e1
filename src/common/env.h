#pragma once
// Env: the only way to the file system, so that a test can put one under the database that fails
// on demand (common/fault_env_testing.h). Thread-safe; files are not shared between writers, except
// that ReadAt may run beside anything.
//
// Durability: WriteAt reaches the disk at the next Sync of that file, what is written to a mapping
// at the next Sync of it; a created, renamed or removed
// name at the next SyncDirectory of its folder.

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "common/status.h"

namespace tsdbd {

// A file open for positioned reads and writes.
class File {
 public:
  virtual ~File() = default;

  // Writes all of `data` at `offset` (bytes), growing the file where needed.
  virtual Status WriteAt(uint64_t offset, std::string_view data) = 0;
  // Reads up to buffer.size() bytes at `offset`; fewer only at the end of the file.
  virtual StatusOr<size_t> ReadAt(uint64_t offset, std::span<char> buffer) const = 0;
  // fdatasync: contents and the size needed to read them are on disk when it returns OK.
  virtual Status Sync() = 0;
  // Starts writing `size` bytes at `offset` back to disk without waiting. A hint; never fails.
  virtual void StartWriteback(uint64_t offset, uint64_t size) {}
  virtual Status Truncate(uint64_t size) = 0;
  // Grows the file to `size` bytes, which read as zeros and have their space reserved; on disk at
  // the next Sync. Cheaper than writing zeros, but the first Sync of bytes written there costs more
  // (the file system notes that they are in use).
  virtual Status Allocate(uint64_t size) = 0;
  virtual StatusOr<uint64_t> Size() const = 0;
  virtual const std::string& path() const = 0;
};

// A whole file, read-only in memory. Stays valid after the file is removed.
class MappedFile {
 public:
  virtual ~MappedFile() = default;
  virtual std::string_view data() const = 0;
};

// A whole file in memory, to be written by writing there: the kernel has each byte at once, so that
// it survives the process. The file must have its space reserved (a write to a hole on a full disk
// ends the process) and keep its size while it is mapped. Stays valid after the file is removed.
class WritableMapping {
 public:
  virtual ~WritableMapping() = default;
  virtual std::span<char> data() const = 0;
  // Brings the pages that hold these bytes to the disk. May run while others write to the mapping;
  // what is written meanwhile may be on disk or not.
  virtual Status Sync(uint64_t offset, uint64_t size) = 0;
};

// Held while it lives; another process (or a second call) cannot have it meanwhile.
class FileLock {
 public:
  virtual ~FileLock() = default;
};

enum class OpenMode {
  kReadOnly,         // must exist
  kReadWrite,        // must exist
  kCreateOrTruncate  // made, or emptied
};

class Env {
 public:
  virtual ~Env() = default;

  virtual StatusOr<std::unique_ptr<File>> Open(const std::string& path, OpenMode mode) = 0;
  virtual StatusOr<std::unique_ptr<MappedFile>> Map(const std::string& path) = 0;
  virtual StatusOr<std::unique_ptr<WritableMapping>> MapWritable(const std::string& path) = 0;
  // Names (not paths) of the entries of a folder, sorted.
  virtual StatusOr<std::vector<std::string>> List(const std::string& path) = 0;
  // Makes the folder and its parents, each made durable in its parent.
  virtual Status CreateDirectories(const std::string& path) = 0;
  virtual Status SyncDirectory(const std::string& path) = 0;
  virtual Status Rename(const std::string& from, const std::string& to) = 0;
  virtual Status Remove(const std::string& path) = 0;
  virtual StatusOr<bool> Exists(const std::string& path) = 0;
  virtual StatusOr<uint64_t> FileSize(const std::string& path) = 0;
  // Bytes that the file system of `path` has left for us.
  virtual StatusOr<uint64_t> FreeBytes(const std::string& path) = 0;
  // kFailedPrecondition, naming the file, if somebody else holds it.
  virtual StatusOr<std::unique_ptr<FileLock>> Lock(const std::string& path) = 0;

  // The real file system.
  static Env* Default();
};

// Replaces `path` by `contents` so that a crash leaves the old file or the new one, never a mix:
// write temp, sync, rename, sync folder.
Status WriteFileAtomically(Env* env, const std::string& path, std::string_view contents);
StatusOr<std::string> ReadFile(Env* env, const std::string& path);

// The folder that holds `path`; "." for a bare name.
std::string ParentDirectory(std::string_view path);

}  // namespace tsdbd
