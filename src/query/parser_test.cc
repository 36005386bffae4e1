#include "query/parser.h"

#include <span>
#include <string>

#include <gtest/gtest.h>

#include "query/printer.h"

namespace tsdbd::query {
namespace {

constexpr ParserOptions kEverything = {.experimental_functions = true,
                                       .duration_expressions = true,
                                       .extended_ranges = true,
                                       .fill_modifiers = true};

// How operators group: (+ a (* b c)). Everything else as it is printed.
std::string TreeOf(const Expr& expr) {
  switch (expr.kind) {
    case ExprKind::kParen:
      return fmt::format("[{}]", TreeOf(*As<ParenExpr>(expr).expr));
    case ExprKind::kUnary: {
      const auto& unary = As<UnaryExpr>(expr);
      return fmt::format("({} {})", unary.negative ? '-' : '+', TreeOf(*unary.expr));
    }
    case ExprKind::kBinary: {
      const auto& binary = As<BinaryExpr>(expr);
      return fmt::format("({} {} {})", BinaryOpName(binary.op), TreeOf(*binary.left),
                         TreeOf(*binary.right));
    }
    case ExprKind::kAggregate: {
      const auto& aggregate = As<AggregateExpr>(expr);
      const std::string parameter =
          aggregate.parameter == nullptr ? "" : TreeOf(*aggregate.parameter) + " ";
      return fmt::format("({} {}{})", AggregateOpName(aggregate.op), parameter,
                         TreeOf(*aggregate.expr));
    }
    case ExprKind::kCall: {
      std::string text(As<CallExpr>(expr).function->name);
      for (const ExprPtr& argument : As<CallExpr>(expr).arguments) {
        text += ' ' + TreeOf(*argument);
      }
      return '(' + text + ')';
    }
    default:
      return Print(expr);
  }
}

std::string ParseToTree(std::string_view query) {
  const auto expr = ParseExpression(query, kEverything);
  return expr.ok() ? TreeOf(**expr) : std::string(Message(expr.status()));
}

std::string ErrorOf(std::string_view query, const ParserOptions& options = kEverything) {
  const auto expr = ParseExpression(query, options);
  if (expr.ok()) {
    return "parsed as " + Print(**expr);
  }
  EXPECT_EQ(expr.status().code(), StatusCode::kInvalidArgument);
  return std::string(Message(expr.status()));
}

struct Case {
  std::string_view query;
  std::string_view expected;
};

void CheckTrees(std::span<const Case> cases) {
  for (const Case& c : cases) {
    EXPECT_EQ(ParseToTree(c.query), c.expected) << c.query;
  }
}

// The expected messages leave out ": parse error".
void CheckErrors(std::span<const Case> cases) {
  for (const Case& c : cases) {
    std::string message = ErrorOf(c.query);
    const size_t frame = message.find(": parse error");
    ASSERT_NE(frame, message.npos) << c.query << " -> " << message;
    message.erase(frame, std::string_view(": parse error").size());
    EXPECT_EQ(message, c.expected) << c.query;
  }
}

// ---- Trees

TEST(Parser, ReadsLiterals) {
  const Case cases[] = {
      {"1", "1"},
      {"0x1F", "31"},
      {"017", "15"},
      {"1_000", "1000"},
      {".5", "0.5"},
      {"1e-3", "0.001"},
      {"Inf", "+Inf"},
      {"-inf", "-Inf"},
      {"NaN", "NaN"},
      {"+1", "1"},
      {"-1", "-1"},
      {"- - 1", "1"},
      {"5m", "5m"},
      {"-1h30m", "-1h30m"},
      {"\"a\\nb\"", "\"a\\nb\""},
      {"'a\"b'", "\"a\\\"b\""},
      {"`a\\b`", "\"a\\\\b\""},
  };
  CheckTrees(cases);
}

TEST(Parser, GroupsOperatorsByPrecedence) {
  const Case cases[] = {
      {"a + b * c", "(+ a (* b c))"},
      {"a * b + c", "(+ (* a b) c)"},
      {"a - b - c", "(- (- a b) c)"},
      {"a / b * c % d atan2 e", "(atan2 (% (* (/ a b) c) d) e)"},
      {"a ^ b ^ c", "(^ a (^ b c))"},
      {"a * b ^ c", "(* a (^ b c))"},
      {"-a ^ b", "(- (^ a b))"},
      {"-a * b", "(* (- a) b)"},
      {"a ^ -b * c", "(* (^ a (- b)) c)"},
      {"-1 ^ 2", "(- (^ 1 2))"},
      {"a + -1", "(+ a -1)"},
      {"- - a", "(- (- a))"},
      {"+a", "(+ a)"},
      {"a == b + c", "(== a (+ b c))"},
      {"a < b > c", "(> (< a b) c)"},
      {"a and b or c", "(or (and a b) c)"},
      {"a or b and c", "(or a (and b c))"},
      {"a and b unless c", "(unless (and a b) c)"},
      {"a == b and c != d", "(and (== a b) (!= c d))"},
      {"(a + b) * c", "(* [(+ a b)] c)"},
      {"((a))", "[[a]]"},
      {"a </ 2 >/ 3", "(>/ (</ a 2) 3)"},
      {"A AND B", "(and A B)"},
  };
  CheckTrees(cases);
}

TEST(Parser, BindsModifiersToTheSelectorBeforeThem) {
  const Case cases[] = {
      {"a + b[5m:]", "binary"},
      {"-a offset 5m", "(- a offset 5m)"},
      {"a + b offset 5m", "(+ a b offset 5m)"},
      {"a ^ b @ 5", "(^ a b @ 5.000)"},
      {"a offset 5m + 3", "(+ a offset 5m 3)"},
      {"a offset -5m ^ 2", "(^ a offset -5m 2)"},
  };
  CheckTrees(std::span(cases).subspan(1));
  EXPECT_EQ(
      ErrorOf(cases[0].query),
      "1:5: parse error: binary expression must contain only scalar and instant vector types");
}

TEST(Parser, ReadsSelectors) {
  const Case cases[] = {
      {"foo", "foo"},
      {"foo{}", "foo"},
      {"foo:bar", "foo:bar"},
      {"foo{a=\"b\"}", "foo{a=\"b\"}"},
      {"foo{a='b',c!=\"d\",e=~`f.*`,g!~\"h\",}", "foo{a=\"b\",c!=\"d\",e=~\"f.*\",g!~\"h\"}"},
      {"{a=\"b\"}", "{a=\"b\"}"},
      {"{__name__=\"foo\"}", "{__name__=\"foo\"}"},
      {"{__name__=~\".+\"}", "{__name__=~\".+\"}"},
      {"{\"foo\"}", "{__name__=\"foo\"}"},
      {"{\"foo.bar\", \"http.code\"=\"200\"}", "{\"http.code\"=\"200\",__name__=\"foo.bar\"}"},
      {"{'é'=\"ü\"}", "{\"é\"=\"ü\"}"},
      {"foo{sum=\"a\",by=\"b\",inf=\"c\"}", "foo{by=\"b\",inf=\"c\",sum=\"a\"}"},
      {"foo{a!=\"\"} # comment", "foo{a!=\"\"}"},
  };
  CheckTrees(cases);
}

TEST(Parser, TakesKeywordsAsMetricNames) {
  for (const std::string_view name :
       {"sum",    "avg",    "topk",     "count_values", "by",    "without",  "and",    "or",
        "unless", "offset", "start",    "end",          "step",  "range",    "min_of", "max_of",
        "fill",   "limitk", "anchored", "smoothed",     "group", "fill_left"}) {
    EXPECT_EQ(ParseToTree(name), name);
    EXPECT_EQ(ParseToTree(fmt::format("{}{{a=\"b\"}}[5m]", name)),
              fmt::format("{}{{a=\"b\"}}[5m]", name));
  }
  EXPECT_EQ(ParseToTree("and and and"), "(and and and)");
  EXPECT_EQ(ParseToTree("fill + fill"), "(+ fill fill)");
}

TEST(Parser, ReadsRangesOffsetsAndAt) {
  const Case cases[] = {
      {"foo[5m]", "foo[5m]"},
      {"foo[ 300 ]", "foo[5m]"},
      {"foo[0.5]", "foo[500ms]"},
      {"foo[5m] offset 1h", "foo[5m] offset 1h"},
      {"foo offset 60", "foo offset 1m"},
      {"foo offset -5m", "foo offset -5m"},
      {"foo offset +5m", "foo offset 5m"},
      {"foo offset 0s", "foo"},
      {"foo @ 1609746000", "foo @ 1609746000.000"},
      {"foo @ -1.5", "foo @ -1.500"},
      {"foo @ 1h", "foo @ 3600.000"},
      {"foo @ start()", "foo @ start()"},
      {"foo @ end() offset 5m", "foo @ end() offset 5m"},
      {"foo offset 5m @ end()", "foo @ end() offset 5m"},
      {"foo[5m] @ 10 offset 1m", "foo[5m] @ 10.000 offset 1m"},
      {"foo[1h:5m]", "foo[1h:5m]"},
      {"foo[1h:]", "foo[1h:]"},
      {"foo[1h:5m] @ 7 offset -1m", "foo[1h:5m] @ 7.000 offset -1m"},
      {"rate(foo[5m])[1h:5m] offset 1d", "rate(foo[5m])[1h:5m] offset 1d"},
      {"(a + b)[1h:]", "(a + b)[1h:]"},
      {"foo anchored", "foo anchored"},
      {"foo[5m] smoothed @ 3", "foo[5m] smoothed @ 3.000"},
  };
  CheckTrees(cases);
}

TEST(Parser, ReadsDurationExpressions) {
  const Case cases[] = {
      {"foo[5m*2]", "foo[5m * 2]"},
      {"foo[1h - 5m * 2 ^ 3]", "foo[1h - 5m * 2 ^ 3]"},
      {"foo[(1h - 5m) * 2]", "foo[(1h - 5m) * 2]"},
      {"foo[(5m)]", "foo[(5m)]"},
      {"foo[step()]", "foo[step()]"},
      {"foo[5m+step():range()/2]", "foo[5m + step():range() / 2]"},
      {"foo[max_of(5m, min_of(step(), 1h))]", "foo[max_of(5m, min_of(step(), 1h))]"},
      {"foo offset -step()", "foo offset -step()"},
      {"foo offset (5m + 1m)", "foo offset (5m + 1m)"},
      {"foo offset -(5m)", "foo offset -(5m)"},
      {"foo offset step() + 3", "(+ foo offset step() 3)"},
      {"foo offset -(5m) + 3", "(+ foo offset -(5m) 3)"},
      {"foo offset (5m) + 3m", "foo offset ((5m) + 3m)"},
      {"foo offset +(5m) + 3m", "(+ foo offset (5m) 3m)"},
  };
  CheckTrees(cases);
}

TEST(Parser, ReadsAggregations) {
  const Case cases[] = {
      {"sum(foo)", "(sum foo)"},
      {"SUM by (a, b) (foo)", "(sum foo)"},
      {"sum(foo) without (a)", "(sum foo)"},
      {"topk(5, foo + bar)", "(topk 5 (+ foo bar))"},
      {"count_values(\"v\", foo)", "(count_values \"v\" foo)"},
      {"sum(sum(foo) by (a))", "(sum (sum foo))"},
      {"limitk(2, foo)", "(limitk 2 foo)"},
  };
  CheckTrees(cases);
}

std::string Printed(std::string_view query) {
  const auto expr = ParseExpression(query, kEverything);
  return expr.ok() ? Print(**expr) : std::string(Message(expr.status()));
}

TEST(Parser, ReadsGroupings) {
  EXPECT_EQ(Printed("sum by () (foo)"), "sum(foo)");
  EXPECT_EQ(Printed("sum without() (foo)"), "sum without () (foo)");
  EXPECT_EQ(Printed("sum(foo) by (a,b,)"), "sum by (a, b) (foo)");
  EXPECT_EQ(Printed("sum by (sum, and, on, offset, a:b) (foo)"),
            "sum by (sum, and, on, offset, \"a:b\") (foo)");
  EXPECT_EQ(Printed("sum by (\"http.code\", 'job') (foo)"), "sum by (\"http.code\", job) (foo)");
  EXPECT_EQ(Printed("sum by (\"without\", 'inf') (foo)"), "sum by (\"without\", \"inf\") (foo)");
}

TEST(Parser, ReadsVectorMatching) {
  const Case cases[] = {
      {"a + on(x) b", "a + on (x) b"},
      {"a + on() b", "a + on () b"},
      {"a + ignoring(x) b", "a + ignoring (x) b"},
      {"a + ignoring() b", "a + b"},
      {"a * on(x, y) group_left(z) b", "a * on (x, y) group_left (z) b"},
      {"a * ignoring(x) group_right b", "a * ignoring (x) group_right () b"},
      {"a * on(x) group_left (b)", "1:25: parse error: unexpected end of input"},
      {"a > bool b", "a > bool b"},
      {"a > bool on(x) group_left b", "a > bool on (x) group_left () b"},
      {"a and on(x) b", "a and on (x) b"},
      {"a + fill(0) b", "a + fill (0) b"},
      {"a + fill_right(-1) fill_left(2m) b", "a + fill_left (120) fill_right (-1) b"},
      {"1 + on() 2", "1 + 2"},
  };
  for (const Case& c : cases) {
    EXPECT_EQ(Printed(c.query), c.expected) << c.query;
  }
}

TEST(Parser, KnowsCardinalities) {
  const auto cardinality = [](std::string_view query) {
    const auto expr = ParseExpression(query);
    return As<BinaryExpr>(**expr).matching->cardinality;
  };
  EXPECT_EQ(cardinality("a + b"), MatchCardinality::kOneToOne);
  EXPECT_EQ(cardinality("a + on(x) group_left b"), MatchCardinality::kManyToOne);
  EXPECT_EQ(cardinality("a + on(x) group_right b"), MatchCardinality::kOneToMany);
  EXPECT_EQ(cardinality("a and b"), MatchCardinality::kManyToMany);
  EXPECT_FALSE(As<BinaryExpr>(**ParseExpression("a + 1")).matching.has_value());
}

TEST(Parser, ReadsCalls) {
  const Case cases[] = {
      {"time()", "(time)"},
      {"rate(foo[5m])", "(rate foo[5m])"},
      {"clamp(foo, 1, 2)", "(clamp foo 1 2)"},
      {"round(foo)", "(round foo)"},
      {"round(foo, 5)", "(round foo 5)"},
      {"hour()", "(hour)"},
      {"label_join(foo, \"a\", \"b\", \"c\", \"d\", \"e\")",
       "(label_join foo \"a\" \"b\" \"c\" \"d\" \"e\")"},
      {"label_join(foo, \"a\", \"b\")", "(label_join foo \"a\" \"b\")"},
      {"info(foo, {a=\"\"})", "(info foo {a=\"\"})"},
      {"start() + end()", "(+ (start) (end))"},
      {"absent(sum(foo))", "(absent (sum foo))"},
  };
  CheckTrees(cases);
}

TEST(Parser, GivesTypes) {
  EXPECT_EQ((*ParseExpression("1 + 2"))->type, ValueType::kScalar);
  EXPECT_EQ((*ParseExpression("1 + foo"))->type, ValueType::kVector);
  EXPECT_EQ((*ParseExpression("-(1)"))->type, ValueType::kScalar);
  EXPECT_EQ((*ParseExpression("scalar(foo)"))->type, ValueType::kScalar);
  EXPECT_EQ((*ParseExpression("foo[5m]"))->type, ValueType::kMatrix);
  EXPECT_EQ((*ParseExpression("foo[5m:1m]"))->type, ValueType::kMatrix);
  EXPECT_EQ((*ParseExpression("(\"a\")"))->type, ValueType::kString);
}

TEST(Parser, GivesPlaces) {
  const auto expr = ParseExpression("  a + rate(b[5m] offset 1h) ");
  ASSERT_TRUE(expr.ok());
  const auto& sum = As<BinaryExpr>(**expr);
  EXPECT_EQ(sum.span.start, 2u);
  EXPECT_EQ(sum.span.end, 27u);
  EXPECT_EQ(sum.op_span.start, 4u);
  const auto& range = *As<CallExpr>(*sum.right).arguments[0];
  EXPECT_EQ(range.span.start, 11u);
  EXPECT_EQ(range.span.end, 26u);
}

// ---- Errors

TEST(ParserErrors, OfWholeQueries) {
  const Case cases[] = {
      {"", "unknown position: no expression found in input"},
      {"  ", "1:1: no expression found in input"},
      {"# only a comment", "1:1: no expression found in input"},
      {"1+", "1:3: unexpected end of input"},
      {"*1", "1:1: unexpected <op:*>"},
      {"(1", "1:3: unclosed left parenthesis"},
      {"1)", "1:3: unexpected right parenthesis ')'"},
      {"foo bar", "1:5: unexpected identifier \"bar\""},
      {"foo\n  + \n  on", "3:5: unexpected end of input in grouping opts, expected \"(\""},
      {"1 2", "1:3: unexpected number \"2\""},
      {"foo \"a long string\"", "1:5: unexpected string \"\\\"a long st\"..."},
      {"@ 1", "1:1: unexpected <op:@>"},
      {"foo; bar", "1:4: unexpected character: ';'"},
      {"bool", "1:1: unexpected <bool>"},
      {"foo ignoring", "1:5: unexpected <ignoring>"},
      {"1 = 1", "1:3: unexpected \"=\""},
      {"999e999",
       "1:1: error parsing number: strconv.ParseFloat: parsing \"999e999\": value out of "
       "range"},
      {"5y1hs", "1:1: unknown unit \"hs\" in duration \"5y1hs\""},
  };
  CheckErrors(cases);
}

TEST(ParserErrors, OfSelectors) {
  const Case cases[] = {
      {"{", "1:2: unexpected end of input inside braces"},
      {"{}", "1:1: vector selector must contain at least one non-empty matcher"},
      {"{a=\"\"}", "1:1: vector selector must contain at least one non-empty matcher"},
      {"{a=~\".*\"}", "1:1: vector selector must contain at least one non-empty matcher"},
      {"{a!=\"b\"}", "1:1: vector selector must contain at least one non-empty matcher"},
      {"foo{a}", "1:6: unexpected \"}\" in label matching, expected label matching operator"},
      {"foo{a=}", "1:7: unexpected \"}\" in label matching, expected string"},
      {"foo{a=b}", "1:7: unexpected identifier \"b\" in label matching, expected string"},
      {"foo{a==\"b\"}", "1:7: unexpected \"=\" in label matching, expected string"},
      {"foo{,}", "1:5: unexpected \",\" in label matching, expected identifier or \"}\""},
      {"foo{a=\"b\" c=\"d\"}",
       "1:11: unexpected identifier \"c\" in label matching, expected \",\" or \"}\""},
      {"foo{\"a\" \"b\"}",
       "1:9: unexpected string \"\\\"b\\\"\" in label matching, expected \",\" or \"}\""},
      {"foo{\"a\"=}", "1:9: unexpected \"}\" in label matching, expected string"},
      {"foo{__name__=\"bar\"}", "1:1: metric name must not be set twice: \"foo\" or \"bar\""},
      {"foo{\"bar\"}", "1:1: metric name must not be set twice: \"foo\" or \"bar\""},
  };
  CheckErrors(cases);
  EXPECT_TRUE(ErrorOf("foo{a=\"b\", c=~\"(\"}").starts_with("1:12: parse error: error parsing"));
}

TEST(ParserErrors, OfRangesAndOffsets) {
  const Case cases[] = {
      {"foo[5m", "1:7: unclosed left bracket"},
      {"foo[]",
       "1:5: unexpected \"]\" in subquery or range selector, expected number, duration, "
       "step(), or range()"},
      {"foo[5m 5m]",
       "1:8: unexpected duration \"5m\" in subquery or range, expected \":\" or \"]\""},
      {"foo[5m+]",
       "1:8: unexpected \"]\" in subquery or range selector, expected number, "
       "duration, step(), or range()"},
      {"foo[5m:+]",
       "1:9: unexpected \"]\" in subquery selector, expected number, duration, "
       "step(), range(), or \"]\""},
      {"foo[5m:1m 1]", "1:11: unexpected number \"1\" in subquery selector, expected \"]\""},
      {"foo[0]", "1:5: duration must be greater than 0"},
      {"foo[-5m]", "1:5: duration must be greater than 0"},
      {"foo[5m:0]", "1:8: duration must be greater than 0"},
      {"foo[1e10]", "1:5: duration out of range"},
      {"foo[5m/0]", "1:7: division by zero"},
      {"foo[5m%0]", "1:7: modulo by zero"},
      {"foo[9999999999y]", "1:5: duration out of range"},
      {"foo offset",
       "1:11: unexpected end of input in offset, expected number, duration, step(), "
       "or range()"},
      {"foo offset bar",
       "1:12: unexpected identifier \"bar\" in offset, expected number, "
       "duration, step(), or range()"},
      {"foo offset nan", "1:12: duration out of range"},
      {"foo offset 9999999999y", "1:12: duration out of range"},
      {"foo offset 1m offset 2m", "1:1: offset may not be set multiple times"},
      {"1 offset 1m",
       "1:1: offset modifier must be preceded by an instant vector selector or "
       "range vector selector or a subquery"},
      {"(foo) offset 1m",
       "1:1: offset modifier must be preceded by an instant vector selector or "
       "range vector selector or a subquery"},
      {"foo offset 1m[5m]", "1:14: no offset modifiers allowed before range"},
      {"foo @ 1[5m]", "1:8: no @ modifiers allowed before range"},
      {"rate(foo[5m])[5m]", "1:14: ranges only allowed for vector selectors"},
      {"foo @", "1:6: unexpected end of input in @, expected timestamp"},
      {"foo @ bar", "1:7: unexpected identifier \"bar\" in @, expected timestamp"},
      {"foo @ start", "1:12: unexpected end of input in @, expected timestamp"},
      {"foo @ 1 @ 2", "1:1: @ <timestamp> may not be set multiple times"},
      {"1 @ 1",
       "1:1: @ modifier must be preceded by an instant vector selector or range vector "
       "selector or a subquery"},
      {"foo @ Inf", "1:1: timestamp out of bounds for @ modifier: +Inf"},
      {"foo @ -nan", "1:1: timestamp out of bounds for @ modifier: NaN"},
      {"foo @ 1e19", "1:1: timestamp out of bounds for @ modifier: 10000000000000000000.000000"},
      {"foo anchored smoothed", "1:1: anchored and smoothed modifiers cannot be used together"},
      {"foo[5m:] anchored", "1:1: anchored modifier is not supported for subqueries"},
      {"1 smoothed", "1:1: smoothed modifier not implemented"},
  };
  CheckErrors(cases);
}

TEST(ParserErrors, OfAggregations) {
  const Case cases[] = {
      {"sum()", "1:1: no arguments for aggregate expression provided"},
      {"sum(foo, bar)",
       "1:1: wrong number of arguments for aggregate expression provided, expected 1, got 2"},
      {"topk(foo)",
       "1:1: wrong number of arguments for aggregate expression provided, expected 2, got 1"},
      {"topk(foo, bar)", "1:6: expected type scalar in aggregation parameter, got instant vector"},
      {"count_values(1, foo)", "1:14: expected type string in aggregation parameter, got scalar"},
      {"sum(1)", "1:5: expected type instant vector in aggregation expression, got scalar"},
      {"sum(foo[5m])",
       "1:5: expected type instant vector in aggregation expression, got range vector"},
      {"sum foo", "1:5: unexpected identifier \"foo\""},
      {"sum(foo bar)", "1:9: unexpected identifier \"bar\" in aggregation"},
      {"sum(1 + )", "1:9: unexpected \")\" in aggregation"},
      {"sum by (a) foo", "1:12: unexpected identifier \"foo\" in aggregation"},
      {"sum by a (foo)", "1:8: unexpected identifier \"a\" in grouping opts, expected \"(\""},
      {"sum by (==) (foo)", "1:9: unexpected <op:==> in grouping opts, expected label"},
      {"sum by (a b) (foo)",
       "1:11: unexpected identifier \"b\" in grouping opts, expected \",\" or \")\""},
      {"sum by (a,,b) (foo)", "1:11: unexpected \",\" in grouping opts, expected label"},
      {"sum by (without) (foo)", "1:9: unexpected <without> in grouping opts, expected label"},
      {"sum by (\"\") (foo)", "1:9: invalid label name for grouping: \"\""},
      {"sum by (\"\\xff\") (foo)", "1:9: invalid label name for grouping: \"\\xff\""},
      {"sum(foo) by (a) by (b)", "1:17: unexpected <by>"},
      {"sum by (a) (foo) by (b)", "1:18: unexpected <by>"},
      {"sum(foo,)", "1:8: trailing commas not allowed in function call args"},
  };
  CheckErrors(cases);
}

TEST(ParserErrors, OfCalls) {
  const Case cases[] = {
      {"nope(foo)", "1:1: unknown function with name \"nope\""},
      {"Rate(foo[5m])", "1:1: unknown function with name \"Rate\""},
      {"floor()", "1:1: expected 1 argument(s) in call to \"floor\", got 0"},
      {"floor(a, b)", "1:1: expected 1 argument(s) in call to \"floor\", got 2"},
      {"hour(a, b)", "1:1: expected at most 1 argument(s) in call to \"hour\", got 2"},
      {"label_join(a, \"b\")",
       "1:1: expected at least 3 argument(s) in call to \"label_join\", got 2"},
      {"floor(1)", "1:7: expected type instant vector in call to function \"floor\", got scalar"},
      {"rate(foo)",
       "1:6: expected type range vector in call to function \"rate\", got instant vector"},
      {"label_join(a, \"b\", \"c\", \"d\", 5)",
       "1:30: expected type string in call to function \"label_join\", got scalar"},
      {"floor(foo,)", "1:10: trailing commas not allowed in function call args"},
      {"floor(foo, *)", "1:10: trailing commas not allowed in function call args"},
      {"floor(foo bar)", "1:11: unexpected identifier \"bar\""},
      {"info(a, b)", "1:9: expected label selectors only, got vector selector instead"},
      {"info(a, 1 + {b=\"c\"})", "1:9: expected label selectors only"},
      {"info(a, 1)", "1:9: expected type instant vector in call to function \"info\", got scalar"},
      {"rate(nope(foo))", "1:6: unknown function with name \"nope\""},
  };
  CheckErrors(cases);
}

TEST(ParserErrors, OfOperators) {
  const Case cases[] = {
      {"1 and 2", "1:1: set operator \"and\" not allowed in binary scalar expression"},
      {"foo or 1", "1:1: set operator \"or\" not allowed in binary scalar expression"},
      {"1 == 1", "1:3: comparisons between scalars must use BOOL modifier"},
      {"a + bool b", "1:3: bool modifier can only be used on comparison operators"},
      {"1 + on(a) 2", "1:1: vector matching only allowed between instant vectors"},
      {"1 + fill(0) a", "1:1: filling in missing series only allowed between instant vectors"},
      {"a or fill(0) b", "1:1: filling in missing series not allowed for set operators"},
      {"a and on(x) group_left b", "1:1: no grouping allowed for \"and\" operation"},
      {"a + group_left b", "1:5: unexpected <group_left>"},
      {"a + on(x) group_left(x) b",
       "1:3: label \"x\" must not occur in ON and GROUP clause at once"},
      {"a + \"b\"", "1:5: binary expression must contain only scalar and instant vector types"},
      {"a[5m] + b", "1:1: binary expression must contain only scalar and instant vector types"},
      {"-\"a\"",
       "1:1: unary expression only allowed on expressions of type scalar or instant "
       "vector, got \"string\""},
      {"-a[5m]",
       "1:1: unary expression only allowed on expressions of type scalar or instant "
       "vector, got \"range vector\""},
      {"a[5m][5m:]", "1:1: subquery is only allowed on instant vector, got matrix instead"},
      {"a =~ b", "1:3: unexpected character after '=': '~'"},
      {"a + fill(b) c", "1:10: unexpected identifier \"b\""},
  };
  CheckErrors(cases);
}

TEST(ParserErrors, NameWhatIsNotEnabled) {
  const Case cases[] = {
      {"limitk(2, foo)",
       "1:1: parse error: limitk() is experimental and must be enabled with "
       "--enable-feature=promql-experimental-functions"},
      {"mad_over_time(foo[5m])", "1:1: parse error: function \"mad_over_time\" is not enabled"},
      {"foo[5m*2]", "1:5: parse error: experimental duration expression is not enabled"},
      {"foo[step()]", "1:5: parse error: experimental duration expression is not enabled"},
      {"foo anchored", "1:1: parse error: anchored modifier is experimental and not enabled"},
      {"a + fill(0) b", "1:1: parse error: binop fill modifiers are experimental and not enabled"},
  };
  for (const Case& c : cases) {
    EXPECT_EQ(ErrorOf(c.query, ParserOptions()), c.expected) << c.query;
  }
}

// ---- Limits

std::string Repeat(std::string_view text, size_t times) {
  std::string repeated;
  for (size_t i = 0; i < times; ++i) {
    repeated += text;
  }
  return repeated;
}

TEST(ParserLimits, BoundNesting) {
  EXPECT_TRUE(ParseExpression(Repeat("(", 250) + "1" + Repeat(")", 250)).ok());
  EXPECT_EQ(ErrorOf(Repeat("(", 251) + "1" + Repeat(")", 251)),
            "1:251: parse error: expression is nested more than 250 levels deep");
  EXPECT_EQ(ErrorOf("(((1)))", {.max_nesting = 2}),
            "1:3: parse error: expression is nested more than 2 levels deep");
  EXPECT_TRUE(ParseExpression(Repeat("abs(", 250) + "a" + Repeat(")", 250)).ok());
  for (const std::string& deep :
       {Repeat("(", 100'000), Repeat("-", 100'000) + "a", Repeat("a^", 100'000) + "a",
        Repeat("abs(", 60'000), Repeat("sum(", 60'000), "a[" + Repeat("(", 100'000),
        "a[" + Repeat("-", 100'000) + "1]", "a offset " + Repeat("-", 100'000) + "1",
        "a[" + Repeat("max_of(", 30'000)}) {
    EXPECT_TRUE(ErrorOf(deep).ends_with("is nested more than 250 levels deep"))
        << deep.substr(0, 10) << ErrorOf(deep);
  }
}

TEST(ParserLimits, BoundTheDepthOfTheTree) {
  EXPECT_TRUE(ParseExpression(Repeat("a + ", 1'999) + "a").ok());
  EXPECT_EQ(ErrorOf(Repeat("a + ", 2'000) + "a"),
            "1:1: parse error: expression is more than 2000 levels deep");
  EXPECT_EQ(ErrorOf("a" + Repeat("[1m:]", 2'000)),
            "1:1: parse error: expression is more than 2000 levels deep");
  EXPECT_EQ(ErrorOf("a[" + Repeat("1m+", 2'000) + "1m]"),
            "1:3: parse error: duration expression is more than 2000 levels deep");
}

TEST(ParserLimits, BoundTheText) {
  const std::string longest = "a" + std::string(kMaxQueryBytes - 1, ' ');
  EXPECT_TRUE(ParseExpression(longest).ok());
  EXPECT_EQ(ErrorOf(longest + " "),
            "1:1: parse error: query of 262145 bytes is longer than the limit of 262144 bytes");
  EXPECT_FALSE(ParseSeriesSelector(longest + " ").ok());
}

TEST(ParserLimits, BoundRegexes) {
  const std::string message = "the regular expressions of the query are too large together";
  EXPECT_TRUE(ParseExpression("a{" + Repeat("b=~\"c+\",", 1'500) + "}").ok());
  EXPECT_TRUE(ErrorOf("a{" + Repeat("b=~\"c+\",", 2'000) + "}").ends_with(message));
  EXPECT_TRUE(ErrorOf("a{" + Repeat("b=~\"\\\\pL{300}\",", 1'000) + "}").ends_with(message));
}

// ---- match[]

TEST(SeriesSelector, ReadsOneSelector) {
  const auto matchers = ParseSeriesSelector("foo{a=~\"b.*\"}");
  ASSERT_TRUE(matchers.ok());
  ASSERT_EQ(matchers->size(), 2u);
  EXPECT_EQ(PrintMatcher((*matchers)[0]), "a=~\"b.*\"");
  EXPECT_EQ(PrintMatcher((*matchers)[1]), "__name__=\"foo\"");
  EXPECT_EQ(ParseSeriesSelector("{\"foo.bar\"}")->size(), 1u);
  EXPECT_EQ(ParseSeriesSelector("sum")->size(), 1u);
}

TEST(SeriesSelector, RefusesEverythingElse) {
  const auto message = [](std::string_view text) {
    return std::string(Message(ParseSeriesSelector(text).status()));
  };
  EXPECT_EQ(message("{}"), "match[] must contain at least one non-empty matcher");
  EXPECT_EQ(message("{a=\"\"}"), "match[] must contain at least one non-empty matcher");
  EXPECT_EQ(message(""), "unknown position: parse error: unexpected end of input");
  EXPECT_EQ(message("1"), "1:1: parse error: unexpected number \"1\"");
  EXPECT_EQ(message("rate(foo[5m])"), "1:5: parse error: unexpected \"(\"");
  EXPECT_EQ(message("foo[5m]"), "1:4: parse error: unexpected \"[\"");
  EXPECT_EQ(message("foo + bar"), "1:5: parse error: unexpected <op:+>");
}

}  // namespace
}  // namespace tsdbd::query
