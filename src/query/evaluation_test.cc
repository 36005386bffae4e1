// What queries give: one line a case, over the same few series.

#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "query/evaluation_testing.h"
#include "query/query_error.h"

namespace tsdbd::query {
namespace {

// ---- Aggregations

TEST_F(EvaluationTest, FoldsSeriesIntoGroups) {
  EXPECT_EQ(Range("sum(m)"), "{} 111 22 333");
  EXPECT_EQ(Range("sum by (zone) (m)"), "{zone=x} 11 22 33; {zone=y} 100 _ 300");
  EXPECT_EQ(Range("sum without (host) (m)"), "{zone=x} 11 22 33; {zone=y} 100 _ 300");
  EXPECT_EQ(At(0, "avg(m)"), "{} 37");
  EXPECT_EQ(At(0, "min(m)"), "{} 1");
  EXPECT_EQ(At(0, "max by (zone) (m)"), "{zone=x} 10; {zone=y} 100");
  EXPECT_EQ(Range("count(m)"), "{} 3 2 3");
  EXPECT_EQ(At(0, "group by (zone) (m)"), "{zone=x} 1; {zone=y} 1");
  EXPECT_EQ(At(60, "stddev(m)"), "{} 9");
  EXPECT_EQ(At(60, "stdvar(m)"), "{} 81");
  EXPECT_EQ(At(0, "sum by (nothing) (m)"), "{} 111");
  EXPECT_EQ(At(0, "sum by (__name__) (m)"), "m{} 111");
  EXPECT_EQ(At(0, "sum(nothing)"), "");
}

TEST_F(EvaluationTest, SumsWhatCancelsOut) {
  source_.Load(R"(
      big{i="1"} 0:1e100
      big{i="2"} 0:1
      big{i="3"} 0:-1e100)");
  EXPECT_EQ(At(0, "sum(big)"), "{} 1");
  EXPECT_EQ(At(0, "avg(big) * 3"), "{} 1");
}

TEST_F(EvaluationTest, AveragesWhatIsTooLargeToSum) {
  source_.Load(R"(
      huge{i="1"} 0:1.5e308
      huge{i="2"} 0:1.7e308
      wide{i="1"} 0:+Inf
      wide{i="2"} 0:1)");
  EXPECT_EQ(At(0, "round(avg(huge) / 1e308, 0.001)"), "{} 1.6");
  EXPECT_EQ(At(0, "avg(wide)"), "{} +Inf");
}

TEST_F(EvaluationTest, IgnoresNaNOnlyInMinAndMax) {
  source_.Load(R"(
      odd{i="1"} 0:NaN
      odd{i="2"} 0:1)");
  EXPECT_EQ(At(0, "min(odd)"), "{} 1");
  EXPECT_EQ(At(0, "max(odd)"), "{} 1");
  EXPECT_EQ(At(0, "sum(odd)"), "{} NaN");
  EXPECT_EQ(At(0, "max(odd{i=\"1\"})"), "{} NaN");
  EXPECT_EQ(At(0, "count(odd)"), "{} 2");
}

TEST_F(EvaluationTest, SelectsTheBestK) {
  EXPECT_EQ(At(0, "topk(2, m)"), "m{host=c,zone=y} 100; m{host=b,zone=x} 10");
  EXPECT_EQ(At(0, "bottomk(2, m)"), "m{host=a,zone=x} 1; m{host=b,zone=x} 10");
  EXPECT_EQ(At(0, "topk by (zone) (1, m)"), "m{host=b,zone=x} 10; m{host=c,zone=y} 100");
  EXPECT_EQ(Range("topk(1, m)"), "m{host=b,zone=x} _ 20 _; m{host=c,zone=y} 100 _ 300");
  EXPECT_EQ(At(0, "topk(0, m)"), "");
  EXPECT_EQ(At(0, "topk(9, m)"), "m{host=c,zone=y} 100; m{host=b,zone=x} 10; m{host=a,zone=x} 1");
  EXPECT_EQ(At(0, "topk(scalar(nothing), m)"), "Parameter value is NaN");
  EXPECT_EQ(At(0, "topk(1e30, m)"), "Scalar value 1e+30 overflows int64");
  EXPECT_EQ(At(0, "limitk(2, m)"), "m{host=a,zone=x} 1; m{host=b,zone=x} 10");
  EXPECT_EQ(At(0, "count(limit_ratio(0.4, m) or limit_ratio(-0.6, m))"), "{} 3");
}

TEST_F(EvaluationTest, DecidesBetweenEqualsByLabels) {
  source_.Load(R"(
      tie{i="3"} 0:1
      tie{i="1"} 0:1
      tie{i="2"} 0:1)");
  EXPECT_EQ(At(0, "topk(2, tie)"), "tie{i=1} 1; tie{i=2} 1");
}

TEST_F(EvaluationTest, FindsQuantilesAndCountsValues) {
  EXPECT_EQ(At(0, "quantile(0.5, m)"), "{} 10");
  EXPECT_EQ(At(0, "quantile(0.75, m)"), "{} 55");
  EXPECT_EQ(At(0, "quantile(-1, m)"), "{} -Inf");
  EXPECT_EQ(At(0, "quantile(2, m)"), "{} +Inf");
  EXPECT_EQ(At(0, "count_values(\"v\", n > bool 2)"), "{v=0} 1; {v=1} 1");
  EXPECT_EQ(At(0, "count_values by (host) (\"v\", n)"), "{host=a,v=2} 1; {host=b,v=4} 1");
  EXPECT_EQ(At(0, "count_values(\"\", n)"), "invalid label name \"\"");
}

// ---- Operators

TEST_F(EvaluationTest, ComputesWithScalars) {
  EXPECT_EQ(At(0, "1 + 2 * 3 ^ 2"), "19");
  EXPECT_EQ(At(0, "7 % 4 == bool 3"), "1");
  EXPECT_EQ(At(0, "m * 2"), "{host=a,zone=x} 2; {host=b,zone=x} 20; {host=c,zone=y} 200");
  EXPECT_EQ(At(0, "10 - n"), "{host=a} 8; {host=b} 6");
  EXPECT_EQ(At(0, "m > 5"), "m{host=b,zone=x} 10; m{host=c,zone=y} 100");
  EXPECT_EQ(At(0, "5 < m"), "m{host=b,zone=x} 10; m{host=c,zone=y} 100");
  EXPECT_EQ(At(0, "n >= bool 4"), "{host=a} 0; {host=b} 1");
}

TEST_F(EvaluationTest, MatchesOneToOne) {
  EXPECT_EQ(At(0, "n / n"), "{host=a} 1; {host=b} 1");
  EXPECT_EQ(At(0, "m * on (host) n"), "{host=a} 2; {host=b} 40");
  EXPECT_EQ(At(0, "m * ignoring (zone) n"), "{host=a} 2; {host=b} 40");
  EXPECT_EQ(At(0, "m > ignoring (zone) n"), "m{host=b} 10");
  EXPECT_EQ(At(0, "m > bool ignoring (zone) n"), "{host=a} 0; {host=b} 1");
  EXPECT_EQ(Range("m - on (host) n"), "{host=a} -1 0 1; {host=b} 6 16 26");
  EXPECT_EQ(At(0, "m + nothing"), "");
}

TEST_F(EvaluationTest, MatchesManyToOne) {
  source_.Load("owner{zone=\"x\",team=\"t\"} 0:1 60:1 120:1");
  EXPECT_EQ(At(0, "m * on (zone) group_left (team) owner"),
            "{host=a,team=t,zone=x} 1; {host=b,team=t,zone=x} 10");
  EXPECT_EQ(At(0, "owner * on (zone) group_right (team) m"),
            "{host=a,team=t,zone=x} 1; {host=b,team=t,zone=x} 10");
  EXPECT_EQ(At(0, "m * on (zone) owner"),
            "multiple matches for labels: many-to-one matching must be explicit "
            "(group_left/group_right)");
  EXPECT_EQ(At(0, "owner * on (zone) m"),
            "found duplicate series for the match group {zone=\"x\"} on the right hand-side of the "
            "operation: [{__name__=\"m\", host=\"a\", zone=\"x\"}, {__name__=\"m\", host=\"b\", "
            "zone=\"x\"}];many-to-many matching not allowed: matching labels must be unique on one "
            "side");
}

TEST_F(EvaluationTest, LetsSeriesOfOneSignatureTakeTurns) {
  source_.Load(R"(
      old{job="j",pod="1"} 0:1 60:stale
      old{job="j",pod="2"} 60:2 120:3)");
  EXPECT_EQ(Range("old * on (job) old"), "{job=j} 1 4 9");
  EXPECT_EQ(Range("old * on (job) group_left () old"), "{job=j,pod=1} 1 _ _; {job=j,pod=2} _ 4 9");
  EXPECT_EQ(Range("sum by (job) (old) or old"),
            "old{job=j,pod=1} 1 _ _; old{job=j,pod=2} _ 2 3; "
            "{job=j} 1 2 3");
}

TEST_F(EvaluationTest, FillsWhatIsMissing) {
  EXPECT_EQ(At(0, "m + on (host) fill_right (1000) n"), "{host=a} 3; {host=b} 14; {host=c} 1100");
  EXPECT_EQ(At(0, "n + on (host) fill_left (0) m"), "{host=a} 3; {host=b} 14; {host=c} 100");
  EXPECT_EQ(At(0, "n + on (host) fill (0) nothing"), "{host=a} 2; {host=b} 4");
}

TEST_F(EvaluationTest, CombinesSets) {
  EXPECT_EQ(At(0, "m and on (host) n"), "m{host=a,zone=x} 1; m{host=b,zone=x} 10");
  EXPECT_EQ(At(0, "m unless on (host) n"), "m{host=c,zone=y} 100");
  EXPECT_EQ(At(0, "n or on (host) m"), "m{host=c,zone=y} 100; n{host=a} 2; n{host=b} 4");
  EXPECT_EQ(Range("n or on (host) m"),
            "m{host=c,zone=y} 100 _ 300; n{host=a} 2 2 2; n{host=b} 4 4 4");
  EXPECT_EQ(Range("n unless on () m"), "");
}

// ---- Functions

TEST_F(EvaluationTest, ComputesRangeFunctions) {
  EXPECT_EQ(At(120, "increase(c_total[2m])"), "{host=a} 120");
  EXPECT_EQ(At(120, "rate(c_total[2m])"), "{host=a} 1");
  EXPECT_EQ(At(120, "sum_over_time(m{host=\"a\"}[2m])"), "{host=a,zone=x} 5");
  EXPECT_EQ(At(120, "last_over_time(m{host=\"a\"}[2m])"), "m{host=a,zone=x} 3");
  EXPECT_EQ(At(120, "quantile_over_time(0.5, m{host=\"a\"}[3m])"), "{host=a,zone=x} 2");
  EXPECT_EQ(At(180, "resets(c_total[5m])"), "{host=a} 1");
  EXPECT_EQ(Range("count_over_time(m{host=\"a\"}[90s])"), "{host=a,zone=x} 1 2 2");
  EXPECT_EQ(At(120, "rate(nothing[5m])"), "");
}

TEST_F(EvaluationTest, EvaluatesSubqueries) {
  EXPECT_EQ(At(120, "max_over_time(sum(m)[3m:1m])"), "{} 333");
  EXPECT_EQ(At(120, "sum(m)[3m:1m]"), "{} 111 22 333");
  EXPECT_EQ(At(119, "sum(m)[3m:1m]"), "{} 111 22");
  EXPECT_EQ(Range("max_over_time(m{host=\"a\"}[2m:1m])"), "{host=a,zone=x} 1 2 3");
  EXPECT_EQ(At(120, "count_over_time(m{host=\"a\"}[1m:1s])"), "{host=a,zone=x} 60");
  EXPECT_EQ(At(120, "sum_over_time(vector(1)[10m:])"), "{} 10") << "the default step";
  EXPECT_EQ(At(5, "sum_over_time(vector(1)[1s:10s])"), "") << "no step in the window";
  EXPECT_EQ(At(120, "avg_over_time(m{host=\"a\"}[1m:1m] offset 1m)"), "{host=a,zone=x} 2");
  EXPECT_EQ(At(1000, "last_over_time(m{host=\"a\"}[1m:1m] @ 60)"), "m{host=a,zone=x} 2");
}

TEST_F(EvaluationTest, MergesTheSamplesOfSeriesThatLoseTheirNames) {
  source_.Load(R"(
      before{job="j"} 0:1 30:stale
      after{job="j"} 60:2 120:3)");
  EXPECT_EQ(At(120, "(-{job=\"j\"})[3m:1m]"), "{job=j} -1 -2 -3");
  EXPECT_EQ(At(120, "(-{__name__=~\"after|m\",host!=\"b\",zone!=\"y\"} * 0 == 0)[1m:1m]"),
            "{host=a,zone=x} -0; {job=j} -0");
}

TEST_F(EvaluationTest, EvaluatesWhatAtPinsOnce) {
  EXPECT_EQ(Range("sum(m @ 120)"), "{} 333 333 333");
  EXPECT_EQ(Range("n - on () group_left () sum(m @ 0)"),
            "{host=a} -109 -109 -109; "
            "{host=b} -107 -107 -107");
  EXPECT_EQ(Range("timestamp(n{host=\"a\"} @ 60)"), "{host=a} 60 60 60");
  EXPECT_EQ(Range("time() + scalar(sum(m @ 0))"), "{} 111 171 231");
}

TEST_F(EvaluationTest, ConvertsBetweenScalarsAndVectors) {
  EXPECT_EQ(At(60, "time()"), "60");
  EXPECT_EQ(At(0, "scalar(n{host=\"a\"})"), "2");
  EXPECT_EQ(At(0, "scalar(n)"), "NaN");
  EXPECT_EQ(At(0, "vector(3)"), "{} 3");
  EXPECT_EQ(Range("vector(time())"), "{} 0 60 120");
  EXPECT_EQ(At(3600, "hour()"), "{} 1");
  EXPECT_EQ(At(0, "max_of(1, 2) + min_of(3, 4)"), "5");
  EXPECT_EQ(Range("n{host=\"a\"} * step() + range()"), "{host=a} 240 240 240");
}

TEST_F(EvaluationTest, KnowsWhatIsAbsent) {
  EXPECT_EQ(At(0, "absent(nothing{job=\"j\",x=~\"y\"})"), "{job=j} 1");
  EXPECT_EQ(At(0, "absent(n)"), "");
  EXPECT_EQ(At(0, "absent(sum(nothing{job=\"j\"}))"), "{} 1");
  EXPECT_EQ(Range("absent(m{host=\"c\"})"), "{host=c} _ 1 _");
  EXPECT_EQ(Range("absent_over_time(m{host=\"c\"}[1m])"), "{host=c} _ 1 _");
  EXPECT_EQ(At(0, "absent(nothing{job=\"a\",job=\"b\"})"), "{} 1");
}

TEST_F(EvaluationTest, ChangesLabels) {
  EXPECT_EQ(At(0, R"q(label_replace(n, "h", "<$1>", "host", "(.*)"))q"),
            "n{h=<a>,host=a} 2; n{h=<b>,host=b} 4");
  EXPECT_EQ(At(0, R"q(label_replace(n, "host", "${x}$$1$", "host", "(?P<x>a)"))q"),
            "n{host=a$1$} 2; n{host=b} 4");
  EXPECT_EQ(At(0, R"q(label_replace(n, "host", "", "host", "a"))q"), "n{} 2; n{host=b} 4");
  EXPECT_EQ(At(0, R"q(label_replace(n, "host", "z", "", ""))q"),
            "vector cannot contain metrics with the same labelset");
  EXPECT_EQ(At(0, R"q(label_join(m{zone="y"}, "j", "-", "host", "none", "zone"))q"),
            "m{host=c,j=c--y,zone=y} 100");
  EXPECT_EQ(At(0, R"q(label_replace(n, "x", "", "host", "("))q"),
            "invalid regular expression in label_replace(): (");
}

TEST_F(EvaluationTest, Sorts) {
  EXPECT_EQ(At(0, "sort_desc(n)"), "n{host=b} 4; n{host=a} 2");
  EXPECT_EQ(At(0, "sort(-n)"), "{host=b} -4; {host=a} -2");
  source_.Load(R"(
      disk{d="sd10"} 0:1
      disk{d="sd9"} 0:2)");
  EXPECT_EQ(At(0, "sort_by_label(disk, \"d\")"), "disk{d=sd9} 2; disk{d=sd10} 1");
  EXPECT_EQ(At(0, "sort_by_label_desc(disk, \"d\")"), "disk{d=sd10} 1; disk{d=sd9} 2");
}

TEST_F(EvaluationTest, FindsQuantilesOfHistograms) {
  EXPECT_EQ(At(0, "histogram_quantile(0.5, h_bucket)"), "{} 1.5");
  EXPECT_EQ(At(0, "histogram_quantile(0.99, h_bucket)"), "{} 2");
  EXPECT_EQ(At(0, "histogram_fraction(0, 1, h_bucket)"), "{} 0.25");
  EXPECT_EQ(At(0, "histogram_quantiles(h_bucket, \"q\", 0.5, 1)"), "{q=0.5} 1.5; {q=1.0} 2");
  EXPECT_EQ(At(0, "histogram_sum(h_bucket)"), "");
}

TEST_F(EvaluationTest, HasNoStartTimestamps) {
  EXPECT_EQ(At(0, "start_timestamp(m)"), "");
  EXPECT_EQ(Range("start_timestamp(m + 1)"), "");
}

// ---- Names

TEST_F(EvaluationTest, KeepsNamesUntilTheEnd) {
  EXPECT_EQ(At(120, "sum by (__name__) (rate(c_total[2m]))"), "{} 1");
  EXPECT_EQ(At(120, "label_replace(rate(c_total[2m]), \"was\", \"$1\", \"__name__\", \"(.*)\")"),
            "{host=a,was=c_total} 1");
  EXPECT_EQ(At(0, "abs({host=\"a\",__name__=~\"m|n\"}) > 1"), "{host=a} 2");
  EXPECT_EQ(At(0, "abs({host=\"a\",__name__=~\"n|c_total\"})"),
            "vector cannot contain metrics with the same labelset");
  EXPECT_EQ(At(0, "label_replace(-n, \"__name__\", \"minus\", \"\", \"\")"),
            "minus{host=a} -2; minus{host=b} -4");
}

// ---- Annotations and limits

TEST_F(EvaluationTest, AnnotatesWhatLooksWrong) {
  const auto notes = [&](std::string_view query) {
    const auto result = engine_.Instant(query, 120 * kNanosPerSecond, options_);
    std::string text;
    for (const auto* list : {&result->warnings, &result->infos}) {
      for (const std::string& note : *list) {
        text += (text.empty() ? "" : "; ") + note;
      }
    }
    return text;
  };
  EXPECT_EQ(notes("rate(m[5m])"),
            "PromQL info: metric might not be a counter, name does not end in "
            "_total/_sum/_count/_bucket: \"m\" (1:6)");
  EXPECT_EQ(notes("rate(c_total[5m])"), "");
  EXPECT_EQ(notes("quantile(1.5, m)"),
            "PromQL warning: quantile value should be between 0 and 1, got 1.5 (1:10)");
  EXPECT_EQ(notes("histogram_quantile(0.5, n)"),
            "PromQL warning: bucket label \"le\" is missing or has a malformed value of \"\" for "
            "metric name \"n\" (1:25)");
}

TEST_F(EvaluationTest, BoundsMemory) {
  options_.max_memory_bytes = 1000;
  EXPECT_TRUE(Range("m").find("the query needs more than") == std::string::npos);
  EXPECT_NE(At(0, "max_over_time(vector(1)[10m:1s])").find("the query needs more"),
            std::string::npos);
}

TEST_F(EvaluationTest, BoundsSubqueries) {
  for (const std::string_view query :
       {"count_over_time(vector(1)[100y:1ms])", "max_over_time(m[1y:1ms])",
        "max_over_time(max_over_time(m[290y:1s])[290y:1s])"}) {
    EXPECT_EQ(At(0, query),
              "query processing would load too many samples into memory in query execution");
  }
}

TEST_F(EvaluationTest, SharesWorkWithHelpers) {
  ThreadPool helpers({.name = "helpers", .thread_count = 3, .queue_capacity = 10});
  std::string text;
  for (int i = 0; i < 3000; ++i) {
    text += fmt::format("many{{i=\"{}\",g=\"{}\"}} 0:{}\n", i, i % 7, i);
  }
  source_.Load(text);
  const std::string alone = At(0, "sum by (g) (many)") + At(0, "topk(3, many)");
  options_.helpers = &helpers;
  EXPECT_EQ(At(0, "sum by (g) (many)") + At(0, "topk(3, many)"), alone);
}

TEST_F(EvaluationTest, ExplainsThePlan) {
  options_.explain = true;
  const auto result = engine_.Instant("sum(m) / 2", 0, options_);
  ASSERT_TRUE(result.ok() && result->explain.has_value());
  EXPECT_EQ(result->explain->name, "operator with scalar");
  EXPECT_EQ(result->explain->children[0].name, "aggregate");
  EXPECT_EQ(result->explain->children[0].children[0].detail, "m");
  EXPECT_EQ(result->explain->children[0].children[0].rows, 3);
}

}  // namespace
}  // namespace tsdbd::query
