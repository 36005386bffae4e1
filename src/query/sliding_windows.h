#pragma once
// Windows that overlap, each computed from the results of pieces: for n samples and s steps two
// looks at each sample and two merges for each step, however long the windows are. Nothing is ever
// taken back out of a result, so it works for what can only be merged (maxima), and loses no
// accuracy where taking out would (sums).
//
// How: a pivot is put at the end of some window. All windows that begin before it are the piece
// from their begin to the pivot and the piece from the pivot to their end. The left pieces are
// built from the pivot leftward, the right ones from the pivot rightward. Then comes the next
// pivot. (The queue made of two stacks, cut at the steps.)

#include <cstddef>
#include <cstdint>
#include <vector>

#include "query/range_function.h"

namespace tsdbd::query {

// Whether SlideWindows() is less work than to look at each window by itself.
inline bool WindowsOverlapMuch(const RangeInput& input) {
  // Two looks at each sample, and merges that cost about as much as four.
  constexpr uint64_t kLooks = 2;
  constexpr uint64_t kMergeCost = 8;
  if (input.step_count() == 0) {
    return false;
  }
  uint64_t samples_of_windows = 0;
  for (size_t step = 0; step < input.step_count(); ++step) {
    samples_of_windows += input.ends[step] - input.begins[step];
  }
  const uint64_t samples = input.ends.back() - input.begins.front();
  return samples_of_windows > kLooks * samples + kMergeCost * input.step_count();
}

// `operation` has
//   State                          the result of a piece
//   void StartGroup(begin, pivot)  before the pieces of a new pivot; the first one begins at
//   `begin` State Summarize(begin, end)    of the samples [begin, end), at least one State
//   Merge(earlier, later) void Emit(step, state)         for each step whose window is not empty
template <typename Operation>
void SlideWindows(const RangeInput& input, Operation& operation) {
  using State = typename Operation::State;
  std::vector<State> left;
  const size_t count = input.step_count();
  size_t next = 0;
  for (size_t first = 0; first < count; first = next) {
    const uint32_t pivot = input.ends[first];
    while (next < count && input.begins[next] < pivot) {
      ++next;
    }
    if (next == first) {  // an empty window
      ++next;
      continue;
    }
    operation.StartGroup(input.begins[first], pivot);
    left.resize(next - first);
    left.back() = operation.Summarize(input.begins[next - 1], pivot);
    for (size_t step = next - 1; step-- > first;) {
      const uint32_t begin = input.begins[step];
      const uint32_t end = input.begins[step + 1];
      const State& later = left[step + 1 - first];
      left[step - first] =
          begin == end ? later : operation.Merge(operation.Summarize(begin, end), later);
    }
    State right{};
    for (size_t step = first; step < next; ++step) {
      const uint32_t begin = step == first ? pivot : input.ends[step - 1];
      const uint32_t end = input.ends[step];
      if (begin < end) {
        const State piece = operation.Summarize(begin, end);
        right = begin == pivot ? piece : operation.Merge(right, piece);
      }
      operation.Emit(
          step, end == pivot ? left[step - first] : operation.Merge(left[step - first], right));
    }
  }
}

}  // namespace tsdbd::query
