#include "kv/hot_values.h"

#include <utility>

#include "common/hash.h"

namespace tsdbd::kv {

HotValues::HotValues(size_t capacity_bytes) : shard_capacity_bytes_(capacity_bytes / kShards) {}

HotValues::Pointer HotValues::Find(std::string_view key) {
  if (shard_capacity_bytes_ == 0) {
    return nullptr;
  }
  const uint64_t hash = Hash64(key);
  Shard& shard = ShardOf(hash);
  MutexLock lock(&shard.mutex);
  const auto found = shard.cell_of_hash.find(hash);
  if (found != shard.cell_of_hash.end()) {
    Cell& cell = shard.cells[found->second];
    if (cell.value->key == key) {
      cell.was_read = true;
      ++shard.hits;
      return cell.value;
    }
  }
  ++shard.misses;
  return nullptr;
}

HotValues::Ticket HotValues::BeginFill(std::string_view key) const {
  return counters_[Hash64(key) % kWriteCounters].load();
}

void HotValues::Fill(Ticket ticket, Pointer value) {
  if ((ticket & kUnderWayMask) != 0 || !Takes(value->size_bytes())) {
    return;
  }
  const uint64_t hash = Hash64(value->key);
  Shard& shard = ShardOf(hash);
  MutexLock lock(&shard.mutex);
  // A write that begins after this look takes the value out again: it counts first and then locks
  // the shard.
  if (CounterOf(hash).load() == ticket) {
    shard.Insert(hash, std::move(value), shard_capacity_bytes_);
  }
}

bool HotValues::BeginWrite(std::string_view key) {
  const uint64_t hash = Hash64(key);
  CounterOf(hash).fetch_add(kOneUnderWay);
  Shard& shard = ShardOf(hash);
  MutexLock lock(&shard.mutex);
  return shard.Remove(hash);
}

void HotValues::EndWrite(std::string_view key, Pointer value) {
  const uint64_t hash = Hash64(key);
  if (value != nullptr && Takes(value->size_bytes())) {
    Shard& shard = ShardOf(hash);
    MutexLock lock(&shard.mutex);
    shard.Insert(hash, std::move(value), shard_capacity_bytes_);
  }
  CounterOf(hash).fetch_add(kOneFinished - kOneUnderWay);
}

void HotValues::BeginClear() {
  for (std::atomic<uint64_t>& counter : counters_) {
    counter.fetch_add(kOneUnderWay);
  }
  for (Shard& shard : shards_) {
    MutexLock lock(&shard.mutex);
    shard.cell_of_hash.clear();
    shard.cells.clear();
    shard.free_cells.clear();
    shard.hand = 0;
    shard.size_bytes = 0;
  }
}

void HotValues::EndClear() {
  for (std::atomic<uint64_t>& counter : counters_) {
    counter.fetch_add(kOneFinished - kOneUnderWay);
  }
}

HotValues::Stats HotValues::stats() const {
  Stats stats;
  for (const Shard& shard : shards_) {
    MutexLock lock(&shard.mutex);
    stats.hits += shard.hits;
    stats.misses += shard.misses;
    stats.size_bytes += shard.size_bytes;
  }
  return stats;
}

bool HotValues::Shard::Remove(uint64_t hash) {
  const auto found = cell_of_hash.find(hash);
  if (found == cell_of_hash.end()) {
    return false;
  }
  Free(found->second);
  return true;
}

void HotValues::Shard::Free(uint32_t cell) {
  size_bytes -= cells[cell].value->size_bytes();
  cell_of_hash.erase(cells[cell].hash);
  cells[cell] = Cell();
  free_cells.push_back(cell);
}

void HotValues::Shard::Insert(uint64_t hash, Pointer value, size_t capacity_bytes) {
  Remove(hash);
  const size_t added_bytes = value->size_bytes();
  while (size_bytes + added_bytes > capacity_bytes) {
    EvictOne();
  }
  if (free_cells.empty()) {
    free_cells.push_back(static_cast<uint32_t>(cells.size()));
    cells.emplace_back();
  }
  const uint32_t cell = free_cells.back();
  free_cells.pop_back();
  cells[cell] = {.value = std::move(value), .hash = hash};
  cell_of_hash.emplace(hash, cell);
  size_bytes += added_bytes;
}

// There is a value, or nothing would have to go.
void HotValues::Shard::EvictOne() {
  for (;; hand = (hand + 1) % cells.size()) {
    Cell& cell = cells[hand];
    if (cell.value == nullptr) {
      continue;
    }
    if (!cell.was_read) {
      Free(static_cast<uint32_t>(hand));
      return;
    }
    cell.was_read = false;
  }
}

}  // namespace tsdbd::kv
