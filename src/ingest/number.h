#pragma once
// Numbers in text, exactly: every decimal becomes the double nearest to it. ReadCommonNumber takes
// the forms that nearly all samples have, eight digits at a time; ParseNumber takes them all.

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>

#include "ingest/line_problem.h"

namespace tsdbd::ingest {

static_assert(std::endian::native == std::endian::little, "LoadWord: first byte lowest");

// The eight bytes at `p`; those from `end` on are zero.
inline uint64_t LoadWord(const char* p, const char* end) {
  uint64_t word = 0;
  if (end - p >= static_cast<ptrdiff_t>(sizeof(word))) [[likely]] {
    std::memcpy(&word, p, sizeof(word));
  } else {
    for (int shift = 0; p < end; ++p, shift += 8) {
      word |= uint64_t{static_cast<unsigned char>(*p)} << shift;
    }
  }
  return word;
}

// 10^0 to 10^19, the last that 64 bits hold.
inline constexpr auto kPowersOfTen = [] {
  std::array<uint64_t, 20> powers = {1};
  for (size_t i = 1; i < powers.size(); ++i) {
    powers[i] = powers[i - 1] * 10;
  }
  return powers;
}();

// Integers up to here are doubles, and so are powers of ten up to 10^22: the quotient of two such
// numbers is the double nearest to the true one.
inline constexpr uint64_t kMaxExactInteger = uint64_t{1} << 53;

// A run of digits. Of one that is longer than kMax, only that it is.
struct Digits {
  // What 64 bits always hold.
  static constexpr unsigned kMax = 19;
  static constexpr unsigned kTooMany = kMax + 1;

  uint64_t value = 0;
  unsigned count = 0;
};

namespace internal {

// Digits become 0..9, all other characters 10..255.
inline uint64_t LoadDigits(const char* p, const char* end) {
  return LoadWord(p, end) ^ 0x3030303030303030;
}

// How many of the eight bytes, from the first, are 0..9.
inline unsigned CountDigits(uint64_t digits) {
  // Sets the top bit of every byte from 10 on; carries go up only, past the first such byte.
  const uint64_t others = ((digits + 0x7676767676767676) | digits) & 0x8080808080808080;
  return static_cast<unsigned>(std::countr_zero(others)) / 8;
}

// The number that eight digits make, first byte first.
inline uint64_t CombineEight(uint64_t digits) {
  const uint64_t pairs = digits * 10 + (digits >> 8);
  constexpr uint64_t kPair = 0x000000FF000000FF;
  const uint64_t high = (pairs & kPair) * (100 + (uint64_t{1'000'000} << 32));
  const uint64_t low = ((pairs >> 16) & kPair) * (1 + (uint64_t{10'000} << 32));
  return (high + low) >> 32;
}

// The number that the first `count` (0..7) digits make.
inline uint64_t CombineSome(uint64_t digits, unsigned count) {
  return CombineEight(digits << (56 - 8 * count) << 8);
}

}  // namespace internal

inline Digits ReadDigits(const char* p, const char* end) {
  using namespace internal;
  const uint64_t first = LoadDigits(p, end);
  const unsigned first_count = CountDigits(first);
  if (first_count < 8) [[likely]] {
    return {CombineSome(first, first_count), first_count};
  }
  const uint64_t second = LoadDigits(p + 8, end);
  const unsigned second_count = CountDigits(second);
  const uint64_t high = CombineEight(first);
  if (second_count < 8) {
    return {high * kPowersOfTen[second_count] + CombineSome(second, second_count),
            8 + second_count};
  }
  const uint64_t third = LoadDigits(p + 16, end);
  const unsigned third_count = CountDigits(third);
  if (third_count > Digits::kMax - 16) {
    return {.count = Digits::kTooMany};
  }
  const uint64_t sixteen = high * kPowersOfTen[8] + CombineEight(second);
  return {sixteen * kPowersOfTen[third_count] + CombineSome(third, third_count), 16 + third_count};
}

inline bool EndsValue(char c) {
  return c == ',' || c == ' ' || c == '\n' || c == '\r';
}

// The double nearest to mantissa / 10^decimals, for mantissas beyond kMaxExactInteger and decimals
// up to 19.
double DivideByPowerOfTen(uint64_t mantissa, unsigned decimals);

// Reads the value at `p` if it is of the form -?D, -?Di, Du or -?D.D, of not more than 19 digits
// (integers: not beyond 2^53), and followed by `,`, a blank or a line's end. Returns where it
// stops, or null.
inline const char* ReadCommonNumber(const char* p, const char* end, double* value) {
  if (p == end) {
    return nullptr;
  }
  bool negative = false;
  if (*p == '-') [[unlikely]] {  // a branch: arithmetic would make all that follows wait for it
    negative = true;
    ++p;
  }
  const Digits whole = ReadDigits(p, end);
  if (whole.count == 0 || whole.count == Digits::kTooMany) {
    return nullptr;
  }
  p += whole.count;
  if (p == end) {
    return nullptr;
  }
  if (*p == 'i' || *p == 'u') {
    if (whole.value > kMaxExactInteger || (negative && *p == 'u')) {
      return nullptr;
    }
    const auto integer = static_cast<int64_t>(whole.value);
    *value = static_cast<double>(negative ? -integer : integer);
    ++p;
  } else {
    uint64_t mantissa = whole.value;
    unsigned decimals = 0;
    if (*p == '.') {
      const Digits fraction = ReadDigits(p + 1, end);
      decimals = fraction.count;
      if (whole.count + decimals > Digits::kMax) {
        return nullptr;
      }
      p += 1 + decimals;
      mantissa = mantissa * kPowersOfTen[decimals] + fraction.value;
    }
    const double magnitude =
        mantissa <= kMaxExactInteger
            ? static_cast<double>(mantissa) / static_cast<double>(kPowersOfTen[decimals])
            : DivideByPowerOfTen(mantissa, decimals);
    *value = negative ? -magnitude : magnitude;
  }
  return p != end && EndsValue(*p) ? p : nullptr;
}

struct ParsedNumber {
  double value = 0;
  LineProblem problem = LineProblem::kNone;  // kInvalidNumber or one of the ranges
  bool inexact = false;  // an integer beyond 2^53, so that doubles may have rounded it
};

// All of `text` is a float, an integer (`i`) or an unsigned integer (`u`). Too small a float is 0.
ParsedNumber ParseNumber(std::string_view text);

}  // namespace tsdbd::ingest
