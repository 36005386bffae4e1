#include "query/printer.h"

#include <random>
#include <string>

#include <gtest/gtest.h>

#include "query/parser.h"

namespace tsdbd::query {
namespace {

constexpr ParserOptions kEverything = {.experimental_functions = true,
                                       .duration_expressions = true,
                                       .extended_ranges = true,
                                       .fill_modifiers = true};

std::string Reprint(std::string_view query) {
  const auto expr = ParseExpression(query, kEverything);
  return expr.ok() ? Print(**expr) : std::string(Message(expr.status()));
}

TEST(Printer, WritesTheFormOfPrometheus) {
  const struct {
    std::string_view query;
    std::string_view printed;
  } cases[] = {
      {"sum(rate(http_requests_total{code=~'5..',job=\"a\"}[5m]))by(job)/2",
       "sum by (job) (rate(http_requests_total{code=~\"5..\",job=\"a\"}[5m])) / 2"},
      {"topk (5,a)", "topk(5, a)"},
      {"a{z='1',b='2'}", "a{b=\"2\",z=\"1\"}"},
      {"a  and   on ( b , c )  d", "a and on (b, c) d"},
      {"1>bool 2", "1 > bool 2"},
      {"a offset 60s", "a offset 1m"},
      {"a[90d]", "a[90d]"},
      {"a[1h:1m]@1.5 offset-5m", "a[1h:1m] @ 1.500 offset -5m"},
      {"label_replace(a,'b','$1','c','(.*)')", "label_replace(a, \"b\", \"$1\", \"c\", \"(.*)\")"},
      {"{'a.b'='\\n'}", "{\"a.b\"=\"\\n\"}"},
      {"1e3", "1000"},
      {"-(-1)", "-(-1)"},
  };
  for (const auto& c : cases) {
    EXPECT_EQ(Reprint(c.query), c.printed) << c.query;
  }
}

TEST(Printer, KeepsWhatWouldReadBackDifferently) {
  // Infinity prints with a sign, which would bind weaker than the power.
  EXPECT_EQ(Reprint("Inf ^ 2"), "Inf ^ 2");
  EXPECT_EQ(Reprint("2 ^ Inf"), "2 ^ +Inf");
  // An offset that would go on behind its last operand.
  EXPECT_EQ(Reprint("a offset --step() + 1m"), "a offset (--step() + 1m)");
  EXPECT_EQ(Reprint("a offset -+2 ^ 2"), "a offset (-2 ^ 2)");
  EXPECT_EQ(Reprint("a offset +(5m) + b"), "a offset +(5m) + b");
  EXPECT_EQ(Reprint("a offset (5m) @ end() * b"), "a @ end() offset +(5m) * b");
  EXPECT_EQ(Reprint("a offset +(5m) == b"), "a offset (5m) == b");
  // Finer than a millisecond.
  EXPECT_EQ(Reprint("a[0.0005]"), "a[0.0005]");
}

// Random expressions from a small grammar, in any state of nonsense: what parses prints to
// something that parses and prints the same.
class RandomQuery {
 public:
  explicit RandomQuery(uint64_t seed) : random_(seed) {}

  std::string Next() {
    std::string query;
    for (size_t i = 0, count = 1 + random_() % 9; i < count; ++i) {
      query += Piece();
      query += random_() % 4 == 0 ? "" : " ";
    }
    return query;
  }

 private:
  std::string_view Piece() {
    static constexpr std::string_view kPieces[] = {"foo",
                                                   "bar",
                                                   "{a=\"b\"}",
                                                   "(",
                                                   ")",
                                                   "(foo)",
                                                   "1",
                                                   "-",
                                                   "+",
                                                   "*",
                                                   "^",
                                                   "5m",
                                                   "Inf",
                                                   "[5m]",
                                                   "[5m:]",
                                                   "[(5m)*2]",
                                                   "[1h:step()]",
                                                   "offset",
                                                   "step()",
                                                   "offset 5m",
                                                   "offset -(5m)",
                                                   "offset (5m)",
                                                   "offset --1",
                                                   "@ 1",
                                                   "sum",
                                                   "sum(foo)",
                                                   "by (a)",
                                                   "topk(1,foo)",
                                                   "==",
                                                   "bool",
                                                   "and",
                                                   "on(a)",
                                                   "group_left",
                                                   "fill(1)",
                                                   "0.0005",
                                                   "max_of(1,2)",
                                                   "range()",
                                                   "rate(foo[5m])",
                                                   "anchored",
                                                   "@ end()",
                                                   "\"s\"",
                                                   "unless"};
    return kPieces[random_() % std::size(kPieces)];
  }

  std::mt19937_64 random_;
};

TEST(Printer, WritesWhatReadsBackTheSame) {
  constexpr uint64_t kSeed = 20240602;
  RandomQuery queries(kSeed);
  int parsed = 0;
  for (int round = 0; round < 100'000; ++round) {
    const std::string query = queries.Next();
    const auto expr = ParseExpression(query, kEverything);
    if (expr.ok()) {
      ++parsed;
      const std::string printed = Print(**expr);
      EXPECT_EQ(Reprint(printed), printed) << query << ", seed " << kSeed;
    }
  }
  EXPECT_GT(parsed, 3'000);
}

}  // namespace
}  // namespace tsdbd::query
