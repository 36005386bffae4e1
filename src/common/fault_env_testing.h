#pragma once
// FaultEnv: a file system in memory that fails on demand and forgets, when the power is cut, what
// was not synced. For tests only. Thread-safe.
//
// It keeps two states, what a running process sees and what is on the platter, for the contents of
// files (in pages) and for the names in folders. Sync and SyncDirectory carry the one over to the
// other. Folders themselves are durable at once, as CreateDirectories promises; one that is removed
// is back if a power cut brings back a file in it, which it does until the folder around it is
// synced.
//
//   FaultEnv env;
//   ... run the code under test on &env ...
//   env.Crash(CrashMode::kDropUnsynced);   // from here every operation fails
//   ... destroy the objects under test: their process is dead ...
//   env.Restart();                         // files opened before stay dead
//   ... open them again ...
//
// A writable mapping is memory of its own, which is compared with the file, page by page, whenever
// somebody looks at the file: what a process writes there shows at once, as with mmap. That of a
// process that is dead no longer does.

#include <cerrno>
#include <map>
#include <random>
#include <set>
#include <string>

#include "common/env.h"
#include "common/mutex.h"

namespace tsdbd {

enum class CrashMode {
  kKeepAll,          // kill -9: the kernel still writes everything back
  kDropUnsynced,     // power cut: only what was synced is there
  kKeepRandomSubset  // power cut: of what was not synced, random pages and names are there
};

enum class FileOperation {
  kOpen,
  kRead,
  kWrite,
  kSync,
  kTruncate,
  kRename,
  kRemove,
  kSyncDirectory,
  kCount
};

struct Fault {
  FileOperation operation = FileOperation::kWrite;
  uint64_t after = 0;  // so many operations of the kind succeed first
  uint64_t times = 1;  // then so many fail
  int error_number = EIO;
  // A failing write first writes half of its bytes.
  bool short_write = false;
  // Only files and folders whose path contains this.
  std::string path_part = {};
};

class FaultEnv : public Env {
 public:
  // The unit in which a power cut keeps or loses unsynced contents.
  static constexpr uint64_t kPageBytes = 4096;

  StatusOr<std::unique_ptr<File>> Open(const std::string& path, OpenMode mode) override;
  StatusOr<std::unique_ptr<MappedFile>> Map(const std::string& path) override;
  StatusOr<std::unique_ptr<WritableMapping>> MapWritable(const std::string& path) override;
  StatusOr<std::vector<std::string>> List(const std::string& path) override;
  Status CreateDirectories(const std::string& path) override;
  Status SyncDirectory(const std::string& path) override;
  Status Rename(const std::string& from, const std::string& to) override;
  Status Remove(const std::string& path) override;
  StatusOr<bool> Exists(const std::string& path) override;
  StatusOr<uint64_t> FileSize(const std::string& path) override;
  StatusOr<uint64_t> FreeBytes(const std::string& path) override;
  StatusOr<std::unique_ptr<FileLock>> Lock(const std::string& path) override;

  // Faults add up; each counts the operations that match it. A failed Sync drops the dirty pages
  // and a second one succeeds without writing them, as Linux does.
  void Inject(Fault fault);
  void ClearFaults();
  // Writes that need more than this in all files together fail with ENOSPC, in part written.
  void SetCapacity(uint64_t bytes);

  // Every operation fails after `mutations` more that change something, as if the process had
  // been killed there.
  void StopAfter(uint64_t mutations);
  // Whether the process is dead: what it does from now on never happened.
  bool is_stopped() const;
  // Kills the process; every operation fails until Restart(). `seed` chooses what kKeepRandomSubset
  // keeps.
  void Crash(CrashMode mode, uint64_t seed = 0);
  void Restart();

  uint64_t OperationCount(FileOperation operation) const;
  uint64_t MutationCount() const;  // writes, syncs, truncations and changes of names

  // The file as a running process sees it; CHECKs that it exists.
  std::string Contents(const std::string& path) const;
  // Puts a file there, contents and name durable, whatever faults are set.
  void SetContents(const std::string& path, std::string contents);

 private:
  friend class FaultFile;
  friend class FaultLock;
  friend class FaultMapping;

  struct Inode {
    std::string current;
    std::string durable;
    std::set<uint64_t> dirty_pages;
    uint64_t smallest_size = 0;  // of `current` since the last sync: what is above was cut off
    std::vector<std::span<const char>> mappings = {};  // for writing, of the running process
  };
  using InodePointer = std::shared_ptr<Inode>;
  using Names = std::map<std::string, InodePointer>;

  // A change of names that its folder's sync makes durable. An inode has one name, so giving it a
  // new one takes the old one away: a rename is one edit, and atomic.
  struct NameEdit {
    std::string folder;
    std::string name;
    InodePointer inode;  // null: `name` goes away
  };
  struct ArmedFault {
    Fault fault;
    uint64_t seen = 0;
  };

  // Counts the operation and says whether it may go on.
  Status Begin(FileOperation operation, const std::string& path) REQUIRES(mu_);
  Status BeginOnFile(FileOperation operation, const std::string& path, uint64_t life) REQUIRES(mu_);
  const Fault* FiredFault(FileOperation operation, const std::string& path) REQUIRES(mu_);

  Status WriteInode(Inode* inode, uint64_t offset, std::string_view data, const std::string& path)
      REQUIRES(mu_);
  // Takes over what was written to the inode's mappings, in these pages (all that there are).
  static void PullMappings(Inode* inode, uint64_t first_page = 0, uint64_t last_page = UINT64_MAX);
  // The process dies here: its memory counts no longer.
  void Stop() REQUIRES(mu_);
  static void TruncateInode(Inode* inode, uint64_t size);
  static void SyncInode(Inode* inode);
  static void SyncPages(Inode* inode, uint64_t first_page, uint64_t last_page);
  static void KeepRandomPages(Inode* inode, std::mt19937_64* random);
  void ApplyDurably(const NameEdit& edit) REQUIRES(mu_);
  Status RemoveFolder(const std::string& path) REQUIRES(mu_);
  // Whether a sync of `path` makes the changes in `folder` durable: it is that one, or was removed.
  bool IsSyncedWith(std::string folder, const std::string& path) const REQUIRES(mu_);
  uint64_t UsedBytes() const REQUIRES(mu_);

  mutable Mutex mu_;
  Names names_ GUARDED_BY(mu_);
  Names durable_names_ GUARDED_BY(mu_);
  std::vector<NameEdit> pending_edits_ GUARDED_BY(mu_);
  std::set<std::string> folders_ GUARDED_BY(mu_) = {".", "/"};
  std::set<std::string> locks_ GUARDED_BY(mu_);
  std::vector<ArmedFault> faults_ GUARDED_BY(mu_);
  uint64_t capacity_bytes_ GUARDED_BY(mu_) = UINT64_MAX;
  uint64_t mutations_ GUARDED_BY(mu_) = 0;
  uint64_t stop_at_mutation_ GUARDED_BY(mu_) = UINT64_MAX;
  bool stopped_ GUARDED_BY(mu_) = false;
  uint64_t life_ GUARDED_BY(mu_) = 0;  // restarts so far; files of an earlier life are dead
  uint64_t operations_[static_cast<size_t>(FileOperation::kCount)] GUARDED_BY(mu_) = {};
};

}  // namespace tsdbd
