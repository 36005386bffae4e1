#include "server/influx_ql.h"

#include <algorithm>
#include <cctype>

#include "common/clock.h"
#include "server/text.h"

namespace tsdbd::server {
namespace {

struct Token {
  std::string text;
  bool quoted = false;  // "x" or 'x': never a keyword
  size_t offset = 0;
};

bool IsWordByte(char c) {
  return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_' || c == '.';
}

bool EqualsIgnoringCase(std::string_view a, std::string_view b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](char x, char y) {
    return std::tolower(static_cast<unsigned char>(x)) ==
           std::tolower(static_cast<unsigned char>(y));
  });
}

Status ParseError(std::string_view found, std::string_view expected, size_t offset) {
  return InvalidArgument("error parsing query: found {}, expected {} at line 1, char {}", found,
                         expected, offset + 1);
}

// Reads the quoted text that starts at *offset. \" \' \\ and \n are escapes.
StatusOr<Token> TakeQuoted(std::string_view text, size_t* offset) {
  Token token{.text = {}, .quoted = true, .offset = *offset};
  const char quote = text[*offset];
  for (size_t i = *offset + 1; i < text.size(); ++i) {
    if (text[i] == quote) {
      *offset = i + 1;
      return token;
    }
    if (text[i] == '\\' && i + 1 < text.size()) {
      ++i;
      token.text += text[i] == 'n' ? '\n' : text[i];
    } else {
      token.text += text[i];
    }
  }
  return InvalidArgument("error parsing query: the quote at line 1, char {} is not closed",
                         *offset + 1);
}

// Words, quoted names, and single bytes of everything else.
StatusOr<std::vector<Token>> Tokenize(std::string_view text) {
  std::vector<Token> tokens;
  for (size_t offset = 0; offset < text.size();) {
    const char c = text[offset];
    if (std::isspace(static_cast<unsigned char>(c)) != 0) {
      ++offset;
    } else if (c == '"' || c == '\'') {
      ASSIGN_OR_RETURN(Token token, TakeQuoted(text, &offset));
      tokens.push_back(std::move(token));
    } else {
      size_t end = offset + 1;
      while (IsWordByte(c) && end < text.size() && IsWordByte(text[end])) {
        ++end;
      }
      tokens.push_back({std::string(text.substr(offset, end - offset)), false, offset});
      offset = end;
    }
  }
  return tokens;
}

class StatementParser {
 public:
  StatementParser(std::vector<Token> tokens, size_t text_size)
      : tokens_(std::move(tokens)), text_size_(text_size) {}

  StatusOr<std::vector<InfluxStatement>> Parse() {
    std::vector<InfluxStatement> statements;
    while (next_ < tokens_.size()) {
      if (TakeWord(";")) {
        continue;
      }
      ASSIGN_OR_RETURN(InfluxStatement statement, ParseStatement());
      statements.push_back(std::move(statement));
      if (next_ < tokens_.size() && !TakeWord(";")) {
        return Unexpected("; or EOF");
      }
    }
    if (statements.empty()) {
      return Unexpected("a statement");
    }
    return statements;
  }

 private:
  using Kind = InfluxStatement::Kind;

  StatusOr<InfluxStatement> ParseStatement() {
    if (TakeWords("CREATE", "DATABASE")) {
      InfluxStatement statement{.kind = Kind::kCreateDatabase, .database = {}};
      ASSIGN_OR_RETURN(statement.database, TakeName());
      if (TakeWord("WITH")) {
        statement.has_policy = true;
        SkipStatement();
      }
      return statement;
    }
    if (TakeWords("SHOW", "DATABASES")) {
      return InfluxStatement{.kind = Kind::kShowDatabases, .database = {}};
    }
    if (TakeWords("SHOW", "RETENTION")) {
      InfluxStatement statement{.kind = Kind::kShowRetentionPolicies, .database = {}};
      if (!TakeWord("POLICIES")) {
        return Unexpected("POLICIES");
      }
      if (TakeWord("ON")) {
        ASSIGN_OR_RETURN(statement.database, TakeName());
      }
      return statement;
    }
    SkipStatement();
    return InfluxStatement{.kind = Kind::kOther, .database = {}};
  }

