#include "storage/roaring_check.h"

#include <bit>
#include <cstddef>
#include <cstring>

namespace tsdbd::storage {
namespace {

// The numbers of the format (github.com/RoaringBitmap/RoaringFormatSpec).
constexpr uint32_t kCookieWithRuns = 12347;  // low half; the high half is the count minus one
constexpr uint32_t kCookieWithoutRuns = 12346;
constexpr uint32_t kMaxContainers = 1 << 16;
constexpr uint32_t kMaxArrayValues = 4096;           // containers with more are bit sets
constexpr size_t kPairBytes = 2 * sizeof(uint16_t);  // key and count; start and length
constexpr size_t kBitSetBytes = 8192;
constexpr uint32_t kFewestContainersWithOffsets = 4;  // of bitmaps with runs

class BitmapChecker {
 public:
  explicit BitmapChecker(std::string_view bytes) : bytes_(bytes) {}

  bool Check(uint64_t cardinality, uint64_t limit) {
    return ReadHeader() && CheckContainers() && cardinality_ == cardinality && end_ <= limit;
  }

 private:
  template <typename T>
  bool Read(T* value) {
    if (bytes_.size() < sizeof(T)) {
      return false;
    }
    std::memcpy(value, bytes_.data(), sizeof(T));
    bytes_.remove_prefix(sizeof(T));
    return true;
  }

  bool Take(size_t size, std::string_view* taken) {
    *taken = bytes_.substr(0, size);
    bytes_.remove_prefix(taken->size());
    return taken->size() == size;
  }

  static uint16_t U16At(std::string_view bytes, size_t index) {
    uint16_t value;
    std::memcpy(&value, bytes.data() + index * sizeof(value), sizeof(value));
    return value;
  }

  bool ReadHeader() {
    uint32_t cookie;
    if (!Read(&cookie)) {
      return false;
    }
    const bool with_runs = (cookie & 0xFFFF) == kCookieWithRuns;
    if (with_runs) {
      count_ = (cookie >> 16) + 1;
      if (!Take((count_ + 7) / 8, &run_flags_)) {
        return false;
      }
    } else if (cookie != kCookieWithoutRuns || !Read(&count_) || count_ > kMaxContainers) {
      return false;
    }
    std::string_view offsets;  // CRoaring does not use them
    const bool with_offsets = !with_runs || count_ >= kFewestContainersWithOffsets;
    return Take(count_ * kPairBytes, &keys_) &&
           (!with_offsets || Take(count_ * sizeof(uint32_t), &offsets));
  }

  bool CheckContainers() {
    int previous_key = -1;
    for (size_t i = 0; i < count_; ++i) {
      const uint16_t key = U16At(keys_, 2 * i);
      const uint32_t values = uint32_t{U16At(keys_, 2 * i + 1)} + 1;
      const bool is_run = !run_flags_.empty() && (run_flags_[i / 8] >> (i % 8) & 1) != 0;
      const bool good = is_run                      ? CheckRuns(values)
                        : values <= kMaxArrayValues ? CheckArray(values)
                                                    : CheckBitSet(values);
      if (!good || key <= previous_key) {
        return false;
      }
      previous_key = key;
      cardinality_ += values;
      end_ = (uint64_t{key} << 16) + last_ + 1;
    }
    return true;
  }

  // Each of these leaves the container's last value in last_.
  bool CheckArray(uint32_t values) {
    std::string_view array;
    if (!Take(values * sizeof(uint16_t), &array)) {
      return false;
    }
    bool rising = true;
    for (uint32_t i = 1; i < values; ++i) {
      rising &= U16At(array, i - 1) < U16At(array, i);
    }
    last_ = U16At(array, values - 1);
    return rising;
  }

  bool CheckBitSet(uint32_t values) {
    std::string_view set;
    if (!Take(kBitSetBytes, &set)) {
      return false;
    }
    uint32_t ones = 0;
    for (size_t byte = 0; byte < kBitSetBytes; byte += sizeof(uint64_t)) {
      uint64_t word;
      std::memcpy(&word, set.data() + byte, sizeof(word));
      ones += static_cast<uint32_t>(std::popcount(word));
      last_ = word == 0 ? last_ : static_cast<uint32_t>(8 * byte + std::bit_width(word) - 1);
    }
    return ones == values;
  }

  bool CheckRuns(uint32_t values) {
    uint16_t run_count;
    std::string_view runs;
    if (!Read(&run_count) || !Take(run_count * kPairBytes, &runs)) {
      return false;
    }
    uint32_t next = 0;  // the first value that the next run may have
    uint32_t covered = 0;
    for (size_t i = 0; i < run_count; ++i) {
      const uint32_t first = U16At(runs, 2 * i);
      last_ = first + U16At(runs, 2 * i + 1);
      if (first < next || last_ > UINT16_MAX) {
        return false;
      }
      covered += last_ - first + 1;
      next = last_ + 2;  // neighbouring runs are one
    }
    return covered == values;
  }

  std::string_view bytes_;  // what is still to be read
  uint32_t count_ = 0;      // of containers
  std::string_view run_flags_;
  std::string_view keys_;  // u16 key and u16 cardinality minus one of each container
  uint32_t last_ = 0;
  uint64_t cardinality_ = 0;
  uint64_t end_ = 0;  // the largest value plus one
};

}  // namespace

bool IsRoaringBitmap(std::string_view bytes, uint64_t cardinality, uint64_t limit) {
  return BitmapChecker(bytes).Check(cardinality, limit);
}

}  // namespace tsdbd::storage
