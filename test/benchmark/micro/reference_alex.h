#pragma once
// The paper's own implementation for alex_benchmark, in a translation unit of its own: its headers
// want C++17. The loops that are timed are in there too, so that calls are inlined as for the
// others.

#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

namespace tsdbd::benchmark {

// What belongs to a key in all maps; never 0.
inline uint64_t PayloadOf(uint64_t key) {
  return key * 0x9E3779B97F4A7C15u | 1;
}

// The timed loops over any map with Find(key) → payload or 0, Insert(key, payload) and
// Scan(from) → sum of payloads.

// How many answers are wrong. Every key has `mask` & the answer before it added: with a mask of 0
// that the compiler does not know, a key is known only when the one before was found.
template <typename Map>
uint64_t CountWrongFinds(Map* map, const std::vector<uint64_t>& keys, uint64_t mask,
                         bool is_dependent) {
  uint64_t wrong = 0;
  if (is_dependent) {
    uint64_t last = 0;
    for (const uint64_t key : keys) {
      last = map->Find(key + (last & mask));
      wrong += last != PayloadOf(key);
    }
    return wrong;
  }
  for (const uint64_t key : keys) {
    wrong += map->Find(key) != PayloadOf(key);
  }
  return wrong;
}
template <typename Map>
void InsertAll(Map* map, const std::vector<uint64_t>& keys) {
  for (const uint64_t key : keys) {
    map->Insert(key, PayloadOf(key));
  }
}
template <typename Map>
uint64_t SumOfScans(Map* map, const std::vector<uint64_t>& starts) {
  uint64_t sum = 0;
  for (const uint64_t from : starts) {
    sum += map->Scan(from);
  }
  return sum;
}

class ReferenceAlex {
 public:
  ReferenceAlex();
  ~ReferenceAlex();
  void Load(const std::vector<std::pair<uint64_t, uint64_t>>& pairs);
  void Insert(uint64_t key, uint64_t payload);
  uint64_t CountWrongFinds(const std::vector<uint64_t>& keys, uint64_t mask, bool is_dependent);
  void InsertAll(const std::vector<uint64_t>& keys);
  uint64_t SumOfScans(const std::vector<uint64_t>& starts, size_t length);
  size_t bytes() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace tsdbd::benchmark
