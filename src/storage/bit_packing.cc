#include "storage/bit_packing.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>

#include "common/check.h"
#include "storage/column_kernels.h"
#include "storage/short_integers.h"

namespace tsdbd::storage {
namespace {

template <unsigned width>
constexpr uint64_t kMask = (uint64_t{1} << width) - 1;

// Reads up to 7 bytes beyond the last group.
template <unsigned width>
void UnpackGroupsOf(const char* in, size_t group_count, uint64_t* out) {
  for (size_t group = 0; group < group_count; ++group, in += width, out += kValuesPerGroup) {
#pragma GCC unroll 8
    for (size_t i = 0; i < kValuesPerGroup; ++i) {
      uint64_t word;
      std::memcpy(&word, in + i * width / 8, sizeof(word));
      out[i] = (word >> (i * width % 8)) & kMask<width>;
    }
  }
}

// Writes 8 bytes for each value and so up to 7 bytes beyond the last group.
template <unsigned width>
void PackGroups(const uint64_t* in, size_t group_count, char* out) {
  for (size_t group = 0; group < group_count; ++group, in += kValuesPerGroup, out += width) {
    uint64_t word = 0;  // bits that are not stored yet, from bit 0
    unsigned filled = 0;
    char* target = out;
#pragma GCC unroll 8
    for (size_t i = 0; i < kValuesPerGroup; ++i) {
      word |= in[i] << filled;
      filled += width;
      std::memcpy(target, &word, sizeof(word));
      const unsigned whole_bytes = filled / 8;  // at most 8: filled is at most 7 + 57
      target += whole_bytes;
      word = whole_bytes == 8 ? 0 : word >> (8 * whole_bytes);
      filled %= 8;
    }
  }
}

// Copies `size` bytes, word by word: most are few.
void CopyWords(const char* in, size_t size, char* out) {
  for (; size >= sizeof(uint64_t); size -= sizeof(uint64_t)) {
    std::memcpy(out, in, sizeof(uint64_t));
    in += sizeof(uint64_t);
    out += sizeof(uint64_t);
  }
  const uint64_t rest = ReadUnsigned(in, size);
  std::memcpy(out, &rest, sizeof(rest));
}

using UnpackFunction = void (*)(const char*, size_t, uint64_t*);
using PackFunction = void (*)(const uint64_t*, size_t, char*);

template <unsigned... widths>
constexpr std::array<UnpackFunction, sizeof...(widths)> MakeUnpackTable(
    std::integer_sequence<unsigned, widths...>) {
  return {UnpackGroupsOf<widths>...};
}

template <unsigned... widths>
constexpr std::array<PackFunction, sizeof...(widths)> MakePackTable(
    std::integer_sequence<unsigned, widths...>) {
  return {PackGroups<widths>...};
}

using AllWidths = std::make_integer_sequence<unsigned, kMaxPackedWidth + 1>;
constexpr auto kUnpackTable = MakeUnpackTable(AllWidths());
constexpr auto kPackTable = MakePackTable(AllWidths());

}  // namespace

void PackBits(const uint64_t* values, size_t count, unsigned width, std::string* out) {
  CHECK(IsPackedWidth(width));
  const size_t begin = out->size();
  if (width == 64) {
    out->append(reinterpret_cast<const char*>(values), count * sizeof(uint64_t));
    return;
  }
  if (width == 0) {
    return;
  }
  const size_t whole_groups = count / kValuesPerGroup;
  const size_t rest = count % kValuesPerGroup;
  // Room for the kernel's whole words and a padded last group; cut to size below.
  out->resize(begin + (whole_groups + 1) * width + sizeof(uint64_t));
  char* target = out->data() + begin;
  kPackTable[width](values, whole_groups, target);
  if (rest > 0) {
    uint64_t padded[kValuesPerGroup] = {};
    std::memcpy(padded, values + whole_groups * kValuesPerGroup, rest * sizeof(uint64_t));
    kPackTable[width](padded, 1, target + whole_groups * width);
  }
  out->resize(begin + PackedSize(count, width));
}

void UnpackBits(std::string_view packed, size_t count, unsigned width, uint64_t* out) {
  CHECK(count <= kMaxUnpackCount && packed.size() >= PackedSize(count, width));
  if (width == 64) {
    std::memcpy(out, packed.data(), count * sizeof(uint64_t));
    return;
  }
  const size_t group_count = (count + kValuesPerGroup - 1) / kValuesPerGroup;
  if (width == 0) {
    std::fill_n(out, count, 0);
    return;
  }
  if (packed.size() >= group_count * width + kUnpackReadSlack) {
    UnpackGroups(packed.data(), group_count, width, out);
    return;
  }
  // Near the end of the bytes: from a copy that may be read beyond.
  char copy[kMaxUnpackCount * kMaxPackedWidth / 8 + kUnpackReadSlack];
  CopyWords(packed.data(), PackedSize(count, width), copy);
  UnpackGroups(copy, group_count, width, out);
}

void UnpackGroupsPlain(const char* in, size_t group_count, unsigned width, uint64_t* out) {
  kUnpackTable[width](in, group_count, out);
}

uint64_t UnpackOne(std::string_view packed, size_t index, unsigned width) {
  if (width == 0) {
    return 0;
  }
  const size_t bit = index * width;
  uint64_t word = 0;
  DCHECK(bit / 8 < packed.size());
  if (bit / 8 + sizeof(word) <= packed.size()) {
    std::memcpy(&word, packed.data() + bit / 8, sizeof(word));
  } else {
    std::memcpy(&word, packed.data() + bit / 8, packed.size() - bit / 8);
  }
  return width == 64 ? word : (word >> (bit % 8)) & ((uint64_t{1} << width) - 1);
}

}  // namespace tsdbd::storage
