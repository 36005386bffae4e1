#include "query/token.h"

#include <algorithm>
#include <array>
#include <iterator>

#include "query/text.h"

namespace tsdbd::query {
namespace {

// Characters of a token that a message quotes; longer ones are cut.
constexpr size_t kShownRunes = 10;

struct Word {
  std::string_view text;
  Token token;
};

constexpr Word Op(std::string_view text, BinaryOp op) {
  return {text, {.type = TokenType::kBinaryOp, .binary_op = op}};
}

constexpr Word Aggregate(std::string_view text, AggregateOp op) {
  return {text, {.type = TokenType::kAggregate, .aggregate = op}};
}

constexpr Word Key(std::string_view text, Keyword keyword) {
  return {text, {.type = TokenType::kKeyword, .keyword = keyword}};
}

// Sorted by text.
constexpr Word kWords[] = {
    Key("anchored", Keyword::kAnchored),
    Op("and", BinaryOp::kAnd),
    Op("atan2", BinaryOp::kAtan2),
    Aggregate("avg", AggregateOp::kAvg),
    Key("bool", Keyword::kBool),
    Aggregate("bottomk", AggregateOp::kBottomk),
    Key("by", Keyword::kBy),
    Aggregate("count", AggregateOp::kCount),
    Aggregate("count_values", AggregateOp::kCountValues),
    Key("end", Keyword::kEnd),
    Key("fill", Keyword::kFill),
    Key("fill_left", Keyword::kFillLeft),
    Key("fill_right", Keyword::kFillRight),
    Aggregate("group", AggregateOp::kGroup),
    Key("group_left", Keyword::kGroupLeft),
    Key("group_right", Keyword::kGroupRight),
    Key("ignoring", Keyword::kIgnoring),
    {"inf", {.type = TokenType::kNumber}},
    Aggregate("limit_ratio", AggregateOp::kLimitRatio),
    Aggregate("limitk", AggregateOp::kLimitk),
    Aggregate("max", AggregateOp::kMax),
    Key("max_of", Keyword::kMaxOf),
    Aggregate("min", AggregateOp::kMin),
    Key("min_of", Keyword::kMinOf),
    {"nan", {.type = TokenType::kNumber}},
    Key("offset", Keyword::kOffset),
    Key("on", Keyword::kOn),
    Op("or", BinaryOp::kOr),
    Aggregate("quantile", AggregateOp::kQuantile),
    Key("range", Keyword::kRange),
    Key("smoothed", Keyword::kSmoothed),
    Key("start", Keyword::kStart),
    Aggregate("stddev", AggregateOp::kStddev),
    Aggregate("stdvar", AggregateOp::kStdvar),
    Key("step", Keyword::kStep),
    Aggregate("sum", AggregateOp::kSum),
    Aggregate("topk", AggregateOp::kTopk),
    Op("unless", BinaryOp::kUnless),
    Key("without", Keyword::kWithout),
};

static_assert(std::ranges::is_sorted(kWords, {}, &Word::text));

constexpr size_t kLongestWord = std::ranges::max_element(kWords, {}, [](const Word& word) {
                                  return word.text.size();
                                })->text.size();

std::string QuoteShortened(std::string_view text) {
  size_t bytes = 0;
  for (size_t runes = 0; runes < kShownRunes && bytes < text.size(); ++runes) {
    bytes += DecodeRune(text.substr(bytes)).width;
  }
  // As in Prometheus, what has more bytes than that is marked as cut, even if all runes fit.
  return Quote(text.substr(0, bytes)) + (text.size() > kShownRunes ? "..." : "");
}

}  // namespace

void ClassifyWord(Token* token) {
  token->type = token->text.find(':') == token->text.npos ? TokenType::kIdentifier
                                                          : TokenType::kMetricIdentifier;
  if (token->text.size() > kLongestWord) {
    return;
  }
  std::array<char, kLongestWord> buffer;
  const char* const end = std::ranges::transform(token->text, buffer.begin(), [](char c) {
                            return c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c;
                          }).out;
  const std::string_view lower(buffer.data(), end - buffer.data());
  const Word* const word = std::ranges::lower_bound(kWords, lower, {}, &Word::text);
  if (word != std::end(kWords) && word->text == lower) {
    const Token written = *token;
    *token = word->token;
    token->start = written.start;
    token->text = written.text;
  }
}

bool IsGroupingLabel(const Token& token) {
  switch (token.type) {
    case TokenType::kIdentifier:
    case TokenType::kMetricIdentifier:
    case TokenType::kAggregate:
      return true;
    case TokenType::kKeyword:
      return !token.Is(Keyword::kWithout);
    case TokenType::kBinaryOp:
      return token.text[0] >= 'A';  // and, or, unless, atan2
    default:
      return false;
  }
}

// Most keywords are names where one must stand; so are the set operators.
bool IsMetricName(const Token& token) {
  switch (token.type) {
    case TokenType::kIdentifier:
    case TokenType::kMetricIdentifier:
    case TokenType::kAggregate:
      return true;
    case TokenType::kKeyword:
      return !token.Is(Keyword::kBool) && !token.Is(Keyword::kOn) &&
             !token.Is(Keyword::kIgnoring) && !token.Is(Keyword::kGroupLeft) &&
             !token.Is(Keyword::kGroupRight);
    case TokenType::kBinaryOp:
      return IsSetOperator(token.binary_op);
    default:
      return false;
  }
}

bool StartsExpression(const Token& token) {
  switch (token.type) {
    case TokenType::kNumber:
    case TokenType::kDuration:
    case TokenType::kString:
    case TokenType::kLeftParen:
    case TokenType::kLeftBrace:
      return true;
    default:
      return token.IsSign() || IsMetricName(token);
  }
}

std::string Describe(const Token& token) {
  switch (token.type) {
    case TokenType::kEndOfInput:
      return "end of input";
    case TokenType::kIdentifier:
      return "identifier " + Quote(token.text);
    case TokenType::kMetricIdentifier:
      return "metric identifier " + Quote(token.text);
    case TokenType::kNumber:
      return "number " + QuoteShortened(token.text);
    case TokenType::kDuration:
      return "duration " + QuoteShortened(token.text);
    case TokenType::kString:
      return "string " + QuoteShortened(token.text);
    case TokenType::kBinaryOp:
    case TokenType::kRegexEqual:
    case TokenType::kRegexNotEqual:
    case TokenType::kAt:
      return fmt::format("<op:{}>", token.text);
    case TokenType::kAggregate:
      return fmt::format("<aggr:{}>", token.text);
    case TokenType::kKeyword:
      return token.keyword < Keyword::kStart ? fmt::format("<{}>", token.text)
                                             : QuoteShortened(token.text);
    default:
      return Quote(token.text);
  }
}

}  // namespace tsdbd::query
