#include "ingest/remote_read.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/varint.h"
#include "ingest/protobuf.h"
#include "ingest/remote_write_testing.h"
#include "ingest/xor_chunk_testing.h"

namespace tsdbd::ingest {
namespace {

using ::testing::HasSubstr;

std::string MatcherMessage(uint64_t type, std::string_view name, std::string_view value) {
  return VarintOf(1, type) + BytesOf(2, name) + BytesOf(3, value);
}

std::string QueryMessage(int64_t start_ms, int64_t end_ms, const std::string& matchers = "") {
  return VarintOf(1, static_cast<uint64_t>(start_ms)) + VarintOf(2, static_cast<uint64_t>(end_ms)) +
         matchers;
}

TEST(RemoteReadTest, AQueryIsARangeAndMatchers) {
  const auto request = ParseRemoteRead(BytesOf(
      1, QueryMessage(1'000, 2'000,
                      BytesOf(3, MatcherMessage(0, "__name__", "up")) +
                          BytesOf(3, MatcherMessage(1, "a", "b")) +
                          BytesOf(3, MatcherMessage(2, "c", "d.*")) +
                          BytesOf(3, MatcherMessage(3, "e", "f|g")) + BytesOf(4, "hints?"))));
  ASSERT_TRUE(request.ok()) << request.status();
  ASSERT_EQ(request->queries.size(), 1u);
  const RemoteReadQuery& query = request->queries[0];
  EXPECT_EQ(query.range.min, 1'000'000'000);
  EXPECT_EQ(query.range.max, 2'000'999'999);
  std::string matchers;
  for (const model::Matcher& matcher : query.matchers) {
    matchers += matcher.ToString() + " ";
  }
  EXPECT_EQ(matchers, "__name__=\"up\" a!=\"b\" c=~\"d.*\" e!~\"f|g\" ");
  EXPECT_EQ(request->answer, RemoteReadAnswer::kSamples);
}

TEST(RemoteReadTest, RangesAreCutToTheTimesThatSamplesCanHave) {
  struct Case {
    int64_t start_ms, end_ms;
    model::Timestamp min, max;
  };
  for (const Case& c : {Case{INT64_MIN, INT64_MAX, 0, model::kMaxTimestamp},
                        Case{-5, 5, 0, 5'999'999}, Case{0, 0, 0, 999'999},
                        Case{model::kMaxTimestamp / 1'000'000, INT64_MAX,
                             model::kMaxTimestamp / 1'000'000 * 1'000'000, model::kMaxTimestamp}}) {
    const auto request = ParseRemoteRead(BytesOf(1, QueryMessage(c.start_ms, c.end_ms)));
    EXPECT_EQ(request->queries[0].range.min, c.min);
    EXPECT_EQ(request->queries[0].range.max, c.max);
  }
  for (const auto& [start, end] :
       {std::pair<int64_t, int64_t>{-5, -1}, {2, 1}, {INT64_MAX, INT64_MAX}}) {
    const auto request = ParseRemoteRead(BytesOf(1, QueryMessage(start, end)));
    EXPECT_GT(request->queries[0].range.min, request->queries[0].range.max);
  }
}

TEST(RemoteReadTest, TheFirstAnswerThatWeKnowIsTaken) {
  const std::pair<std::string, RemoteReadAnswer> cases[] = {
      {"", RemoteReadAnswer::kSamples},
      {VarintOf(2, 0), RemoteReadAnswer::kSamples},
      {VarintOf(2, 1), RemoteReadAnswer::kStreamedXorChunks},
      {VarintOf(2, 1) + VarintOf(2, 0), RemoteReadAnswer::kStreamedXorChunks},
      {BytesOf(2, std::string("\x00\x01", 2)), RemoteReadAnswer::kSamples},
      {BytesOf(2, "\x09\x01"), RemoteReadAnswer::kStreamedXorChunks},
  };
  for (const auto& [message, answer] : cases) {
    const auto request = ParseRemoteRead(message);
    ASSERT_TRUE(request.ok());
    EXPECT_EQ(request->answer, answer);
  }
  EXPECT_THAT(std::string(Message(ParseRemoteRead(VarintOf(2, 7)).status())),
              HasSubstr("server does not support any of the requested response types"));
}

TEST(RemoteReadTest, BadRequestsAreRefused) {
  const std::string cases[] = {
      "text",
      BytesOf(1, BytesOf(3, MatcherMessage(4, "a", "b"))),
      BytesOf(1, BytesOf(3, MatcherMessage(2, "a", "("))),
      BytesOf(1, BytesOf(3, MatcherMessage(0, "a", "b") + "\x0a")),
      BytesOf(1, "\x18\xff"),
      BytesOf(2, "\xff"),
  };
  for (const std::string& message : cases) {
    EXPECT_EQ(ParseRemoteRead(message).status().code(), StatusCode::kInvalidArgument);
  }
}

TEST(RemoteReadTest, RegexesAreBoundedTogether) {
  std::string matchers;
  for (int i = 0; i < 3'000; ++i) {
    matchers += BytesOf(3, MatcherMessage(2, "a", "[a-f]{200}"));
  }
  EXPECT_EQ(ParseRemoteRead(BytesOf(1, QueryMessage(0, 1, matchers))).status().code(),
            StatusCode::kResourceExhausted);
}

TEST(RemoteReadTest, OfTheSamplesInAMillisecondTheLastStays) {
  model::SampleColumns samples;
  samples.timestamps = {0, 999'999, 1'000'000, 1'000'001, 5'000'000};
  samples.values = {1, 2, 3, 4, 5};
  CutToMillis(&samples);
  EXPECT_EQ(samples.timestamps, (std::vector<int64_t>{0, 1, 5}));
  EXPECT_EQ(samples.values, (std::vector<double>{2, 4, 5}));
}

TEST(RemoteReadTest, AnAnswerOfSamplesIsTheMessageOfRemoteWrite) {
  model::SampleColumns samples;
  samples.timestamps = {1, 2};
  samples.values = {0.5, -3};
  std::string result;
  AppendTimeSeries({{"__name__", "up"}, {"job", "a"}}, samples, &result);
  EXPECT_EQ(result, RequestV1({SeriesV1({{"__name__", "up"}, {"job", "a"}}, {{0.5, 1}, {-3, 2}})}));
  std::string response;
  AppendQueryResult(result, &response);
  EXPECT_EQ(response, BytesOf(1, result));
}

TEST(RemoteReadTest, ChecksumsAreCastagnolis) {
  EXPECT_EQ(Crc32c("123456789"), 0xE3069283u);
  EXPECT_EQ(Crc32c(""), 0u);
}

// The samples in a frame's chunks; checks what is around them.
model::SampleColumns SamplesOf(std::string_view frame, const std::string& labels) {
  model::SampleColumns samples;
  ByteReader reader(frame);
  uint64_t size = 0;
  std::string_view checksum;
  std::string_view message;
  EXPECT_TRUE(reader.Varint(&size) && reader.Bytes(4, &checksum) && reader.Bytes(size, &message));
  EXPECT_EQ(reader.left(), 0u);
  const uint32_t crc = Crc32c(message);
  for (int i = 0; i < 4; ++i) {
    EXPECT_EQ(static_cast<uint8_t>(checksum[i]), crc >> (24 - 8 * i) & 0xFF);
  }
  protozero::pbf_reader response(message);
  EXPECT_TRUE(response.next(1));
  protozero::pbf_reader series = response.get_message();
  EXPECT_TRUE(series.data().starts_with(labels));
  while (series.next(2)) {
    protozero::pbf_reader chunk = series.get_message();
    EXPECT_TRUE(chunk.next(1));
    const int64_t min = chunk.get_int64();
    EXPECT_TRUE(chunk.next(2));
    const int64_t max = chunk.get_int64();
    EXPECT_TRUE(chunk.next(3));
    EXPECT_EQ(chunk.get_enum(), 1);
    EXPECT_TRUE(chunk.next(4));
    const auto decoded = DecodeXorChunk(chunk.get_view());
    EXPECT_TRUE(decoded.ok());
    EXPECT_EQ(decoded->timestamps.front(), min);
    EXPECT_EQ(decoded->timestamps.back(), max);
    samples.timestamps.insert(samples.timestamps.end(), decoded->timestamps.begin(),
                              decoded->timestamps.end());
    samples.values.insert(samples.values.end(), decoded->values.begin(), decoded->values.end());
  }
  EXPECT_TRUE(response.next(2));
  EXPECT_EQ(response.get_int64(), 7);
  return samples;
}

TEST(RemoteReadTest, ASeriesIsStreamedInFramesOfBoundedSize) {
  const model::LabelViews labels = {{"__name__", "up"}, {"job", "a"}};
  for (const size_t count : {0, 1, 120, 121, 500'000}) {
    model::SampleColumns samples;
    for (size_t i = 0; i < count; ++i) {
      samples.timestamps.push_back(static_cast<int64_t>(i * 15'000 + i * i % 100));
      samples.values.push_back(1.0 / static_cast<double>(i + 1));
    }
    size_t frames = 0;
    model::SampleColumns read;
    EXPECT_TRUE(WriteFrames(7, labels, samples, [&](std::string_view frame) {
      ++frames;
      EXPECT_LE(frame.size(), kMaxFrameBytes);
      const model::SampleColumns part =
          SamplesOf(frame, LabelsV1({{"__name__", "up"}, {"job", "a"}}));
      read.timestamps.insert(read.timestamps.end(), part.timestamps.begin(), part.timestamps.end());
      read.values.insert(read.values.end(), part.values.begin(), part.values.end());
      return true;
    }));
    EXPECT_EQ(read.timestamps, samples.timestamps);
    EXPECT_EQ(read.values, samples.values);
    EXPECT_EQ(frames == 0, count == 0);
    EXPECT_EQ(frames > 1, count == 500'000);
  }
}

TEST(RemoteReadTest, NothingIsStreamedToNobody) {
  model::SampleColumns samples;
  samples.timestamps.resize(1'000'000);
  samples.values.assign(1'000'000, 0.1);
  for (size_t i = 0; i < samples.size(); ++i) {
    samples.timestamps[i] = static_cast<int64_t>(i * i);
    samples.values[i] = static_cast<double>(i) / 7;
  }
  int frames = 0;
  EXPECT_FALSE(WriteFrames(0, {{"__name__", "up"}}, samples, [&](std::string_view) {
    ++frames;
    return false;
  }));
  EXPECT_EQ(frames, 1);
}

}  // namespace
}  // namespace tsdbd::ingest
