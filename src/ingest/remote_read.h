#pragma once
// Prometheus remote read: the messages of a request and of its two kinds of answers, without their
// snappy. Nothing here knows a database. Pure functions.
//
// The protocol counts in milliseconds. Ours are cut: of the samples within one millisecond the last
// is told.

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "common/status.h"
#include "model/labels.h"
#include "model/matcher.h"
#include "model/sample.h"

namespace tsdbd::ingest {

struct RemoteReadQuery {
  model::TimeRange range;  // min > max: no sample can be in it
  std::vector<model::Matcher> matchers;
};

enum class RemoteReadAnswer {
  kSamples,            // one ReadResponse
  kStreamedXorChunks,  // frames with a ChunkedReadResponse each
};

struct RemoteReadRequest {
  std::vector<RemoteReadQuery> queries;
  // The first that the client accepts and we know.
  RemoteReadAnswer answer = RemoteReadAnswer::kSamples;
};

// What all regexes of a request may compile to, in instructions of about a microsecond each.
inline constexpr size_t kMaxRemoteReadRegexSize = 500'000;

// kInvalidArgument: a malformed message, a matcher of an unknown type or with a bad regex, none of
// the accepted answers known; kResourceExhausted: the regexes are larger than the bound together.
StatusOr<RemoteReadRequest> ParseRemoteRead(std::string_view message);

// Timestamps from nanoseconds to milliseconds, each once.
void CutToMillis(model::SampleColumns* samples);

// Appends a TimeSeries as a field of a QueryResult. Timestamps are milliseconds.
void AppendTimeSeries(const model::LabelViews& labels, const model::SampleColumns& samples_ms,
                      std::string* query_result);
// Appends a QueryResult as a field of a ReadResponse.
void AppendQueryResult(std::string_view query_result, std::string* response);

// More than one chunk, of 2 KB at most, is in a frame only up to this size. As Prometheus.
inline constexpr size_t kMaxFrameBytes = size_t{1} << 20;

// Takes a frame; false if nobody wants more.
using FrameSink = std::function<bool(std::string_view frame)>;

// Streams one series of query number `query_index` as frames: size, checksum, message. Timestamps
// are milliseconds; a series without samples makes no frame. False as soon as `sink` says so.
bool WriteFrames(int64_t query_index, const model::LabelViews& labels,
                 const model::SampleColumns& samples_ms, const FrameSink& sink);

// CRC-32C (Castagnoli).
uint32_t Crc32c(std::string_view bytes);

}  // namespace tsdbd::ingest
