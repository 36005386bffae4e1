#include "storage/block_manager.h"

#include <algorithm>
#include <set>

#include <spdlog/spdlog.h>

#include "common/check.h"

namespace tsdbd::storage {
namespace {

constexpr std::string_view kTempSuffix = ".tmp";

std::string NameOf(const Block& block) {
  return block.path().substr(block.path().rfind('/') + 1);
}

// Looks at all chunks. What a block with a damaged index holds counts as damaged.
void NoteAllDamage(const Block& block) {
  if (const Status status = block.CheckIndex(); !status.ok()) {
    block.NoteDamage({}, status);
    return;
  }
  for (uint32_t group = 0; group < block.group_count(); ++group) {
    for (const ChunkRef& chunk : block.Chunks(group)) {
      if (const auto view = block.ReadChunk(group, chunk); !view.ok()) {
        block.NoteDamage(chunk, view.status());
      }
    }
  }
}

void SortByPrecedence(BlockList* blocks) {
  std::ranges::sort(*blocks,
                    [](const auto& a, const auto& b) { return Precedes(a->meta(), b->meta()); });
}

}  // namespace

BlockManager::BlockManager(Env* env, const std::string& data_dir)
    : env_(env), blocks_dir_(data_dir + "/blocks"), quarantine_dir_(data_dir + "/quarantine") {}

StatusOr<std::unique_ptr<BlockManager>> BlockManager::Open(Env* env, const std::string& data_dir) {
  std::unique_ptr<BlockManager> manager(new BlockManager(env, data_dir));
  RETURN_IF_ERROR(env->CreateDirectories(manager->blocks_dir_));
  RETURN_IF_ERROR(env->CreateDirectories(manager->quarantine_dir_));
  MutexLock lock(&manager->change_mutex_);
  RETURN_IF_ERROR(manager->Load());
  return manager;
}

Status BlockManager::Load() {
  ASSIGN_OR_RETURN(const std::vector<std::string> in_quarantine, env_->List(quarantine_dir_));
  {
    MutexLock lock(&snapshot_mutex_);
    quarantined_ =
        static_cast<uint64_t>(std::ranges::count_if(in_quarantine, [](const std::string& name) {
          return name.find(kBlockSuffix) != std::string::npos;
        }));
  }
  BlockList blocks;
  ASSIGN_OR_RETURN(const std::vector<std::string> names, env_->List(blocks_dir_));
  for (const std::string& name : names) {
    RETURN_IF_ERROR(LoadFile(name, &blocks));
  }
  RemoveReplaced(&blocks);
  Install(std::move(blocks));
  return OkStatus();
}

void BlockManager::RemoveBlocks(const BlockList& blocks) {
  std::vector<std::string> removed;
  for (const auto& block : blocks) {
    if (block->damaged_chunks() == 0) {
      removed.push_back(NameOf(*block));
      continue;
    }
    MoveToQuarantine(NameOf(*block), DataLoss("{}: {} chunks are damaged, and in no other block",
                                              block->path(), block->damaged_chunks()));
  }
  RemoveFiles(removed);
}

Status BlockManager::LoadFile(const std::string& name, BlockList* blocks) {
  if (name.ends_with(kTempSuffix)) {
    return env_->Remove(PathOf(name));
  }
  if (!name.ends_with(kBlockSuffix)) {
    spdlog::warn("{}: is no block; left alone", PathOf(name));
    return OkStatus();
  }
  StatusOr<std::shared_ptr<const Block>> block = Block::Open(env_, PathOf(name));
  if (block.ok()) {
    blocks->push_back(*std::move(block));
    return OkStatus();
  }
  if (block.status().code() == StatusCode::kDataLoss) {
    MoveToQuarantine(name, block.status());
    return OkStatus();
  }
  return block.status();  // says nothing about the file: no memory, no descriptor
}

void BlockManager::RemoveReplaced(BlockList* blocks) {
  std::set<std::string> live;
  for (const auto& block : *blocks) {
    live.insert(NameOf(*block));
  }
  std::set<std::string> damaged;
  std::set<std::string> replaced;
  for (const auto& block : *blocks) {
    std::vector<std::string> parents = block->meta().parents;
    std::erase_if(parents, [&](const std::string& parent) { return !live.contains(parent); });
    if (parents.empty()) {
      continue;
    }
    // The parents are the only other copy, so look closely before they go.
    if (const Status status = block->Verify(); status.ok()) {
      replaced.insert(parents.begin(), parents.end());
    } else {
      MoveToQuarantine(NameOf(*block), status);
      damaged.insert(NameOf(*block));
    }
  }
  BlockList removed;
  std::erase_if(*blocks, [&](const auto& block) {
    if (replaced.contains(NameOf(*block))) {
      removed.push_back(block);
    }
    return damaged.contains(NameOf(*block)) || replaced.contains(NameOf(*block));
  });
  for (const auto& block : removed) {
    NoteAllDamage(*block);
  }
  RemoveBlocks(removed);
}

std::string BlockManager::NewTempPath() {
  return PathOf(fmt::format("{}{}", next_temp_.fetch_add(1), kTempSuffix));
}

Status BlockManager::Publish(std::span<const std::string> temp_paths) {
  MutexLock lock(&change_mutex_);
  std::vector<std::string> names;
  StatusOr<BlockList> published = RenameAndOpen(temp_paths, &names);
  if (!published.ok()) {
    Discard(temp_paths, names);
    return published.status();
  }
  std::set<std::string> replaced;
  for (const auto& block : *published) {
    replaced.insert(block->meta().parents.begin(), block->meta().parents.end());
  }
  BlockList blocks = *Snapshot();
  BlockList removed;
  std::erase_if(blocks, [&](const auto& block) {
    const std::string name = NameOf(*block);
    if (replaced.contains(name)) {
      removed.push_back(block);
    }
    return replaced.contains(name) || std::ranges::find(names, name) != names.end();
  });
  blocks.insert(blocks.end(), published->begin(), published->end());
  Install(std::move(blocks));
  RemoveBlocks(removed);
  return OkStatus();
}

StatusOr<BlockList> BlockManager::RenameAndOpen(std::span<const std::string> temp_paths,
                                                std::vector<std::string>* renamed) {
  std::vector<std::string> names;
  std::set<std::string> live;
  const BlockSnapshot snapshot = Snapshot();
  for (const auto& block : *snapshot) {
    live.insert(NameOf(*block));
  }
  for (const std::string& path : temp_paths) {
    ASSIGN_OR_RETURN(const auto block, Block::Open(env_, path));
    for (const std::string& parent : block->meta().parents) {
      if (!live.contains(parent)) {
        return MakeStatus(StatusCode::kAborted, "{}: its parent {} is not live", path, parent);
      }
    }
    names.push_back(BlockFileName(block->meta()));
    CHECK(std::ranges::count(names, names.back()) == 1);  // one would take the other's place
  }
  for (size_t i = 0; i < temp_paths.size(); ++i) {
    RETURN_IF_ERROR(env_->Rename(temp_paths[i], PathOf(names[i])));
    renamed->push_back(names[i]);
  }
  RETURN_IF_ERROR(env_->SyncDirectory(blocks_dir_));
  BlockList published;
  for (const std::string& name : names) {
    ASSIGN_OR_RETURN(auto block, Block::Open(env_, PathOf(name)));
    published.push_back(std::move(block));
  }
  return published;
}

void BlockManager::Discard(std::span<const std::string> temp_paths,
                           std::span<const std::string> renamed) {
  for (const std::string& path : temp_paths) {
    env_->Remove(path).IgnoreError();  // perhaps renamed; else the next start removes it
  }
  // One that has taken the place of a live block holds all that the live one did: it stays.
  std::vector<std::string> not_live(renamed.begin(), renamed.end());
  const BlockSnapshot snapshot = Snapshot();
  for (const auto& block : *snapshot) {
    std::erase(not_live, NameOf(*block));
  }
  RemoveFiles(not_live);
}

void BlockManager::Install(BlockList blocks) {
  SortByPrecedence(&blocks);
  MutexLock lock(&snapshot_mutex_);
  snapshot_ = std::make_shared<const BlockList>(std::move(blocks));
}

void BlockManager::RemoveFiles(std::span<const std::string> names) {
  Status status;
  for (const std::string& name : names) {
    status.Update(env_->Remove(PathOf(name)));
  }
  if (!names.empty()) {
    status.Update(env_->SyncDirectory(blocks_dir_));
  }
  if (!status.ok()) {
    spdlog::warn("block files stay until the next start: {}", Message(status));
  }
}

BlockSnapshot BlockManager::Snapshot() const {
  MutexLock lock(&snapshot_mutex_);
  return snapshot_;
}

size_t BlockManager::DropBefore(model::Timestamp time) {
  MutexLock lock(&change_mutex_);
  BlockList blocks = *Snapshot();
  std::vector<std::string> removed;
  std::erase_if(blocks, [&](const auto& block) {
    const bool is_old = block->meta().max_time < time;
    if (is_old) {
      removed.push_back(NameOf(*block));
    }
    return is_old;
  });
  if (!removed.empty()) {
    Install(std::move(blocks));
    RemoveFiles(removed);
  }
  return removed.size();
}

size_t BlockManager::Drop(std::span<const std::shared_ptr<const Block>> dropped) {
  MutexLock lock(&change_mutex_);
  BlockList blocks = *Snapshot();
  BlockList removed;
  std::erase_if(blocks, [&](const auto& block) {
    const bool is_dropped = std::ranges::find(dropped, block) != dropped.end();
    if (is_dropped) {
      removed.push_back(block);
    }
    return is_dropped;
  });
  if (!removed.empty()) {
    Install(std::move(blocks));
    RemoveBlocks(removed);
  }
  return removed.size();
}

void BlockManager::Quarantine(const std::shared_ptr<const Block>& block, const Status& reason) {
  MutexLock lock(&change_mutex_);
  BlockList blocks = *Snapshot();
  if (std::erase(blocks, block) == 0) {
    return;  // somebody else was first, or it has been replaced
  }
  Install(std::move(blocks));
  MoveToQuarantine(NameOf(*block), reason);
}

void BlockManager::MoveToQuarantine(const std::string& name, const Status& reason) {
  std::string target = quarantine_dir_ + "/" + name;
  for (int copy = 1; env_->Exists(target).value_or(false); ++copy) {
    target = fmt::format("{}/{}.{}", quarantine_dir_, name, copy);
  }
  spdlog::error("block goes to {}: {}", target, Message(reason));
  {
    MutexLock lock(&snapshot_mutex_);
    ++quarantined_;
  }
  Status status = env_->Rename(PathOf(name), target);
  status.Update(env_->SyncDirectory(quarantine_dir_));
  status.Update(env_->SyncDirectory(blocks_dir_));
  if (!status.ok()) {
    spdlog::warn("damaged block is not used but may still lie in its place: {}", Message(status));
  }
}

BlockStats BlockManager::Stats() const {
  BlockStats stats;
  BlockSnapshot snapshot;
  {
    MutexLock lock(&snapshot_mutex_);
    snapshot = snapshot_;
    stats.quarantined = quarantined_;
  }
  for (const auto& block : *snapshot) {
    ++stats.blocks;
    stats.size_bytes += block->size_bytes();
    stats.groups += block->meta().group_count;
    stats.series += block->meta().series_count;
    stats.chunks += block->meta().chunk_count;
    stats.samples += block->meta().sample_count;
    stats.damaged_chunks += block->damaged_chunks();
  }
  return stats;
}

}  // namespace tsdbd::storage
