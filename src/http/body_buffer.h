#pragma once
// BodyBuffer: the bytes of one body, in one piece of memory that is never zeroed, so that the
// kernel can write into it directly. BodyPool: counts what all bodies hold, up to a budget, and
// keeps a few large buffers warm (a fresh 2 MB buffer costs 500 page faults, as much as reading
// into it).
//
// Threads: a BodyPool is thread-safe; a BodyBuffer belongs to one thread at a time.

#include <atomic>
#include <cstddef>
#include <memory>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

#include "common/mutex.h"

namespace tsdbd::http {

class BodyPool {
 public:
  // `budget_bytes`: what the bodies in memory may hold together.
  explicit BodyPool(size_t budget_bytes) : budget_bytes_(budget_bytes) {}
  ~BodyPool();
  BodyPool(const BodyPool&) = delete;
  BodyPool& operator=(const BodyPool&) = delete;

  size_t used_bytes() const { return used_bytes_.load(std::memory_order_relaxed); }

 private:
  friend class BodyBuffer;
  struct Block {
    char* data = nullptr;
    size_t capacity = 0;
  };

  bool Charge(size_t bytes);
  void Discharge(size_t bytes) { used_bytes_.fetch_sub(bytes, std::memory_order_relaxed); }
  Block Allocate(size_t capacity);
  void Free(Block block);

  // Only these sizes are kept: smaller ones malloc serves as fast, larger ones are rare.
  static constexpr size_t kMinKeptBytes = size_t{128} << 10;
  static constexpr size_t kMaxKeptBytes = size_t{4} << 20;
  // Enough for eight bodies of common size (5,000 lines, 1.8 MB), little beside the head's memory.
  static constexpr size_t kMaxKeptTotalBytes = size_t{16} << 20;

  const size_t budget_bytes_;
  std::atomic<size_t> used_bytes_ = 0;
  Mutex mutex_;
  std::vector<Block> kept_ GUARDED_BY(mutex_);
  size_t kept_bytes_ GUARDED_BY(mutex_) = 0;
};

// Charged to its pool by bytes filled, not by capacity: memory that was never written to does not
// exist, and so a client that announces much and sends nothing holds nothing.
class BodyBuffer {
 public:
  BodyBuffer() = default;
  explicit BodyBuffer(std::shared_ptr<BodyPool> pool) : pool_(std::move(pool)) {}
  ~BodyBuffer() { Clear(); }
  BodyBuffer(BodyBuffer&& other) noexcept { Swap(&other); }
  BodyBuffer& operator=(BodyBuffer&& other) noexcept {
    Swap(&other);
    return *this;
  }

  std::string_view view() const { return {block_.data, size_}; }
  size_t size() const { return size_; }

  // Memory for `bytes` more; existing contents may move. Not charged yet.
  void Reserve(size_t bytes);
  // The reserved memory after the contents.
  std::span<char> Space() { return {block_.data + size_, block_.capacity - size_}; }
  // Declares `bytes` of Space() filled. False if the pool's budget is used up: nothing is added.
  bool Commit(size_t bytes);
  // Drops what is behind the first `size` bytes, and its charge.
  void Truncate(size_t size);
  // Reserve, copy, Commit.
  bool Append(std::string_view bytes);
  // An empty buffer of the same pool.
  BodyBuffer Sibling() const { return BodyBuffer(pool_); }
  // Gives memory and charge back.
  void Clear();

 private:
  void Swap(BodyBuffer* other) {
    std::swap(pool_, other->pool_);
    std::swap(block_, other->block_);
    std::swap(size_, other->size_);
  }

  std::shared_ptr<BodyPool> pool_;
  BodyPool::Block block_;
  size_t size_ = 0;
};

}  // namespace tsdbd::http
