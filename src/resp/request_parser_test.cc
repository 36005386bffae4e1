#include "resp/request_parser.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace tsdbd::resp {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using Commands = std::vector<std::vector<std::string>>;

void AppendTo(Commands* commands, const CommandBatch& batch) {
  for (size_t i = 0; i < batch.size(); ++i) {
    commands->emplace_back(batch[i].begin(), batch[i].end());
  }
}

// What comes of `input` in pieces of `piece_size`; the error is the last command.
Commands ParseInPieces(std::string_view input, size_t piece_size) {
  RequestParser parser;
  Commands commands;
  std::string pending;
  while (!input.empty() && !parser.has_failed()) {
    pending += input.substr(0, piece_size);
    input.remove_prefix(std::min(piece_size, input.size()));
    CommandBatch batch;
    // Moved, as a connection's buffer may be.
    pending = std::string(pending);
    const size_t taken = parser.Parse(pending, 1'000, &batch);
    AppendTo(&commands, batch);
    pending.erase(0, taken);
  }
  if (parser.has_failed()) {
    commands.push_back({parser.error()});
  }
  return commands;
}

Commands Parse(std::string_view input) {
  return ParseInPieces(input, input.size());
}

std::string ErrorOf(std::string_view input) {
  const Commands commands = Parse(input);
  return commands.empty() ? "" : commands.back()[0];
}

TEST(RequestParserTest, ArraysOfBulkStringsAreCommands) {
  EXPECT_THAT(Parse("*2\r\n$3\r\nGET\r\n$1\r\nk\r\n*1\r\n$4\r\nPING\r\n"),
              ElementsAre(ElementsAre("GET", "k"), ElementsAre("PING")));
}

TEST(RequestParserTest, ArgumentsMayHoldAnyBytesOrNone) {
  const std::string bytes("\r\n\0*1", 5);
  EXPECT_THAT(Parse("*2\r\n$5\r\n" + bytes + "\r\n$0\r\n\r\n"),
              ElementsAre(ElementsAre(bytes, "")));
}

TEST(RequestParserTest, EmptyArraysAndLinesAreNothing) {
  EXPECT_THAT(Parse("*0\r\n*-1\r\n\r\n\n  \r\nPING\r\n\r\n"), ElementsAre(ElementsAre("PING")));
}

TEST(RequestParserTest, LinesOfWordsAreCommands) {
  EXPECT_THAT(Parse("SET k v\r\n  GET \t k\n"),
              ElementsAre(ElementsAre("SET", "k", "v"), ElementsAre("GET", "k")));
  EXPECT_THAT(Parse(R"(ECHO "a b\x41\n\"\q" 'it\'s \n' "" x"y")"
                    "\n"),
              ElementsAre(ElementsAre("ECHO", "a bA\n\"q", "it's \\n", "", "xy")));
}

TEST(RequestParserTest, PiecesMakeNoDifference) {
  const std::string input =
      "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$10\r\n0123456789\r\nGET k\r\n*0\r\n*2\r\n$3\r\nGET\r\n$1\r\n"
      "k\r\n\r\n*1\r\n$4\r\nPING\r\n*x\r\n";
  const Commands whole = Parse(input);
  EXPECT_EQ(whole.size(), 5);
  for (size_t piece = 1; piece < input.size(); ++piece) {
    EXPECT_EQ(ParseInPieces(input, piece), whole) << piece;
  }
}

