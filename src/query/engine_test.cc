#include "query/engine.h"

#include <algorithm>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include "query/memory_source_testing.h"
#include "query/query_error.h"
#include "query/staleness.h"
#include "query/text.h"

namespace tsdbd::query {
namespace {

std::string SecondsText(model::Timestamp time) {
  return FormatDecimal(static_cast<double>(time) / kNanosPerSecond);
}

std::string LabelsText(const model::LabelViews& labels) {
  std::string text = "{";
  for (const model::LabelView& label : labels) {
    text += fmt::format("{}{}={}", text.size() == 1 ? "" : ",", label.name, label.value);
  }
  return text + '}';
}

// A result as text: "{__name__=up} 1", series separated by "; ", samples as time:value.
std::string ResultText(QueryResult result) {
  switch (result.type) {
    case ValueType::kScalar:
      return FormatDecimal(result.scalar);
    case ValueType::kString:
      return Quote(result.text);
    default:
      break;
  }
  std::vector<std::string> lines;
  for (const VectorSample& sample : result.vector) {
    lines.push_back(LabelsText(sample.labels) + " " + FormatDecimal(sample.value));
  }
  std::ranges::sort(lines);  // a vector has no order, a matrix has
  for (const MatrixSeries& series : result.matrix) {
    std::string line = LabelsText(series.labels);
    for (size_t i = 0; i < series.samples.size(); ++i) {
      line += fmt::format(" {}:{}", SecondsText(series.samples.timestamps[i]),
                          FormatDecimal(series.samples.values[i]));
    }
    for (size_t step = 0; step < series.row.size(); ++step) {
      if (!IsAbsent(series.row[step])) {
        line += fmt::format(" {}:{}", SecondsText(result.grid.TimeAt(step)),
                            FormatDecimal(series.row[step]));
      }
    }
    lines.push_back(std::move(line));
  }
  std::string text;
  for (const std::string& line : lines) {
    text += (text.empty() ? "" : "; ") + line;
  }
  return text;
}

class EngineTest : public testing::Test {
 protected:
  std::string Instant(std::string_view query, double seconds) {
    auto result = engine_.Instant(query, SecondsToNanos(seconds), options_);
    return result.ok() ? ResultText(*std::move(result)) : ErrorText(result.status());
  }

  std::string Range(std::string_view query, double start, double end, double step) {
    auto result = engine_.Range(query, {SecondsToNanos(start), SecondsToNanos(end)},
                                SecondsToNanos(step), options_);
    return result.ok() ? ResultText(*std::move(result)) : ErrorText(result.status());
  }

  static std::string ErrorText(const Status& status) {
    return fmt::format("{}: {}", ErrorKindOf(status).name, Message(status));
  }

