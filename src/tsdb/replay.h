#pragma once
// Replay: the write records of the WAL back into the head. One thread, before anybody else is
// there.

#include <cstdint>
#include <vector>

#include "tsdb/head.h"
#include "tsdb/write_record.h"
#include "wal/log.h"

namespace tsdbd::tsdb {

class Replay : public WriteRecordVisitor {
 public:
  // All rows become rows of `generation`, numbered from `first_sequence` on in log order.
  Replay(Head* head, uint64_t generation, uint64_t first_sequence)
      : head_(head), generation_(generation), next_sequence_(first_sequence) {}

  // A wal::RecordVisitor.
  Status OnRecord(const wal::RecordView& record);

  void OnDefinition(const GroupDefinition& definition) override;
  size_t ColumnCount(uint32_t reference) override;
  void OnRow(uint32_t reference, model::Timestamp timestamp, const double* values) override;

  uint64_t rows() const { return rows_; }
  uint64_t samples() const { return samples_; }
  // Of the records seen; 0 if none.
  uint64_t oldest_generation() const { return oldest_generation_; }
  uint64_t next_sequence() const { return next_sequence_; }

 private:
  Head* const head_;
  const uint64_t generation_;
  uint64_t next_sequence_;
  uint64_t oldest_generation_ = 0;
  uint64_t wal_generation_ = 0;  // whose references groups_ holds
  std::vector<Group*> groups_;   // by reference; null: not defined
  uint64_t rows_ = 0;
  uint64_t samples_ = 0;
};

}  // namespace tsdbd::tsdb
