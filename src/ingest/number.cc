#include "ingest/number.h"

#include <algorithm>
#include <bit>
#include <charconv>
#include <system_error>
#include <type_traits>

namespace tsdbd::ingest {
namespace {

template <typename Integer>
ParsedNumber ParseInteger(std::string_view text) {
  constexpr LineProblem kRange =
      std::is_signed_v<Integer> ? LineProblem::kIntegerRange : LineProblem::kUnsignedRange;
  Integer integer = 0;
  const char* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, integer);
  if (stop != end || error == std::errc::invalid_argument) {
    return {.problem = LineProblem::kInvalidNumber};
  }
  if (error == std::errc::result_out_of_range) {
    return {.problem = kRange};
  }
  const auto magnitude =
      integer < 0 ? uint64_t{0} - static_cast<uint64_t>(integer) : static_cast<uint64_t>(integer);
  return {.value = static_cast<double>(integer), .inexact = magnitude > kMaxExactInteger};
}

// Of a float that no double can hold: whether it is too large, not too near zero.
bool IsTooLarge(std::string_view text) {
  const size_t exponent_at = std::min(text.find_first_of("eE"), text.size());
  const std::string_view mantissa = text.substr(0, exponent_at);
  int64_t exponent = 0;
  if (exponent_at < text.size()) {
    std::string_view digits = text.substr(exponent_at + 1);
    const bool negative = digits[0] == '-';
    if (digits[0] == '+') {
      digits.remove_prefix(1);
    }
    const auto result = std::from_chars(digits.data(), digits.data() + digits.size(), exponent);
    if (result.ec == std::errc::result_out_of_range) {
      return !negative;
    }
  }
  const auto point = static_cast<int64_t>(std::min(mantissa.find('.'), mantissa.size()));
  const auto first_digit = static_cast<int64_t>(mantissa.find_first_of("123456789"));
  // The value is near 10^(exponent + point - first_digit), which is far from 10^0.
  return exponent > first_digit - point;
}

ParsedNumber ParseFloat(std::string_view text) {
  const bool negative = text[0] == '-';
  const char first = text.size() > negative ? text[negative] : '\0';
  if (first != '.' && (first < '0' || first > '9')) {  // from_chars takes "inf" and "nan"
    return {.problem = LineProblem::kInvalidNumber};
  }
  ParsedNumber number;
  const char* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, number.value);
  if (stop != end || error == std::errc::invalid_argument) {
    return {.problem = LineProblem::kInvalidNumber};
  }
  if (error == std::errc::result_out_of_range) {
    if (IsTooLarge(text)) {
      return {.problem = LineProblem::kFloatRange};
    }
    number.value = negative ? -0.0 : 0.0;
  }
  return number;
}

}  // namespace

double DivideByPowerOfTen(uint64_t mantissa, unsigned decimals) {
  // Both shifted up until their top bits are set, the quotient (times 2^63) has 63 or 64 bits: ten
  // more than a double. What the division leaves goes into its last bit, far below the one that
  // decides, and so the conversion to double rounds as if it saw the true quotient.
  const uint64_t divisor = kPowersOfTen[decimals];
  const int mantissa_shift = std::countl_zero(mantissa);
  const int divisor_shift = std::countl_zero(divisor);
  const auto numerator = static_cast<__uint128_t>(mantissa << mantissa_shift) << 63;
  const uint64_t denominator = divisor << divisor_shift;
  const auto quotient = static_cast<uint64_t>(numerator / denominator);
  const bool has_remainder = static_cast<__uint128_t>(quotient) * denominator != numerator;
  constexpr int kExponentBias = 1023;
  constexpr int kMantissaBits = 52;
  const int exponent = divisor_shift - mantissa_shift - 63;
  const auto scale =
      std::bit_cast<double>(static_cast<uint64_t>(kExponentBias + exponent) << kMantissaBits);
  return static_cast<double>(quotient | (has_remainder ? 1 : 0)) * scale;
}

ParsedNumber ParseNumber(std::string_view text) {
  if (text.empty()) {
    return {.problem = LineProblem::kInvalidNumber};
  }
  switch (text.back()) {
    case 'i':
      return ParseInteger<int64_t>(text.substr(0, text.size() - 1));
    case 'u':
      return ParseInteger<uint64_t>(text.substr(0, text.size() - 1));
    default:
      return ParseFloat(text);
  }
}

}  // namespace tsdbd::ingest