  MemorySource source_;
  const Engine engine_{&source_};
  QueryOptions options_;
};

// ---- Literals

TEST_F(EngineTest, EvaluatesLiterals) {
  EXPECT_EQ(Instant("1.5", 10), "1.5");
  EXPECT_EQ(Instant("-(2)", 10), "-2");
  EXPECT_EQ(Instant("+((-3))", 10), "-3");
  EXPECT_EQ(Instant("5m", 10), "300");
  EXPECT_EQ(Instant("-Inf", 10), "-Inf");
  EXPECT_EQ(Instant("('a' )", 10), "\"a\"");
}

TEST_F(EngineTest, RepeatsAScalarAtEveryStep) {
  EXPECT_EQ(Range("-(2)", 0, 20, 10), "{} 0:-2 10:-2 20:-2");
  EXPECT_EQ(Range("1", 5, 24, 10), "{} 5:1 15:1");
  EXPECT_EQ(Range("1", 5, 5, 10), "{} 5:1");
}

// ---- Instant vectors

TEST_F(EngineTest, SelectsByAllFourKindsOfMatchers) {
  source_.Load(R"(
      up{job="a",zone="x"} 10:1
      up{job="b",zone="x"} 10:2
      up{job="b"} 10:3
      down{job="a"} 10:4)");
  EXPECT_EQ(Instant("up{job=\"a\"}", 10), "{__name__=up,job=a,zone=x} 1");
  EXPECT_EQ(Instant("up{job!=\"a\",zone=\"x\"}", 10), "{__name__=up,job=b,zone=x} 2");
  EXPECT_EQ(Instant("up{zone=\"\"}", 10), "{__name__=up,job=b} 3");
  EXPECT_EQ(Instant("up{zone=~\"x|y\",job!~\"b.*\"}", 10), "{__name__=up,job=a,zone=x} 1");
  EXPECT_EQ(Instant("{job=~\"a\"}", 10), "{__name__=down,job=a} 4; {__name__=up,job=a,zone=x} 1");
  EXPECT_EQ(Instant("nothing", 10), "");
}

TEST_F(EngineTest, TakesTheLatestSampleUpToTheMoment) {
  source_.Load("up 10:1 20:2 30:3");
  EXPECT_EQ(Instant("up", 9.999), "");
  EXPECT_EQ(Instant("up", 10), "{__name__=up} 1");
  EXPECT_EQ(Instant("up", 19.999), "{__name__=up} 1");
  EXPECT_EQ(Instant("up", 20), "{__name__=up} 2");
  EXPECT_EQ(Instant("(up)", 100), "{__name__=up} 3");
}

TEST_F(EngineTest, LooksBackLessThanTheDelta) {
  source_.Load("up 100:1");
  EXPECT_EQ(Instant("up", 399.999), "{__name__=up} 1");
  EXPECT_EQ(Instant("up", 400), "") << "exactly five minutes later";
  options_.lookback_delta_ns = 10 * kNanosPerSecond;
  EXPECT_EQ(Instant("up", 109.999), "{__name__=up} 1");
  EXPECT_EQ(Instant("up", 110), "");
}

TEST_F(EngineTest, EndsASeriesAtItsStalenessMarker) {
  source_.Load("up 10:1 20:stale 30:3 40:NaN");
  EXPECT_EQ(Instant("up", 19), "{__name__=up} 1");
  EXPECT_EQ(Instant("up", 20), "");
  EXPECT_EQ(Instant("up", 29), "");
  EXPECT_EQ(Instant("up", 30), "{__name__=up} 3");
  EXPECT_EQ(Instant("up", 40), "{__name__=up} NaN") << "any other NaN is a value";
}

TEST_F(EngineTest, ShiftsByOffsetAndAt) {
  source_.Load("up 10:1 20:2 30:3");
  EXPECT_EQ(Instant("up offset 10s", 30), "{__name__=up} 2");
  EXPECT_EQ(Instant("up offset -10s", 10), "{__name__=up} 2");
  EXPECT_EQ(Instant("up @ 10", 500), "{__name__=up} 1");
  EXPECT_EQ(Instant("up @ 30 offset 10s", 500), "{__name__=up} 2");
  EXPECT_EQ(Instant("up offset 10s @ 30", 500), "{__name__=up} 2");
  EXPECT_EQ(Instant("up @ start()", 20), "{__name__=up} 2");
  EXPECT_EQ(Instant("up @ end()", 20), "{__name__=up} 2");
  EXPECT_EQ(Instant("up offset 292y", 30), "") << "before there was time";
  EXPECT_EQ(Instant("up offset -292y", 30), "") << "after there will be";
  EXPECT_EQ(Instant("up @ 9e18", 30), "");
  EXPECT_EQ(Instant("up", -1), "");
}

TEST_F(EngineTest, NegatesAndDropsTheName) {
  source_.Load(R"(
      up{job="a"} 10:1
      down{job="a"} 10:2)");
  EXPECT_EQ(Instant("-up", 10), "{job=a} -1");
  EXPECT_EQ(Instant("-(-up)", 10), "{job=a} 1");
  EXPECT_EQ(Instant("+up", 10), "{__name__=up,job=a} 1");
  EXPECT_EQ(Instant("-{job=\"a\"}", 10),
            "execution: vector cannot contain metrics with the same labelset");
}

TEST_F(EngineTest, StampsAnInstantWithItsTime) {
  source_.Load("up 10:1");
  const auto result = engine_.Instant("up", 12 * kNanosPerSecond, options_);
  ASSERT_TRUE(result.ok());
  EXPECT_EQ(result->time, 12 * kNanosPerSecond);
  EXPECT_EQ(result->type, ValueType::kVector);
}

// ---- Range vectors

TEST_F(EngineTest, GivesTheSamplesOfARange) {
  source_.Load("up 10:1 20:2 30:stale 40:4");
  EXPECT_EQ(Instant("up[20s]", 40), "{__name__=up} 40:4") << "open on the left, markers left out";
  EXPECT_EQ(Instant("up[30s]", 40), "{__name__=up} 20:2 40:4");
  EXPECT_EQ(Instant("up[10s] offset 20s", 40), "{__name__=up} 20:2");
  EXPECT_EQ(Instant("up[10s] @ 10", 4000), "{__name__=up} 10:1");
  EXPECT_EQ(Instant("up[5s]", 35), "") << "only a marker";
  EXPECT_EQ(Instant("up[292y]", 40), "{__name__=up} 10:1 20:2 40:4");
}

TEST_F(EngineTest, SortsAMatrixByLabels) {
  source_.Load(R"(
      up{job="b"} 10:1
      up 10:2
      up{job="a"} 10:3
      UP 10:4)");
  EXPECT_EQ(Instant("{__name__=~\"up|UP\"}[1m]", 10),
            "{__name__=UP} 10:4; {__name__=up} 10:2; {__name__=up,job=a} 10:3; "
            "{__name__=up,job=b} 10:1");
}

// ---- Range queries

TEST_F(EngineTest, WalksTheSteps) {
  source_.Load("up 10:1 20:2 30:3");
  EXPECT_EQ(Range("up", 0, 40, 10), "{__name__=up} 10:1 20:2 30:3 40:3");
  EXPECT_EQ(Range("up", 5, 39, 15), "{__name__=up} 20:2 35:3");
  EXPECT_EQ(Range("up", 320, 340, 5), "{__name__=up} 320:3 325:3");
  EXPECT_EQ(Range("up", 400, 500, 10), "");
  EXPECT_EQ(Range("up", -20, 10, 10), "{__name__=up} 10:1");
  EXPECT_EQ(Range("up", 10, 10, 1), "{__name__=up} 10:1");
}

TEST_F(EngineTest, LeavesGapsWhereASeriesHasEnded) {
  source_.Load("up 10:1 20:stale 40:4");
  EXPECT_EQ(Range("up", 0, 50, 10), "{__name__=up} 10:1 40:4 50:4");
  options_.lookback_delta_ns = 5 * kNanosPerSecond;
  EXPECT_EQ(Range("up", 0, 50, 5), "{__name__=up} 10:1 40:4");
}

TEST_F(EngineTest, ShiftsEveryStepByOffset) {
  source_.Load("up 10:1 20:2 30:3");
  EXPECT_EQ(Range("up offset 10s", 0, 40, 10), "{__name__=up} 20:1 30:2 40:3");
  EXPECT_EQ(Range("up offset -10s", 0, 20, 10), "{__name__=up} 0:1 10:2 20:3");
}

TEST_F(EngineTest, RepeatsWhatAtFixes) {
  source_.Load("up 10:1 20:2 30:3");
  EXPECT_EQ(Range("up @ 20", 100, 120, 10), "{__name__=up} 100:2 110:2 120:2");
  EXPECT_EQ(Range("up @ start()", 10, 30, 10), "{__name__=up} 10:1 20:1 30:1");
  EXPECT_EQ(Range("up @ end()", 10, 30, 10), "{__name__=up} 10:3 20:3 30:3");
  EXPECT_EQ(Range("up @ end()", 5, 29, 10), "{__name__=up} 5:2 15:2 25:2")
      << "the end as asked for, not the last step";
  EXPECT_EQ(Range("up @ start() offset 10s", 20, 30, 10), "{__name__=up} 20:1 30:1");
}

TEST_F(EngineTest, MergesSeriesThatDifferOnlyInTheDroppedName) {
  source_.Load(R"(
      a{job="x"} 10:1 20:stale 40:4
      b{job="x"} 20:2 30:3 40:stale)");
  EXPECT_EQ(Range("-{job=\"x\"}", 10, 40, 10), "{job=x} 10:-1 20:-2 30:-3 40:-4");
  source_.Load("c{job=\"x\"} 30:5");
  EXPECT_EQ(Range("-{job=\"x\"}", 10, 40, 10),
            "execution: vector cannot contain metrics with the same labelset");
}

TEST_F(EngineTest, ReadsEachSeriesOnce) {
  source_.Load(R"(
      up{job="a"} 10:1
      up{job="b"} 10:1
      down 10:1)");
  Range("up", 0, 1000, 1);
  EXPECT_EQ(source_.reads(), 2);
}

TEST_F(EngineTest, KeepsLabelsAliveWithTheResult) {
  auto source = std::make_unique<MemorySource>();
  source->Load("up{job=\"a\"} 10:1");
  auto result = Engine(source.get()).Instant("up", 10 * kNanosPerSecond, options_);
  ASSERT_TRUE(result.ok());
  EXPECT_FALSE(result->pins.empty());
  const QueryResult moved = *std::move(result);
  EXPECT_EQ(ResultText(moved), "{__name__=up,job=a} 1");
}

// ---- Errors and limits

TEST_F(EngineTest, SaysWhatIsWrongWithTheQuery) {
  EXPECT_EQ(Instant("up{", 0),
            "bad_data: invalid parameter \"query\": 1:4: parse error: unexpected end of input "
            "inside braces");
  EXPECT_EQ(Range("up[5m]", 0, 10, 1),
            "bad_data: invalid parameter \"query\": invalid expression type \"range vector\" for "
            "range query, must be Scalar or instant Vector");
  EXPECT_EQ(Range("'a'", 0, 10, 1),
            "bad_data: invalid parameter \"query\": invalid expression type \"string\" for range "
            "query, must be Scalar or instant Vector");
}

TEST_F(EngineTest, SaysWhatIsWrongWithTheRange) {
  EXPECT_EQ(Range("1", 10, 9, 1),
            "bad_data: invalid parameter \"end\": end timestamp must not be before start time");
  for (const double step : {0.0, -1.0}) {
    EXPECT_EQ(Range("1", 0, 10, step),
              "bad_data: invalid parameter \"step\": zero or negative query resolution step widths "
              "are not accepted. Try a positive integer");
  }
}

TEST_F(EngineTest, BoundsTheResolution) {
  EXPECT_TRUE(Range("1", 0, 11'000, 1).ends_with(" 11000:1"));
  EXPECT_EQ(Range("1", 0, 11'001, 1),
            "bad_data: exceeded maximum resolution of 11,000 points per timeseries. Try decreasing "
            "the query resolution (?step=XX)");
  const model::TimeRange everything{std::numeric_limits<int64_t>::min(),
                                    std::numeric_limits<int64_t>::max()};
  EXPECT_FALSE(engine_.Range("1", everything, 1, options_).ok());
  options_.max_points_per_series = 1'234'567;
  EXPECT_NE(Range("1", 0, 2e6, 1).find("1,234,567 points"), std::string::npos);
}

TEST_F(EngineTest, BoundsSamples) {
  source_.Load(R"(
      up{job="a"} 10:1 20:2
      up{job="b"} 10:1 20:2)");
  const std::string error =
      "execution: query processing would load too many samples into memory in query execution";
  options_.max_samples = 4;
  EXPECT_NE(Range("up", 10, 20, 10), error);
  EXPECT_EQ(Range("up", 10, 30, 10), error);
  EXPECT_NE(Instant("up[1m]", 20), error);
  options_.max_samples = 3;
  EXPECT_EQ(Instant("up[1m]", 20), error);
  options_.max_samples = 1;
  EXPECT_EQ(Instant("up", 20), error);
}

TEST_F(EngineTest, BoundsSeries) {
  source_.Load(R"(
      up{job="a"} 10:1
      up{job="b"} 10:1)");
  options_.max_series = 1;
  EXPECT_EQ(Instant("up", 10), "execution: expanding series: 2 series match, the limit is 1");
  EXPECT_EQ(Instant("up{job=\"a\"}", 10), "{__name__=up,job=a} 1");
}

TEST_F(EngineTest, StopsWhenCancelled) {
  source_.Load("up 10:1");
  model::CancelToken token;
  options_.cancel = &token;
  EXPECT_EQ(Instant("up", 10), "{__name__=up} 1");
  token.Cancel();
  EXPECT_EQ(Instant("up", 10), "canceled: query was canceled in expression evaluation");
  EXPECT_EQ(Instant("up[5m]", 10), "canceled: query was canceled in expression evaluation");
}

TEST_F(EngineTest, StopsWhenTimeIsOver) {
  source_.Load("up 10:1");
  options_.timeout_ns = 1;
  EXPECT_EQ(Instant("up", 10), "timeout: query timed out in expression evaluation");
  model::CancelToken token;
  token.Cancel();
  options_.cancel = &token;
  EXPECT_EQ(Instant("up", 10), "timeout: query timed out in expression evaluation")
      << "whoever cancelled it watched the clock";
  options_.cancel = nullptr;
  options_.timeout_ns = 0;
  EXPECT_EQ(Instant("up", 10), "{__name__=up} 1");
}

TEST_F(EngineTest, PassesOnWhatTheStorageSays) {
  source_.Load("up 10:1");
  source_.FailReads(DataLoss("chunk 7 is damaged"));
  EXPECT_EQ(Instant("up", 10), "internal: chunk 7 is damaged");
}

TEST_F(EngineTest, RunsQueriesSideBySide) {
  source_.Load("up 10:1 20:2 30:3");
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      for (int round = 0; round < 50; ++round) {
        EXPECT_EQ(Range("up", 10, 30, 10), "{__name__=up} 10:1 20:2 30:3");
      }
    });
  }
  for (std::thread& thread : threads) {
    thread.join();
  }
}

// ---- Against a twin that looks at every sample for every step

class Twin {
 public:
  Twin(const MemorySource* source, int64_t lookback_ns)
      : source_(source), lookback_ns_(lookback_ns) {}

