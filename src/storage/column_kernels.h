#pragma once
// The innermost loops of decoding columns, in the widest vectors that the CPU has. What they
// compute does not depend on the CPU. Internal to the column formats: bit_packing.h and
// timestamp_column.h say what the bytes mean.

#include <cstddef>
#include <cstdint>

#include "storage/timestamp_column.h"

namespace tsdbd::storage {

inline constexpr size_t kValuesPerGroup = 8;  // packed, they take `width` whole bytes

// UnpackGroups reads up to this many bytes behind the last group: the size of its loads.
inline constexpr size_t kUnpackReadSlack = 16;

// group_count * kValuesPerGroup values of `width` bits, which is 1 .. kMaxPackedWidth.
void UnpackGroups(const char* in, size_t group_count, unsigned width, uint64_t* out);

// The same in a plain loop, for CPUs without wide vectors. Defined in bit_packing.cc.
void UnpackGroupsPlain(const char* in, size_t group_count, unsigned width, uint64_t* out);

// out[i] = first + i * interval, modulo 2^64.
void FillRegular(uint64_t first, uint64_t interval, size_t count, uint64_t* out);

// A zone of timestamps that lie near a line; see timestamp_column.h.
struct TimestampLine {
  uint64_t first;
  uint64_t unit;
  uint64_t base;
  uint64_t slope;

  uint64_t At(uint64_t row, uint64_t offset) const {
    return first + unit * (base + (slope * row >> kSlopeShift) + offset);
  }
};

// out[i] = line.At(begin + i, offsets[i]).
void FillLine(const TimestampLine& line, size_t begin, const uint64_t* offsets, size_t count,
              uint64_t* out);

}  // namespace tsdbd::storage
