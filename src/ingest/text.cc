#include "ingest/text.h"

#include <cstring>

#include <fmt/format.h>

namespace tsdbd::ingest {
namespace {

constexpr uint64_t kHighBits = 0x8080808080808080;
constexpr uint64_t kEveryByte = 0x0101010101010101;

bool IsControl(unsigned char c) {
  return c < 0x20 || c == 0x7F;
}

// Whether all eight bytes are printable ASCII.
bool IsPrintableAscii(uint64_t word) {
  const uint64_t below_blank = (word - kEveryByte * 0x20) & ~word;
  const uint64_t delete_character = word ^ (kEveryByte * 0x7F);
  const uint64_t is_delete = (delete_character - kEveryByte) & ~delete_character;
  return ((word | below_blank | is_delete) & kHighBits) == 0;
}

bool IsContinuation(char c) {
  return (static_cast<unsigned char>(c) & 0xC0) == 0x80;
}

}  // namespace

const char* FindClosingQuote(const char* p, const char* end) {
  for (;;) {
    p = FindFirst(p, end, [](auto bytes, auto block) {
      namespace hn = hwy::HWY_NAMESPACE;
      return hn::Or(hn::Eq(block, hn::Set(bytes, '"')), hn::Eq(block, hn::Set(bytes, '\\')));
    });
    if (p == end || *p == '"') {
      return p;
    }
    if (end - p <= 2) {  // a backslash, and at most the character that it escapes
      return end;
    }
    p += 2;
  }
}

size_t Utf8Length(std::string_view text) {
  const auto first = static_cast<unsigned char>(text[0]);
  if (first < 0x80) {
    return 1;
  }
  if (text.size() < 2 || !IsContinuation(text[1])) {
    return 0;
  }
  const auto second = static_cast<unsigned char>(text[1]);
  if (first >= 0xC2 && first <= 0xDF) {
    return 2;
  }
  if (text.size() < 3 || !IsContinuation(text[2])) {
    return 0;
  }
  if ((first & 0xF0) == 0xE0) {
    const bool overlong = first == 0xE0 && second < 0xA0;
    const bool surrogate = first == 0xED && second >= 0xA0;
    return overlong || surrogate ? 0 : 3;
  }
  if (text.size() < 4 || !IsContinuation(text[3]) || first < 0xF0 || first > 0xF4) {
    return 0;
  }
  const bool overlong = first == 0xF0 && second < 0x90;
  const bool beyond_unicode = first == 0xF4 && second >= 0x90;
  return overlong || beyond_unicode ? 0 : 4;
}

TextProblem CheckText(std::string_view text) {
  while (!text.empty()) {
    uint64_t word;
    if (text.size() >= sizeof(word)) {
      std::memcpy(&word, text.data(), sizeof(word));
      if (IsPrintableAscii(word)) {
        text.remove_prefix(sizeof(word));
        continue;
      }
    }
    if (IsControl(static_cast<unsigned char>(text[0]))) {
      return TextProblem::kControlCharacter;
    }
    const size_t length = Utf8Length(text);
    if (length == 0) {
      return TextProblem::kInvalidUtf8;
    }
    text.remove_prefix(length);
  }
  return TextProblem::kNone;
}

std::string_view Describe(TextProblem problem) {
  switch (problem) {
    case TextProblem::kNone:
      break;
    case TextProblem::kControlCharacter:
      return "control character";
    case TextProblem::kInvalidUtf8:
      return "invalid UTF-8";
  }
  return "";
}

void AppendUnescaped(std::string_view text, std::string* out) {
  for (size_t i = text.find('\\'); i != std::string_view::npos; i = text.find('\\', i)) {
    const bool escapes =
        i + 1 < text.size() && (text[i + 1] == ',' || text[i + 1] == '=' || text[i + 1] == ' ');
    out->append(text.substr(0, escapes ? i : i + 1));
    text.remove_prefix(i + 1);
    // What is escaped is taken as it is.
    i = escapes ? 1 : 0;
  }
  out->append(text);
}

std::string Excerpt(std::string_view text, size_t max_bytes) {
  const bool cut = text.size() > max_bytes;
  if (cut) {
    text = text.substr(0, max_bytes);
  }
  std::string excerpt;
  while (!text.empty()) {
    const size_t length = Utf8Length(text);
    if (length == 0 || IsControl(static_cast<unsigned char>(text[0]))) {
      fmt::format_to(std::back_inserter(excerpt), "\\x{:02x}", static_cast<unsigned char>(text[0]));
      text.remove_prefix(1);
    } else {
      excerpt.append(text.substr(0, length));
      text.remove_prefix(length);
    }
  }
  return cut ? excerpt + "..." : excerpt;
}

}  // namespace tsdbd::ingest
