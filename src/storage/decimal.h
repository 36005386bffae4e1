#pragma once
// Doubles that came from short decimals as integers: value = integer / 10^exponent. The division
// of two exact doubles is correctly rounded, so whatever a parser read from "12.34" is exactly
// 1234 / 100; every value is tried, and those that do not come back bit for bit (-0, NaN, true
// reals) are the caller's exceptions. Results are the same on every CPU.

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace tsdbd::storage {

// 10^18 is far beyond what the integers' 51 bits can use except for tiny values; up to 10^22 a
// power of ten is an exact double.
inline constexpr unsigned kMaxDecimalExponent = 18;

// The exponent that should need the fewest bits, from a sample of the values. False if the sample
// does not look like decimals at all.
bool ChooseExponent(std::span<const double> values, unsigned* exponent);

// integers[i] for every value, and in `exceptions` the rising indexes of the values that
// do not come back (whose integers mean nothing). Returns their number. `exceptions` has
// room for values.size().
size_t ToIntegers(std::span<const double> values, unsigned exponent, uint64_t* integers,
                  uint16_t* exceptions);

// out[i] = (integers[i] + base) / 10^exponent, the sums being signed and of 51 bits; others give
// some value.
void ToDoubles(const uint64_t* integers, size_t count, uint64_t base, unsigned exponent,
               double* out);

// Integers as a zone of packed_integers.h has them.
struct PackedZone {
  uint64_t base;
  uint64_t step;
  size_t count;                // integers, 1 .. kMaxUnpackCount
  unsigned width = 0;          // of what is packed
  std::string_view bits = {};  // from the first packed number to the end of what may be read
};

// The same of a delta-coded zone: its first integer is `base`, and each of the others is `step` and
// the next of count - 1 packed numbers more than the one before it.
void SumsToDoubles(const PackedZone& zone, unsigned exponent, double* out);

// The same of numbers that are not packed: zone.count - 1 of them, and one more that may be any.
// The zone's width and bits are not looked at.
void SumsToDoubles(const uint64_t* differences, const PackedZone& zone, unsigned exponent,
                   double* out);

}  // namespace tsdbd::storage
