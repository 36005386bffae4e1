#pragma once
// BlockManager owns the folder of published blocks and the set of those that are live. It decides
// nothing: the database says what to publish and what to drop.
//
// <data>/blocks/       20240131T000000Z-0000000012-0000000012-00.block: partition start, first and
//                      last generation, level; so names sort by partition, then generation
// <data>/quarantine/   files that failed their checks, kept for whoever wants to look at them
//
// Threads: all methods may run at the same time; changes are serialised. A snapshot stays valid
// for as long as somebody holds it, whatever is published or dropped meanwhile.
// Crashes: a published file is complete. If a crash falls between the publication of a compacted
// block and the removal of its parents, Open() removes them.
// Parents with damaged chunks, which a merge has left out, are not removed but go to quarantine.

#include <atomic>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "common/env.h"
#include "common/mutex.h"
#include "common/status.h"
#include "model/sample.h"
#include "storage/block.h"

namespace tsdbd::storage {

// In order of partition, then precedence: for equal series and timestamps the later one wins.
using BlockList = std::vector<std::shared_ptr<const Block>>;
using BlockSnapshot = std::shared_ptr<const BlockList>;

struct BlockStats {
  uint64_t blocks = 0;
  uint64_t size_bytes = 0;
  uint64_t groups = 0;  // summed over blocks
  uint64_t series = 0;  // summed over blocks
  uint64_t chunks = 0;
  uint64_t samples = 0;
  uint64_t quarantined = 0;     // files in quarantine
  uint64_t damaged_chunks = 0;  // found by reads of the live blocks, and left out
};

class BlockManager {
 public:
  // Makes the folders where missing; removes temporary files and replaced parents; damaged blocks
  // go to quarantine with a log line and are not an error.
  static StatusOr<std::unique_ptr<BlockManager>> Open(Env* env, const std::string& data_dir);

  // A path for a BlockWriter, on the file system of the blocks; never the same twice.
  std::string NewTempPath();

  // Makes finished files live, all in one step for readers: renames them, syncs the folder, then
  // removes the parents they name. A file takes the place of a live one of the same partition,
  // generations and level (a flush repeated after a crash). On error nothing becomes live and the
  // temporary files are gone; the caller may write and publish the same blocks again.
  // kAborted if a parent is not live (any more): the block would bring back what was dropped.
  Status Publish(std::span<const std::string> temp_paths);

  // Keep the result in a variable: `for (... : *manager->Snapshot())` would not.
  BlockSnapshot Snapshot() const;

  // Drops the blocks whose samples are all older than `time`. Returns how many.
  size_t DropBefore(model::Timestamp time);
  // Drops these blocks, as far as they are live: nothing of them is left to be served. Those with
  // damaged chunks go to quarantine. Returns how many.
  size_t Drop(std::span<const std::shared_ptr<const Block>> dropped);

  // Takes a block that failed its checks out of the set and its file to quarantine.
  void Quarantine(const std::shared_ptr<const Block>& block, const Status& reason);

  BlockStats Stats() const;

 private:
  BlockManager(Env* env, const std::string& data_dir);

  std::string PathOf(const std::string& name) const { return blocks_dir_ + "/" + name; }
  Status Load() REQUIRES(change_mutex_);
  Status LoadFile(const std::string& name, BlockList* blocks) REQUIRES(change_mutex_);
  // Parents that a crash left beside the block that replaces them.
  void RemoveReplaced(BlockList* blocks) REQUIRES(change_mutex_);
  // Gives the files their names, appended to *renamed one by one, and opens them.
  StatusOr<BlockList> RenameAndOpen(std::span<const std::string> temp_paths,
                                    std::vector<std::string>* renamed) REQUIRES(change_mutex_);
  // After a failed publication: nothing of it may stay behind.
  void Discard(std::span<const std::string> temp_paths, std::span<const std::string> renamed)
      REQUIRES(change_mutex_);
  void Install(BlockList blocks) REQUIRES(change_mutex_);
  // Files that are no longer live. What cannot be removed is logged; it comes up again, and is
  // dealt with again, at the next start.
  void RemoveFiles(std::span<const std::string> names) REQUIRES(change_mutex_);
  // Files of blocks that are no longer live: removed; or kept in quarantine if chunks of them that
  // no other block has were found damaged.
  void RemoveBlocks(const BlockList& blocks) REQUIRES(change_mutex_);
  void MoveToQuarantine(const std::string& name, const Status& reason) REQUIRES(change_mutex_);

  // Constant.
  Env* const env_;
  const std::string blocks_dir_;
  const std::string quarantine_dir_;

  std::atomic<uint64_t> next_temp_ = 0;

  // Held while the set of blocks changes, files included. Taken before snapshot_mutex_.
  Mutex change_mutex_;
  mutable Mutex snapshot_mutex_;
  BlockSnapshot snapshot_ GUARDED_BY(snapshot_mutex_) = std::make_shared<const BlockList>();
  uint64_t quarantined_ GUARDED_BY(snapshot_mutex_) = 0;
};

}  // namespace tsdbd::storage
