#include "tsdb/snapshot.h"

#include <ctime>
#include <random>

#include <unistd.h>

#include "common/clock.h"

namespace tsdbd::tsdb {
namespace {

// Not an operation of Env: it changes no contents, and where it cannot be done, as on the file
// system of a test, the Env writes a copy.
bool Link(const std::string& from, const std::string& to) {
  return link(from.c_str(), to.c_str()) == 0;
}

Status Copy(Env* env, const storage::Block& block, const std::string& to) {
  ASSIGN_OR_RETURN(const auto file, env->Open(to, OpenMode::kCreateOrTruncate));
  RETURN_IF_ERROR(file->WriteAt(0, block.bytes()));
  return file->Sync();
}

Status Write(Env* env, const std::string& directory, const storage::BlockList& blocks,
             std::string_view tombstones, std::vector<std::string>* written) {
  const std::string blocks_dir = directory + "/blocks";
  RETURN_IF_ERROR(env->CreateDirectories(blocks_dir));
  for (const auto& block : blocks) {
    const std::string path = blocks_dir + "/" + storage::BlockFileName(block->meta());
    written->push_back(path);
    if (!Link(block->path(), path)) {
      RETURN_IF_ERROR(Copy(env, *block, path));
    }
  }
  if (!tombstones.empty()) {
    written->push_back(directory + "/tombstones");
    RETURN_IF_ERROR(WriteFileAtomically(env, written->back(), tombstones));
  }
  return env->SyncDirectory(blocks_dir);
}

}  // namespace

std::string NewSnapshotName() {
  const std::time_t seconds = WallNanos() / kNanosPerSecond;
  std::tm utc = {};
  gmtime_r(&seconds, &utc);
  char time[32];
  std::strftime(time, sizeof(time), "%Y%m%dT%H%M%SZ", &utc);
  std::random_device random;
  return fmt::format("{}-{:08x}{:08x}", time, random(), random());
}

Status WriteSnapshot(Env* env, const std::string& directory, const storage::BlockList& blocks,
                     std::string_view tombstones) {
  std::vector<std::string> written;
  const Status status = Write(env, directory, blocks, tombstones, &written);
  if (!status.ok()) {
    for (const std::string& path : written) {
      env->Remove(path).IgnoreError();
    }
    env->Remove(directory + "/blocks").IgnoreError();
    env->Remove(directory).IgnoreError();
  }
  return status;
}

}  // namespace tsdbd::tsdb
