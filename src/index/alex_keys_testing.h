#pragma once
// The key sets that AlexMap is tested and measured with.

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

namespace tsdbd::index {

enum class KeySet : uint8_t {
  kSequential,   // 1, 2, 3, …
  kTimestamps,   // nanoseconds, every 10 ms, with jitter
  kLate,         // the same; one in a hundred comes up to 1,000 places late
  kUniform,      // random 63-bit numbers
  kLognormal,    // dense below, ever sparser above
  kClusters,     // series << 40 | time
  kFractal,      // gaps of all sizes, within each other
  kExponential,  // each key a constant factor above the one before
  kPrefix,       // all bits equal but the last few
  kDescending,   // timestamps, the latest first
};
inline constexpr std::array kKeySets = {
    KeySet::kSequential, KeySet::kTimestamps, KeySet::kLate,    KeySet::kUniform,
    KeySet::kLognormal,  KeySet::kClusters,   KeySet::kFractal, KeySet::kExponential,
    KeySet::kPrefix,     KeySet::kDescending,
};

std::string_view NameOf(KeySet set);

// `count` distinct keys, in the order in which they come.
std::vector<uint64_t> MakeKeys(KeySet set, size_t count, uint64_t seed);

}  // namespace tsdbd::index
