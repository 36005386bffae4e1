#include "query/pretty_printer.h"

#include <random>
#include <string>

#include <gtest/gtest.h>

#include "query/parser.h"
#include "query/printer.h"

namespace tsdbd::query {
namespace {

constexpr ParserOptions kEverything = {.experimental_functions = true,
                                       .duration_expressions = true,
                                       .extended_ranges = true,
                                       .fill_modifiers = true};

std::string Pretty(std::string_view query) {
  const auto expr = ParseExpression(query, kEverything);
  if (!expr.ok()) {
    return std::string(Message(expr.status()));
  }
  const auto pretty = PrettyPrint(**expr);
  return pretty.ok() ? *pretty : std::string(Message(pretty.status()));
}

// A metric name of `size` characters.
std::string Name(char c, size_t size) {
  return std::string(size, c);
}

TEST(PrettyPrinter, LeavesOnOneLineWhatFitsIt) {
  EXPECT_EQ(Pretty("sum(rate(a[5m]))by(job)/2"), "sum by (job) (rate(a[5m])) / 2");
  EXPECT_EQ(Pretty(Name('a', 45) + "+" + Name('b', 52)), Name('a', 45) + " + " + Name('b', 52));
}

TEST(PrettyPrinter, PutsAnOperatorBetweenItsSides) {
  EXPECT_EQ(Pretty(Name('a', 45) + ">bool on(x) group_left(y)" + Name('b', 53)),
            "  " + Name('a', 45) + "\n> bool on (x) group_left (y)\n  " + Name('b', 53));
}

TEST(PrettyPrinter, IndentsByTheLevelOfTheTree) {
  const std::string a = Name('a', 60);
  const std::string b = Name('b', 60);
  EXPECT_EQ(Pretty("sum by(x)(rate(" + a + "[5m])/" + b + ")*100"),
            "  sum by (x) (\n      rate(" + a + "[5m])\n    /\n      " + b + "\n  )\n*\n  100");
  EXPECT_EQ(Pretty("topk(5,(" + a + "+" + b + "))"),
            "topk(\n  5,\n  (\n      " + a + "\n    +\n      " + b + "\n  )\n)");
}

TEST(PrettyPrinter, GivesEveryArgumentItsLine) {
  const std::string a = Name('a', 100);
  EXPECT_EQ(Pretty("label_replace(" + a + ",'b','$1','c','(.*)')"),
            "label_replace(\n  " + a + ",\n  \"b\",\n  \"$1\",\n  \"c\",\n  \"(.*)\"\n)");
}

TEST(PrettyPrinter, WritesASignBeforeItsOperand) {
  const std::string a = Name('a', 101);
  EXPECT_EQ(Pretty("-(" + a + ")"), "-(\n  " + a + "\n)");
  EXPECT_EQ(Pretty("(-" + a + ")"), "(\n  -" + a + "\n)");
  EXPECT_EQ(Pretty("-(-" + a + " + 1)"), "-(\n    -" + a + "\n  +\n    1\n)");
  EXPECT_EQ(Pretty("-max_over_time(a[1h:])"), "-max_over_time(a[1h:])");
  EXPECT_EQ(Pretty("abs(-sum(" + a + "))"), "abs(\n  -sum(\n    " + a + "\n  )\n)");
}

TEST(PrettyPrinter, WritesTheWindowOfASubqueryBehindIt) {
  const std::string a = Name('a', 80);
  EXPECT_EQ(Pretty("max_over_time(rate(" + a + "[5m])[1h:1m] offset 1d)"),
            "max_over_time(\n  rate(" + a + "[5m])[1h:1m] offset 1d\n)");
  // As Prometheus does, without indentation where it fits the line.
  EXPECT_EQ(Pretty("max_over_time(" + a + "[1h:1m] offset 1d)"),
            "max_over_time(\n" + a + "[1h:1m] offset 1d\n)");
}

TEST(PrettyPrinter, KeepsWhatWouldReadBackDifferently) {
  const std::string a = Name('a', 101);
  EXPECT_EQ(Pretty("Inf ^ " + a), "  Inf\n^\n  " + a);
  EXPECT_EQ(Pretty("a offset +(5m) * " + a), "  a offset +(5m)\n*\n  " + a);
  EXPECT_EQ(Pretty("a offset +(5m) == " + a), "  a offset (5m)\n==\n  " + a);
}

// Random valid expressions with long names.
class RandomExpression {
 public:
  explicit RandomExpression(uint64_t seed) : random_(seed) {}

  std::string Next(int depth) {
    const size_t kind = depth == 0 ? random_() % 2 : random_() % 10;
    switch (kind) {
      case 0:
        return Name(static_cast<char>('a' + random_() % 26), 1 + random_() % 60);
      case 1:
        return random_() % 2 == 0 ? "m offset +(5m)" : "m{x='offset ('} @ end()";
      case 2:
        return fmt::format("({})", Next(depth - 1));
      case 3:
        return fmt::format("-{}", Next(depth - 1));
      case 4:
        return fmt::format("sum by (a, b) ({})", Next(depth - 1));
      case 5:
        return fmt::format("topk(2 * Inf, {})", Next(depth - 1));
      case 6:
        return fmt::format("max_over_time(abs({})[1h:] offset (step()))", Next(depth - 1));
      case 7:
        return fmt::format("Inf ^ {}", Next(depth - 1));
      default:
        return fmt::format("{} {} {}", Next(depth - 1), Operator(), Next(depth - 1));
    }
  }

 private:
  std::string_view Operator() {
    static constexpr std::string_view kOperators[] = {"+",   "*", "^", " > bool ", " and on (x) ",
                                                      " or "};
    return kOperators[random_() % std::size(kOperators)];
  }

  std::mt19937_64 random_;
};

TEST(PrettyPrinter, WritesWhatReadsBackTheSame) {
  constexpr uint64_t kSeed = 20261121;
  RandomExpression expressions(kSeed);
  int parsed = 0;
  for (int round = 0; round < 5'000; ++round) {
    const std::string query = expressions.Next(5);
    const auto expr = ParseExpression(query, kEverything);
    if (!expr.ok()) {
      continue;
    }
    ++parsed;
    const std::string pretty = PrettyPrint(**expr).value();
    const auto again = ParseExpression(pretty, kEverything);
    ASSERT_TRUE(again.ok()) << pretty << "\nfrom " << query << ", seed " << kSeed;
    ASSERT_EQ(Print(**again), Print(**expr)) << pretty << "\nfrom " << query << ", seed " << kSeed;
  }
  EXPECT_GT(parsed, 2'000);
}

TEST(PrettyPrinter, TakesTheDeepestTreeInTimeThatGrowsWithItsSize) {
  std::string query = "a";
  for (int i = 0; i + 10 < kMaxTreeDepth; ++i) {
    query += "+" + Name('b', 100);
  }
  const std::string pretty = Pretty(query);
  EXPECT_GT(pretty.size(), query.size());
  EXPECT_EQ(pretty.find("parse error"), std::string::npos);
}

TEST(PrettyPrinter, RefusesWhatIndentationMakesTooLong) {
  std::string query = "label_join(a,'b','c'";
  for (int i = 0; i < 20'000; ++i) {
    query += ",''";
  }
  query += ")";
  for (int i = 0; i + 10 < kMaxTreeDepth; ++i) {
    query += "+a";
  }
  EXPECT_EQ(Pretty(query), "the formatted query has more than 33554432 bytes");
}

}  // namespace
}  // namespace tsdbd::query
