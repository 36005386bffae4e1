#pragma once
// Prometheus' JSON answers, written in pieces so that a large one is never whole in memory.
//
// Numbers look as Prometheus prints them: timestamps in seconds, a fraction only as three digits;
// values as strings with the fewest digits that read back the same, "e" notation below 1e-6 and
// from 1e21. Strings are always valid UTF-8: bytes that are not become U+FFFD.
// A writer belongs to one thread at a time.

#include <functional>
#include <span>
#include <string>
#include <string_view>

#include "common/status.h"
#include "model/labels.h"
#include "model/sample.h"
#include "query/query_result.h"

namespace tsdbd::query {

// Takes the next piece; valid only during the call. False: nobody wants more (the client is gone).
using JsonSink = std::function<bool(std::string_view)>;

// Collects text and hands it to the sink in pieces of about kPieceBytes.
class JsonStream {
 public:
  explicit JsonStream(JsonSink sink) : sink_(std::move(sink)) {}

  void Raw(std::string_view text) { buffer_ += text; }
  void Raw(char c) { buffer_ += c; }
  void String(std::string_view text);  // "text", escaped
  void Integer(int64_t value);
  void Seconds(model::Timestamp time);           // 1435781451.781
  void SampleValue(double value);                // "1.5"
  void ExportValue(double value);                // 1.5, null, "Infinity"
  void Labels(const model::LabelViews& labels);  // {"__name__":"up"}
  void StringArray(std::span<const std::string> texts);

  // Hands out what is pending if it is a piece's worth; callers do so once per element.
  // False once the sink has refused.
  bool Yield() { return buffer_.size() < kPieceBytes ? open_ : Flush(); }
  bool Flush();

 private:
  // Large enough that a piece's fixed cost (a chunk header, a system call) does not count, small
  // enough to stay in the L2 cache.
  static constexpr size_t kPieceBytes = 32 << 10;

  JsonSink sink_;
  std::string buffer_;
  bool open_ = true;
};

// Each of these gives false if the sink refused a piece, after which it is not called again.

// The answer of query and query_range.
bool WriteQueryResult(const QueryResult& result, const JsonSink& sink);

// An answer whose data is a list of strings: label names, label values.
bool WriteStrings(std::span<const std::string> values, std::span<const std::string> warnings,
                  const JsonSink& sink);

// An answer whose data is a list of label sets: series.
class LabelSetsWriter {
 public:
  explicit LabelSetsWriter(JsonSink sink);
  bool Add(const model::LabelViews& labels);
  bool Finish(std::span<const std::string> warnings);

 private:
  JsonStream stream_;
  bool first_ = true;
};

// {"status":"error","errorType":"bad_data","error":"..."}
std::string ErrorAnswer(const Status& status);

enum class ExportPrecision { kMilliseconds, kNanoseconds };

// Export lines in VictoriaMetrics' shape, one object per series and line:
// {"metric":{...},"values":[1,2.5],"timestamps":[1435781430781,...]}. NaN is null, the infinities
// are "Infinity" and "-Infinity". Milliseconds are rounded down.
class ExportWriter {
 public:
  ExportWriter(ExportPrecision precision, JsonSink sink);
  // Writes nothing for a series without samples.
  bool Add(const model::LabelViews& labels, const model::SampleColumns& samples);
  bool Finish() { return stream_.Flush(); }

 private:
  const int64_t nanos_per_unit_;
  JsonStream stream_;
};

}  // namespace tsdbd::query
