#pragma once
// Two doubles side by side, for loops that the compiler cannot vectorise by itself because it would
// have to change the order of additions or comparisons.

#include <cstddef>
#include <cstring>

namespace tsdbd::query {

// As wide as the registers of the oldest CPU the program runs on; both compilers know the
// extension, and without such registers it is two doubles.
using DoublePair = double __attribute__((vector_size(16)));
inline constexpr size_t kPairSize = 2;

inline DoublePair LoadPair(const double* from) {
  DoublePair pair;
  std::memcpy(&pair, from, sizeof(pair));
  return pair;
}

// KahanSum (kahan.h) of two rows of values at once, but for infinities: where a sum becomes
// infinite its compensation becomes NaN.
struct KahanPair {
  DoublePair sum{};
  DoublePair compensation{};

  void Add(DoublePair value) {
    const DoublePair total = sum + value;
    const DoublePair value_part = total - sum;
    const DoublePair sum_part = total - value_part;
    compensation += (sum - sum_part) + (value - value_part);
    sum = total;
  }
  void Merge(const KahanPair& other) {
    Add(other.sum);
    compensation += other.compensation;
  }
};

}  // namespace tsdbd::query