TEST(RequestParserTest, WhatIsNoCommandIsRefusedInRedisWords) {
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"*abc\r\n", "Protocol error: invalid multibulk length"},
      {"*\r\n", "Protocol error: invalid multibulk length"},
      {"*01\r\n", "Protocol error: invalid multibulk length"},
      {"*99999999999999999999\r\n", "Protocol error: invalid multibulk length"},
      {"*1048577\r\n", "Protocol error: invalid multibulk length"},
      {"*1\r\n:1\r\n", "Protocol error: expected '$', got ':'"},
      {"*1\r\n$-1\r\n", "Protocol error: invalid bulk length"},
      {"*1\r\n$x\r\n", "Protocol error: invalid bulk length"},
      {"*1\r\n$999999999999\r\n", "Protocol error: invalid bulk length"},
      {"*1\r\n$1\r\nabc", "Protocol error: expected a line end after a bulk string"},
      {"ECHO \"a\r\n", "Protocol error: unbalanced quotes in request"},
      {"ECHO \"a\"b\r\n", "Protocol error: unbalanced quotes in request"},
      {std::string(70'000, 'x'), "Protocol error: too big inline request"},
      {"*" + std::string(70'000, '1'), "Protocol error: too big mbulk count string"},
      {"*1\r\n$" + std::string(70'000, '1'), "Protocol error: too big bulk count string"}};
  for (const auto& [input, error] : cases) {
    EXPECT_EQ(ErrorOf(input), error) << input.substr(0, 80);
  }
}

TEST(RequestParserTest, WhatComesBeforeAnErrorIsExecuted) {
  EXPECT_THAT(Parse("PING\r\n*x\r\nPING\r\n"),
              ElementsAre(ElementsAre("PING"), ElementsAre(HasSubstr("invalid multibulk"))));
}

TEST(RequestParserTest, ClientsWithoutAPasswordMaySendLittle) {
  RequestParser parser;
  parser.set_limits(kUntrustedLimits, /*is_trusted=*/false);
  CommandBatch batch;
  parser.Parse("*11\r\n", 1, &batch);
  EXPECT_EQ(parser.error(), "Protocol error: unauthenticated multibulk length");
  parser.Reset();
  parser.Parse("*1\r\n$16385\r\n", 1, &batch);
  EXPECT_EQ(parser.error(), "Protocol error: unauthenticated bulk length");
}

TEST(RequestParserTest, ARequestIsBoundedAsAWhole) {
  RequestParser parser;
  parser.set_limits({.max_request_bytes = 100}, /*is_trusted=*/true);
  CommandBatch batch;
  const std::string input = "*3\r\n$60\r\n" + std::string(60, 'a') + "\r\n$60\r\n";
  parser.Parse(input, 1, &batch);
  EXPECT_EQ(parser.error(), "Protocol error: too big request");
}

TEST(RequestParserTest, NoMoreCommandsAreTakenThanAskedFor) {
  RequestParser parser;
  CommandBatch batch;
  const std::string_view input = "PING\r\nPING\r\nPING\r\n";
  EXPECT_EQ(parser.Parse(input, 2, &batch), 12);
  EXPECT_EQ(batch.size(), 2);
  EXPECT_EQ(batch.input_bytes(1), 6);
  EXPECT_EQ(batch.input_bytes(2), 12);
}

TEST(RequestParserTest, AfterALargeCommandItHoldsLittle) {
  RequestParser parser;
  CommandBatch batch;
  constexpr int kCount = 100'000;
  std::string input = fmt::format("*{}\r\n", kCount);
  for (int i = 0; i < kCount; ++i) {
    input += "$1\r\na\r\n";
  }
  EXPECT_EQ(parser.Parse(std::string_view(input).substr(0, input.size() - 1), 1, &batch), 0);
  EXPECT_GT(parser.memory_bytes(), size_t{kCount});
  EXPECT_EQ(parser.Parse(input, 1, &batch), input.size());
  EXPECT_EQ(batch[0].size(), size_t{kCount});
  EXPECT_LE(parser.memory_bytes(), 2'048);
}

TEST(RequestParserTest, ItSaysHowMuchItNeeds) {
  RequestParser parser;
  CommandBatch batch;
  const std::string_view input = "*2\r\n$3\r\nGET\r\n$1000\r\nabc";
  EXPECT_EQ(parser.Parse(input, 1, &batch), 0);
  EXPECT_EQ(parser.needed_bytes(), input.size() - 3 + 1'000 + 2);
}

}  // namespace
}  // namespace tsdbd::resp
