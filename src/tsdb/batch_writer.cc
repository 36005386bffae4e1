#include "tsdb/batch_writer.h"

#include <memory>
#include <string>
#include <utility>

#include "common/stages.h"
#include "tsdb/write_record.h"

namespace tsdbd::tsdb {
namespace {

// Rows ahead that a loop prefetches for: enough to cover a miss with the work of those between.
constexpr size_t kPrefetchDistance = 8;

// A log that could not be written resumes by itself, so whatever the reason: try again later. The
// disk being full is told apart, for people; a record over the limit, because it stays so.
Status AsWriteFailure(const Status& status) {
  if (status.code() == StatusCode::kResourceExhausted ||
      status.code() == StatusCode::kInvalidArgument) {
    return status;
  }
  return Unavailable("the write could not be logged: {}", Message(status));
}

// A write that waits for two things: its rows to be durable, and visible.
class PendingWrite {
 public:
  PendingWrite(WriteResult result, WriteCallback done)
      : result_(std::move(result)), done_(std::move(done)) {}

  void OnDurable(const Status& status) {
    if (!status.ok()) {
      result_.status = AsWriteFailure(status);
      result_.rows_stored = 0;
    }
    Finish();
  }
  void OnVisible() { Finish(); }

 private:
  void Finish() {
    if (waiting_for_.fetch_sub(1, std::memory_order_acq_rel) == 1) {
      done_(std::move(result_));
    }
  }

