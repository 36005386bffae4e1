// UTF-8 and quoted strings.

#include <algorithm>
#include <array>

#include <re2/re2.h>

#include "query/text.h"

namespace tsdbd::query {
namespace {

constexpr uint32_t kMaxRune = 0x10FFFF;

bool IsSurrogate(uint32_t code) {
  return code >= 0xD800 && code < 0xE000;
}

// Letters, marks, numbers, punctuation, symbols and the ASCII space, as Unicode classes them.
bool IsPrintable(uint32_t code) {
  if (code < 0x80) {
    return code >= 0x20 && code < 0x7F;
  }
  static const re2::RE2 kPrintable("[\\pL\\pM\\pN\\pP\\pS]");
  std::string text;
  AppendRune(code, &text);
  return re2::RE2::FullMatch(text, kPrintable);
}

// The letter after the backslash of a short escape, or 0.
char ShortEscape(uint32_t code) {
  switch (code) {
    case '\a':
      return 'a';
    case '\b':
      return 'b';
    case '\f':
      return 'f';
    case '\n':
      return 'n';
    case '\r':
      return 'r';
    case '\t':
      return 't';
    case '\v':
      return 'v';
    default:
      return 0;
  }
}

void AppendEscapedRune(uint32_t code, char quote, std::string* out) {
  if (code == static_cast<uint32_t>(quote) || code == '\\') {
    *out += '\\';
    *out += static_cast<char>(code);
  } else if (IsPrintable(code)) {
    AppendRune(code, out);
  } else if (const char letter = ShortEscape(code); letter != 0) {
    *out += '\\';
    *out += letter;
  } else if (code < 0x20 || code == 0x7F) {
    *out += fmt::format("\\x{:02x}", code);
  } else if (code < 0x10000) {
    *out += fmt::format("\\u{:04x}", code);
  } else {
    *out += fmt::format("\\U{:08x}", code);
  }
}

// Reads `count` digits of `base` at the start of *text. Nullopt if there are fewer.
std::optional<uint32_t> TakeDigits(size_t count, uint32_t base, std::string_view* text) {
  if (text->size() < count) {
    return std::nullopt;
  }
  uint32_t value = 0;
  for (size_t i = 0; i < count; ++i) {
    const char c = (*text)[i];
    uint32_t digit = base;
    if (c >= '0' && c <= '9') {
      digit = c - '0';
    } else if (c >= 'a' && c <= 'f') {
      digit = c - 'a' + 10;
    } else if (c >= 'A' && c <= 'F') {
      digit = c - 'A' + 10;
    }
    if (digit >= base) {
      return std::nullopt;
    }
    value = value * base + digit;
  }
  text->remove_prefix(count);
  return value;
}

// The byte that a short escape or an escaped quote or backslash stands for, or -1.
int SimpleEscapeValue(char letter, char quote) {
  switch (letter) {
    case 'a':
      return '\a';
    case 'b':
      return '\b';
    case 'f':
      return '\f';
    case 'n':
      return '\n';
    case 'r':
      return '\r';
    case 't':
      return '\t';
    case 'v':
      return '\v';
    case '\\':
      return '\\';
    default:
      return letter == quote ? letter : -1;
  }
}

// Takes one escape sequence after its backslash from *text.
bool TakeEscape(char quote, std::string_view* text, std::string* out) {
  if (text->empty()) {
    return false;
  }
  const char letter = text->front();
  if (letter >= '0' && letter <= '7') {
    const auto byte = TakeDigits(3, 8, text);
    if (!byte || *byte > 0xFF) {
      return false;
    }
    *out += static_cast<char>(*byte);
    return true;
  }
  text->remove_prefix(1);
  if (const int byte = SimpleEscapeValue(letter, quote); byte >= 0) {
    *out += static_cast<char>(byte);
    return true;
  }
  if (letter == 'x') {
    const auto byte = TakeDigits(2, 16, text);
    if (byte) {
      *out += static_cast<char>(*byte);
    }
    return byte.has_value();
  }
  if (letter != 'u' && letter != 'U') {
    return false;
  }
  const auto code = TakeDigits(letter == 'u' ? 4 : 8, 16, text);
  if (!code || *code > kMaxRune || IsSurrogate(*code)) {
    return false;
  }
  AppendRune(*code, out);
  return true;
}

}  // namespace

Rune DecodeRune(std::string_view text) {
  if (text.empty()) {
    return {kReplacementRune, 0};
  }
  const auto byte = [&](size_t i) { return static_cast<uint8_t>(text[i]); };
  if (byte(0) < 0x80) {
    return {byte(0), 1};
  }
  const Rune invalid{kReplacementRune, 1};
  const uint32_t width = byte(0) >= 0xF0 ? 4 : byte(0) >= 0xE0 ? 3 : 2;
  if (byte(0) < 0xC2 || byte(0) > 0xF4 || text.size() < width) {
    return invalid;
  }
  uint32_t code = byte(0) & (0x7F >> width);
  for (uint32_t i = 1; i < width; ++i) {
    if ((byte(i) & 0xC0) != 0x80) {
      return invalid;
    }
    code = code << 6 | (byte(i) & 0x3F);
  }
  // The smallest code point that needs `width` bytes: anything below is an overlong form.
  constexpr std::array<uint32_t, 5> kSmallest = {0, 0, 0x80, 0x800, 0x10000};
  if (code < kSmallest[width] || code > kMaxRune || IsSurrogate(code)) {
    return invalid;
  }
  return {code, width};
}

void AppendRune(uint32_t code, std::string* text) {
  if (code > kMaxRune || IsSurrogate(code)) {
    code = kReplacementRune;
  }
  if (code < 0x80) {
    *text += static_cast<char>(code);
    return;
  }
  if (code < 0x800) {
    *text += static_cast<char>(0xC0 | code >> 6);
  } else {
    if (code < 0x10000) {
      *text += static_cast<char>(0xE0 | code >> 12);
    } else {
      *text += static_cast<char>(0xF0 | code >> 18);
      *text += static_cast<char>(0x80 | (code >> 12 & 0x3F));
    }
    *text += static_cast<char>(0x80 | (code >> 6 & 0x3F));
  }
  *text += static_cast<char>(0x80 | (code & 0x3F));
}

bool IsValidUtf8(std::string_view text) {
  while (!text.empty()) {
    const Rune rune = DecodeRune(text);
    if (!rune.IsValid()) {
      return false;
    }
    text.remove_prefix(rune.width);
  }
  return true;
}

void AppendQuoted(std::string_view text, std::string* out) {
  *out += '"';
  while (!text.empty()) {
    const Rune rune = DecodeRune(text);
    if (rune.IsValid()) {
      AppendEscapedRune(rune.code, '"', out);
    } else {
      *out += fmt::format("\\x{:02x}", static_cast<uint8_t>(text.front()));
    }
    text.remove_prefix(rune.width);
  }
  *out += '"';
}

std::string Quote(std::string_view text) {
  std::string quoted;
  AppendQuoted(text, &quoted);
  return quoted;
}

std::string QuoteRune(uint32_t code) {
  std::string quoted = "'";
  AppendEscapedRune(code, '\'', &quoted);
  return quoted + '\'';
}

std::string DescribeRune(uint32_t code) {
  std::string text = fmt::format("U+{:04X}", code);
  if (IsPrintable(code)) {
    text += " '";
    AppendRune(code, &text);
    text += '\'';
  }
  return text;
}

std::optional<std::string> Unquote(std::string_view literal) {
  if (literal.size() < 2 || literal.front() != literal.back()) {
    return std::nullopt;
  }
  const char quote = literal.front();
  std::string_view rest = literal.substr(1, literal.size() - 2);
  if (quote == '`') {
    return rest.find('`') == rest.npos ? std::optional<std::string>(rest) : std::nullopt;
  }
  if ((quote != '"' && quote != '\'') || rest.find('\n') != rest.npos) {
    return std::nullopt;
  }
  std::string value;
  value.reserve(rest.size());
  while (!rest.empty()) {
    const char c = rest.front();
    rest.remove_prefix(1);
    if (c == quote) {
      return std::nullopt;
    }
    if (c != '\\') {
      value += c;
    } else if (!TakeEscape(quote, &rest, &value)) {
      return std::nullopt;
    }
  }
  return value;
}

bool IsPlainLabelName(std::string_view name) {
  const auto is_letter = [](char c) {
    return c == '_' || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
  };
  const auto may_follow = [&](char c) { return is_letter(c) || (c >= '0' && c <= '9'); };
  return !name.empty() && is_letter(name.front()) && std::ranges::all_of(name, may_follow);
}

}  // namespace tsdbd::query
