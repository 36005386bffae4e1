#include "ingest/remote_read.h"

#include <algorithm>
#include <array>
#include <optional>
#include <span>

#include "common/clock.h"
#include "common/varint.h"
#include "ingest/protobuf.h"
#include "ingest/xor_chunk.h"

namespace tsdbd::ingest {
namespace {

// ReadRequest.
constexpr uint32_t kQueries = BytesField(1);
constexpr uint32_t kAcceptedType = VarintField(2);
constexpr uint32_t kAcceptedTypes = BytesField(2);  // packed
// Query.
constexpr uint32_t kStartMillis = VarintField(1);
constexpr uint32_t kEndMillis = VarintField(2);
constexpr uint32_t kMatchers = BytesField(3);
// LabelMatcher.
constexpr uint32_t kType = VarintField(1);
constexpr uint32_t kName = BytesField(2);
constexpr uint32_t kValue = BytesField(3);

// The samples in [start, end], cut to milliseconds.
model::TimeRange RangeOf(int64_t start_ms, int64_t end_ms) {
  constexpr int64_t kMaxMillis = model::kMaxTimestamp / kNanosPerMilli;
  if (end_ms < 0 || start_ms > kMaxMillis || start_ms > end_ms) {
    return {.min = 1, .max = 0};
  }
  const int64_t start = std::max<int64_t>(start_ms, 0) * kNanosPerMilli;
  const int64_t end =
      end_ms >= kMaxMillis ? model::kMaxTimestamp : end_ms * kNanosPerMilli + (kNanosPerMilli - 1);
  return {.min = start, .max = end};
}

StatusOr<model::Matcher> ReadMatcher(protozero::pbf_reader message) {
  uint64_t type = 0;
  std::string name;
  std::string value;
  while (message.next()) {
    switch (message.tag_and_type()) {
      case kType:
        type = message.get_uint64();
        break;
      case kName:
        name = message.get_view();
        break;
      case kValue:
        value = message.get_view();
        break;
      default:
        message.skip();
    }
  }
  // In the order of the protocol's numbers.
  static constexpr std::array kTypes = {model::MatchType::kEqual, model::MatchType::kNotEqual,
                                        model::MatchType::kRegex, model::MatchType::kNotRegex};
  if (type >= kTypes.size()) {
    return InvalidArgument("invalid matcher type");
  }
  return model::Matcher::Create(kTypes[type], std::move(name), std::move(value));
}

// Hints are only hints.
Status ReadQuery(protozero::pbf_reader message, size_t* regex_size, RemoteReadQuery* query) {
  int64_t start_ms = 0;
  int64_t end_ms = 0;
  while (message.next()) {
    switch (message.tag_and_type()) {
      case kStartMillis:
        start_ms = message.get_int64();
        break;
      case kEndMillis:
        end_ms = message.get_int64();
        break;
      case kMatchers: {
        ASSIGN_OR_RETURN(model::Matcher matcher, ReadMatcher(message.get_message()));
        *regex_size += matcher.RegexSize();
        if (*regex_size > kMaxRemoteReadRegexSize) {
          return ResourceExhausted("the regexes of the request are too large together");
        }
        query->matchers.push_back(std::move(matcher));
        break;
      }
      default:
        message.skip();
    }
  }
  query->range = RangeOf(start_ms, end_ms);
  return OkStatus();
}

// Throws protozero's exceptions.
StatusOr<RemoteReadRequest> ReadRequest(std::string_view message) {
  RemoteReadRequest request;
  std::optional<RemoteReadAnswer> answer;
  bool any_accepted = false;
  const auto accept = [&](int32_t type) {
    any_accepted = true;
    if (!answer && (type == 0 || type == 1)) {
      answer = type == 0 ? RemoteReadAnswer::kSamples : RemoteReadAnswer::kStreamedXorChunks;
    }
  };
  size_t regex_size = 0;
  protozero::pbf_reader reader(message);
  while (reader.next()) {
    switch (reader.tag_and_type()) {
      case kQueries:
        RETURN_IF_ERROR(
            ReadQuery(reader.get_message(), &regex_size, &request.queries.emplace_back()));
        break;
      case kAcceptedType:
        accept(reader.get_enum());
        break;
      case kAcceptedTypes:
        for (const int32_t type : reader.get_packed_enum()) {
          accept(type);
        }
        break;
      default:
        reader.skip();
    }
  }
  if (any_accepted && !answer) {
    return InvalidArgument("server does not support any of the requested response types");
  }
  request.answer = answer.value_or(RemoteReadAnswer::kSamples);
  return request;
}

void AppendLabels(const model::LabelViews& labels, protozero::pbf_writer* writer) {
  for (const model::LabelView& label : labels) {
    protozero::pbf_writer message(*writer, 1);
    message.add_string(1, label.name.data(), label.name.size());
    message.add_string(2, label.value.data(), label.value.size());
  }
}

std::string XorChunkMessage(std::span<const int64_t> timestamps_ms,
                            std::span<const double> values) {
  constexpr int32_t kXor = 1;
  std::string chunk;
  AppendXorChunk(timestamps_ms, values, &chunk);
  std::string message;
  protozero::pbf_writer writer(message);
  writer.add_int64(1, timestamps_ms.front());
  writer.add_int64(2, timestamps_ms.back());
  writer.add_enum(3, kXor);
  writer.add_bytes(4, chunk);
  return message;
}

// At most, of a frame and the messages in it: tags, sizes, checksum, number of the query.
constexpr size_t kFramingBytes = 64;

// A ChunkedReadResponse with one ChunkedSeries, framed.
std::string Frame(int64_t query_index, std::string_view chunked_series) {
  std::string message;
  protozero::pbf_writer writer(message);
  writer.add_message(1, chunked_series.data(), chunked_series.size());
  writer.add_int64(2, query_index);
  std::string frame;
  AppendVarint(&frame, message.size());
  const uint32_t checksum = Crc32c(message);
  for (int shift = 24; shift >= 0; shift -= 8) {
    frame.push_back(static_cast<char>(checksum >> shift));
  }
  return frame + message;
}

constexpr auto kCrc32cTable = [] {
  constexpr uint32_t kPolynomial = 0x82F63B78;  // Castagnoli's, reflected
  std::array<uint32_t, 256> table = {};
  for (uint32_t i = 0; i < table.size(); ++i) {
    uint32_t crc = i;
    for (int bit = 0; bit < 8; ++bit) {
      crc = (crc >> 1) ^ (crc & 1 ? kPolynomial : 0);
    }
    table[i] = crc;
  }
  return table;
}();

}  // namespace

StatusOr<RemoteReadRequest> ParseRemoteRead(std::string_view message) {
  try {
    return ReadRequest(message);
  } catch (const protozero::exception& error) {
    return InvalidArgument("malformed protobuf message: {}", error.what());
  }
}

void CutToMillis(model::SampleColumns* samples) {
  size_t count = 0;
  for (size_t i = 0; i < samples->size(); ++i) {
    const int64_t millis = samples->timestamps[i] / kNanosPerMilli;
    count -= count > 0 && samples->timestamps[count - 1] == millis ? 1 : 0;
    samples->timestamps[count] = millis;
    samples->values[count] = samples->values[i];
    ++count;
  }
  samples->timestamps.resize(count);
  samples->values.resize(count);
}

void AppendTimeSeries(const model::LabelViews& labels, const model::SampleColumns& samples_ms,
                      std::string* query_result) {
  protozero::pbf_writer parent(*query_result);
  protozero::pbf_writer series(parent, 1);
  AppendLabels(labels, &series);
  for (size_t i = 0; i < samples_ms.size(); ++i) {
    protozero::pbf_writer sample(series, 2);
    sample.add_double(1, samples_ms.values[i]);
    sample.add_int64(2, samples_ms.timestamps[i]);
  }
}

void AppendQueryResult(std::string_view query_result, std::string* response) {
  protozero::pbf_writer writer(*response);
  writer.add_message(1, query_result.data(), query_result.size());
}

bool WriteFrames(int64_t query_index, const model::LabelViews& labels,
                 const model::SampleColumns& samples_ms, const FrameSink& sink) {
  std::string label_fields;
  protozero::pbf_writer label_writer(label_fields);
  AppendLabels(labels, &label_writer);
  std::string series = label_fields;
  const std::span timestamps(samples_ms.timestamps);
  const std::span values(samples_ms.values);
  for (size_t first = 0; first < values.size(); first += kMaxXorChunkSamples) {
    const size_t count = std::min(values.size() - first, kMaxXorChunkSamples);
    const std::string chunk =
        XorChunkMessage(timestamps.subspan(first, count), values.subspan(first, count));
    if (first > 0 && series.size() + chunk.size() + kFramingBytes > kMaxFrameBytes) {
      if (!sink(Frame(query_index, series))) {
        return false;
      }
      series = label_fields;
    }
    protozero::pbf_writer writer(series);
    writer.add_message(2, chunk);
  }
  return values.empty() || sink(Frame(query_index, series));
}

uint32_t Crc32c(std::string_view bytes) {
  uint32_t crc = ~uint32_t{0};
  for (const char byte : bytes) {
    crc = (crc >> 8) ^ kCrc32cTable[(crc ^ static_cast<uint8_t>(byte)) & 0xFF];
  }
  return ~crc;
}

}  // namespace tsdbd::ingest
