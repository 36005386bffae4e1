#pragma once
// LineKeyDecoder: `measurement,tag=value,...` and field names become labels, by naming convention.
// Needed only for keys that the database has not met. Stateless after construction, thread-safe.
//
// Invariants of the result: labels sorted by name, names unique, no value empty; column values
// unique; no label is named like the column label.

#include <string>
#include <string_view>

#include "common/status.h"
#include "model/row_batch.h"

namespace tsdbd::ingest {

// What `cpu,host=a usage=1,value=2` is called.
enum class NamingConvention {
  kMeasurementField,    // cpu_usage{host="a"}, cpu_value{host="a"}; measurement `prometheus`: usage
  kValueAsMeasurement,  // cpu_usage{host="a"}, cpu{host="a"}: field `value` is the measurement
                        // itself
  kFieldLabel,          // cpu{host="a",__field__="usage"}, cpu{host="a",__field__="value"}
};

// "measurement_field", "value_as_measurement", "field_label".
StatusOr<NamingConvention> ParseNamingConvention(std::string_view name);

inline constexpr std::string_view kFieldLabelName = "__field__";

struct LineKeyDecoderOptions {
  NamingConvention naming = NamingConvention::kMeasurementField;
  // Label `database_label`="database" is added unless one of the two is empty. A tag of that name
  // on the line wins. The label is a label name as it stands, and not one of our own.
  std::string database_label = "db";
  std::string database = {};
  // Keeps names as they are on the line. Otherwise a character outside [a-zA-Z0-9_:] (in label
  // names also the colon, which PromQL has no way to write there) becomes `_`, and a name that
  // starts with a digit gets a `_` before it.
  bool keep_utf8 = false;
};

class LineKeyDecoder final : public model::KeyDecoder {
 public:
  explicit LineKeyDecoder(LineKeyDecoderOptions options);

  // Reuses the memory of *group. Errors read "unable to parse '<key>': <reason>" and are: key too
  // long, control character, invalid UTF-8, missing measurement, empty or duplicate tag, tag
  // without a value, unescaped `=` in a tag value, a tag called like the column label
  // (or `__name__`), two tags or two fields whose names become the same name.
  Status Decode(std::string_view key, const model::FieldList& fields,
                model::GroupLabels* group) const override;

  std::string_view context() const override { return context_; }

 private:
  Status DecodeParts(std::string_view key, const model::FieldList& fields,
                     model::GroupLabels* group) const;
  Status NameMetrics(std::string_view measurement, const model::FieldList& fields,
                     model::GroupLabels* group) const;

  const LineKeyDecoderOptions options_;
  const std::string context_;
};

}  // namespace tsdbd::ingest
