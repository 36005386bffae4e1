#pragma once
// RequestParser: the bytes of a connection to commands. A command is an array of bulk strings
// ("*2\r\n$3\r\nGET\r\n$1\r\nk\r\n") or, for people with a terminal, a line of words ("GET k\r\n").
//
// Input may come in any pieces. What has been understood of an unfinished command is kept, so that
// a long one is not looked at from its start with every piece.
//
// Threads: one at a time.

#include <cstddef>
#include <cstdint>
#include <deque>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace tsdbd::resp {

// A command's name and arguments: never empty.
using Command = std::span<const std::string_view>;

// Commands that came together, in order. Their arguments are views into the parser's input, except
// for those of lines, which the batch keeps.
class CommandBatch {
 public:
  size_t size() const { return ends_.size(); }
  bool empty() const { return ends_.empty(); }
  Command operator[](size_t index) const {
    const size_t begin = index == 0 ? 0 : ends_[index - 1].argument;
    return std::span(arguments_).subspan(begin, ends_[index].argument - begin);
  }
  // How much of the input the first `count` commands are.
  size_t input_bytes(size_t count) const { return count == 0 ? 0 : ends_[count - 1].input; }

  void Clear() {
    arguments_.clear();
    ends_.clear();
    words_.clear();
  }

 private:
  friend class RequestParser;
  struct End {
    size_t argument;
    size_t input;
  };

  std::vector<std::string_view> arguments_;
  std::vector<End> ends_;
  std::deque<std::string> words_;
};

struct RequestLimits {
  size_t max_arguments = size_t{1} << 20;
  size_t max_argument_bytes = size_t{64} << 20;
  // One command with all of its arguments.
  size_t max_request_bytes = size_t{128} << 20;
};
// What a client may send before it has given the password, as in Redis: enough for that.
inline constexpr RequestLimits kUntrustedLimits = {.max_arguments = 10,
                                                   .max_argument_bytes = size_t{16} << 10};

class RequestParser {
 public:
  // Adds complete commands from `input` to `batch`, which is empty, until there are `max_commands`
  // or no more. Returns how many bytes it has taken; the next call must begin with the byte after
  // those. Bytes of an unfinished command are not taken.
  size_t Parse(std::string_view input, size_t max_commands, CommandBatch* batch);

  // What comes after the commands is not a command: the connection is of no use any more.
  bool has_failed() const { return !error_.empty(); }
  // In Redis' words, without "-ERR ".
  const std::string& error() const { return error_; }

  // How long the input must be for the unfinished command to get on, as far as that is known.
  size_t needed_bytes() const;

  // What it holds itself.
  size_t memory_bytes() const { return arguments_.capacity() * sizeof(arguments_[0]); }

  // Forgets what it understood of an unfinished command, and a failure: the next call begins with
  // a command.
  void Reset();

  void set_limits(const RequestLimits& limits, bool is_trusted) {
    limits_ = limits;
    is_trusted_ = is_trusted;
  }

 private:
  enum class Step : uint8_t { kDone, kNeedMore, kFailed };

  Step ParseOne(std::string_view input, CommandBatch* batch);
  Step ParseLine(std::string_view input, CommandBatch* batch);
  Step ParseArrayHead(std::string_view input);
  Step ParseArgumentHead(std::string_view input);
  // The number on the line at position_ + 1, and position_ behind that line.
  Step ParseNumber(std::string_view input, std::string_view too_long, std::string_view wrong,
                   int64_t* number);
  Step Fail(std::string error);

  RequestLimits limits_;
  bool is_trusted_ = true;
  std::string error_;

  // Of the unfinished command; offsets count from its first byte.
  size_t position_ = 0;           // understood so far; 0: nothing
  size_t missing_arguments_ = 0;  // of an array
  int64_t argument_bytes_ = -1;   // of the argument at position_; -1: its length comes first
  std::vector<std::pair<size_t, size_t>> arguments_;  // offset and length
};

}  // namespace tsdbd::resp