  StatusOr<std::string> TakeName() {
    if (next_ == tokens_.size() || tokens_[next_].text.empty() ||
        (!tokens_[next_].quoted && !IsWordByte(tokens_[next_].text.front()))) {
      return Unexpected("identifier");
    }
    return tokens_[next_++].text;
  }

  void SkipStatement() {
    while (next_ < tokens_.size() && !IsWord(next_, ";")) {
      ++next_;
    }
  }

  bool IsWord(size_t index, std::string_view word) const {
    return index < tokens_.size() && !tokens_[index].quoted &&
           EqualsIgnoringCase(tokens_[index].text, word);
  }
  bool TakeWord(std::string_view word) {
    const bool taken = IsWord(next_, word);
    next_ += taken ? 1 : 0;
    return taken;
  }
  bool TakeWords(std::string_view first, std::string_view second) {
    const bool taken = IsWord(next_, first) && IsWord(next_ + 1, second);
    next_ += taken ? 2 : 0;
    return taken;
  }

  Status Unexpected(std::string_view expected) const {
    return next_ < tokens_.size() ? ParseError(tokens_[next_].text, expected, tokens_[next_].offset)
                                  : ParseError("EOF", expected, text_size_);
  }

  const std::vector<Token> tokens_;
  const size_t text_size_;
  size_t next_ = 0;
};

std::string ResultJson(size_t statement_id, const InfluxResult& result) {
  std::string json = fmt::format(R"({{"statement_id":{})", statement_id);
  if (!result.columns.empty()) {
    std::vector<std::string> columns;
    std::vector<std::string> rows;
    for (const std::string& column : result.columns) {
      columns.push_back(JsonText(column));
    }
    for (const std::vector<std::string>& row : result.rows) {
      rows.push_back(fmt::format("[{}]", Join(row, ",")));
    }
    const std::string name = result.series_name.empty()
                                 ? ""
                                 : fmt::format(R"("name":{},)", JsonText(result.series_name));
    json += fmt::format(R"(,"series":[{{{}"columns":[{}])", name, Join(columns, ","));
    // As InfluxDB: a series without rows has no values at all.
    json += rows.empty() ? "}]" : fmt::format(R"(,"values":[{}]}}])", Join(rows, ","));
  }
  if (!result.warning.empty()) {
    json +=
        fmt::format(R"(,"messages":[{{"level":"warning","text":{}}}])", JsonText(result.warning));
  }
  if (!result.error.empty()) {
    json += fmt::format(R"(,"error":{})", JsonText(result.error));
  }
  return json + "}";
}

}  // namespace

StatusOr<std::vector<InfluxStatement>> ParseInfluxStatements(std::string_view text) {
  ASSIGN_OR_RETURN(std::vector<Token> tokens, Tokenize(text));
  return StatementParser(std::move(tokens), text.size()).Parse();
}

std::string InfluxDuration(int64_t nanos) {
  if (nanos == 0) {
    return "0s";
  }
  const int64_t seconds = nanos / kNanosPerSecond;
  return fmt::format("{}h{}m{}s", seconds / 3600, seconds / 60 % 60, seconds % 60);
}

std::string InfluxAnswer(const std::vector<InfluxResult>& results) {
  std::vector<std::string> parts;
  for (size_t i = 0; i < results.size(); ++i) {
    parts.push_back(ResultJson(i, results[i]));
  }
  // InfluxDB ends with a newline, for people with curl.
  return fmt::format("{{\"results\":[{}]}}\n", Join(parts, ","));
}

}  // namespace tsdbd::server
