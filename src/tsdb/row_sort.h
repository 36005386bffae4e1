#pragma once
// The rule for rows with the same timestamp, in one place: the one with the higher sequence number
// is served, and among equal ones the later written.

#include <algorithm>
#include <cstdint>
#include <numeric>
#include <vector>

namespace tsdbd::tsdb {

// Replaces *order by the indices of the rows to keep, in order of time. `timestamp(i)` and
// `sequence(i)` tell of row i of `count`; rows are numbered in the order in which they were
// written.
template <typename TimestampOf, typename SequenceOf>
void SortRows(size_t count, TimestampOf timestamp, SequenceOf sequence,
              std::vector<uint32_t>* order) {
  order->resize(count);
  std::iota(order->begin(), order->end(), 0);
  std::sort(order->begin(), order->end(), [&](uint32_t a, uint32_t b) {
    if (timestamp(a) != timestamp(b)) {
      return timestamp(a) < timestamp(b);
    }
    return sequence(a) != sequence(b) ? sequence(a) < sequence(b) : a < b;
  });
  size_t kept = 0;
  for (size_t i = 0; i < count; ++i) {
    const bool superseded = i + 1 < count && timestamp((*order)[i]) == timestamp((*order)[i + 1]);
    if (!superseded) {
      (*order)[kept++] = (*order)[i];
    }
  }
  order->resize(kept);
}

}  // namespace tsdbd::tsdb