  std::atomic<int> waiting_for_ = 2;
  WriteResult result_;
  const WriteCallback done_;
};

void PrefetchGroup(const Group* group) {
  const auto* bytes = reinterpret_cast<const char*>(group);
  __builtin_prefetch(bytes);
  __builtin_prefetch(bytes + 64);
  __builtin_prefetch(bytes + 128);
}

void Refuse(uint32_t line, std::string_view reason, WriteResult* result) {
  ++result->rows_refused;
  if (result->refused.size() < kMaxReportedLines) {
    result->refused.push_back({line, std::string(reason)});
  }
}

}  // namespace

// Per thread, so that a write allocates nothing but its record.
struct BatchWriter::Scratch {
  std::vector<const index::FieldSet*> field_sets;
  std::vector<index::KeyTable::Query> queries;
  std::vector<uint32_t> query_of_row;
  std::vector<std::pair<uint32_t, std::string>> refused_queries;  // rising; and why
  std::vector<Group*> groups;                                     // by row
  std::vector<Group*> definitions;
};

void BatchWriter::Write(const model::RowBatch& batch, WriteMode mode, WriteCallback done) {
  thread_local Scratch scratch;
  WriteResult result;
  Resolve(batch, &scratch, &result);
  rows_refused_.fetch_add(result.rows_refused, std::memory_order_relaxed);
  if (mode == WriteMode::kAllOrNothing && result.rows_refused > 0) {
    result.status =
        InvalidArgument("line {}: {}", result.refused[0].line, result.refused[0].reason);
    done(std::move(result));
    return;
  }
  const uint64_t row_count = batch.rows.size() - result.rows_refused;
  if (row_count == 0) {
    done(std::move(result));
    return;
  }
  StageTimer timer(Stage::kWalAppend);
  result.rows_stored = row_count;
  const uint64_t first_sequence = next_sequence_.fetch_add(batch.rows.size());
  auto pending = std::make_shared<PendingWrite>(std::move(result), std::move(done));
  const Status queued =
      log_->Append(MakeRecord(batch, &scratch, row_count),
                   [pending](const Status& status) { pending->OnDurable(status); });
  if (queued.ok()) {
    MarkDefined(scratch.definitions);
    timer.Next(Stage::kHeadAppend, row_count);
    AppendToHead(batch, scratch, first_sequence);
    timer.set_items(row_count);
    rows_written_.fetch_add(row_count, std::memory_order_relaxed);
  } else {
    timer.Cancel();
    pending->OnDurable(queued);
  }
  pending->OnVisible();
}

void BatchWriter::Resolve(const model::RowBatch& batch, Scratch* scratch, WriteResult* result) {
  StageTimer timer(Stage::kResolveHit);
  scratch->field_sets.clear();
  for (const model::FieldList& fields : batch.field_lists) {
    scratch->field_sets.push_back(head_->keys()->InternFieldSet(batch.decoder->context(), fields));
  }
  const size_t row_count = batch.rows.size();
  scratch->queries.clear();
  scratch->query_of_row.resize(row_count);
  const model::Row* previous = nullptr;
  for (size_t i = 0; i < row_count; ++i) {
    const model::Row& row = batch.rows[i];
    // Neighbours are often of one series: one look-up serves them.
    const bool same = previous != nullptr && row.key_hash == previous->key_hash &&
                      row.field_list == previous->field_list && row.key == previous->key;
    if (!same) {
      const index::FieldSet* fields = scratch->field_sets[row.field_list];
      scratch->queries.push_back(
          {row.key, fields, index::KeyTable::HashOf(row.key_hash, *fields), nullptr});
    }
    scratch->query_of_row[i] = static_cast<uint32_t>(scratch->queries.size() - 1);
    previous = &row;
  }
  head_->keys()->Find(scratch->queries);

  scratch->groups.resize(row_count);
  scratch->refused_queries.clear();
  uint64_t unknown_rows = 0;
  for (size_t i = 0; i < row_count; ++i) {
    scratch->groups[i] = static_cast<Group*>(scratch->queries[scratch->query_of_row[i]].group);
    unknown_rows += scratch->groups[i] == nullptr;
  }
  if (unknown_rows == 0) {
    timer.set_items(row_count);
    return;
  }
  timer.Next(Stage::kResolveNew, row_count - unknown_rows);
  uint64_t made = 0;
  for (size_t i = 0; i < row_count; ++i) {
    index::KeyTable::Query& query = scratch->queries[scratch->query_of_row[i]];
    const model::Row& row = batch.rows[i];
    const bool was_refused = !scratch->refused_queries.empty() &&
                             scratch->refused_queries.back().first == scratch->query_of_row[i];
    if (query.group == nullptr && !was_refused) {
      StatusOr<Group*> group = MakeGroup(batch, batch.field_lists[row.field_list], query);
      if (group.ok()) {
        query.group = *group;
        ++made;
      } else {
        scratch->refused_queries.emplace_back(scratch->query_of_row[i], Message(group.status()));
      }
    }
    if (query.group == nullptr) {
      Refuse(row.line, scratch->refused_queries.back().second, result);
    }
    scratch->groups[i] = static_cast<Group*>(query.group);
  }
  timer.set_items(made);
}

StatusOr<Group*> BatchWriter::MakeGroup(const model::RowBatch& batch,
                                        const model::FieldList& fields,
                                        const index::KeyTable::Query& query) {
  thread_local model::GroupLabels decoded;
  thread_local model::LabelViews labels;
  decoded.labels.clear();
  decoded.column_values.clear();
  RETURN_IF_ERROR(batch.decoder->Decode(query.key, fields, &decoded));
  if (decoded.labels.size() + 1 > max_labels_) {
    return InvalidArgument("{} labels, more than the limit of {}", decoded.labels.size() + 1,
                           max_labels_);
  }
  labels.clear();
  for (const model::Label& label : decoded.labels) {
    labels.push_back({label.name, label.value});
  }
  ASSIGN_OR_RETURN(Group* const group,
                   head_->FindOrAdmit(labels, decoded.column_label, decoded.column_values));
  head_->keys()->Insert(query, group, &group->keys);
  return group;
}

void BatchWriter::PrepareForLog(Group* group, uint64_t batch_number,
                                std::vector<Group*>* definitions) {
  if (group->wal_reference.load(std::memory_order_acquire) >> 32 != wal_generation_) {
    SpinLockGuard guard(&group->lock);
    if (group->wal_reference.load(std::memory_order_relaxed) >> 32 != wal_generation_) {
      const uint32_t number = next_reference_.fetch_add(1, std::memory_order_relaxed);
      group->wal_reference.store((wal_generation_ << 32) | number, std::memory_order_release);
    }
  }
  const uint64_t definitions_logged = group->wal_definitions.load(std::memory_order_acquire);
  if (definitions_logged != ((wal_generation_ << 2) | 2) &&
      group->defining_batch.exchange(batch_number, std::memory_order_relaxed) != batch_number) {
    definitions->push_back(group);
  }
}

std::string BatchWriter::MakeRecord(const model::RowBatch& batch, Scratch* scratch,
                                    uint64_t row_count) {
  scratch->definitions.clear();
  const uint64_t batch_number = next_batch_.fetch_add(1, std::memory_order_relaxed);
  const std::vector<Group*>& groups = scratch->groups;
  for (size_t i = 0; i < groups.size(); ++i) {
    if (i + kPrefetchDistance < groups.size()) {
      PrefetchGroup(groups[i + kPrefetchDistance]);
    }
    if (groups[i] != nullptr) {
      PrepareForLog(groups[i], batch_number, &scratch->definitions);
    }
  }
  std::string record = log_->TakeBuffer();
  WriteRecordEncoder encoder(scratch->definitions, row_count, &record);
  for (size_t i = 0; i < groups.size(); ++i) {
    if (groups[i] != nullptr) {
      const model::Row& row = batch.rows[i];
      encoder.AddRow(*groups[i], row.timestamp, &batch.values[row.first_value]);
    }
  }
  encoder.Finish();
  return record;
}

// Only now, with the record in the log's queue: a batch that leaves a definition out is queued
// behind the one that has it, so no crash can keep the first and lose the second.
void BatchWriter::MarkDefined(const std::vector<Group*>& definitions) const {
  for (Group* group : definitions) {
    uint64_t logged = group->wal_definitions.load(std::memory_order_relaxed);
    const uint64_t next = logged >> 2 == wal_generation_ ? 2 : 1;
    group->wal_definitions.store((wal_generation_ << 2) | next, std::memory_order_release);
  }
}

void BatchWriter::AppendToHead(const model::RowBatch& batch, const Scratch& scratch,
                               uint64_t first_sequence) {
  const std::vector<Group*>& groups = scratch.groups;
  uint64_t samples = 0;
  for (size_t i = 0; i < groups.size(); ++i) {
    if (i + 2 * kPrefetchDistance < groups.size() && groups[i + 2 * kPrefetchDistance] != nullptr) {
      PrefetchGroup(groups[i + 2 * kPrefetchDistance]);
    }
    if (i + kPrefetchDistance < groups.size() && groups[i + kPrefetchDistance] != nullptr) {
      const auto* next_row = static_cast<const char*>(
          groups[i + kPrefetchDistance]->next_row.load(std::memory_order_relaxed));
      __builtin_prefetch(next_row, /*rw=*/1);
      __builtin_prefetch(next_row + 64, /*rw=*/1);
    }
    if (groups[i] != nullptr) {
      const model::Row& row = batch.rows[i];
      head_->Append(groups[i], rows_generation_, row.timestamp, &batch.values[row.first_value],
                    first_sequence + i);
      samples += groups[i]->column_count();
    }
  }
  samples_written_.fetch_add(samples, std::memory_order_relaxed);
}

}  // namespace tsdbd::tsdb
