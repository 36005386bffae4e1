#include "tsdb/replay.h"

#include <string>

namespace tsdbd::tsdb {
namespace {

// References are given out one by one, so a much larger one than there can be groups is damage
// that a checksum missed; it must not make the table huge.
constexpr uint32_t kMaxReference = 1u << 30;

}  // namespace

Status Replay::OnRecord(const wal::RecordView& record) {
  if (record.generation != wal_generation_) {
    wal_generation_ = record.generation;
    groups_.clear();
  }
  if (oldest_generation_ == 0) {
    oldest_generation_ = record.generation;
  }
  return DecodeWriteRecord(record.bytes, this);
}

void Replay::OnDefinition(const GroupDefinition& definition) {
  if (definition.reference > kMaxReference) {
    return;
  }
  if (definition.reference >= groups_.size()) {
    groups_.resize(definition.reference + 1);
  }
  Group*& group = groups_[definition.reference];
  if (group == nullptr) {
    group = head_->FindOrCreate(
        definition.labels, definition.column_label,
        std::vector<std::string>(definition.column_values.begin(), definition.column_values.end()));
  }
}

size_t Replay::ColumnCount(uint32_t reference) {
  const bool known = reference < groups_.size() && groups_[reference] != nullptr;
  return known ? groups_[reference]->column_count() : 0;
}

void Replay::OnRow(uint32_t reference, model::Timestamp timestamp, const double* values) {
  Group* group = groups_[reference];
  head_->Append(group, generation_, timestamp, values, next_sequence_++);
  ++rows_;
  samples_ += group->column_count();
}

}  // namespace tsdbd::tsdb
