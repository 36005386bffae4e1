#pragma once
// Deletions: which samples of which blocks count as deleted: by tombstones, which clients made
// (docs/formats/tombstones.md), and by retention rules. Queries leave these samples out; compaction
// drops them.
//
// A tombstone applies to the blocks that were there when it was made: those of generations up to
// its own whose rows it has not been carried out on (BlockMeta::deletions_applied).
//
// Threads: all methods may run at the same time. Where there is nothing deleted, Of costs a load.

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "common/env.h"
#include "common/mutex.h"
#include "common/status.h"
#include "model/matcher.h"
#include "storage/block_deletions.h"
#include "storage/block_manager.h"

namespace tsdbd::tsdb {

// All of a list must match; of several lists, one.
using Selector = std::vector<model::Matcher>;

struct Tombstone {
  uint64_t number = 0;      // rising; never used again
  uint64_t generation = 0;  // blocks up to this one
  model::TimeRange range;
  std::vector<Selector> selectors;
};

// Samples of matching series are kept for so long.
struct RetentionRule {
  Selector selector;
  int64_t age_ns = 0;
};

// The file's contents.
std::string EncodeTombstones(uint64_t newest_number, const std::vector<Tombstone>& tombstones);
StatusOr<std::vector<Tombstone>> DecodeTombstones(std::string_view bytes, uint64_t* newest_number);

class Deletions {
 public:
  // Each query looks at each: more are refused until some are carried out.
  static constexpr size_t kMaxTombstones = 1000;

  // A file that fails its checks goes to quarantine with a log line: what it deleted comes back,
  // and is not lost. New tombstones get numbers above all that `live` blocks name.
  static StatusOr<std::unique_ptr<Deletions>> Open(Env* env, const std::string& data_dir,
                                                   std::vector<RetentionRule> rules,
                                                   const storage::BlockList& live);

  // Durable when it returns OK. `generation` is that of the newest block.
  Status Add(uint64_t generation, const model::TimeRange& range, std::vector<Selector> selectors);
  // Forgets the tombstones that apply to none of the blocks.
  Status Forget(const storage::BlockList& live);

  // What counts as deleted in the block at the time `now`; null if nothing does. kDataLoss if its
  // index is damaged.
  StatusOr<std::shared_ptr<const storage::BlockDeletions>> Of(
      const std::shared_ptr<const storage::Block>& block, model::Timestamp now) const;
  // Whether any tombstone applies to the block.
  bool HasTombstone(const storage::Block& block) const;

  // The file's contents; empty if there are no tombstones.
  std::string FileContents() const;

  const std::vector<RetentionRule>& rules() const { return rules_; }
  uint64_t newest_number() const;
  uint64_t newest_generation() const;
  size_t tombstone_count() const;

 private:
  using TombstoneList = std::vector<Tombstone>;
  // What a selector selects in a block.
  struct Cached {
    std::weak_ptr<const storage::Block> block;
    // By tombstone number, or ~rule, and selector.
    std::map<std::pair<uint64_t, size_t>, std::shared_ptr<const storage::BlockSelection>> series;
  };

  Deletions(Env* env, const std::string& data_dir, std::vector<RetentionRule> rules);
  Status Load(const storage::BlockList& live);
  Status Store(const TombstoneList& tombstones, uint64_t newest_number) REQUIRES(change_mutex_);
  std::shared_ptr<const TombstoneList> Snapshot() const;
  StatusOr<std::shared_ptr<const storage::BlockSelection>> SeriesOf(
      const std::shared_ptr<const storage::Block>& block, uint64_t number, size_t index,
      const Selector& selector) const;

  // Constant after Open.
  Env* const env_;
  const std::string path_;
  const std::string quarantine_dir_;
  const std::vector<RetentionRule> rules_;

  std::atomic<bool> is_empty_ = true;  // neither tombstones nor rules
  Mutex change_mutex_;                 // held while the file changes; before mutex_
  mutable Mutex mutex_;
  std::shared_ptr<const TombstoneList> tombstones_ GUARDED_BY(mutex_) =
      std::make_shared<const TombstoneList>();
  uint64_t newest_number_ GUARDED_BY(mutex_) = 0;
  mutable std::map<const storage::Block*, Cached> cache_ GUARDED_BY(mutex_);
};

}  // namespace tsdbd::tsdb
