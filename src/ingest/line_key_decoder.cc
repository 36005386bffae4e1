#include "ingest/line_key_decoder.h"

#include <algorithm>
#include <array>
#include <utility>

#include <absl/container/inlined_vector.h>

#include "ingest/limits.h"
#include "ingest/line_problem.h"
#include "ingest/text.h"

namespace tsdbd::ingest {
namespace {

constexpr std::string_view kPrometheusMeasurement = "prometheus";
constexpr std::string_view kValueField = "value";

// More tags than this need an allocation.
constexpr size_t kCommonTags = 24;

struct RawTag {
  std::string_view name;
  std::string_view value;
};
using RawTags = absl::InlinedVector<RawTag, kCommonTags>;

struct KeyParts {
  std::string_view measurement;
  RawTags tags;
  bool has_backslash = false;  // else nothing is escaped
};

enum class NameKind { kMetric, kLabel };

bool IsDigit(char c) {
  return c >= '0' && c <= '9';
}

// Whether each byte may stand in a metric's name.
constexpr auto kMetricCharacters = [] {
  std::array<bool, 256> allowed = {};
  for (const char c :
       std::string_view("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_:")) {
    allowed[static_cast<unsigned char>(c)] = true;
  }
  return allowed;
}();

bool MayStandInName(char c, NameKind kind) {
  return kMetricCharacters[static_cast<unsigned char>(c)] &&
         (c != ':' || kind == NameKind::kMetric);
}

// Makes a Prometheus name of (*name)[from..]; what is before belongs to the same name. Returns
// whether it had to change anything.
bool Sanitize(NameKind kind, size_t from, std::string* name) {
  const auto is_fine = [kind](char c) { return MayStandInName(c, kind); };
  const auto begin = name->begin() + static_cast<ptrdiff_t>(from);
  const bool all_fine = std::all_of(begin, name->end(), is_fine);
  if (!all_fine) {
    size_t out = from;
    for (size_t in = from; in < name->size();) {
      const std::string_view rest = std::string_view(*name).substr(in);
      const bool fine = is_fine(rest[0]);
      in += fine ? 1 : std::max<size_t>(Utf8Length(rest), 1);
      (*name)[out++] = fine ? rest[0] : '_';
    }
    name->resize(out);
  }
  const bool digit_first = from == 0 && !name->empty() && IsDigit((*name)[0]);
  if (digit_first) {
    name->insert(name->begin(), '_');
  }
  return !all_fine || digit_first;
}

// Position of the first unescaped `delimiter` from `from` on; npos if there is none.
size_t FindDelimiter(std::string_view text, char delimiter, size_t from) {
  size_t at = text.find(delimiter, from);
  while (at != std::string_view::npos && at > from && text[at - 1] == '\\') {
    at = text.find(delimiter, at + 1);
  }
  return at;
}

// One `name=value`.
Status SplitTag(std::string_view text, RawTag* tag) {
  const size_t equals = FindDelimiter(text, '=', 0);
  tag->name = text.substr(0, equals);
  if (tag->name.empty()) {
    return InvalidArgument("missing tag key");
  }
  if (equals == std::string_view::npos || equals + 1 == text.size()) {
    return InvalidArgument("missing tag value: tag '{}'", tag->name);
  }
  tag->value = text.substr(equals + 1);
  if (FindDelimiter(tag->value, '=', 0) != std::string_view::npos) {
    return InvalidArgument("invalid tag format: unescaped '=' in the value of tag '{}'", tag->name);
  }
  return OkStatus();
}

Status SplitKey(std::string_view key, KeyParts* parts) {
  if (key.size() > kMaxKeyBytes) {
    return InvalidArgument("max key length exceeded: {} > {}", key.size(), kMaxKeyBytes);
  }
  if (const TextProblem problem = CheckText(key); problem != TextProblem::kNone) {
    return InvalidArgument("{} in measurement or tags", Describe(problem));
  }
  parts->has_backslash = key.find('\\') != std::string_view::npos;
  size_t comma = FindDelimiter(key, ',', 0);
  parts->measurement = key.substr(0, comma);
  if (parts->measurement.empty()) {
    return InvalidArgument("missing measurement");
  }
  while (comma != std::string_view::npos) {
    const size_t start = comma + 1;
    comma = FindDelimiter(key, ',', start);
    RETURN_IF_ERROR(SplitTag(key.substr(start, comma - start), &parts->tags.emplace_back()));
  }
  return OkStatus();
}

// Nearly all clients send them sorted; those that do not pay here, once per key.
Status SortTags(RawTags* tags) {
  const auto less = [](const RawTag& a, const RawTag& b) { return a.name < b.name; };
  const auto equal = [](const RawTag& a, const RawTag& b) { return a.name == b.name; };
  if (!std::is_sorted(tags->begin(), tags->end(), less)) {
    std::sort(tags->begin(), tags->end(), less);
  }
  const auto same = std::adjacent_find(tags->begin(), tags->end(), equal);
  if (same != tags->end()) {
    return InvalidArgument("duplicate tags: tag '{}'", same->name);
  }
  return OkStatus();
}

bool NameIsLess(const model::Label& a, const model::Label& b) {
  return a.name < b.name;
}
bool NameIsEqual(const model::Label& a, const model::Label& b) {
  return a.name == b.name;
}

void AssignUnescaped(std::string_view text, bool has_backslash, std::string* out) {
  if (!has_backslash) {
    out->assign(text);
    return;
  }
  out->clear();
  AppendUnescaped(text, out);
}

// Tags that are sorted by their raw names, into labels that are sorted by theirs.
Status MakeLabels(const KeyParts& parts, bool keep_utf8, model::Labels* labels) {
  labels->resize(parts.tags.size());
  for (size_t i = 0; i < parts.tags.size(); ++i) {
    model::Label& label = (*labels)[i];
    AssignUnescaped(parts.tags[i].name, parts.has_backslash, &label.name);
    AssignUnescaped(parts.tags[i].value, parts.has_backslash, &label.value);
    if (!keep_utf8) {
      Sanitize(NameKind::kLabel, 0, &label.name);
    }
  }
  if (!std::is_sorted(labels->begin(), labels->end(), NameIsLess)) {
    std::sort(labels->begin(), labels->end(), NameIsLess);
  }
  const auto same = std::adjacent_find(labels->begin(), labels->end(), NameIsEqual);
  if (same != labels->end()) {
    return InvalidArgument("duplicate tags: more than one becomes label '{}'", same->name);
  }
  return OkStatus();
}

model::Labels::iterator PlaceOf(std::string_view name, model::Labels* labels) {
  const auto before = [](const model::Label& label, std::string_view n) { return label.name < n; };
  return std::lower_bound(labels->begin(), labels->end(), name, before);
}

// Adds a label unless there is one of that name.
void AddIfMissing(std::string_view name, std::string_view value, model::Labels* labels) {
  const auto place = PlaceOf(name, labels);
  if (place == labels->end() || place->name != name) {
    labels->insert(place, {std::string(name), std::string(value)});
  }
}

Status CheckReserved(std::string_view name, model::Labels* labels) {
  const auto place = PlaceOf(name, labels);
  if (place != labels->end() && place->name == name) {
    return InvalidArgument("reserved tag: '{}' is a label of our own", name);
  }
  return OkStatus();
}

// Two fields of one line must not be one series.
Status CheckColumnsDiffer(const std::vector<std::string>& metrics) {
  std::vector<std::string_view> sorted(metrics.begin(), metrics.end());
  std::sort(sorted.begin(), sorted.end());
  const auto same = std::adjacent_find(sorted.begin(), sorted.end());
  if (same != sorted.end()) {
    return InvalidArgument("duplicate fields: more than one becomes metric '{}'", *same);
  }
  return OkStatus();
}

LineKeyDecoderOptions Normalized(LineKeyDecoderOptions options) {
  if (options.database.empty() || options.database_label.empty()) {
    options.database.clear();
    options.database_label.clear();
  }
  return options;
}

std::string ContextOf(const LineKeyDecoderOptions& options) {
  // The length keeps label and database apart.
  return fmt::format("line {} {} {} {}{}", static_cast<int>(options.naming),
                     options.keep_utf8 ? "utf8" : "ascii", options.database_label.size(),
                     options.database_label, options.database);
}

}  // namespace

StatusOr<NamingConvention> ParseNamingConvention(std::string_view name) {
  if (name == "measurement_field") {
    return NamingConvention::kMeasurementField;
  }
  if (name == "value_as_measurement") {
    return NamingConvention::kValueAsMeasurement;
  }
  if (name == "field_label") {
    return NamingConvention::kFieldLabel;
  }
  return InvalidArgument(
      "unknown naming convention '{}': expected measurement_field, value_as_measurement or "
      "field_label",
      name);
}

LineKeyDecoder::LineKeyDecoder(LineKeyDecoderOptions options)
    : options_(Normalized(std::move(options))), context_(ContextOf(options_)) {}

Status LineKeyDecoder::Decode(std::string_view key, const model::FieldList& fields,
                              model::GroupLabels* group) const {
  const Status status = DecodeParts(key, fields, group);
  return status.ok() ? status : InvalidArgument("{}", UnableToParse(key, Message(status)));
}

Status LineKeyDecoder::DecodeParts(std::string_view key, const model::FieldList& fields,
                                   model::GroupLabels* group) const {
  KeyParts parts;
  RETURN_IF_ERROR(SplitKey(key, &parts));
  RETURN_IF_ERROR(SortTags(&parts.tags));
  RETURN_IF_ERROR(MakeLabels(parts, options_.keep_utf8, &group->labels));
  RETURN_IF_ERROR(CheckReserved(model::kMetricName, &group->labels));
  if (!options_.database.empty()) {
    if (const TextProblem problem = CheckText(options_.database); problem != TextProblem::kNone) {
      return InvalidArgument("{} in the name of the database", Describe(problem));
    }
    AddIfMissing(options_.database_label, options_.database, &group->labels);
  }
  std::string measurement;
  AssignUnescaped(parts.measurement, parts.has_backslash, &measurement);
  if (!options_.keep_utf8) {
    Sanitize(NameKind::kMetric, 0, &measurement);
  }
  if (options_.naming != NamingConvention::kFieldLabel) {
    return NameMetrics(measurement, fields, group);
  }
  RETURN_IF_ERROR(CheckReserved(kFieldLabelName, &group->labels));
  AddIfMissing(model::kMetricName, measurement, &group->labels);
  group->column_label = kFieldLabelName;
  group->column_values = fields.names;
  return OkStatus();
}

// The columns are metrics, named by measurement and field.
Status LineKeyDecoder::NameMetrics(std::string_view measurement, const model::FieldList& fields,
                                   model::GroupLabels* group) const {
  const bool bare_value = options_.naming == NamingConvention::kValueAsMeasurement;
  std::string prefix;
  if (measurement != kPrometheusMeasurement) {
    prefix.append(measurement).append("_");
  }
  bool changed = false;
  group->column_label = model::kMetricName;
  group->column_values.resize(fields.names.size());
  for (size_t i = 0; i < fields.names.size(); ++i) {
    std::string& metric = group->column_values[i];
    if (bare_value && fields.names[i] == kValueField) {
      metric = measurement;
      continue;
    }
    metric.assign(prefix).append(fields.names[i]);
    if (!options_.keep_utf8) {
      changed |= Sanitize(NameKind::kMetric, prefix.size(), &metric);
    }
  }
  // Unchanged, the names differ as the fields do, except that `prometheus` may have both the
  // fields `prometheus` and `value`.
  return changed || bare_value ? CheckColumnsDiffer(group->column_values) : OkStatus();
}

}  // namespace tsdbd::ingest
