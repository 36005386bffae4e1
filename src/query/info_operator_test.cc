#include "query/info_operator.h"

#include <string>

#include <gtest/gtest.h>

#include "query/evaluation_testing.h"

namespace tsdbd::query {
namespace {

class InfoTest : public EvaluationTest {
 protected:
  InfoTest() {
    source_.Load(R"(
        req{instance="a",job="j",region="own"} 0:1 60:2 120:3
        req{instance="b",job="j"} 0:10 60:20 120:30
        req{instance="c",job="k"} 0:100 60:200 120:300
        other 0:1 60:1 120:1
        target_info{instance="a",job="j",region="eu",version="1"} 0:1 60:1 120:1
        target_info{instance="b",job="j",version="1"} 0:1 60:stale
        target_info{instance="b",job="j",version="2"} 60:1 120:1
        build_info{instance="a",job="j",commit="x"} 0:1 60:1 120:1)");
  }
};

TEST_F(InfoTest, AddsTheLabelsOfTheSameTarget) {
  EXPECT_EQ(At(0, "info(req)"),
            "req{instance=a,job=j,region=own,version=1} 1; req{instance=b,job=j,version=1} 10; "
            "req{instance=c,job=k} 100");
  EXPECT_EQ(At(0, "info(other)"), "other{} 1");
  EXPECT_EQ(At(0, "info(nothing)"), "");
  EXPECT_EQ(At(120, "info(rate(req{instance=\"a\"}[1m]) * 60)"), "");
  EXPECT_EQ(At(120, "info(delta(req{instance=\"b\"}[2m]))"), "{instance=b,job=j,version=2} 20");
  EXPECT_EQ(At(120, "sum by (version) (info(req))"), "{} 300; {version=1} 3; {version=2} 30");
}

TEST_F(InfoTest, LetsLabelsChangeFromStepToStep) {
  EXPECT_EQ(Range("info(req{instance=\"b\"})"),
            "req{instance=b,job=j,version=1} 10 _ _; req{instance=b,job=j,version=2} _ 20 30");
  EXPECT_EQ(Range("info(req{instance=\"b\"}, {version=\"1\"})"),
            "req{instance=b,job=j,version=1} 10 _ _");
  EXPECT_EQ(Range("info(req{instance=\"b\"}, {version=~\"|1\"})"),
            "req{instance=b,job=j} _ 20 30; req{instance=b,job=j,version=1} 10 _ _");
  EXPECT_EQ(Range("info(req{instance=\"b\"}, {region=~\".*\"})"), "req{instance=b,job=j} 10 20 30")
      << "info series that add the same are one";
}

TEST_F(InfoTest, AddsOnlyWhatIsAskedFor) {
  EXPECT_EQ(At(0, "info(req, {commit=~\".+\", __name__=\"build_info\"})"),
            "req{commit=x,instance=a,job=j,region=own} 1");
  EXPECT_EQ(At(0, "info(req, {__name__=\"build_info\"})"),
            "req{commit=x,instance=a,job=j,region=own} 1; req{instance=b,job=j} 10; "
            "req{instance=c,job=k} 100");
  EXPECT_EQ(At(0, "info(req{instance=\"a\"}, {__name__=~\".*_info\"})"),
            "req{commit=x,instance=a,job=j,region=own,version=1} 1");
  EXPECT_EQ(At(0, "info(req{instance=\"a\"}, {__name__!=\"target_info\"})"),
            "req{commit=x,instance=a,job=j,region=own} 1");
  EXPECT_EQ(At(0, "info(req, {none=\"x\"})"), "");
  EXPECT_EQ(At(0, "info(req{instance=\"a\"}, {})"), "req{instance=a,job=j,region=own,version=1} 1");
}

TEST_F(InfoTest, LeavesInfoSeriesAsTheyAre) {
  EXPECT_EQ(At(0, "info(target_info{instance=\"a\"})"),
            "target_info{instance=a,job=j,region=eu,version=1} 1");
  EXPECT_EQ(At(0, "info({instance=\"a\",__name__=~\"req|target_info\"}, {version=~\".+\"})"),
            "req{instance=a,job=j,region=own,version=1} 1; "
            "target_info{instance=a,job=j,region=eu,version=1} 1");
  EXPECT_EQ(At(0, "info(build_info, {none=\"x\"})"), "");
  EXPECT_EQ(At(0, "info(build_info, {__name__=\"build_info\", none=\"x\"})"),
            "build_info{commit=x,instance=a,job=j} 1");
}

TEST_F(InfoTest, LooksAtInfoSeriesWhenTheArgumentIsSelected) {
  const std::string first = "req{instance=b,job=j,version=1} ";
  const std::string second = "req{instance=b,job=j,version=2} ";
  EXPECT_EQ(Range("info(req{instance=\"b\"} @ 0)"), first + "10 10 10");
  EXPECT_EQ(Range("info(req{instance=\"b\"} @ 0, {version=~\".+\"})"), first + "10 10 10");
  EXPECT_EQ(Range("info(req{instance=\"b\"} @ end())"), second + "30 30 30");
  EXPECT_EQ(At(60, "info(req{instance=\"b\"} offset 1m)"), first + "10");
  EXPECT_EQ(At(120, "info(last_over_time(req{instance=\"b\"}[1m:1m] offset 2m))"), first + "10");
  EXPECT_EQ(At(120, "info(last_over_time(req{instance=\"b\"}[2m:1m] @ 60 offset 1m))"),
            first + "10");
  EXPECT_EQ(At(120, "info(last_over_time((req{instance=\"b\"} offset 1m)[1m:1m] @ 60))"),
            first + "10");
  EXPECT_EQ(At(0, "info(0 * req{instance=\"b\"} @ 120 + req{instance=\"b\"})"),
            "{instance=b,job=j,version=2} 10");
}

TEST_F(InfoTest, TakesTheNewestSample) {
  source_.Load(R"(
      target_info{instance="c",job="k",v="old"} 0:1 50:1
      target_info{instance="c",job="k",v="new"} 60:1)");
  EXPECT_EQ(Range("info(req{instance=\"c\"})"),
            "req{instance=c,job=k,v=new} _ 200 300; req{instance=c,job=k,v=old} 100 _ _");
}

TEST_F(InfoTest, RefusesWhatContradictsItself) {
  source_.Load(R"(
      target_info{instance="c",job="k",v="1"} 60:1
      target_info{instance="c",job="k",v="2"} 60:1
      build_info{instance="b",job="j",version="3"} 0:1)");
  EXPECT_EQ(At(0, "count(info(req))"), "{} 3");
  EXPECT_EQ(At(60, "info(req)"),
            "found duplicate series for info metric: existing {__name__=\"target_info\", "
            "instance=\"c\", job=\"k\", v=\"1\"} @ 60000, new {__name__=\"target_info\", "
            "instance=\"c\", job=\"k\", v=\"2\"} @ 60000");
  EXPECT_EQ(At(0, "info(req, {__name__=~\"build_info|target_info\"})"),
            "conflicting label: version");
  EXPECT_EQ(
      At(0, "info(req{instance=\"b\"}, {__name__=~\"build_info|target_info\", commit=~\".*\"})"),
      "req{instance=b,job=j} 10");
  EXPECT_EQ(At(0,
               "info(label_replace(req{instance=\"b\"}, \"version\", \"0\", \"\", \"\"), "
               "{__name__=~\"build_info|target_info\"})"),
            "req{instance=b,job=j,version=0} 10");
}

TEST_F(InfoTest, MergesSeriesThatBecomeEqual) {
  source_.Load(R"(
      req{instance="c",job="k",v="1"} 0:7
      target_info{instance="c",job="k",v="1"} 0:1)");
  EXPECT_EQ(At(0, "info(req{instance=\"c\"})"),
            "vector cannot contain metrics with the same labelset");
}

// Above and below the number of targets that the index is asked for one by one.
TEST_F(InfoTest, FindsManyTargets) {
  for (const int targets : {3, 60, 300}) {
    std::string text;
    for (int i = 0; i < targets; ++i) {
      text += fmt::format("many{{instance=\"{}.{}\",job=\"j\"}} 0:{}\n", targets, i, i);
      text +=
          fmt::format("target_info{{instance=\"{}.{}\",job=\"j\",n=\"{}\"}} 0:1\n", targets, i, i);
    }
    source_.Load(text);
    EXPECT_EQ(
        At(0, fmt::format("count(info(many{{instance=~\"{}[.].*\"}}, {{n=~\".+\"}}))", targets)),
        fmt::format("{{}} {}", targets));
  }
}

}  // namespace
}  // namespace tsdbd::query
