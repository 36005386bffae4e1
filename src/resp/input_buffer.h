#pragma once
// InputBuffer: what a connection has received and not yet used up, in one piece, counted against
// the memory that all connections of a server may have together: a MemoryBudget.
//
// Threads: a buffer is one thread's at a time; a budget is for any.

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstring>
#include <memory>
#include <span>
#include <string_view>

namespace tsdbd::resp {

class MemoryBudget {
 public:
  explicit MemoryBudget(size_t limit_bytes) : limit_bytes_(limit_bytes) {}

  [[nodiscard]] bool TryTake(size_t bytes) {
    if (used_bytes_.fetch_add(bytes, std::memory_order_relaxed) + bytes <= limit_bytes_) {
      return true;
    }
    Return(bytes);
    return false;
  }
  void Return(size_t bytes) { used_bytes_.fetch_sub(bytes, std::memory_order_relaxed); }
  size_t used_bytes() const { return used_bytes_.load(std::memory_order_relaxed); }
  // Most of it is taken: time to look at who only holds it.
  bool is_scarce() const { return used_bytes() > limit_bytes_ / 2; }

 private:
  const size_t limit_bytes_;
  std::atomic<size_t> used_bytes_ = 0;
};

class InputBuffer {
 public:
  explicit InputBuffer(MemoryBudget* budget) : budget_(budget) {}
  ~InputBuffer() { Release(); }
  InputBuffer(const InputBuffer&) = delete;
  InputBuffer& operator=(const InputBuffer&) = delete;

  std::string_view contents() const { return {data_.get() + begin_, end_ - begin_}; }
  bool empty() const { return begin_ == end_; }

  // Makes room for more, on the way to `needed_bytes` of contents: in steps, since to announce much
  // costs a client nothing. False if memory is out.
  [[nodiscard]] bool Grow(size_t needed_bytes);
  // Where the next bytes go, after Grow; Commit says how many came.
  std::span<char> space() { return {data_.get() + end_, capacity_ - end_}; }
  void Commit(size_t size) { end_ += size; }

  [[nodiscard]] bool Append(std::string_view bytes);
  // Drops the first `size` bytes. An empty buffer holds no memory.
  void Consume(size_t size);

 private:
  // Room for one read.
  static constexpr size_t kMinSpaceBytes = size_t{16} << 10;

  void Release();
  [[nodiscard]] bool Reallocate(size_t capacity);

  MemoryBudget* const budget_;
  std::unique_ptr<char[]> data_;
  size_t capacity_ = 0;
  size_t begin_ = 0;
  size_t end_ = 0;
};

}  // namespace tsdbd::resp
