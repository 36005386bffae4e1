#pragma once
// Postings: the set of group ids that have one label. Most sets of a database with many series have
// a single member (host names, container ids), so one id is kept in place of a pointer; larger sets
// are roaring bitmaps. Not thread-safe.

#include <cstdint>

#include <roaring/roaring.hh>

namespace tsdbd::index {

class Postings {
 public:
  Postings() = default;
  ~Postings() {
    if (is_bitmap()) {
      delete bitmap();
    }
  }
  Postings(const Postings&) = delete;
  Postings& operator=(const Postings&) = delete;

  bool empty() const { return state_ == 0; }
  uint64_t size() const { return is_bitmap() ? bitmap()->cardinality() : !empty(); }

  void Add(uint32_t id);
  void Remove(uint32_t id);
  // *out |= this
  void UnionInto(Roaring* out) const;
  // *out &= this
  void IntersectInto(Roaring* out) const;
  // Heap bytes behind this set.
  uint64_t MemoryBytes() const { return is_bitmap() ? bitmap()->getSizeInBytes() : 0; }

 private:
  // 0: empty; odd: the id in the upper bits; else a pointer to a bitmap.
  bool is_single() const { return (state_ & 1) != 0; }
  bool is_bitmap() const { return state_ != 0 && !is_single(); }
  uint32_t single() const { return static_cast<uint32_t>(state_ >> 1); }
  Roaring* bitmap() const { return reinterpret_cast<Roaring*>(state_); }

  uint64_t state_ = 0;
};

}  // namespace tsdbd::index
