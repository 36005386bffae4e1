#pragma once
// Numbers in text, exactly: every decimal becomes the double nearest to it. ReadCommonNumber takes
// the forms that nearly all samples have, eight digits at a time; ParseNumber takes them all.

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

inline constexpr uint64_t kPowersOfTen[] = {1,
                                            10,
                                            100,
                                            1'000,
                                            10'000,
                                            100'000,
                                            1'000'000,
                                            10'000'000,
                                            100'000'000,
                                            1'000'000'000,
                                            10'000'000'000,
                                            100'000'000'000,
                                            1'000'000'000'000,
                                            10'000'000'000'000,
                                            100'000'000'000'000,
                                            1'000'000'000'000'000};

// Integers up to here are doubles; so are powers of ten up to 10^22, which makes the quotient of
// two such numbers correctly rounded.
inline constexpr uint64_t kMaxExactInteger = uint64_t{1} << 53;

// A run of digits. Of longer runs, the first kMaxDigits.
struct Digits {
  static constexpr unsigned kMaxDigits = 16;
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
  return {high * kPowersOfTen[8] + CombineEight(second), 16};
}

// Reads a run of 1 to 19 digits, which 64 bits always hold. Returns where it stops; null if there
// are none or more.
inline const char* ReadUnsigned(const char* p, const char* end, uint64_t* value) {
  const Digits head = ReadDigits(p, end);
  *value = head.value;
  p += head.count;
  if (head.count == Digits::kMaxDigits) {
    const Digits tail = ReadDigits(p, end);
    if (tail.count > 3) {
      return nullptr;
    }
    *value = head.value * kPowersOfTen[tail.count] + tail.value;
    p += tail.count;
  }
  return head.count == 0 ? nullptr : p;
}

inline bool EndsValue(char c) {
  return c == ',' || c == ' ' || c == '\n' || c == '\r';
}

// Reads the value at `p` if it is of the form -?D, -?Di, Du or -?D.D, short enough to be exact in
// double arithmetic, and followed by `,`, a blank or a line's end. Returns where it stops, or null.
inline const char* ReadCommonNumber(const char* p, const char* end, double* value) {
  if (p == end) {
    return nullptr;
  }
  const bool negative = *p == '-';
  p += negative;
  const Digits whole = ReadDigits(p, end);
  p += whole.count;
  if (whole.count == 0 || whole.count == Digits::kMaxDigits || p == end) {
    return nullptr;
  }
  if (*p == 'i' || *p == 'u') {
    const auto integer = static_cast<int64_t>(whole.value);
    if (negative && *p == 'u') {
      return nullptr;
    }
    *value = static_cast<double>(negative ? -integer : integer);
    ++p;
  } else {
    uint64_t mantissa = whole.value;
    unsigned decimals = 0;
    if (*p == '.') {
      const Digits fraction = ReadDigits(p + 1, end);
      decimals = fraction.count;
      if (whole.count + decimals >= 19 || decimals == Digits::kMaxDigits) {
        return nullptr;  // perhaps beyond 64 bits
      }
      p += 1 + decimals;
      mantissa = mantissa * kPowersOfTen[decimals] + fraction.value;
      if (mantissa > kMaxExactInteger) {
        return nullptr;
      }
    }
    const double magnitude =
        static_cast<double>(mantissa) / static_cast<double>(kPowersOfTen[decimals]);
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
