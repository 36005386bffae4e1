#pragma once
// Numbers, patterns and words as Redis reads and writes them. Pure functions.

#include <cstdint>
#include <string>
#include <string_view>

namespace tsdbd::server {

inline constexpr std::string_view kNotAnInteger = "ERR value is not an integer or out of range";

// Strict: an optional minus sign and digits without leading zeros. False if it is no int64.
bool ParseRedisInteger(std::string_view text, int64_t* value);
// Any decimal or hexadecimal number, or inf; not nan, no blanks.
bool ParseRedisFloat(std::string_view text, long double* value);
// Up to 17 decimals, without trailing zeros: "3.1", "10".
std::string RedisFloatText(long double value);

// Shell patterns: * ? [abc] [^a-c] and \ before any of these.
bool MatchesGlob(std::string_view pattern, std::string_view text);

// ASCII only.
std::string LowerCase(std::string_view text);
// `word` is in lower case.
bool EqualsWord(std::string_view text, std::string_view word);

}  // namespace tsdbd::server
