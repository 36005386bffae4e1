#include "query/lexer.h"

#include <span>
#include <string>

#include <gtest/gtest.h>

namespace tsdbd::query {
namespace {

// The tokens of `text` as messages name them, separated by spaces; an error ends them.
std::string Lex(std::string_view text) {
  Lexer lexer(text);
  std::string described;
  while (true) {
    const Token token = lexer.Next();
    if (token.Is(TokenType::kEndOfInput)) {
      return described;
    }
    described += described.empty() ? "" : " ";
    if (token.Is(TokenType::kError)) {
      return described + fmt::format("{}: {}", token.start, lexer.error());
    }
    described += Describe(token);
  }
}

struct Case {
  std::string_view text;
  std::string_view tokens;
};

void CheckAll(std::span<const Case> cases) {
  for (const Case& c : cases) {
    EXPECT_EQ(Lex(c.text), c.tokens) << c.text;
  }
}

TEST(Lexer, KnowsWords) {
  const Case cases[] = {
      {"", ""},
      {" \t\r\n", ""},
      {"foo", "identifier \"foo\""},
      {"foo:bar", "metric identifier \"foo:bar\""},
      {":foo", "metric identifier \":foo\""},
      {"_1", "identifier \"_1\""},
      {"sum Sum SUM", "<aggr:sum> <aggr:Sum> <aggr:SUM>"},
      {"and OR unless atan2", "<op:and> <op:OR> <op:unless> <op:atan2>"},
      {"by without on", "<by> <without> <on>"},
      {"start end step range", "\"start\" \"end\" \"step\" \"range\""},
      {"inf NaN", "number \"inf\" number \"NaN\""},
      {"information", "identifier \"information\""},
      {"fill", "identifier \"fill\""},
      {"fill (", "<fill> \"(\" 6: unclosed left parenthesis"},
      {"a # comment\nb # another", "identifier \"a\" identifier \"b\""},
      {"# \"not a string", ""},
  };
  CheckAll(cases);
}

TEST(Lexer, KnowsNumbersAndDurations) {
  const Case cases[] = {
      {"1", "number \"1\""},
      {".5", "number \".5\""},
      {"5.", "number \"5.\""},
      {"1e5 1E+5 1e-5", "number \"1e5\" number \"1E+5\" number \"1e-5\""},
      {"0x1F", "number \"0x1F\""},
      {"1_000", "number \"1_000\""},
      {"12345678901234", "number \"1234567890\"..."},
      {"5m", "duration \"5m\""},
      {"1h30m", "duration \"1h30m\""},
      {"10ms", "duration \"10ms\""},
      {"1+2", "number \"1\" <op:+> number \"2\""},
      {"5mm", "0: bad number or duration syntax: \"5mm\""},
      {"5m1", "0: bad number or duration syntax: \"5m1\""},
      {"1.2.3", "0: bad number or duration syntax: \"1.2.\""},
      {"1__0", "0: bad number or duration syntax: \"1__\""},
      {"0x1.5", "0: bad number or duration syntax: \"0x1.\""},
      {"1e", "0: bad number or duration syntax: \"1e\""},
      {"1foo", "0: bad number or duration syntax: \"1\""},
      {".", "0: unexpected character: '.'"},
  };
  CheckAll(cases);
}

TEST(Lexer, KnowsStrings) {
  const Case cases[] = {
      {R"("a" 'b' `c`)", R"(string "\"a\"" string "'b'" string "`c`")"},
      {"`two\nlines`", R"(string "`two\nlines"...)"},
      {R"("\"")", R"(string "\"\\\"\"")"},
      {R"("a)", "0: unterminated quoted string"},
      {"x 'a\n'", "identifier \"x\" 2: unterminated quoted string"},
      {"`a", "0: unterminated raw string"},
      {"\"\xff\"", "0: invalid UTF-8 rune"},
      {"`\xff`", "0: invalid UTF-8 rune"},
      {R"("\q")", "0: unknown escape sequence U+0071 'q'"},
      {R"("\xg0")", "0: illegal character U+0067 'g' in escape sequence"},
      {R"("\)", "0: escape sequence not terminated"},
      {R"("\x4)", "0: escape sequence not terminated"},
      {R"("\400")", "0: escape sequence is an invalid Unicode code point"},
      {R"("\ud800")", "0: escape sequence is an invalid Unicode code point"},
  };
  CheckAll(cases);
}

TEST(Lexer, KnowsOperators) {
  const Case cases[] = {
      {"+-*/%^", "<op:+> <op:-> <op:*> <op:/> <op:%> <op:^>"},
      {"== != < <= > >=", "<op:==> <op:!=> <op:<> <op:<=> <op:>> <op:>=>"},
      {"</ >/", "<op:</> <op:>/>"},
      {"= , @", "\"=\" \",\" <op:@>"},
      {"=~", "0: unexpected character after '=': '~'"},
      {"!~", "0: unexpected character after '!': '~'"},
      {"!", "0: unexpected character after '!': '\xEF\xBF\xBD'"},
      {"a $", "identifier \"a\" 2: unexpected character: '$'"},
      {"\xC3\xA9", "0: unexpected character: '\xC3\xA9'"},
      {"}", "0: unexpected character: '}'"},
      {"(", "\"(\" 1: unclosed left parenthesis"},
      {"a)", "identifier \"a\" 2: unexpected right parenthesis ')'"},
      {"]", "0: unexpected right bracket ']'"},
  };
  CheckAll(cases);
}

TEST(Lexer, ReadsLabelMatchersInsideBraces) {
  const Case cases[] = {
      {R"({a="b"})", R"("{" identifier "a" "=" string "\"b\"" "}")"},
      {R"({sum!="",by=~'',inf!~``})",
       R"("{" identifier "sum" <op:!=> string "\"\"" "," identifier "by" <op:=~> )"
       R"(string "''" "," identifier "inf" <op:!~> string "``" "}")"},
      {"{==}", R"("{" "=" "=" "}")"},
      {"{ # comment\n }", "\"{\" \"}\""},
      {"{", "\"{\" 1: unexpected end of input inside braces"},
      {"{a:b}", "\"{\" identifier \"a\" 2: unexpected character inside braces: ':'"},
      {"{{", "\"{\" 1: unexpected left brace '{'"},
      {"{!a}", "\"{\" 1: unexpected character after '!' inside braces: 'a'"},
      {"{1}", "\"{\" 1: unexpected character inside braces: '1'"},
  };
  CheckAll(cases);
}

TEST(Lexer, ReadsDurationsInsideBrackets) {
  const Case cases[] = {
      {"[5m]", R"("[" duration "5m" "]")"},
      {"[ 1h : 5m ]", R"("[" duration "1h" ":" duration "5m" "]")"},
      {"[step()+range()]", R"t("[" "step" "(" ")" <op:+> "range" "(" ")" "]")t"},
      {"[5m*max_of(1,2)]",
       R"t("[" duration "5m" <op:*> "max_of" "(" number "1" "," number "2" ")" "]")t"},
      {"[foo]", "\"[\" 1: unexpected character in duration expression: 'f'"},
      {"[\"5m\"]", "\"[\" 1: unexpected character in duration expression: '\"'"},
      {"[#\n5m]", "\"[\" 1: unexpected character in duration expression: '#'"},
      {"[", "\"[\" 1: unexpected end of input in duration expression"},
      {"[5m", "\"[\" duration \"5m\" 3: unclosed left bracket"},
      {"[5m x]", "\"[\" duration \"5m\" 4: unexpected character: 'x', expected ':'"},
      {"[5m[", "\"[\" duration \"5m\" 3: unexpected left bracket '['"},
      {"[5m:5m:", "\"[\" duration \"5m\" \":\" duration \"5m\" 6: unexpected colon ':'"},
      {"[:5m]", "\"[\" 2: unexpected colon before duration in duration expression"},
  };
  CheckAll(cases);
}

TEST(Lexer, GivesThePlacesOfTokens) {
  Lexer lexer("ab  \"c\"");
  EXPECT_EQ(lexer.Next().start, 0u);
  const Token text = lexer.Next();
  EXPECT_EQ(text.start, 4u);
  EXPECT_EQ(text.end(), 7u);
  EXPECT_EQ(lexer.Next().start, 7u);
}

TEST(Lexer, NeedsNoStackForDeepInput) {
  const std::string parens(1'000'000, '(');
  Lexer lexer(parens);
  size_t count = 0;
  while (lexer.Next().Is(TokenType::kLeftParen)) {
    ++count;
  }
  EXPECT_EQ(count, parens.size());
  EXPECT_EQ(lexer.error(), "unclosed left parenthesis");
}

}  // namespace
}  // namespace tsdbd::query
