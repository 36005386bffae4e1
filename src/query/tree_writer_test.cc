#include "query/tree_writer.h"

#include <string>

#include <gtest/gtest.h>

#include "query/parser.h"

namespace tsdbd::query {
namespace {

constexpr ParserOptions kEverything = {.experimental_functions = true,
                                       .duration_expressions = true,
                                       .extended_ranges = true,
                                       .fill_modifiers = true};

// The tree of `query` without its frame.
std::string Tree(std::string_view query) {
  const auto expr = ParseExpression(query, kEverything);
  if (!expr.ok()) {
    return std::string(Message(expr.status()));
  }
  std::string answer;
  EXPECT_TRUE(WriteTree(**expr, [&](std::string_view piece) {
    answer += piece;
    return true;
  }));
  constexpr std::string_view kFrame = R"({"status":"success","data":)";
  EXPECT_TRUE(answer.starts_with(kFrame)) << answer;
  return answer.substr(kFrame.size(), answer.size() - kFrame.size() - 1);
}

constexpr std::string_view kA =
    R"({"anchored":false,"matchers":[{"name":"__name__","type":"=","value":"a"}],"name":"a",)"
    R"("offset":0,"offsetExpr":null,"smoothed":false,"startOrEnd":null,"timestamp":null,)"
    R"("type":"vectorSelector"})";

TEST(TreeWriter, WritesLiterals) {
  EXPECT_EQ(Tree("1.5e3"), R"({"type":"numberLiteral","val":"1500"})");
  EXPECT_EQ(Tree("-a"), fmt::format(R"({{"expr":{},"op":"-","type":"unaryExpr"}})", kA));
  EXPECT_EQ(Tree("-Inf"), R"({"type":"numberLiteral","val":"-Inf"})");
  EXPECT_EQ(Tree("'a\"b'"), R"({"type":"stringLiteral","val":"a\"b"})");
  EXPECT_EQ(Tree("(1)"), R"({"expr":{"type":"numberLiteral","val":"1"},"type":"parenExpr"})");
}

TEST(TreeWriter, WritesSelectors) {
  EXPECT_EQ(Tree("a"), kA);
  EXPECT_EQ(Tree("a{b!~'c'} @ 1.5 offset -5m"),
            R"({"anchored":false,"matchers":[{"name":"b","type":"!~","value":"c"},)"
            R"({"name":"__name__","type":"=","value":"a"}],"name":"a","offset":-300000,)"
            R"("offsetExpr":null,"smoothed":false,"startOrEnd":null,"timestamp":1500,)"
            R"("type":"vectorSelector"})");
  EXPECT_EQ(
      Tree("{b='c'}[1m] @ start()"),
      R"({"anchored":false,"matchers":[{"name":"b","type":"=","value":"c"}],"name":"","offset":0,)"
      R"("offsetExpr":null,"range":60000,"rangeExpr":null,"smoothed":false,"startOrEnd":"start",)"
      R"("timestamp":null,"type":"matrixSelector"})");
  EXPECT_EQ(Tree("a[1h:5m] @ end() offset 1d"),
            fmt::format(R"({{"expr":{},"offset":86400000,"offsetExpr":null,"range":3600000,)"
                        R"("rangeExpr":null,"startOrEnd":"end","step":300000,"stepExpr":null,)"
                        R"("timestamp":null,"type":"subquery"}})",
                        kA));
}

TEST(TreeWriter, WritesDurationsThatAreComputed) {
  EXPECT_EQ(
      Tree("a[(5m)*step()]"),
      R"({"anchored":false,"matchers":[{"name":"__name__","type":"=","value":"a"}],"name":"a",)"
      R"("offset":0,"offsetExpr":null,"range":0,"rangeExpr":{"lhs":{"lhs":null,"op":"+","rhs":)"
      R"({"duration":true,"type":"numberLiteral","val":"300"},"type":"durationExpr",)"
      R"("wrapped":true},"op":"*","rhs":{"lhs":null,"op":"step","rhs":null,)"
      R"("type":"durationExpr","wrapped":false},"type":"durationExpr","wrapped":false},)"
      R"("smoothed":false,"startOrEnd":null,"timestamp":null,"type":"matrixSelector"})");
}

TEST(TreeWriter, WritesOperations) {
  EXPECT_EQ(Tree("1 >bool 2"),
            R"({"bool":true,"lhs":{"type":"numberLiteral","val":"1"},"matching":null,"op":">",)"
            R"("rhs":{"type":"numberLiteral","val":"2"},"type":"binaryExpr"})");
  EXPECT_EQ(Tree("a + on(x) group_left(y) fill_left(-1) a"),
            fmt::format(R"({{"bool":false,"lhs":{0},"matching":{{"card":"many-to-one",)"
                        R"("fillValues":{{"lhs":-1,"rhs":null}},"include":["y"],"labels":["x"],)"
                        R"("on":true}},"op":"+","rhs":{0},"type":"binaryExpr"}})",
                        kA));
  EXPECT_EQ(Tree("a or a"),
            fmt::format(R"({{"bool":false,"lhs":{0},"matching":{{"card":"many-to-many",)"
                        R"("fillValues":{{"lhs":null,"rhs":null}},"include":[],"labels":[],)"
                        R"("on":false}},"op":"or","rhs":{0},"type":"binaryExpr"}})",
                        kA));
}

TEST(TreeWriter, WritesAggregationsAndCalls) {
  EXPECT_EQ(Tree("sum without(x)(a)"),
            fmt::format(R"({{"expr":{},"grouping":["x"],"op":"sum","param":null,)"
                        R"("type":"aggregation","without":true}})",
                        kA));
  EXPECT_EQ(Tree("topk(3,a)"),
            fmt::format(R"({{"expr":{},"grouping":[],"op":"topk","param":)"
                        R"({{"type":"numberLiteral","val":"3"}},"type":"aggregation",)"
                        R"("without":false}})",
                        kA));
  EXPECT_EQ(Tree("round(a)"),
            fmt::format(R"({{"args":[{}],"func":{{"argTypes":["vector","scalar"],"name":"round",)"
                        R"("returnType":"vector","variadic":1}},"type":"call"}})",
                        kA));
  EXPECT_EQ(Tree("time()"),
            R"({"args":[],"func":{"argTypes":[],"name":"time","returnType":"scalar",)"
            R"("variadic":0},"type":"call"})");
}

TEST(TreeWriter, WritesNoNumberThatJsonDoesNotHave) {
  EXPECT_NE(Tree("a + fill(Inf) a").find(R"("lhs":"+Inf")"), std::string::npos);
}

TEST(TreeWriter, TakesTheDeepestTree) {
  std::string query = "1";
  for (int i = 0; i + 10 < kMaxTreeDepth; ++i) {
    query += "+1";
  }
  EXPECT_TRUE(Tree(query).starts_with(R"({"bool":false,)"));
}

}  // namespace
}  // namespace tsdbd::query
