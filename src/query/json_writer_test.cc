#include "query/json_writer.h"

#include <bit>
#include <cmath>
#include <limits>
#include <random>

#include <gtest/gtest.h>

#include "common/clock.h"
#include "query/text.h"

namespace tsdbd::query {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
constexpr model::Timestamp kTime = 1435781451781 * kNanosPerMilli;

// What `write` sends to its sink.
template <typename Write>
std::string Collect(Write write) {
  std::string text;
  EXPECT_TRUE(write([&](std::string_view piece) {
    text += piece;
    return true;
  }));
  return text;
}

std::string Json(const QueryResult& result) {
  return Collect([&](const JsonSink& sink) { return WriteQueryResult(result, sink); });
}

template <typename Method, typename... Arguments>
std::string Stream(Method method, Arguments... arguments) {
  return Collect([&](const JsonSink& sink) {
    JsonStream stream(sink);
    (stream.*method)(arguments...);
    return stream.Flush();
  });
}

std::string Value(double value) {
  return Stream(&JsonStream::SampleValue, value);
}
std::string Seconds(model::Timestamp time) {
  return Stream(&JsonStream::Seconds, time);
}
std::string Text(std::string_view text) {
  return Stream(&JsonStream::String, text);
}

// ---- Pieces

TEST(JsonStream, WritesValuesAsPrometheusDoes) {
  const struct {
    double value;
    std::string_view text;
  } cases[] = {
      {0, "\"0\""},
      {-0.0, "\"-0\""},
      {1, "\"1\""},
      {-1.5, "\"-1.5\""},
      {0.1, "\"0.1\""},
      {1e6, "\"1000000\""},
      {1e20, "\"100000000000000000000\""},
      {1e21, "\"1e+21\""},
      {-1.5e300, "\"-1.5e+300\""},
      {1e-6, "\"0.000001\""},
      {9.99e-7, "\"9.99e-07\""},
      {5e-324, "\"5e-324\""},
      {1.7976931348623157e308, "\"1.7976931348623157e+308\""},
      {kNaN, "\"NaN\""},
      {kInfinity, "\"+Inf\""},
      {-kInfinity, "\"-Inf\""},
  };
  for (const auto& c : cases) {
    EXPECT_EQ(Value(c.value), c.text);
  }
}

TEST(JsonStream, WritesValuesThatReadBackTheSame) {
  std::mt19937_64 random(5);
  for (int round = 0; round < 20'000; ++round) {
    const auto value = std::bit_cast<double>(random());
    std::string text = Value(value);
    double back = 0;
    ASSERT_EQ(ParseFloat(text.substr(1, text.size() - 2), &back), NumberError::kNone) << text;
    EXPECT_TRUE(back == value || (std::isnan(back) && std::isnan(value))) << text;
  }
}

TEST(JsonStream, WritesSecondsWithThreeDigitsOrNone) {
  EXPECT_EQ(Seconds(0), "0");
  EXPECT_EQ(Seconds(kTime), "1435781451.781");
  EXPECT_EQ(Seconds(1'500 * kNanosPerMilli), "1.500");
  EXPECT_EQ(Seconds(1'007 * kNanosPerMilli), "1.007");
  EXPECT_EQ(Seconds(60 * kNanosPerSecond), "60");
  EXPECT_EQ(Seconds(-1'050 * kNanosPerMilli), "-1.050");
  EXPECT_EQ(Seconds(1'999'999'999), "1.999") << "nanoseconds are cut";
  EXPECT_EQ(Seconds(std::numeric_limits<int64_t>::max()), "9223372036.854");
}

TEST(JsonStream, EscapesStrings) {
  EXPECT_EQ(Text("plain"), R"("plain")");
  EXPECT_EQ(Text(R"(a"b\c)"), R"("a\"b\\c")");
  EXPECT_EQ(Text("\n\r\t\b\x01\x1f"), R"("\n\r\t\u0008\u0001\u001f")");
  EXPECT_EQ(Text("é€😀"), "\"é€😀\"");
  EXPECT_EQ(Text("<&>"), "\"<&>\"");
  EXPECT_EQ(Text(""), "\"\"");
}

TEST(JsonStream, ReplacesWhatIsNoUtf8) {
  EXPECT_EQ(Text("a\xff"
                 "b\xC0\xAF"),
            R"("a\ufffdb\ufffd\ufffd")");
  EXPECT_EQ(Text("\xE2\x82"), R"("\ufffd\ufffd")") << "a rune cut short";
}

// ---- Answers

TEST(JsonAnswer, OfAVector) {
  QueryResult result;
  result.type = ValueType::kVector;
  result.time = kTime;
  EXPECT_EQ(Json(result), R"({"status":"success","data":{"resultType":"vector","result":[]}})");

  result.vector.push_back({{{"__name__", "up"}, {"job", "a\"b"}}, 1});
  result.vector.push_back({{}, kNaN});
  EXPECT_EQ(Json(result),
            R"({"status":"success","data":{"resultType":"vector","result":[)"
            R"({"metric":{"__name__":"up","job":"a\"b"},"value":[1435781451.781,"1"]},)"
            R"({"metric":{},"value":[1435781451.781,"NaN"]}]}})");
}

TEST(JsonAnswer, OfAMatrix) {
  QueryResult result;
  result.type = ValueType::kMatrix;
  result.matrix.push_back(
      {{{"__name__", "up"}}, {{1'000 * kNanosPerMilli, 1'500 * kNanosPerMilli}, {1, 2.5}}});
  result.matrix.push_back({{{"job", "b"}}, {{0}, {-1}}});
  EXPECT_EQ(Json(result), R"({"status":"success","data":{"resultType":"matrix","result":[)"
                          R"({"metric":{"__name__":"up"},"values":[[1,"1"],[1.500,"2.5"]]},)"
                          R"({"metric":{"job":"b"},"values":[[0,"-1"]]}]}})");
}

TEST(JsonAnswer, OfAScalarHasNoZerosInItsTimeAndNoExponent) {
  QueryResult result;
  result.type = ValueType::kScalar;
  result.time = 1'500 * kNanosPerMilli;
  result.scalar = 1e21;
  EXPECT_EQ(Json(result), R"({"status":"success","data":{"resultType":"scalar",)"
                          R"("result":[1.5,"1000000000000000000000"]}})");
  result.time = 10 * kNanosPerSecond;
  result.scalar = -kInfinity;
  EXPECT_EQ(Json(result),
            R"({"status":"success","data":{"resultType":"scalar","result":[10,"-Inf"]}})");
}

TEST(JsonAnswer, OfAString) {
  QueryResult result;
  result.type = ValueType::kString;
  result.time = kTime;
  result.text = "a\nb";
  EXPECT_EQ(Json(result), R"({"status":"success","data":{"resultType":"string",)"
                          R"("result":[1435781451.781,"a\nb"]}})");
}

TEST(JsonAnswer, CarriesWarningsAndInfos) {
  QueryResult result;
  result.type = ValueType::kVector;
  result.warnings = {"w1", "w\"2"};
  result.infos = {"i"};
  EXPECT_EQ(Json(result), R"({"status":"success","data":{"resultType":"vector","result":[]},)"
                          R"("warnings":["w1","w\"2"],"infos":["i"]})");
}

TEST(JsonAnswer, OfStrings) {
  const auto write = [](std::vector<std::string> values, std::vector<std::string> warnings) {
    return Collect([&](const JsonSink& sink) { return WriteStrings(values, warnings, sink); });
  };
  EXPECT_EQ(write({}, {}), R"({"status":"success","data":[]})");
  EXPECT_EQ(write({"a", "b"}, {"w"}), R"({"status":"success","data":["a","b"],"warnings":["w"]})");
}

TEST(JsonAnswer, OfLabelSets) {
  const std::string text = Collect([&](const JsonSink& sink) {
    LabelSetsWriter writer(sink);
    writer.Add({{"__name__", "up"}, {"job", "a"}});
    writer.Add({});
    return writer.Finish({});
  });
  EXPECT_EQ(text, R"({"status":"success","data":[{"__name__":"up","job":"a"},{}]})");
}

TEST(JsonAnswer, OfAnError) {
  EXPECT_EQ(ErrorAnswer(InvalidArgument("1:1: parse error: \"x\"")),
            R"({"status":"error","errorType":"bad_data","error":"1:1: parse error: \"x\""})");
  EXPECT_EQ(ErrorAnswer(Status(StatusCode::kDeadlineExceeded, "late")),
            R"({"status":"error","errorType":"timeout","error":"late"})");
}

// ---- Export lines

std::string Export(ExportPrecision precision, const model::SampleColumns& samples) {
  return Collect([&](const JsonSink& sink) {
    ExportWriter writer(precision, sink);
    return writer.Add({{"__name__", "up"}, {"job", "a"}}, samples) && writer.Finish();
  });
}

TEST(Export, WritesOneLineForASeries) {
  const model::SampleColumns samples{{1'500'000'000, 2'000'000'001}, {1, 2.5}};
  EXPECT_EQ(Export(ExportPrecision::kMilliseconds, samples),
            "{\"metric\":{\"__name__\":\"up\",\"job\":\"a\"},\"values\":[1,2.5],"
            "\"timestamps\":[1500,2000]}\n");
  EXPECT_EQ(Export(ExportPrecision::kNanoseconds, samples),
            "{\"metric\":{\"__name__\":\"up\",\"job\":\"a\"},\"values\":[1,2.5],"
            "\"timestamps\":[1500000000,2000000001]}\n");
}

TEST(Export, WritesSpecialValuesAsVictoriaMetricsDoes) {
  const std::string line =
      Export(ExportPrecision::kMilliseconds, {{0, 1, 2, 3}, {kNaN, kInfinity, -kInfinity, 1e21}});
  EXPECT_NE(line.find(R"("values":[null,"Infinity","-Infinity",1000000000000000000000])"),
            line.npos)
      << line;
}

TEST(Export, SkipsSeriesWithoutSamples) {
  EXPECT_EQ(Export(ExportPrecision::kMilliseconds, {}), "");
}

// ---- Streaming

TEST(JsonAnswer, TellsStatisticsWhereTheyAreAskedFor) {
  QueryResult result;
  result.scalar = 1;
  result.stats = {.parse_ns = 1'000'000'000,
                  .prepare_ns = 500'000'000,
                  .evaluate_ns = 2'000'000'000,
                  .sort_ns = 1,
                  .queue_ns = 250'000'000,
                  .samples = 7,
                  .peak_memory_bytes = 160};
  EXPECT_EQ(Json(result).find("stats"), std::string::npos);
  result.shows_stats = true;
  EXPECT_EQ(Json(result),
            R"({"status":"success","data":{"resultType":"scalar","result":[0,"1"],"stats":{)"
            R"("timings":{"evalTotalTime":2.000000000,"resultSortTime":0.000000001,)"
            R"("queryPreparationTime":0.500000000,"innerEvalTime":1.500000000,)"
            R"("execQueueTime":0.250000000,"execTotalTime":3.250000000},)"
            R"("samples":{"totalQueryableSamples":7,"peakSamples":10},"peakMemoryBytes":160}}})");
}

TEST(JsonAnswer, ExplainsThePlan) {
  QueryResult result;
  result.explain = OperatorStats{.name = "negate", .detail = "-m", .series = 1, .rows = 2};
  result.explain->bytes = 16;
  result.explain->total_ns = 3'000;
  result.explain->children.push_back({.name = "select", .detail = "m{a=\"b\"}", .total_ns = 2'000});
  EXPECT_EQ(Json(result),
            R"({"status":"success","data":{"resultType":"scalar","result":[0,"0"],"explain":{)"
            R"("operator":"negate","query":"-m","series":1,"rows":2,"bytes":16,)"
            R"("totalTime":0.000003000,"selfTime":0.000001000,"inputs":[{)"
            R"("operator":"select","query":"m{a=\"b\"}","series":0,"rows":0,"bytes":0,)"
            R"("totalTime":0.000002000,"selfTime":0.000002000,"inputs":[]}]}}})");
}

TEST(JsonAnswer, WritesRowsOfSteps) {
  const double row[] = {1, kAbsent, 2.5};
  QueryResult result;
  result.type = ValueType::kMatrix;
  result.grid = {.start = 1'500'000'000, .end = 3'500'000'000, .step_ns = 1'000'000'000, .count = 3};
  result.matrix.push_back({.labels = {{"a", "b"}}, .row = row});
  EXPECT_EQ(Json(result),
            R"({"status":"success","data":{"resultType":"matrix","result":[{"metric":{"a":"b"},)"
            R"("values":[[1.500,"1"],[3.500,"2.5"]]}]}})");
}

QueryResult LargeMatrix() {
  QueryResult result;
  result.type = ValueType::kMatrix;
  for (int series = 0; series < 3; ++series) {
    model::SampleColumns samples;
    for (int64_t i = 0; i < 50'000; ++i) {
      samples.timestamps.push_back(i * kNanosPerSecond);
      samples.values.push_back(static_cast<double>(i) / 8);
    }
    result.matrix.push_back({{{"__name__", "up"}}, std::move(samples)});
  }
  return result;
}

TEST(Streaming, HandsOutPiecesOfBoundedSize) {
  const QueryResult result = LargeMatrix();
  size_t total = 0;
  size_t largest = 0;
  WriteQueryResult(result, [&](std::string_view piece) {
    total += piece.size();
    largest = std::max(largest, piece.size());
    return true;
  });
  EXPECT_GT(total, 2'000'000u);
  EXPECT_LT(largest, 64u << 10);
}

TEST(Streaming, StopsWhenNobodyWantsMore) {
  const QueryResult result = LargeMatrix();
  int pieces = 0;
  EXPECT_FALSE(WriteQueryResult(result, [&](std::string_view) { return ++pieces < 3; }));
  EXPECT_EQ(pieces, 3);

  pieces = 0;
  const std::vector<std::string> values(100'000, "value");
  EXPECT_FALSE(WriteStrings(values, {}, [&](std::string_view) { return ++pieces < 2; }));
  EXPECT_EQ(pieces, 2);

  pieces = 0;
  ExportWriter writer(ExportPrecision::kMilliseconds,
                      [&](std::string_view) { return ++pieces < 2; });
  EXPECT_FALSE(writer.Add({}, result.matrix[0].samples));
  EXPECT_FALSE(writer.Finish());
  EXPECT_EQ(pieces, 2);
}

}  // namespace
}  // namespace tsdbd::query
