#include "query/ordered_window.h"

#include <algorithm>
#include <bit>
#include <cmath>

namespace tsdbd::query {

OrderedWindow::OrderedWindow(std::span<const double> values) {
  struct Sample {
    double value;
    uint32_t index;
  };
  std::vector<Sample> samples(values.size());
  for (size_t i = 0; i < values.size(); ++i) {
    samples[i] = {.value = values[i], .index = static_cast<uint32_t>(i)};
  }
  const auto numbers = std::partition(samples.begin(), samples.end(), [](const Sample& sample) {
    return std::isnan(sample.value);
  });
  std::sort(numbers, samples.end(),
            [](const Sample& a, const Sample& b) { return a.value < b.value; });
  sorted_.resize(values.size());
  ranks_.resize(values.size());
  for (size_t rank = 0; rank < samples.size(); ++rank) {
    sorted_[rank] = samples[rank].value;
    ranks_[samples[rank].index] = static_cast<uint32_t>(rank);
  }
  const size_t blocks = values.size() / (kWordBits * kBlockWords) + 1;
  words_.resize(blocks * kBlockWords);
  block_counts_.resize(blocks);
}

void OrderedWindow::Add(size_t index) {
  const uint32_t rank = ranks_[index];
  words_[rank / kWordBits] |= uint64_t{1} << (rank % kWordBits);
  ++block_counts_[rank / (kWordBits * kBlockWords)];
}

void OrderedWindow::Remove(size_t index) {
  const uint32_t rank = ranks_[index];
  words_[rank / kWordBits] &= ~(uint64_t{1} << (rank % kWordBits));
  --block_counts_[rank / (kWordBits * kBlockWords)];
}

Neighbours OrderedWindow::Select(size_t n) const {
  size_t block = 0;
  while (n >= block_counts_[block]) {
    n -= block_counts_[block++];
  }
  size_t word = block * kBlockWords;
  for (size_t count = 0; (count = static_cast<size_t>(std::popcount(words_[word]))) <= n; ++word) {
    n -= count;
  }
  uint64_t bits = words_[word];
  for (; n > 0; --n) {
    bits &= bits - 1;
  }
  const size_t lower = word * kWordBits + static_cast<size_t>(std::countr_zero(bits));
  bits &= bits - 1;
  while (bits == 0) {
    if (++word == words_.size()) {
      return {.lower = sorted_[lower], .upper = sorted_[lower]};
    }
    bits = words_[word];
  }
  const size_t upper = word * kWordBits + static_cast<size_t>(std::countr_zero(bits));
  return {.lower = sorted_[lower], .upper = sorted_[upper]};
}

}  // namespace tsdbd::query
