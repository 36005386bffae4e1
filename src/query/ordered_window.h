#pragma once
// A window that slides over values and knows its n-th smallest one. All values are sorted once; the
// window is a bit for each rank, so that samples come and go in constant time, whatever its length.
//
// For one thread.

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "query/quantile.h"

namespace tsdbd::query {

class OrderedWindow {
 public:
  // All that will ever be in the window. NaN counts as the smallest value.
  explicit OrderedWindow(std::span<const double> values);

  // By the place of the value in `values`. It must not be in the window, or be there.
  void Add(size_t index);
  void Remove(size_t index);

  // The value with `n` smaller ones in the window, and the next one. n < the number of values in
  // it.
  Neighbours Select(size_t n) const;

 private:
  static constexpr size_t kWordBits = 64;
  // Counted together, so that a selection reads one counter for 512 ranks and then 8 words.
  static constexpr size_t kBlockWords = 8;

  std::vector<double> sorted_;
  std::vector<uint32_t> ranks_;  // of values[i], in sorted_
  std::vector<uint64_t> words_;  // bit r: sorted_[r] is in the window
  std::vector<uint32_t> block_counts_;
};

}  // namespace tsdbd::query
