#include "resp/request_parser.h"

#include <cstring>
#include <limits>

#include <fmt/format.h>

namespace tsdbd::resp {

namespace {

// A line: of words, or with a number of an array or argument. Redis' bound.
constexpr size_t kMaxLineBytes = size_t{64} << 10;
// A connection that waits for its next command keeps no more: a command of a million arguments
// needs 16 MiB.
constexpr size_t kMaxKeptArguments = 64;
// Lengths are checked against limits below this, so larger ones need not be told apart.
constexpr int64_t kMaxNumber = std::numeric_limits<int64_t>::max() / 16;

// Strict, as Redis is: no blanks, no plus sign, no leading zeros.
bool ToNumber(std::string_view text, int64_t* number) {
  const bool is_negative = text.starts_with('-');
  text.remove_prefix(is_negative ? 1 : 0);
  if (text.empty() || (text[0] == '0' && (text.size() > 1 || is_negative))) {
    return false;
  }
  int64_t value = 0;
  for (const char c : text) {
    if (c < '0' || c > '9' || value > kMaxNumber) {
      return false;
    }
    value = value * 10 + (c - '0');
  }
  *number = is_negative ? -value : value;
  return true;
}

bool IsBlank(char c) {
  return c == ' ' || (c >= '\t' && c <= '\r');
}

int HexDigit(char c) {
  if (c >= '0' && c <= '9') {
    return c - '0';
  }
  const char lower = static_cast<char>(c | 0x20);
  return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

// The words of a line, with "double" and 'single' quotes.
class WordReader {
 public:
  explicit WordReader(std::string_view line) : line_(line) {}

  // False at the end of the line, and if it is_wrong().
  bool Next(std::string* word) {
    while (!line_.empty() && IsBlank(line_[0])) {
      line_.remove_prefix(1);
    }
    if (line_.empty()) {
      return false;
    }
    while (!line_.empty() && !IsBlank(line_[0]) && !is_wrong_) {
      if (line_[0] == '"' || line_[0] == '\'') {
        ReadQuoted(word);
      } else {
        word->push_back(Take());
      }
    }
    return !is_wrong_;
  }

  bool is_wrong() const { return is_wrong_; }

 private:
  char Take() {
    const char c = line_[0];
    line_.remove_prefix(1);
    return c;
  }

  void ReadQuoted(std::string* word) {
    const char quote = Take();
    while (!line_.empty() && line_[0] != quote) {
      const char c = Take();
      if (c != '\\' || line_.empty()) {
        word->push_back(c);
      } else if (quote == '"') {
        ReadEscape(word);
      } else {
        // Between single quotes only \' stands for something.
        word->push_back(line_[0] == '\'' ? Take() : c);
      }
    }
    // The closing quote, with a blank or the end behind it.
    is_wrong_ = line_.empty() || (line_.size() > 1 && !IsBlank(line_[1]));
    line_.remove_prefix(line_.empty() ? 0 : 1);
  }

  void ReadEscape(std::string* word) {
    if (line_.size() >= 3 && line_[0] == 'x' && HexDigit(line_[1]) >= 0 &&
        HexDigit(line_[2]) >= 0) {
      word->push_back(static_cast<char>(HexDigit(line_[1]) * 16 + HexDigit(line_[2])));
      line_.remove_prefix(3);
      return;
    }
    constexpr std::string_view kLetters = "nrtba";
    constexpr std::string_view kMeanings = "\n\r\t\b\a";
    const char c = Take();
    const size_t index = kLetters.find(c);
    word->push_back(index == kLetters.npos ? c : kMeanings[index]);
  }

  std::string_view line_;
  bool is_wrong_ = false;
};

}  // namespace

size_t RequestParser::Parse(std::string_view input, size_t max_commands, CommandBatch* batch) {
  size_t taken = 0;
  while (batch->size() < max_commands && taken < input.size() && !has_failed()) {
    const size_t commands_before = batch->size();
    const size_t first_argument = batch->arguments_.size();
    if (ParseOne(input.substr(taken), batch) != Step::kDone) {
      batch->arguments_.resize(first_argument);
      break;
    }
    taken += position_;
    if (batch->arguments_.size() > first_argument) {
      batch->ends_.push_back({batch->arguments_.size(), taken});
    } else if (commands_before > 0) {
      // Nothing (an empty line): belongs to what came before.
      batch->ends_.back().input = taken;
    }
    Reset();
  }
  return taken;
}

RequestParser::Step RequestParser::ParseOne(std::string_view input, CommandBatch* batch) {
  if (position_ == 0) {
    if (input[0] != '*') {
      return ParseLine(input, batch);
    }
    if (const Step step = ParseArrayHead(input); step != Step::kDone) {
      return step;
    }
  }
  while (missing_arguments_ > 0) {
    if (argument_bytes_ < 0) {
      if (const Step step = ParseArgumentHead(input); step != Step::kDone) {
        return step;
      }
    }
    const auto size = static_cast<size_t>(argument_bytes_);
    if (input.size() < position_ + size + 2) {
      return Step::kNeedMore;
    }
    if (input[position_ + size] != '\r' || input[position_ + size + 1] != '\n') {
      return Fail("Protocol error: expected a line end after a bulk string");
    }
    arguments_.emplace_back(position_, size);
    position_ += size + 2;
    argument_bytes_ = -1;
    --missing_arguments_;
  }
  for (const auto& [offset, size] : arguments_) {
    batch->arguments_.push_back(input.substr(offset, size));
  }
  return Step::kDone;
}

RequestParser::Step RequestParser::ParseLine(std::string_view input, CommandBatch* batch) {
  const size_t end = input.substr(0, kMaxLineBytes + 1).find('\n');
  if (end == input.npos) {
    return input.size() > kMaxLineBytes ? Fail("Protocol error: too big inline request")
                                        : Step::kNeedMore;
  }
  WordReader reader(input.substr(0, end));
  std::string word;
  while (reader.Next(&word)) {
    batch->words_.push_back(std::exchange(word, {}));
    batch->arguments_.emplace_back(batch->words_.back());
  }
  if (reader.is_wrong()) {
    return Fail("Protocol error: unbalanced quotes in request");
  }
  position_ = end + 1;
  return Step::kDone;
}

RequestParser::Step RequestParser::ParseArrayHead(std::string_view input) {
  int64_t count = 0;
  const Step step = ParseNumber(input, "Protocol error: too big mbulk count string",
                                "Protocol error: invalid multibulk length", &count);
  if (step != Step::kDone) {
    return step;
  }
  // Nothing is asked by an empty array, or by a negative length.
  missing_arguments_ = count > 0 ? static_cast<size_t>(count) : 0;
  if (missing_arguments_ > limits_.max_arguments) {
    return Fail(is_trusted_ ? "Protocol error: invalid multibulk length"
                            : "Protocol error: unauthenticated multibulk length");
  }
  return Step::kDone;
}

RequestParser::Step RequestParser::ParseArgumentHead(std::string_view input) {
  if (input.size() == position_) {
    return Step::kNeedMore;
  }
  if (input[position_] != '$') {
    return Fail(fmt::format("Protocol error: expected '$', got '{}'", input[position_]));
  }
  const Step step = ParseNumber(input, "Protocol error: too big bulk count string",
                                "Protocol error: invalid bulk length", &argument_bytes_);
  if (step != Step::kDone) {
    return step;
  }
  if (argument_bytes_ < 0) {
    return Fail("Protocol error: invalid bulk length");
  }
  const auto size = static_cast<size_t>(argument_bytes_);
  if (size > limits_.max_argument_bytes) {
    return Fail(is_trusted_ ? "Protocol error: invalid bulk length"
                            : "Protocol error: unauthenticated bulk length");
  }
  if (position_ + size > limits_.max_request_bytes) {
    return Fail("Protocol error: too big request");
  }
  return Step::kDone;
}

RequestParser::Step RequestParser::ParseNumber(std::string_view input, std::string_view too_long,
                                               std::string_view wrong, int64_t* number) {
  const std::string_view rest = input.substr(position_);
  const size_t end = rest.substr(0, kMaxLineBytes + 1).find('\r');
  if (end == rest.npos) {
    return rest.size() > kMaxLineBytes ? Fail(std::string(too_long)) : Step::kNeedMore;
  }
  if (end + 1 == rest.size()) {
    return Step::kNeedMore;
  }
  if (rest[end + 1] != '\n' || !ToNumber(rest.substr(1, end - 1), number)) {
    return Fail(std::string(wrong));
  }
  position_ += end + 2;
  return Step::kDone;
}

RequestParser::Step RequestParser::Fail(std::string error) {
  error_ = std::move(error);
  return Step::kFailed;
}

size_t RequestParser::needed_bytes() const {
  return argument_bytes_ < 0 ? position_ + 1 : position_ + static_cast<size_t>(argument_bytes_) + 2;
}

void RequestParser::Reset() {
  error_.clear();
  position_ = 0;
  missing_arguments_ = 0;
  argument_bytes_ = -1;
  if (arguments_.capacity() > kMaxKeptArguments) {
    decltype(arguments_)().swap(arguments_);
  } else {
    arguments_.clear();
  }
}

}  // namespace tsdbd::resp
