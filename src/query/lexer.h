#pragma once
// The PromQL lexer: text to tokens, one at a time. Spaces and comments (# to the end of the line)
// are dropped. Iterative, so that no input can exhaust the stack.
//
// What a character means depends on where it stands: inside braces words are label names, after a
// left bracket letters are the duration functions only.
// One lexer belongs to one thread.

#include <string>
#include <string_view>

#include "query/text.h"
#include "query/token.h"

namespace tsdbd::query {

class Lexer {
 public:
  // `text` must outlive the lexer and its tokens.
  explicit Lexer(std::string_view text) : text_(text) {}

  // The next token; kEndOfInput at the end. After a kError there is nothing more to be had.
  Token Next();

  // What was wrong, once Next() has given a kError.
  const std::string& error() const { return error_; }

 private:
  Token LexStatement();
  Token LexInsideBraces();
  Token LexDuration();
  Token LexOperator(char c);
  Token LexBracketsAndParens(char c);
  Token LexWordOrColon();
  Token LexNumberOrDuration();
  Token LexString(char quote);
  Token LexRawString();
  Token LexEnd();

  bool SkipEscape(char quote);
  bool SkipEscapedDigits(int count, uint32_t base, uint32_t max);
  bool ScanNumber();
  bool ScanDurationUnits();
  void SkipSpacesAndComments();
  bool IsFollowedByLeftParen() const;

  // The byte at the cursor plus `ahead`, or 0 at the end. (A zero byte is not part of any token
  // but strings, which tell it from the end by AtEnd().)
  char Peek(size_t ahead = 0) const {
    return position_ + ahead < text_.size() ? text_[position_ + ahead] : '\0';
  }
  bool AtEnd() const { return position_ >= text_.size(); }
  Rune PeekRune() const { return DecodeRune(text_.substr(position_)); }
  bool PeekIsOneOf(std::string_view set) const {
    return !AtEnd() && set.find(text_[position_]) != set.npos;
  }
  bool Accept(std::string_view set);

  Token Emit(TokenType type) const;
  Token EmitOperator(BinaryOp op) const;
  // An error at the start of the token being read.
  Token Error(std::string message);
  // An error at the cursor: "<what>: 'c'" with the rune that stands there.
  Token UnexpectedRune(std::string_view what);

  const std::string_view text_;
  size_t position_ = 0;
  size_t start_ = 0;  // of the token being read
  std::string error_;

  int open_parens_ = 0;
  bool in_braces_ = false;
  bool in_brackets_ = false;
  bool before_duration_ = false;  // in brackets, no number read yet
  bool seen_colon_ = false;       // in these brackets
  bool seen_duration_ = false;    // in any brackets so far
};

}  // namespace tsdbd::query
