#include "ingest/remote_write.h"

#include <bit>
#include <random>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "ingest/limits.h"
#include "ingest/remote_key_decoder.h"
#include "ingest/remote_write_testing.h"

namespace tsdbd::ingest {
namespace {

using ::testing::HasSubstr;

class RemoteWriteTest : public ::testing::Test {
 protected:
  Status Parse(RemoteWriteVersion version, const std::string& message) {
    message_ = message;
    options_.decoder = &decoder_;
    return parser_.Parse(version, message_, options_, &batch_, &report_);
  }
  // What comes of a message, as text; the error if it is refused as a whole.
  std::string Outcome(RemoteWriteVersion version, const std::string& message) {
    const Status status = Parse(version, message);
    return status.ok() ? DescribeRemoteWrite(batch_, report_) : std::string(Message(status));
  }
  std::string OutcomeV1(const std::string& message) {
    return Outcome(RemoteWriteVersion::kV1, message);
  }
  std::string OutcomeV2(const std::string& message) {
    return Outcome(RemoteWriteVersion::kV2, message);
  }

  const RemoteKeyDecoder decoder_;
  RemoteWriteOptions options_;
  RemoteWriteParser parser_;
  std::string message_;
  model::RowBatch batch_;
  RemoteWriteReport report_;
};

const RemoteLabels kUp = {{"__name__", "up"}, {"job", "a"}};
const RemoteLabels kDown = {{"__name__", "down"}};

TEST_F(RemoteWriteTest, EverySampleBecomesARow) {
  EXPECT_EQ(
      OutcomeV1(RequestV1({SeriesV1(kUp, {{1, 1000}, {2.5, 2000}}), SeriesV1(kDown, {{-3, 5}})})),
      "1: up{job=\"a\"} 1 @1000\n"
      "1: up{job=\"a\"} 2.5 @2000\n"
      "2: down{} -3 @5\n");
  EXPECT_EQ(report_.series_count, 2u);
  EXPECT_EQ(report_.sample_count, 3u);
  EXPECT_EQ(batch_.rows[0].timestamp, 1'000'000'000);
}

TEST_F(RemoteWriteTest, TheKeyIsTheLabelsAsTheyStand) {
  ASSERT_TRUE(Parse(RemoteWriteVersion::kV1, RequestV1({SeriesV1(kUp, {{1, 1}})})).ok());
  EXPECT_EQ(batch_.rows[0].key, LabelsV1(kUp));
  EXPECT_EQ(batch_.rows[0].key_hash, HashTo128(LabelsV1(kUp)));
}

TEST_F(RemoteWriteTest, BothVersionsGiveASeriesTheSameKey) {
  const RemoteLabels labels = {{"__name__", "up"}, {"empty", ""}, {"long", std::string(300, 'x')}};
  ASSERT_TRUE(Parse(RemoteWriteVersion::kV1, RequestV1({SeriesV1(labels, {{1, 1}})})).ok());
  const std::string key(batch_.rows[0].key);
  RequestV2 request;
  request.AddSeries(labels, {{1, 1}});
  ASSERT_TRUE(Parse(RemoteWriteVersion::kV2, request.Message()).ok());
  EXPECT_EQ(batch_.rows[0].key, key);
}

TEST_F(RemoteWriteTest, LabelsMayStandAnywhereInASeries) {
  const std::string sample = BytesOf(2, SampleMessage({7, 8}));
  const std::string name = LabelsV1({{"__name__", "up"}});
  const std::string job = LabelsV1({{"job", "a"}});
  const std::string zone = LabelsV1({{"zone", "z"}});
  for (const std::string& series :
       {sample + name + job + zone, name + sample + job + zone, name + job + sample + zone,
        name + VarintOf(9, 1) + job + BytesOf(8, "?") + zone + sample}) {
    EXPECT_EQ(OutcomeV1(BytesOf(1, series)), "1: up{job=\"a\",zone=\"z\"} 7 @8\n");
  }
}

TEST_F(RemoteWriteTest, FieldsOfSamplesAreZeroWhenMissing) {
  EXPECT_EQ(OutcomeV1(BytesOf(1, LabelsV1(kDown) + BytesOf(2, ""))), "1: down{} 0 @0\n");
}

TEST_F(RemoteWriteTest, ValuesKeepTheirBits) {
  for (const uint64_t bits : {uint64_t{0x7ff0000000000002}, uint64_t{0x7ff8000000000001},
                              uint64_t{0xfff0000000000000}, uint64_t{1} << 63, uint64_t{1}}) {
    const double value = std::bit_cast<double>(bits);
    ASSERT_TRUE(Parse(RemoteWriteVersion::kV1, RequestV1({SeriesV1(kUp, {{value, 1}})})).ok());
    EXPECT_EQ(std::bit_cast<uint64_t>(batch_.values[0]), bits);
  }
}

TEST_F(RemoteWriteTest, SamplesOutsideTheTimeRangeAreRefusedAndTheOthersKept) {
  options_.time_range = {.min = 1'000'000'000, .max = 3'000'000'000};
  EXPECT_EQ(OutcomeV1(RequestV1({SeriesV1(
                kDown, {{1, 999}, {2, 1000}, {3, 3000}, {4, 3001}, {5, INT64_MAX}, {6, -1}})})),
            "1: down{} 2 @1000\n"
            "1: down{} 3 @3000\n"
            "1! timestamp 999 ms is out of range, must be 1000 to 3000 ms\n"
            "1! timestamp 3001 ms is out of range, must be 1000 to 3000 ms\n"
            "1! timestamp 9223372036854775807 ms is out of range, must be 1000 to 3000 ms\n"
            "1! timestamp -1 ms is out of range, must be 1000 to 3000 ms\n");
  EXPECT_EQ(report_.refused_sample_count, 4u);
  EXPECT_EQ(report_.refused_series_count, 0u);
}

TEST_F(RemoteWriteTest, TheEndsOfTimeDoNotOverflow) {
  options_.time_range = {};
  constexpr int64_t kLast = model::kMaxTimestamp / 1'000'000;
  for (const int64_t millis : {kLast + 1, -kLast - 1, INT64_MIN, INT64_MAX}) {
    EXPECT_THAT(OutcomeV1(RequestV1({SeriesV1(kUp, {{1, millis}})})), HasSubstr("out of range"));
  }
  EXPECT_EQ(OutcomeV1(RequestV1({SeriesV1(kDown, {{1, kLast}})})),
            fmt::format("1: down{{}} 1 @{}\n", kLast));
}

TEST_F(RemoteWriteTest, ExemplarsAndHistogramsAreCountedAndSkipped) {
  const std::string more = BytesOf(3, "\x0a\x00") + BytesOf(4, "anything") + BytesOf(4, "");
  EXPECT_EQ(OutcomeV1(BytesOf(1, SeriesV1(kDown, {{1, 1}}) + more)), "1: down{} 1 @1\n");
  EXPECT_EQ(report_.exemplar_count, 1u);
  EXPECT_EQ(report_.histogram_count, 2u);
}

TEST_F(RemoteWriteTest, MetadataIsReported) {
  ASSERT_TRUE(
      Parse(RemoteWriteVersion::kV1, BytesOf(3, VarintOf(1, 1) + BytesOf(2, "requests") +
                                                    BytesOf(4, "All.") + BytesOf(5, "bytes")) +
                                         RequestV1({SeriesV1(kUp, {{1, 1}})}))
          .ok());
  ASSERT_EQ(report_.descriptions.size(), 1u);
  EXPECT_EQ(report_.descriptions[0],
            (FamilyDescription{.type = 1, .family = "requests", .help = "All.", .unit = "bytes"}));
}

TEST_F(RemoteWriteTest, MetadataOfSeriesIsReportedOncePerFamily) {
  RequestV2 request;
  const std::string metadata = BytesOf(
      5, VarintOf(1, 3) + VarintOf(3, request.Symbol("Times.")) + VarintOf(4, request.Symbol("s")));
  request.AddSeries({{"__name__", "t_bucket"}, {"le", "1"}}, {{1, 1}}, metadata);
  request.AddSeries({{"__name__", "t_count"}}, {{1, 1}}, metadata);
  request.AddSeries(kUp, {{1, 1}});
  ASSERT_TRUE(Parse(RemoteWriteVersion::kV2, request.Message()).ok());
  ASSERT_EQ(report_.descriptions.size(), 1u);
  EXPECT_EQ(report_.descriptions[0],
            (FamilyDescription{.type = 3, .family = "t", .help = "Times.", .unit = "s"}));
}

TEST_F(RemoteWriteTest, SymbolsMayComeAfterTheSeries) {
  const std::string series =
      BytesOf(1, std::string("\x00\x01", 2)) + BytesOf(2, SampleMessage({1, 2}));
  EXPECT_EQ(OutcomeV2(BytesOf(5, series) + BytesOf(4, "__name__") + BytesOf(4, "up")),
            "1: up{} 1 @2\n");
}

TEST_F(RemoteWriteTest, LabelReferencesNeedNotBePacked) {
  const std::string series =
      VarintOf(1, 1) + VarintOf(1, 2) + BytesOf(2, SampleMessage({1, 2}) + VarintOf(3, 1));
  EXPECT_EQ(
      OutcomeV2(BytesOf(4, "") + BytesOf(4, "__name__") + BytesOf(4, "up") + BytesOf(5, series)),
      "1: up{} 1 @2\n");
}

TEST_F(RemoteWriteTest, BadSeriesAreRefusedAndTheOthersKept) {
  const std::string sample = BytesOf(2, SampleMessage({1, 2}));
  const std::pair<std::string, const char*> cases[] = {
      {BytesOf(1, "\x07\x01") + sample, "there is no symbol 7: the message has 3"},
      {BytesOf(1, "\x01\x07") + sample, "there is no symbol 7: the message has 3"},
      {BytesOf(1, "\x01") + sample, "an odd number of label references: 1"},
      {BytesOf(1, "\x01\x02"), "TimeSeries must contain at least one sample or histogram"},
      {BytesOf(1, "\x01\x02") + BytesOf(4, ""), "TimeSeries must contain at least one sample"},
      {BytesOf(1, "\x01\x02") + sample + BytesOf(5, VarintOf(3, 9)), "there is no symbol 9"},
      {BytesOf(1, std::string(70'000, '\x02')) + sample, "labels of more than 65535 bytes"},
      {BytesOf(1, std::string(70'000, '\x00')) + sample, "labels of more than 65535 bytes"},
      {sample, "no metric name"},
  };
  for (const auto& [series, reason] : cases) {
    RequestV2 request;
    request.Symbol("__name__");
    request.Symbol("up");
    request.AddRawSeries(series);
    request.AddSeries({{"__name__", "up"}}, {{1, 1}});
    const std::string outcome = OutcomeV2(request.Message());
    EXPECT_THAT(outcome, HasSubstr(reason));
    EXPECT_THAT(outcome, HasSubstr("2: up{} 1 @1\n"));
  }
}

TEST_F(RemoteWriteTest, ASeriesWithoutLabelsIsLeftToTheDecoder) {
  EXPECT_THAT(OutcomeV2(BytesOf(5, BytesOf(2, SampleMessage({1, 2})))),
              HasSubstr("no metric name"));
  EXPECT_THAT(OutcomeV1(BytesOf(1, BytesOf(2, SampleMessage({1, 2})))),
              HasSubstr("no metric name"));
}

TEST_F(RemoteWriteTest, LabelsOverTheLimitAreRefused) {
  const RemoteLabels fits = {{"__name__", "up"}, {"a", std::string(65'000, 'x')}};
  const RemoteLabels large = {{"__name__", "up"}, {"a", std::string(65'536, 'x')}};
  EXPECT_THAT(OutcomeV1(RequestV1({SeriesV1(large, {{1, 1}, {2, 2}}), SeriesV1(fits, {{1, 1}})})),
              HasSubstr("1! labels of more than 65535 bytes\n2: up{a="));
  EXPECT_EQ(report_.refused_sample_count, 2u);
  EXPECT_EQ(report_.refused_series_count, 1u);
  RequestV2 request;
  request.AddSeries(large, {{1, 1}});
  request.AddSeries(kDown, {{1, 1}});
  EXPECT_THAT(OutcomeV2(request.Message()), HasSubstr("2: down{} 1 @1\n"));
}

TEST_F(RemoteWriteTest, ManySeriesOfOneLongSymbolAreRefused) {
  options_.max_keys_bytes = 1'000'000;
  RequestV2 request;
  for (int i = 0; i < 100; ++i) {
    request.AddSeries({{"__name__", "up"}, {"a", std::string(60'000, 'x')}}, {{1, 1}});
  }
  const std::string message = request.Message();
  EXPECT_LT(message.size(), 100'000u);
  EXPECT_EQ(Parse(RemoteWriteVersion::kV2, message).code(), StatusCode::kResourceExhausted);
}

TEST_F(RemoteWriteTest, TooManySymbolsOrSamplesAreRefused) {
  std::string symbols;
  for (size_t i = 0; i <= kMaxRemoteSymbols; ++i) {
    symbols += std::string("\x22\x00", 2);
  }
  EXPECT_EQ(Parse(RemoteWriteVersion::kV2, symbols).code(), StatusCode::kResourceExhausted);
  std::string samples;
  for (size_t i = 0; i <= kMaxRemoteSamples; ++i) {
    samples += std::string("\x12\x00", 2);
  }
  EXPECT_EQ(Parse(RemoteWriteVersion::kV1, BytesOf(1, LabelsV1(kUp) + samples)).code(),
            StatusCode::kResourceExhausted);
}

TEST_F(RemoteWriteTest, ErrorsAreToldUpToABoundAndAllCounted) {
  std::vector<RemoteSample> samples(1'000, RemoteSample{1, -1});
  ASSERT_TRUE(Parse(RemoteWriteVersion::kV1, RequestV1({SeriesV1(kUp, samples)})).ok());
  EXPECT_EQ(report_.refused_sample_count, 1'000u);
  EXPECT_EQ(report_.errors.size(), 100u);
}

TEST_F(RemoteWriteTest, MalformedMessagesAreRefused) {
  const std::string cases[] = {
      "text",
      std::string("\x00", 1),
      "\x0a",                              // no length
      "\x0a\x05",                          // longer than the message
      "\x0a\xff\xff\xff\xff\x0f",          // 4 GiB long
      "\x0b",                              // a group
      "\x0f\x01",                          // wire type 7
      "\x09\x01\x02",                      // a cut fixed64
      BytesOf(1, "\x12\x01"),              // a sample longer than its series
      BytesOf(1, BytesOf(2, "\x09\x00")),  // a cut value
      BytesOf(1, BytesOf(2, "\x10\xff")),  // a cut timestamp
      BytesOf(1, BytesOf(2, "\x10" + std::string(10, '\xff') + "\x01")),  // of 11 bytes
  };
  for (const std::string& message : cases) {
    EXPECT_EQ(Parse(RemoteWriteVersion::kV1, message).code(), StatusCode::kInvalidArgument)
        << message;
  }
  EXPECT_EQ(Parse(RemoteWriteVersion::kV2, BytesOf(5, BytesOf(1, "\xff"))).code(),
            StatusCode::kInvalidArgument);
}

TEST_F(RemoteWriteTest, FieldsOfAnUnexpectedWireTypeAreSkipped) {
  // Each as a varint and as a fixed32.
  std::string fields;
  for (uint32_t number = 1; number <= 15; ++number) {
    fields += VarintOf(number, 1);
    fields += static_cast<char>(number << 3 | 5);
    fields += std::string(4, '\x01');
  }
  EXPECT_EQ(OutcomeV1(fields), "");
  EXPECT_EQ(OutcomeV1(BytesOf(1, fields + BytesOf(2, fields))),
            OutcomeV1(BytesOf(1, BytesOf(2, "\x10\x01"))));
}

TEST_F(RemoteWriteTest, AnEmptyMessageIsFine) {
  EXPECT_EQ(OutcomeV1(""), "");
  EXPECT_EQ(OutcomeV2(""), "");
}

// Every way to cut a message, and many ways to change it: never a crash, and a cut one never gives
// a row that the whole one does not.
TEST_F(RemoteWriteTest, DamagedMessagesNeverCrash) {
  RequestV2 request;
  request.AddSeries(kUp, {{1, 1}, {2, 2}}, BytesOf(5, VarintOf(1, 1)));
  request.AddSeries(kDown, {{3, 3}});
  const std::string messages[] = {
      RequestV1({SeriesV1(kUp, {{1, 1}, {2, 2}}), SeriesV1(kDown, {{3, 3}})}), request.Message()};
  for (const auto version : {RemoteWriteVersion::kV1, RemoteWriteVersion::kV2}) {
    const std::string& message = messages[static_cast<size_t>(version)];
    const std::string whole = Outcome(version, message);
    for (size_t size = 0; size < message.size(); ++size) {
      if (Parse(version, message.substr(0, size)).ok()) {
        EXPECT_TRUE(whole.starts_with(DescribeRemoteWrite(batch_, report_))) << size;
      }
    }
    for (size_t at = 0; at < message.size(); ++at) {
      for (int change = 1; change < 256; ++change) {
        std::string changed = message;
        changed[at] = static_cast<char>(changed[at] ^ change);
        Outcome(version, changed);
      }
    }
  }
}

TEST_F(RemoteWriteTest, ManyRandomSeriesComeOutAsTheyWentIn) {
  const uint64_t seed = std::random_device()();
  SCOPED_TRACE(fmt::format("seed {}", seed));
  std::mt19937_64 random(seed);
  for (int run = 0; run < 50; ++run) {
    std::vector<std::string> series;
    RequestV2 request;
    std::string expected;
    for (size_t i = 1 + random() % 20; i > 0; --i) {
      RemoteLabels labels = {{"__name__", fmt::format("m{}", random() % 5)}};
      std::string text;
      for (size_t j = 0; j < random() % 12; ++j) {
        labels.emplace_back(fmt::format("l{:02}", j), std::string(1 + random() % 200, 'v'));
        text += fmt::format("{}{}=\"{}\"", j == 0 ? "" : ",", labels.back().first,
                            labels.back().second);
      }
      std::vector<RemoteSample> samples;
      for (size_t j = 1 + random() % 4; j > 0; --j) {
        samples.push_back({static_cast<double>(random() % 1000) / 8,
                           static_cast<int64_t>(random() % 2'000'000'000'000)});
        expected += fmt::format("{}: {}{{{}}} {} @{}\n", series.size() + 1, labels[0].second, text,
                                samples.back().value, samples.back().millis);
      }
      series.push_back(SeriesV1(labels, samples));
      request.AddSeries(labels, samples);
    }
    ASSERT_EQ(OutcomeV1(RequestV1(series)), expected);
    ASSERT_EQ(OutcomeV2(request.Message()), expected);
    parser_.Trim();
  }
}

}  // namespace
}  // namespace tsdbd::ingest
