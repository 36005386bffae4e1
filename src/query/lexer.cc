#include "query/lexer.h"

#include <utility>

namespace tsdbd::query {
namespace {

constexpr std::string_view kDigits = "0123456789";
constexpr std::string_view kHexDigits = "0123456789abcdefABCDEF";

bool IsSpace(char c) {
  return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

bool IsDigit(char c) {
  return c >= '0' && c <= '9';
}

bool IsLetter(char c) {
  return c == '_' || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

bool IsWordCharacter(char c) {
  return IsLetter(c) || IsDigit(c);
}

bool IsDurationFunction(const Token& token) {
  return token.Is(Keyword::kStep) || token.Is(Keyword::kRange) || token.Is(Keyword::kMaxOf) ||
         token.Is(Keyword::kMinOf);
}

// The value of a hexadecimal digit, or 16.
uint32_t DigitValue(uint32_t code) {
  if (code >= '0' && code <= '9') {
    return code - '0';
  }
  if (code >= 'a' && code <= 'f') {
    return code - 'a' + 10;
  }
  if (code >= 'A' && code <= 'F') {
    return code - 'A' + 10;
  }
  return 16;
}

}  // namespace

Token Lexer::Next() {
  if (before_duration_) {
    while (IsSpace(Peek())) {
      ++position_;
    }
    start_ = position_;
    return LexDuration();
  }
  SkipSpacesAndComments();
  start_ = position_;
  return in_braces_ ? LexInsideBraces() : LexStatement();
}

void Lexer::SkipSpacesAndComments() {
  while (true) {
    if (IsSpace(Peek())) {
      ++position_;
    } else if (Peek() == '#') {
      const size_t end = text_.find_first_of("\r\n", position_);
      position_ = end == text_.npos ? text_.size() : end;
    } else {
      return;
    }
  }
}

Token Lexer::LexStatement() {
  if (AtEnd()) {
    return LexEnd();
  }
  const char c = Peek();
  if (IsDigit(c) || (c == '.' && IsDigit(Peek(1)))) {
    return LexNumberOrDuration();
  }
  if (IsLetter(c) || c == ':') {
    return LexWordOrColon();
  }
  switch (c) {
    case '"':
    case '\'':
      ++position_;
      return LexString(c);
    case '`':
      ++position_;
      return LexRawString();
    case ',':
      ++position_;
      return Emit(TokenType::kComma);
    case '@':
      ++position_;
      return Emit(TokenType::kAt);
    case '{':
      ++position_;
      in_braces_ = true;
      return Emit(TokenType::kLeftBrace);
    case '(':
    case ')':
    case '[':
    case ']':
      return LexBracketsAndParens(c);
    default:
      return LexOperator(c);
  }
}

Token Lexer::LexEnd() {
  if (open_parens_ != 0) {
    return Error("unclosed left parenthesis");
  }
  if (in_brackets_) {
    return Error("unclosed left bracket");
  }
  return Emit(TokenType::kEndOfInput);
}

Token Lexer::LexBracketsAndParens(char c) {
  if (c == '[' && in_brackets_) {
    return Error("unexpected left bracket '['");
  }
  if (c == ']' && !in_brackets_) {
    return Error("unexpected right bracket ']'");
  }
  ++position_;
  if (c == '(') {
    ++open_parens_;
    return Emit(TokenType::kLeftParen);
  }
  if (c == ')') {
    if (--open_parens_ < 0) {
      start_ = position_;
      return Error("unexpected right parenthesis ')'");
    }
    return Emit(TokenType::kRightParen);
  }
  in_brackets_ = c == '[';
  before_duration_ = in_brackets_;
  seen_colon_ = false;
  return Emit(in_brackets_ ? TokenType::kLeftBracket : TokenType::kRightBracket);
}

Token Lexer::LexOperator(char c) {
  ++position_;
  const char next = Peek();
  switch (c) {
    case '+':
      return EmitOperator(BinaryOp::kAdd);
    case '-':
      return EmitOperator(BinaryOp::kSubtract);
    case '*':
      return EmitOperator(BinaryOp::kMultiply);
    case '/':
      return EmitOperator(BinaryOp::kDivide);
    case '%':
      return EmitOperator(BinaryOp::kModulo);
    case '^':
      return EmitOperator(BinaryOp::kPower);
    case '=':
      if (next == '~') {
        return UnexpectedRune("unexpected character after '='");
      }
      return Accept("=") ? EmitOperator(BinaryOp::kEqual) : Emit(TokenType::kEqual);
    case '!':
      return Accept("=") ? EmitOperator(BinaryOp::kNotEqual)
                         : UnexpectedRune("unexpected character after '!'");
    case '<':
      if (Accept("=")) {
        return EmitOperator(BinaryOp::kLessOrEqual);
      }
      return EmitOperator(Accept("/") ? BinaryOp::kTrimUpper : BinaryOp::kLess);
    case '>':
      if (Accept("=")) {
        return EmitOperator(BinaryOp::kGreaterOrEqual);
      }
      return EmitOperator(Accept("/") ? BinaryOp::kTrimLower : BinaryOp::kGreater);
    default:
      --position_;
      return UnexpectedRune("unexpected character");
  }
}

Token Lexer::LexWordOrColon() {
  const char first = Peek();
  if (in_brackets_) {
    if (first == ':') {
      if (seen_colon_) {
        return Error("unexpected colon ':'");
      }
      seen_colon_ = true;
      ++position_;
      return Emit(TokenType::kColon);
    }
    while (IsLetter(Peek())) {
      ++position_;
    }
    Token token = Emit(TokenType::kIdentifier);
    ClassifyWord(&token);
    return IsDurationFunction(token)
               ? token
               : Error(fmt::format("unexpected character: {}, expected ':'", QuoteRune(first)));
  }
  while (IsWordCharacter(Peek()) || Peek() == ':') {
    ++position_;
  }
  Token token = Emit(TokenType::kIdentifier);
  ClassifyWord(&token);
  const bool is_fill =
      token.Is(Keyword::kFill) || token.Is(Keyword::kFillLeft) || token.Is(Keyword::kFillRight);
  // Younger than the metrics that may be called so: a keyword only where it must be one.
  return is_fill && !IsFollowedByLeftParen() ? Emit(TokenType::kIdentifier) : token;
}

bool Lexer::IsFollowedByLeftParen() const {
  const size_t next = text_.find_first_not_of(" \t\r\n", position_);
  return next != text_.npos && text_[next] == '(';
}

Token Lexer::LexInsideBraces() {
  if (AtEnd()) {
    return Error("unexpected end of input inside braces");
  }
  const char c = Peek();
  if (IsLetter(c)) {
    while (IsWordCharacter(Peek())) {
      ++position_;
    }
    return Emit(TokenType::kIdentifier);
  }
  ++position_;
  switch (c) {
    case ',':
      return Emit(TokenType::kComma);
    case '"':
    case '\'':
      return LexString(c);
    case '`':
      return LexRawString();
    case '=':
      return Emit(Accept("~") ? TokenType::kRegexEqual : TokenType::kEqual);
    case '!':
      if (Accept("~")) {
        return Emit(TokenType::kRegexNotEqual);
      }
      return Accept("=") ? EmitOperator(BinaryOp::kNotEqual)
                         : UnexpectedRune("unexpected character after '!' inside braces");
    case '{':
      return Error("unexpected left brace '{'");
    case '}':
      in_braces_ = false;
      return Emit(TokenType::kRightBrace);
    default:
      --position_;
      return UnexpectedRune("unexpected character inside braces");
  }
}

Token Lexer::LexDuration() {
  if (AtEnd()) {
    return Error("unexpected end of input in duration expression");
  }
  const char c = Peek();
  if (IsDigit(c) || (c == '.' && IsDigit(Peek(1)))) {
    seen_duration_ = true;
    before_duration_ = false;
    return LexNumberOrDuration();
  }
  if (IsLetter(c)) {
    while (IsLetter(Peek())) {
      ++position_;
    }
    Token token = Emit(TokenType::kIdentifier);
    ClassifyWord(&token);
    return IsDurationFunction(token) ? token
                                     : Error("unexpected character in duration expression: " +
                                             QuoteRune(static_cast<uint8_t>(c)));
  }
  switch (c) {
    case ',':
      ++position_;
      return Emit(TokenType::kComma);
    case ':':
      ++position_;
      if (!seen_duration_ || seen_colon_) {
        start_ = position_;
        return Error(!seen_duration_ ? "unexpected colon before duration in duration expression"
                                     : "unexpected repeated colon in duration expression");
      }
      seen_colon_ = true;
      return Emit(TokenType::kColon);
    case '(':
    case ')':
    case ']':
      return LexBracketsAndParens(c);
    case '+':
    case '-':
    case '*':
    case '/':
    case '%':
    case '^':
      return LexOperator(c);
    default:
      return UnexpectedRune("unexpected character in duration expression");
  }
}

Token Lexer::LexNumberOrDuration() {
  if (ScanNumber()) {
    return Emit(TokenType::kNumber);
  }
  if (ScanDurationUnits()) {
    return Emit(TokenType::kDuration);
  }
  return Error("bad number or duration syntax: " + Quote(text_.substr(start_, position_ - start_)));
}

// True with the cursor behind a number in one of its forms, which ParseNumberLiteral has yet to
// check. False with the cursor behind what was read so far: the number of a duration, or a mistake.
bool Lexer::ScanNumber() {
  std::string_view digits = kDigits;
  if (Accept("0") && Accept("xX")) {
    Accept("_");
    digits = kHexDigits;
  }
  Accept(".");
  Accept(digits);
  bool seen_dot = false;
  bool seen_exponent = false;
  while (PeekIsOneOf(digits) || PeekIsOneOf("._eE")) {
    if (PeekIsOneOf(".")) {
      ++position_;
      // A dot cannot repeat, and a hexadecimal number has none.
      if (seen_dot || Accept("_.") || digits == kHexDigits) {
        return false;
      }
      seen_dot = true;
    } else if (PeekIsOneOf("eE")) {
      ++position_;
      if (seen_exponent) {
        return false;
      }
      seen_exponent = true;
      Accept("+-");
      if (Accept("._eE") || AtEnd()) {
        return false;
      }
    } else if (Accept("_")) {
      if (Accept("._eE") || AtEnd()) {
        return false;
      }
    } else {
      while (Accept(digits)) {
      }
    }
  }
  return !IsWordCharacter(Peek());
}

// The rest of a duration behind its first number. Wrong units and orders are ParseDuration's
// business.
bool Lexer::ScanDurationUnits() {
  if (!Accept("smhdwy")) {
    return false;
  }
  Accept("s");  // ms
  while (Accept(kDigits)) {
    while (Accept(kDigits)) {
    }
    if (!Accept("smhdw")) {  // years can only be first
      return false;
    }
    Accept("s");
  }
  if (IsWordCharacter(Peek())) {
    ++position_;
    return false;
  }
  return true;
}

Token Lexer::LexString(char quote) {
  while (true) {
    if (AtEnd() || Peek() == '\n') {
      return Error("unterminated quoted string");
    }
    const Rune rune = PeekRune();
    if (!rune.IsValid()) {
      return Error("invalid UTF-8 rune");
    }
    position_ += rune.width;
    if (rune.code == static_cast<uint32_t>(quote)) {
      return Emit(TokenType::kString);
    }
    if (rune.code == '\\' && !SkipEscape(quote)) {
      return Error(std::move(error_));
    }
  }
}

Token Lexer::LexRawString() {
  while (!AtEnd()) {
    const Rune rune = PeekRune();
    if (!rune.IsValid()) {
      return Error("invalid UTF-8 rune");
    }
    position_ += rune.width;
    if (rune.code == '`') {
      return Emit(TokenType::kString);
    }
  }
  return Error("unterminated raw string");
}

// Skips an escape sequence behind its backslash. On false, error_ says what is wrong with it.
bool Lexer::SkipEscape(char quote) {
  if (AtEnd()) {
    error_ = "escape sequence not terminated";
    return false;
  }
  const char c = Peek();
  if (c >= '0' && c <= '7') {
    return SkipEscapedDigits(3, 8, 0xFF);
  }
  if (c == quote || std::string_view("abfnrtv\\").find(c) != std::string_view::npos) {
    ++position_;
    return true;
  }
  if (c == 'x' || c == 'u' || c == 'U') {
    ++position_;
    constexpr uint32_t kMaxRune = 0x10FFFF;
    return SkipEscapedDigits(c == 'x' ? 2 : c == 'u' ? 4 : 8, 16, c == 'x' ? 0xFF : kMaxRune);
  }
  error_ = "unknown escape sequence " + DescribeRune(PeekRune().code);
  return false;
}

bool Lexer::SkipEscapedDigits(int count, uint32_t base, uint32_t max) {
  uint32_t value = 0;
  for (int i = 0; i < count; ++i) {
    if (AtEnd()) {
      error_ = "escape sequence not terminated";
      return false;
    }
    const Rune rune = PeekRune();
    const uint32_t digit = DigitValue(rune.code);
    if (digit >= base) {
      error_ = fmt::format("illegal character {} in escape sequence", DescribeRune(rune.code));
      return false;
    }
    value = value * base + digit;
    position_ += rune.width;
  }
  if (value > max || (value >= 0xD800 && value < 0xE000)) {
    error_ = "escape sequence is an invalid Unicode code point";
    return false;
  }
  return true;
}

bool Lexer::Accept(std::string_view set) {
  if (!PeekIsOneOf(set)) {
    return false;
  }
  ++position_;
  return true;
}

Token Lexer::Emit(TokenType type) const {
  return {.type = type,
          .start = static_cast<uint32_t>(start_),
          .text = text_.substr(start_, position_ - start_)};
}

Token Lexer::EmitOperator(BinaryOp op) const {
  Token token = Emit(TokenType::kBinaryOp);
  token.binary_op = op;
  return token;
}

Token Lexer::Error(std::string message) {
  error_ = std::move(message);
  return {.type = TokenType::kError, .start = static_cast<uint32_t>(start_)};
}

Token Lexer::UnexpectedRune(std::string_view what) {
  return Error(fmt::format("{}: {}", what, QuoteRune(PeekRune().code)));
}

}  // namespace tsdbd::query
