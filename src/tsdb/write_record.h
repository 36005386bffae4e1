#pragma once
// The bytes of a write in the WAL: definitions of the groups that the generation's log does not
// have yet, and the rows of one batch. Format: docs/formats/write-record.md.

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "common/status.h"
#include "model/labels.h"
#include "tsdb/group.h"

namespace tsdbd::tsdb {

// Builds one record. `group` of a row must have its wal_reference.
class WriteRecordEncoder {
 public:
  // `record` is empty; its capacity is used. Rows follow with AddRow, `row_count` of them.
  WriteRecordEncoder(std::span<Group* const> definitions, size_t row_count, std::string* record);

  // `values`: one per column of the group.
  void AddRow(const Group& group, model::Timestamp timestamp, const double* values);
  void Finish();

 private:
  void AddDefinition(const Group& group);
  void Reserve(size_t bytes);

  std::string* const record_;
  size_t size_ = 0;  // of *record_ that is used
  uint32_t previous_reference_ = 0;
  model::Timestamp previous_timestamp_ = 0;
};

// A group as a record defines it; views into the record.
struct GroupDefinition {
  uint32_t reference = 0;
  model::LabelViews labels;
  std::string_view column_label;
  std::vector<std::string_view> column_values;
};

// Receives a record's contents in order.
class WriteRecordVisitor {
 public:
  virtual ~WriteRecordVisitor() = default;
  virtual void OnDefinition(const GroupDefinition& definition) = 0;
  // How many columns the group has; 0 if it was never defined.
  virtual size_t ColumnCount(uint32_t reference) = 0;
  virtual void OnRow(uint32_t reference, model::Timestamp timestamp, const double* values) = 0;
};

// kDataLoss, with the place in the record, if the bytes are no record or a row's group is unknown.
Status DecodeWriteRecord(std::string_view record, WriteRecordVisitor* visitor);

}  // namespace tsdbd::tsdb
