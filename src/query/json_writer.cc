#include "query/json_writer.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <cstdint>
#include <utility>

#include "common/clock.h"
#include "query/query_error.h"
#include "query/text.h"

namespace tsdbd::query {
namespace {

constexpr std::string_view kReplacementEscape = "\\ufffd";

bool NeedsNoEscape(char c) {
  const auto byte = static_cast<uint8_t>(c);
  return byte >= 0x20 && byte < 0x80 && c != '"' && c != '\\';
}

void AppendEscapedAscii(char c, std::string* out) {
  switch (c) {
    case '"':
      *out += "\\\"";
      return;
    case '\\':
      *out += "\\\\";
      return;
    case '\n':
      *out += "\\n";
      return;
    case '\r':
      *out += "\\r";
      return;
    case '\t':
      *out += "\\t";
      return;
    default:
      *out += fmt::format("\\u{:04x}", static_cast<uint8_t>(c));
  }
}

void AppendInteger(int64_t value, std::string* out) {
  std::array<char, 20> buffer;
  out->append(buffer.begin(), std::to_chars(buffer.begin(), buffer.end(), value).ptr);
}

// A series' value. Very small and very large ones have an exponent, as in Prometheus' answers.
void AppendSampleValue(double value, std::string* out) {
  const double magnitude = std::abs(value);
  const bool extreme = magnitude != 0 && (magnitude < 1e-6 || magnitude >= 1e21);
  if (!extreme || !std::isfinite(value)) {
    AppendDecimal(value, out);
    return;
  }
  std::array<char, 32> buffer;
  const auto end =
      std::to_chars(buffer.begin(), buffer.end(), value, std::chars_format::scientific).ptr;
  out->append(buffer.begin(), end);
}

void AppendSeconds(model::Timestamp time, std::string* out) {
  int64_t millis = time / kNanosPerMilli;
  if (millis < 0) {
    *out += '-';
    millis = -millis;
  }
  AppendInteger(millis / 1000, out);
  if (const auto fraction = static_cast<int>(millis % 1000); fraction != 0) {
    const char digits[] = {'.', static_cast<char>('0' + fraction / 100),
                           static_cast<char>('0' + fraction / 10 % 10),
                           static_cast<char>('0' + fraction % 10)};
    out->append(digits, sizeof(digits));
  }
}

// The time of a scalar or string: Prometheus drops the zeros at the end of these.
std::string FormatScalarTime(model::Timestamp time) {
  std::string text;
  AppendSeconds(time, &text);
  if (text.find('.') != text.npos) {
    text.erase(text.find_last_not_of('0') + 1);
  }
  return text;
}

void WriteNotes(const QueryResult& result, JsonStream* stream) {
  if (!result.warnings.empty()) {
    stream->Raw(",\"warnings\":");
    stream->StringArray(result.warnings);
  }
  if (!result.infos.empty()) {
    stream->Raw(",\"infos\":");
    stream->StringArray(result.infos);
  }
}

void WritePoint(model::Timestamp time, double value, JsonStream* stream) {
  stream->Raw('[');
  stream->Seconds(time);
  stream->Raw(',');
  stream->SampleValue(value);
  stream->Raw(']');
}

bool WriteVector(const QueryResult& result, JsonStream* stream) {
  bool first = true;
  for (const VectorSample& sample : result.vector) {
    stream->Raw(first ? "{\"metric\":" : ",{\"metric\":");
    first = false;
    stream->Labels(sample.labels);
    stream->Raw(",\"value\":");
    WritePoint(result.time, sample.value, stream);
    stream->Raw('}');
    if (!stream->Yield()) {
      return false;
    }
  }
  return true;
}

bool WriteSamples(const model::SampleColumns& samples, JsonStream* stream) {
  for (size_t i = 0; i < samples.size(); ++i) {
    if (i != 0) {
      stream->Raw(',');
    }
    WritePoint(samples.timestamps[i], samples.values[i], stream);
    if (!stream->Yield()) {
      return false;
    }
  }
  return true;
}

// `times[s]` is what stands before the value of step s: `[1435781430.781,`.
bool WriteRow(std::span<const double> row, std::span<const std::string> times, JsonStream* stream) {
  bool first = true;
  for (size_t step = 0; step < row.size(); ++step) {
    if (IsAbsent(row[step])) {
      continue;
    }
    if (!first) {
      stream->Raw(',');
    }
    first = false;
    stream->Raw(times[step]);
    stream->SampleValue(row[step]);
    stream->Raw(']');
    if (!stream->Yield()) {
      return false;
    }
  }
  return true;
}

std::vector<std::string> StepTexts(const StepGrid& grid) {
  std::vector<std::string> texts(grid.count, "[");
  for (size_t step = 0; step < grid.count; ++step) {
    AppendSeconds(grid.TimeAt(step), &texts[step]);
    texts[step] += ',';
  }
  return texts;
}

bool WriteMatrix(const QueryResult& result, JsonStream* stream) {
  const std::vector<std::string> times = StepTexts(result.grid);
  bool first_series = true;
  for (const MatrixSeries& series : result.matrix) {
    stream->Raw(first_series ? "{\"metric\":" : ",{\"metric\":");
    first_series = false;
    stream->Labels(series.labels);
    stream->Raw(",\"values\":[");
    if (!WriteSamples(series.samples, stream) || !WriteRow(series.row, times, stream)) {
      return false;
    }
    stream->Raw("]}");
  }
  return true;
}

bool WriteResult(const QueryResult& result, JsonStream* stream) {
  switch (result.type) {
    case ValueType::kVector:
      return WriteVector(result, stream);
    case ValueType::kMatrix:
      return WriteMatrix(result, stream);
    case ValueType::kScalar:
      stream->Raw(FormatScalarTime(result.time));
      stream->Raw(fmt::format(",\"{}\"", FormatDecimal(result.scalar)));
      return true;
    case ValueType::kString:
      stream->Raw(FormatScalarTime(result.time));
      stream->Raw(',');
      stream->String(result.text);
      return true;
  }
  return true;
}

void AppendExportValue(double value, std::string* out) {
  if (std::isfinite(value)) {
    AppendDecimal(value, out);
  } else if (std::isnan(value)) {
    *out += "null";
  } else {
    *out += value > 0 ? "\"Infinity\"" : "\"-Infinity\"";
  }
}

}  // namespace

// ---- JsonStream

void JsonStream::String(std::string_view text) {
  buffer_ += '"';
  while (!text.empty()) {
    size_t clean = 0;
    while (clean < text.size() && NeedsNoEscape(text[clean])) {
      ++clean;
    }
    buffer_ += text.substr(0, clean);
    text.remove_prefix(clean);
    if (text.empty()) {
      break;
    }
    const Rune rune = DecodeRune(text);
    if (!rune.IsValid()) {
      buffer_ += kReplacementEscape;
    } else if (rune.width == 1) {
      AppendEscapedAscii(text[0], &buffer_);
    } else {
      buffer_ += text.substr(0, rune.width);
    }
    text.remove_prefix(rune.width);
  }
  buffer_ += '"';
}

void JsonStream::Integer(int64_t value) {
  AppendInteger(value, &buffer_);
}

void JsonStream::Seconds(model::Timestamp time) {
  AppendSeconds(time, &buffer_);
}

void JsonStream::SampleValue(double value) {
  buffer_ += '"';
  AppendSampleValue(value, &buffer_);
  buffer_ += '"';
}

void JsonStream::ExportValue(double value) {
  AppendExportValue(value, &buffer_);
}

void JsonStream::Labels(const model::LabelViews& labels) {
  buffer_ += '{';
  bool first = true;
  for (const model::LabelView& label : labels) {
    if (!first) {
      buffer_ += ',';
    }
    first = false;
    String(label.name);
    buffer_ += ':';
    String(label.value);
  }
  buffer_ += '}';
}

void JsonStream::StringArray(std::span<const std::string> texts) {
  buffer_ += '[';
  bool first = true;
  for (const std::string& text : texts) {
    if (!first) {
      buffer_ += ',';
    }
    first = false;
    String(text);
    if (!Yield()) {
      return;
    }
  }
  buffer_ += ']';
}

bool JsonStream::Flush() {
  if (open_ && !buffer_.empty()) {
    open_ = sink_(buffer_);
  }
  buffer_.clear();
  return open_;
}

// ---- Answers

namespace {

std::string Seconds(int64_t nanos) {
  return fmt::format("{:.9f}", static_cast<double>(nanos) / 1e9);
}

// As Prometheus has them. What it calls samples are here the values that were read or looked at.
void WriteStats(const QueryStats& stats, JsonStream* stream) {
  stream->Raw(fmt::format(
      ",\"stats\":{{\"timings\":{{\"evalTotalTime\":{},\"resultSortTime\":{},"
      "\"queryPreparationTime\":{},\"innerEvalTime\":{},\"execQueueTime\":{},"
      "\"execTotalTime\":{}}},\"samples\":{{\"totalQueryableSamples\":{},\"peakSamples\":{}}},"
      "\"peakMemoryBytes\":{}}}",
      Seconds(stats.evaluate_ns), Seconds(stats.sort_ns), Seconds(stats.prepare_ns),
      Seconds(stats.evaluate_ns - stats.prepare_ns), Seconds(stats.queue_ns),
      Seconds(stats.queue_ns + stats.parse_ns + stats.evaluate_ns), stats.samples,
      stats.peak_memory_bytes / (sizeof(model::Timestamp) + sizeof(double)),
      stats.peak_memory_bytes));
}

void WriteOperator(const OperatorStats& stats, JsonStream* stream) {
  uint64_t children_ns = 0;
  for (const OperatorStats& child : stats.children) {
    children_ns += child.total_ns;
  }
  stream->Raw("{\"operator\":");
  stream->String(stats.name);
  stream->Raw(",\"query\":");
  stream->String(stats.detail);
  stream->Raw(fmt::format(
      ",\"series\":{},\"rows\":{},\"bytes\":{},\"totalTime\":{},\"selfTime\":{},\"inputs\":[",
      stats.series, stats.rows, stats.bytes, Seconds(static_cast<int64_t>(stats.total_ns)),
      Seconds(static_cast<int64_t>(stats.total_ns - std::min(children_ns, stats.total_ns)))));
  for (size_t i = 0; i < stats.children.size(); ++i) {
    stream->Raw(i == 0 ? "" : ",");
    WriteOperator(stats.children[i], stream);
  }
  stream->Raw("]}");
}

}  // namespace

bool WriteQueryResult(const QueryResult& result, const JsonSink& sink) {
  JsonStream stream(sink);
  stream.Raw(fmt::format("{{\"status\":\"success\",\"data\":{{\"resultType\":\"{}\",\"result\":[",
                         ValueTypeName(result.type)));
  if (!WriteResult(result, &stream)) {
    return false;
  }
  stream.Raw(']');
  if (result.shows_stats) {
    WriteStats(result.stats, &stream);
  }
  if (result.explain) {
    stream.Raw(",\"explain\":");
    WriteOperator(*result.explain, &stream);
  }
  stream.Raw('}');
  WriteNotes(result, &stream);
  stream.Raw('}');
  return stream.Flush();
}

bool WriteStrings(std::span<const std::string> values, std::span<const std::string> warnings,
                  const JsonSink& sink) {
  JsonStream stream(sink);
  stream.Raw("{\"status\":\"success\",\"data\":");
  stream.StringArray(values);
  if (!warnings.empty()) {
    stream.Raw(",\"warnings\":");
    stream.StringArray(warnings);
  }
  stream.Raw('}');
  return stream.Flush();
}

LabelSetsWriter::LabelSetsWriter(JsonSink sink) : stream_(std::move(sink)) {
  stream_.Raw("{\"status\":\"success\",\"data\":[");
}

bool LabelSetsWriter::Add(const model::LabelViews& labels) {
  if (!first_) {
    stream_.Raw(',');
  }
  first_ = false;
  stream_.Labels(labels);
  return stream_.Yield();
}

bool LabelSetsWriter::Finish(std::span<const std::string> warnings) {
  stream_.Raw(']');
  if (!warnings.empty()) {
    stream_.Raw(",\"warnings\":");
    stream_.StringArray(warnings);
  }
  stream_.Raw('}');
  return stream_.Flush();
}

std::string ErrorAnswer(const Status& status) {
  std::string answer;
  JsonStream stream([&](std::string_view piece) {
    answer += piece;
    return true;
  });
  stream.Raw(fmt::format("{{\"status\":\"error\",\"errorType\":\"{}\",\"error\":",
                         ErrorKindOf(status).name));
  stream.String(Message(status));
  stream.Raw('}');
  stream.Flush();
  return answer;
}

ExportWriter::ExportWriter(ExportPrecision precision, JsonSink sink)
    : nanos_per_unit_(precision == ExportPrecision::kMilliseconds ? kNanosPerMilli : 1),
      stream_(std::move(sink)) {}

bool ExportWriter::Add(const model::LabelViews& labels, const model::SampleColumns& samples) {
  if (samples.size() == 0) {
    return true;
  }
  stream_.Raw("{\"metric\":");
  stream_.Labels(labels);
  stream_.Raw(",\"values\":[");
  for (size_t i = 0; i < samples.size(); ++i) {
    if (i != 0) {
      stream_.Raw(',');
    }
    stream_.ExportValue(samples.values[i]);
    if (!stream_.Yield()) {
      return false;
    }
  }
  stream_.Raw("],\"timestamps\":[");
  for (size_t i = 0; i < samples.size(); ++i) {
    if (i != 0) {
      stream_.Raw(',');
    }
    stream_.Integer(samples.timestamps[i] / nanos_per_unit_);
    if (!stream_.Yield()) {
      return false;
    }
  }
  stream_.Raw("]}\n");
  return stream_.Yield();
}

}  // namespace tsdbd::query
