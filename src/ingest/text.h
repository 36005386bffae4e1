#pragma once
// The letters of line protocol: searching, escapes, and what may stand in a name. Pure functions.

#include <cstdint>
#include <string>
#include <string_view>

#include <hwy/highway.h>

namespace tsdbd::ingest {

// The first byte of [p, end) for which `match` (vector of bytes → mask) is true; `end` if none.
template <typename Match>
HWY_INLINE const char* FindFirst(const char* p, const char* end, const Match& match) {
  namespace hn = hwy::HWY_NAMESPACE;
  const hn::FixedTag<uint8_t, 16> bytes;
  constexpr ptrdiff_t kLanes = 16;
  for (; end - p >= kLanes; p += kLanes) {
    const auto block = hn::LoadU(bytes, reinterpret_cast<const uint8_t*>(p));
    const intptr_t found = hn::FindFirstTrue(bytes, match(bytes, block));
    if (found >= 0) {
      return p + found;
    }
  }
  alignas(kLanes) uint8_t tail[kLanes] = {};
  const ptrdiff_t rest = end - p;
  for (ptrdiff_t i = 0; i < rest; ++i) {
    tail[i] = static_cast<uint8_t>(p[i]);
  }
  const intptr_t found = hn::FindFirstTrue(bytes, match(bytes, hn::Load(bytes, tail)));
  return found >= 0 && found < rest ? p + found : end;
}

// The first blank or control character.
inline const char* FindBlankOrControl(const char* p, const char* end) {
  return FindFirst(p, end, [](auto bytes, auto block) {
    namespace hn = hwy::HWY_NAMESPACE;
    const auto blank = hn::Set(bytes, ' ');
    return hn::Eq(hn::Min(block, blank), block);
  });
}

// The first blank, control character, comma or equals sign.
inline const char* FindNameDelimiter(const char* p, const char* end) {
  return FindFirst(p, end, [](auto bytes, auto block) {
    namespace hn = hwy::HWY_NAMESPACE;
    const auto blank = hn::Set(bytes, ' ');
    return hn::Or(hn::Eq(hn::Min(block, blank), block),
                  hn::Or(hn::Eq(block, hn::Set(bytes, ',')), hn::Eq(block, hn::Set(bytes, '='))));
  });
}

// The quote that closes the string whose first character is at `p`; `end` if there is none.
const char* FindClosingQuote(const char* p, const char* end);

enum class TextProblem : uint8_t { kNone, kControlCharacter, kInvalidUtf8 };

// Text that may become a name or a label value: UTF-8 without control characters.
TextProblem CheckText(std::string_view text);
std::string_view Describe(TextProblem problem);

// Appends `text` with `\,` `\=` and `\ ` replaced by the second character; other backslashes stay.
void AppendUnescaped(std::string_view text, std::string* out);

// For messages: at most `max_bytes` of `text` (then "..."), as printable UTF-8.
std::string Excerpt(std::string_view text, size_t max_bytes);

// The length of the UTF-8 character at the start of `text`, which is not empty; 0 if it is none.
size_t Utf8Length(std::string_view text);

}  // namespace tsdbd::ingest