  // The series that have values at `looks`, as samples at `steps`.
  std::string Vector(const std::vector<model::Timestamp>& steps,
                     const std::vector<model::Timestamp>& looks) const {
    std::vector<std::string> lines;
    for (const MemorySource::Series& series : source_->series()) {
      std::string line;
      for (size_t i = 0; i < steps.size(); ++i) {
        double value = 0;
        if (ValueAt(series.samples, looks[i], &value)) {
          line += fmt::format(" {}:{}", SecondsText(steps[i]), FormatDecimal(value));
        }
      }
      Add(series, std::move(line), &lines);
    }
    return Join(std::move(lines));
  }

  std::string Matrix(model::Timestamp look, int64_t range_ns) const {
    std::vector<std::string> lines;
    for (const MemorySource::Series& series : source_->series()) {
      std::string line;
      for (size_t i = 0; i < series.samples.size(); ++i) {
        const model::Timestamp time = series.samples.timestamps[i];
        if (time <= look && look - time < range_ns && !IsStaleMarker(series.samples.values[i])) {
          line += fmt::format(" {}:{}", SecondsText(time), FormatDecimal(series.samples.values[i]));
        }
      }
      Add(series, std::move(line), &lines);
    }
    return Join(std::move(lines));
  }

 private:
  bool ValueAt(const model::SampleColumns& samples, model::Timestamp look, double* value) const {
    for (size_t i = samples.size(); i-- > 0;) {
      if (samples.timestamps[i] <= look) {
        *value = samples.values[i];
        return look - samples.timestamps[i] < lookback_ns_ && !IsStaleMarker(*value);
      }
    }
    return false;
  }

