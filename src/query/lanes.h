#pragma once
// Two doubles side by side, for loops that the compiler cannot vectorise by itself because it would
// have to change the order of additions or comparisons.

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

}  // namespace tsdbd::query
