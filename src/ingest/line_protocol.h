#pragma once
// InfluxDB line protocol: the bytes of a request become rows. Nothing here knows a database: tags
// stay raw bytes (line_key_decoder.h turns them into labels when a key is met for the first time).
//
//   measurement[,tag=value...] field=value[,field=value...] [timestamp]
//
// A delimiter is escaped by a backslash just before it; backslashes are never counted. Inside a
// quoted string `\"` and `\\` are escapes and a newline is an ordinary character. `#` opens a
// comment; CRLF, blank lines, and several blanks between the parts and around them are fine.
//
// Fast path: most lines have the fields of a line before them. The parser compares the field names
// it expects (field_layout.h) with the bytes, so a known line is never tokenised.

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "common/status.h"
#include "ingest/field_layout.h"
#include "ingest/line_problem.h"
#include "ingest/line_scanner.h"
#include "model/row_batch.h"

namespace tsdbd::ingest {

// Unit of the timestamps on the lines.
enum class Precision { kNanoseconds, kMicroseconds, kMilliseconds, kSeconds, kMinutes, kHours };

// The names that InfluxDB 1.x and 2.x take: n ns u us µ ms s m h; "" is nanoseconds.
StatusOr<Precision> ParsePrecision(std::string_view name);
int64_t NanosPerUnit(Precision precision);

// We store numbers only.
enum class StringFieldPolicy {
  kDrop,    // the line keeps its other fields; the dropped ones are counted
  kRefuse,  // the line is an error
};

struct ParseOptions {
  // Goes into the batch, which it must outlive.
  const model::KeyDecoder* decoder = nullptr;
  Precision precision = Precision::kNanoseconds;
  // For lines without a timestamp; cut to the precision, as InfluxDB does.
  model::Timestamp now = 0;
  // Rows outside are errors. A future limit is a `max` a little after `now`.
  model::TimeRange time_range = {};
  StringFieldPolicy string_fields = StringFieldPolicy::kDrop;
  // Telegraf's widest inputs have some hundreds. Bounds the columns of a series group.
  size_t max_fields = 4096;
  // Bounds what one line can make the database keep in memory and log as one piece.
  size_t max_line_bytes = 1 << 20;
};

// How many errors are told; all are counted. A client whose every line is bad needs a few.
inline constexpr size_t kMaxReportedErrors = 100;

struct ParseReport {
  uint64_t line_count = 0;               // blank lines and comments are not counted
  uint64_t error_count = 0;              // lines that were refused
  uint64_t dropped_string_count = 0;     // string fields of accepted lines
  uint64_t lines_without_values = 0;     // accepted, but all their fields were dropped
  uint64_t inexact_integer_count = 0;    // integers beyond 2^53, which a double rounds
  std::vector<model::LineError> errors;  // the first kMaxReportedErrors, by line

  void Clear();
};

// Reusable: keeps its memory and what it learned about field names. Not thread-safe.
class LineProtocolParser {
 public:
  LineProtocolParser() = default;
  LineProtocolParser(const LineProtocolParser&) = delete;
  LineProtocolParser& operator=(const LineProtocolParser&) = delete;

  // Replaces *batch by the rows of `body` (which must outlive it) and *report. A bad line makes an
  // error, "unable to parse '<line>': <reason>", and no row; the other lines are not touched by it.
  // Keys are not looked into: the database reports what the decoder says about a new one. Nor are
  // the insides of strings, because they are dropped.
  // An unclosed quote takes the rest of the body with it: what may be inside a string is not data.
  void Parse(std::string_view body, const ParseOptions& options, model::RowBatch* batch,
             ParseReport* report);

 private:
  // What an attempt at the fields of a line found, besides their values (values_).
  struct Fields {
    const char* stop = nullptr;  // where they end; null: the attempt failed
    FieldLayout* layout = nullptr;
    uint32_t inexact_integer_count = 0;
  };

  // Each takes the place where its part starts. On failure failure_ is set and null returned.
  const char* ParseLine(const char* line);
  Fields ParseFields(std::string_view key, const char* p);
  Fields TokenizeFields(const char* p);
  ScannedValue TokenizeField(const char* p);
  const char* ParseTimestamp(const char* p, model::Timestamp* timestamp);
  // Not a failure if the bytes are laid out otherwise: stop is null then.
  Fields MatchLayout(FieldLayout* layout, const char* p);

  void AddRow(std::string_view key, FieldLayout* layout, model::Timestamp timestamp);
  const char* RefuseLine(const char* line);
  std::nullptr_t FailTimestamp(const char* p);
  std::nullptr_t Fail(LineProblem problem, std::string_view text = {}, std::string_view field = {});

  // Of the call to Parse that is under way.
  const ParseOptions* options_ = nullptr;
  model::RowBatch* batch_ = nullptr;
  ParseReport* report_ = nullptr;
  const char* end_ = nullptr;
  int64_t nanos_per_unit_ = 1;
  uint64_t max_units_ = 0;    // what a timestamp may be, in units of the precision
  model::Timestamp now_ = 0;  // in whole units
  uint32_t line_number_ = 0;
  LineFailure failure_;  // of the line that is being parsed

  // Kept from call to call.
  uint64_t batch_number_ = 0;
  FieldLayoutCache layouts_;
  FieldLayout* last_layout_ = nullptr;
  std::vector<RawField> tokens_;
  std::vector<double> values_;  // of one line
};

}  // namespace tsdbd::ingest