  static void Add(const MemorySource::Series& series, std::string samples,
                  std::vector<std::string>* lines) {
    if (!samples.empty()) {
      model::LabelViews labels;
      for (const model::Label& label : series.labels) {
        labels.push_back({label.name, label.value});
      }
      lines->push_back(LabelsText(labels) + samples);
    }
  }

  static std::string Join(std::vector<std::string> lines) {
    std::ranges::sort(lines);
    std::string text;
    for (const std::string& line : lines) {
      text += (text.empty() ? "" : "; ") + line;
    }
    return text;
  }

  const MemorySource* const source_;
  const int64_t lookback_ns_;
};

class RandomData {
 public:
  explicit RandomData(uint64_t seed) : random_(seed) {}

  int64_t Below(int64_t bound) { return static_cast<int64_t>(random_() % bound); }

  void Fill(MemorySource* source) {
    for (int64_t series = 0, count = 1 + Below(5); series < count; ++series) {
      model::SampleColumns samples;
      // Now regular, now not; on the steps of the queries and next to them.
      const bool regular = Below(2) == 0;
      const int64_t interval = 1 + Below(20);
      model::Timestamp time = Below(50) * kNanosPerSecond;
      for (int64_t i = 0, size = Below(60); i < size; ++i) {
        time += regular ? interval * kNanosPerSecond : 1 + Below(interval * kNanosPerSecond);
        samples.timestamps.push_back(time);
        samples.values.push_back(Below(10) == 0 ? std::bit_cast<double>(kStaleMarkerBits)
                                                : static_cast<double>(Below(1000)));
      }
      source->Add({{"__name__", "m"}, {"series", fmt::format("{}", series)}}, std::move(samples));
    }
  }

