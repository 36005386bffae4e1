#include "ingest/line_protocol.h"

#include <algorithm>
#include <limits>

#include "common/check.h"
#include "common/clock.h"
#include "ingest/limits.h"
#include "ingest/line_scanner.h"
#include "ingest/number.h"
#include "ingest/text.h"

namespace tsdbd::ingest {
namespace {

// Line numbers and value indexes have 32 bits.
constexpr size_t kMaxBodyBytes = std::numeric_limits<uint32_t>::max();

}  // namespace

StatusOr<Precision> ParsePrecision(std::string_view name) {
  if (name.empty() || name == "n" || name == "ns") {
    return Precision::kNanoseconds;
  }
  if (name == "u" || name == "us" || name == "µ") {
    return Precision::kMicroseconds;
  }
  if (name == "ms") {
    return Precision::kMilliseconds;
  }
  if (name == "s") {
    return Precision::kSeconds;
  }
  if (name == "m") {
    return Precision::kMinutes;
  }
  if (name == "h") {
    return Precision::kHours;
  }
  return InvalidArgument("invalid precision '{}': expected ns, u, ms, s, m or h",
                         Excerpt(name, /*max_bytes=*/16));
}

int64_t NanosPerUnit(Precision precision) {
  switch (precision) {
    case Precision::kNanoseconds:
      return 1;
    case Precision::kMicroseconds:
      return kNanosPerMicro;
    case Precision::kMilliseconds:
      return kNanosPerMilli;
    case Precision::kSeconds:
      return kNanosPerSecond;
    case Precision::kMinutes:
      return 60 * kNanosPerSecond;
    case Precision::kHours:
      return 3600 * kNanosPerSecond;
  }
  return 1;
}

void ParseReport::Clear() {
  *this = {};
}

void LineProtocolParser::Parse(std::string_view body, const ParseOptions& options,
                               model::RowBatch* batch, ParseReport* report) {
  CHECK(options.decoder != nullptr);
  CHECK(body.size() <= kMaxBodyBytes);
  batch->Clear();
  batch->decoder = options.decoder;
  report->Clear();

  options_ = &options;
  batch_ = batch;
  report_ = report;
  end_ = body.data() + body.size();
  nanos_per_unit_ = NanosPerUnit(options.precision);
  max_units_ = static_cast<uint64_t>(model::kMaxTimestamp / nanos_per_unit_);
  now_ = options.now - options.now % nanos_per_unit_;
  line_number_ = 0;
  ++batch_number_;
  values_.resize(std::max(values_.size(), options.max_fields));

  const char* p = body.data();
  while (p != end_) {
    const char* line = SkipBlanks(p, end_);
    ++line_number_;
    if (AtLineEnd(line, end_)) {
      p = NextLine(line, end_);
    } else if (*line == '#') {
      p = NextLine(std::find(line, end_, '\n'), end_);
    } else {
      ++report_->line_count;
      p = ParseLine(line);
      p = NextLine(p != nullptr ? p : RefuseLine(line), end_);
    }
  }
}

const char* LineProtocolParser::ParseLine(const char* line) {
  const char* key_end = FindKeyEnd(line, end_);
  const std::string_view key = TextBetween(line, key_end);
  if (key.size() > kMaxKeyBytes) {
    return Fail(LineProblem::kKeyTooLong);
  }
  const char* fields_start = SkipBlanks(key_end, end_);
  if (AtLineEnd(fields_start, end_)) {
    return Fail(LineProblem::kMissingFields);
  }
  const Fields fields = ParseFields(key, fields_start);
  if (fields.stop == nullptr) {
    return nullptr;
  }
  model::Timestamp timestamp = 0;
  const char* line_end = ParseTimestamp(fields.stop, &timestamp);
  if (line_end == nullptr) {
    return nullptr;
  }
  if (static_cast<size_t>(line_end - line) > options_->max_line_bytes) {
    return Fail(LineProblem::kLineTooLong);
  }
  AddRow(key, fields.layout, timestamp);
  report_->inexact_integer_count += fields.inexact_integer_count;
  if (fields.layout->string_count != 0) {
    report_->dropped_string_count += fields.layout->string_count;
    line_number_ += static_cast<uint32_t>(std::count(line, line_end, '\n'));
  }
  return line_end;
}

// Tries the layout of the line before, then the one that this measurement had when last it followed
// another layout, then looks for the names.
LineProtocolParser::Fields LineProtocolParser::ParseFields(std::string_view key, const char* p) {
  if (last_layout_ != nullptr) [[likely]] {
    const Fields fields = MatchLayout(last_layout_, p);
    if (fields.stop != nullptr) [[likely]] {
      return fields;
    }
  }
  const std::string_view measurement = key.substr(0, key.find(','));
  Fields fields;
  if (FieldLayout* guess = layouts_.LastOf(measurement); guess != nullptr) {
    fields = MatchLayout(guess, p);
  }
  if (fields.stop == nullptr) {
    fields = TokenizeFields(p);
  }
  if (fields.stop != nullptr) {
    layouts_.LastOf(measurement) = fields.layout;
    last_layout_ = fields.layout;
  }
  return fields;
}

LineProtocolParser::Fields LineProtocolParser::MatchLayout(FieldLayout* layout, const char* p) {
  const bool is_usable =
      layout->column_of_value.empty() && layout->fields.size() <= options_->max_fields &&
      (layout->string_count == 0 || options_->string_fields == StringFieldPolicy::kDrop);
  if (!is_usable) {
    return {};
  }
  const char* const end = end_;
  uint32_t inexact_count = 0;
  double* value = values_.data();
  for (const FieldLayout::Field& field : layout->fields) {
    if (!HasPrefix(field, p, end)) {
      return {};
    }
    p += field.prefix.size();
    if (field.is_string) {
      const ScannedValue string = ScanString(p, end);
      if (p == end || *p != '"' || string.problem != LineProblem::kNone) {
        return {};
      }
      p = string.stop;
    } else if (const char* stop = ReadCommonNumber(p, end, value); stop != nullptr) [[likely]] {
      p = stop;
      ++value;
    } else {
      const ScannedValue scalar = ScanScalar(p, end);
      if (scalar.problem != LineProblem::kNone) {
        return {};
      }
      inexact_count += scalar.inexact;
      p = scalar.stop;
      *value++ = scalar.value;
    }
  }
  if (p != end && *p == ',') {
    return {};  // more fields follow
  }
  return {.stop = p, .layout = layout, .inexact_integer_count = inexact_count};
}

LineProtocolParser::Fields LineProtocolParser::TokenizeFields(const char* p) {
  Fields fields;
  size_t value_count = 0;
  tokens_.clear();
  for (;; ++p) {
    if (tokens_.size() == options_->max_fields) {
      Fail(LineProblem::kTooManyFields, TextBetween(p, p));
      return {};
    }
    const ScannedValue value = TokenizeField(p);
    if (value.stop == nullptr) {
      return {};
    }
    if (!tokens_.back().is_string) {
      values_[value_count++] = value.value;
      fields.inexact_integer_count += value.inexact;
    }
    p = value.stop;
    if (p == end_ || *p != ',') {
      break;
    }
  }
  fields.layout = layouts_.FindOrMake(tokens_, &failure_);
  if (fields.layout == nullptr) {
    return {};
  }
  // The last value of a name wins. Columns are numbered by first appearance, so none of the values
  // that are still to be moved is overwritten.
  const std::vector<uint32_t>& column_of_value = fields.layout->column_of_value;
  for (size_t i = 0; i < column_of_value.size(); ++i) {
    values_[column_of_value[i]] = values_[i];
  }
  fields.stop = p;
  return fields;
}

// Adds one `name=value` to tokens_.
ScannedValue LineProtocolParser::TokenizeField(const char* p) {
  const char* name_end = FindNameEnd(p, end_);
  const std::string_view name = TextBetween(p, name_end);
  if (name_end == end_ || *name_end != '=') {
    Fail(LineProblem::kInvalidFieldFormat, name);
    return {};
  }
  if (name.empty()) {
    Fail(LineProblem::kMissingFieldKey, name);
    return {};
  }
  p = name_end + 1;
  if (p == end_ || EndsValue(*p)) {
    Fail(LineProblem::kMissingFieldValue, TextBetween(p, p), name);
    return {};
  }
  const ScannedValue value = *p == '"' ? ScanString(p, end_) : ScanScalar(p, end_);
  tokens_.push_back({.name = name, .is_string = *p == '"'});
  if (value.problem != LineProblem::kNone) {
    Fail(value.problem, TextBetween(p, value.stop), name);
    return {};
  }
  if (*p == '"' && options_->string_fields == StringFieldPolicy::kRefuse) {
    Fail(LineProblem::kStringRefused, TextBetween(p, value.stop), name);
    return {};
  }
  return value;
}

const char* LineProtocolParser::ParseTimestamp(const char* p, model::Timestamp* timestamp) {
  const char* text = SkipBlanks(p, end_);
  if (AtLineEnd(text, end_)) {
    *timestamp = now_;
    return text;
  }
  const Digits units = ReadDigits(text, end_);
  if (p == text || units.count == 0 || units.value > max_units_) {
    return FailTimestamp(p);
  }
  const char* line_end = SkipBlanks(text + units.count, end_);
  *timestamp = static_cast<int64_t>(units.value) * nanos_per_unit_;
  const bool is_fine = AtLineEnd(line_end, end_) && options_->time_range.Contains(*timestamp);
  return is_fine ? line_end : FailTimestamp(p);
}

// Says what is wrong with the end of a line, from the end of its fields.
std::nullptr_t LineProtocolParser::FailTimestamp(const char* p) {
  const char* text = SkipBlanks(p, end_);
  const char* stop = FindBlankOrControl(text, end_);
  const std::string_view timestamp = TextBetween(text, stop);
  if (p == text) {
    return Fail(LineProblem::kInvalidFieldFormat, timestamp);
  }
  const std::string_view digits = timestamp.substr(timestamp.starts_with('-'));
  if (digits.empty() || digits.find_first_not_of("0123456789") != std::string_view::npos) {
    return Fail(LineProblem::kBadTimestamp, timestamp);
  }
  const char* rest = SkipBlanks(stop, end_);
  if (!AtLineEnd(rest, end_)) {
    return Fail(LineProblem::kTrailingText, TextBetween(rest, FindBlankOrControl(rest, end_)));
  }
  return Fail(LineProblem::kTimeRange, timestamp);
}

void LineProtocolParser::AddRow(std::string_view key, FieldLayout* layout,
                                model::Timestamp timestamp) {
  const size_t value_count = layout->columns.names.size();
  if (value_count == 0) {
    ++report_->lines_without_values;
    return;
  }
  if (layout->batch != batch_number_) {
    layout->batch = batch_number_;
    layout->index_in_batch = static_cast<uint32_t>(batch_->field_lists.size());
    batch_->field_lists.push_back(layout->columns);
  }
  batch_->rows.push_back({.key = key,
                          .key_hash = HashTo128(key),
                          .timestamp = timestamp,
                          .first_value = static_cast<uint32_t>(batch_->values.size()),
                          .field_list = layout->index_in_batch,
                          .line = line_number_});
  batch_->values.insert(batch_->values.end(), values_.data(), values_.data() + value_count);
}

// Reports failure_ and returns the end of the line.
const char* LineProtocolParser::RefuseLine(const char* line) {
  const char* line_end = FindLineEnd(line, end_);
  ++report_->error_count;
  if (report_->errors.size() < kMaxReportedErrors) {
    const std::string_view text = TextBetween(line, line_end);
    std::string reason = Describe(failure_, text);
    if (failure_.problem == LineProblem::kTimeRange) {
      reason +=
          fmt::format(", must be {} to {} ns", options_->time_range.min, options_->time_range.max);
    }
    report_->errors.push_back({line_number_, UnableToParse(text, reason)});
  }
  line_number_ += static_cast<uint32_t>(std::count(line, line_end, '\n'));
  return line_end;
}

std::nullptr_t LineProtocolParser::Fail(LineProblem problem, std::string_view text,
                                        std::string_view field) {
  failure_ = {problem, text, field};
  return nullptr;
}

}  // namespace tsdbd::ingest
