#pragma once
// RowBatch: what a parser of outside bytes (ingest) hands to the database: rows whose series are
// still the raw bytes of the request, because a series that is already known needs no parsing.
//
// A row's group is named by three things: the batch's context, the row's raw key bytes (for line
// protocol: measurement and tags as they stand on the line) and the row's field list. Only when
// the database meets a new combination does it ask the batch's KeyDecoder for the labels.
// Not thread-safe: one batch belongs to one thread at a time.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "common/hash.h"
#include "common/status.h"
#include "model/labels.h"
#include "model/sample.h"

namespace tsdbd::model {

// The names of a line's fields, unescaped, unique, in the order of the line.
struct FieldList {
  std::vector<std::string> names;
  uint64_t hash = 0;  // of the names in order: HashFieldNames()
};

uint64_t HashFieldNames(const std::vector<std::string>& names);

// One line's worth: row.values[i] belongs to field i of its field list.
struct Row {
  std::string_view key;  // raw bytes, in the request's memory
  Hash128 key_hash;      // HashTo128(key)
  Timestamp timestamp = 0;
  uint32_t first_value = 0;  // index into RowBatch::values
  uint32_t field_list = 0;   // index into RowBatch::field_lists
  uint32_t line = 0;         // 1-based place in the request, for error messages
};

// The labels of a series group: what all its series have in common, and the one label that tells
// column i from the others, `column_label`=column_values[i] (mostly `__name__`).
struct GroupLabels {
  Labels labels;
  std::string column_label;
  std::vector<std::string> column_values;
};

// Turns raw key bytes into labels. Stateless after construction and thread-safe.
class KeyDecoder {
 public:
  virtual ~KeyDecoder() = default;

  // kInvalidArgument with the reason if the key breaks the format's rules (a bad tag, too long).
  virtual Status Decode(std::string_view key, const FieldList& fields,
                        GroupLabels* group) const = 0;

  // Everything besides key and field list that the labels depend on (format, naming convention,
  // database name): equal contexts, keys and field lists mean equal labels.
  virtual std::string_view context() const = 0;
};

// Rows are in the order of the request. Clear() keeps the memory for the next request.
struct RowBatch {
  const KeyDecoder* decoder = nullptr;
  std::vector<FieldList> field_lists;
  std::vector<Row> rows;
  std::vector<double> values;

  size_t SampleCount() const { return values.size(); }
  void Clear() {
    decoder = nullptr;
    field_lists.clear();
    rows.clear();
    values.clear();
  }
};

// A line that was not stored, and why.
struct LineError {
  uint32_t line = 0;  // 1-based
  std::string reason;
};

}  // namespace tsdbd::model