 private:
  std::mt19937_64 random_;
};

void CompareRange(RandomData* data, const MemorySource& source, const QueryOptions& options) {
  const model::TimeRange range{data->Below(300) * kNanosPerSecond, 0};
  const int64_t step = (1 + data->Below(40)) * kNanosPerSecond;
  const model::Timestamp end = range.min + data->Below(600) * kNanosPerSecond;
  const int64_t offset = (data->Below(200) - 100) * kNanosPerSecond;
  const int64_t at = data->Below(600) * kNanosPerSecond;
  const bool fixed = data->Below(3) == 0;
  std::vector<model::Timestamp> steps;
  std::vector<model::Timestamp> looks;
  for (model::Timestamp t = range.min; t <= end; t += step) {
    steps.push_back(t);
    looks.push_back((fixed ? at : t) - offset);
  }
  const std::string query =
      fmt::format("m{} offset {}", fixed ? " @ " + SecondsText(at) : "", FormatDuration(offset));
  auto result = Engine(&source).Range(query, {range.min, end}, step, options);
  ASSERT_TRUE(result.ok()) << Message(result.status());
  EXPECT_EQ(ResultText(*std::move(result)),
            Twin(&source, options.lookback_delta_ns).Vector(steps, looks))
      << query << " from " << range.min << " to " << end << " by " << step;
}

void CompareMatrix(RandomData* data, const MemorySource& source, const QueryOptions& options) {
  const model::Timestamp time = data->Below(900) * kNanosPerSecond;
  const int64_t window = (1 + data->Below(300)) * kNanosPerSecond;
  const int64_t offset = (data->Below(200) - 100) * kNanosPerSecond;
  const std::string query =
      fmt::format("m[{}] offset {}", FormatDuration(window), FormatDuration(offset));
  auto result = Engine(&source).Instant(query, time, options);
  ASSERT_TRUE(result.ok()) << Message(result.status());
  EXPECT_EQ(ResultText(*std::move(result)), Twin(&source, 0).Matrix(time - offset, window))
      << query << " at " << time;
}

TEST(EngineAndTwin, AgreeOnRandomData) {
  for (uint64_t seed = 1; seed <= 500; ++seed) {
    SCOPED_TRACE(fmt::format("seed {}", seed));
    RandomData data(seed);
    MemorySource source;
    data.Fill(&source);
    QueryOptions options;
    options.lookback_delta_ns = (1 + data.Below(60)) * kNanosPerSecond;
    for (int round = 0; round < 10 && !testing::Test::HasFailure(); ++round) {
      CompareRange(&data, source, options);
      CompareMatrix(&data, source, options);
    }
  }
}

}  // namespace
}  // namespace tsdbd::query
