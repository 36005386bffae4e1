#pragma once
// BatchWriter: the write path of one batch: resolve its rows to groups, log it as one record,
// append it to the head, answer when the log says that it is durable.
//
// Threads: Write from any thread, with the database's generation lock held shared; StartGeneration
// with that lock held exclusively.

#include <atomic>
#include <cstdint>
#include <vector>

#include "model/row_batch.h"
#include "tsdb/database.h"
#include "tsdb/head.h"
#include "wal/log.h"

namespace tsdbd::tsdb {

class BatchWriter {
 public:
  // `first_sequence` is higher than that of any row in the head.
  BatchWriter(Head* head, wal::Log* log, uint32_t max_labels, uint64_t first_sequence)
      : head_(head), log_(log), max_labels_(max_labels), next_sequence_(first_sequence) {}

  void Write(const model::RowBatch& batch, WriteMode mode, WriteCallback done);

  // Rows from now on are of `rows_generation` in the head and `wal_generation` in the log. The
  // second is the higher one after the log had to start anew while a flush was under way.
  void StartGeneration(uint64_t rows_generation, uint64_t wal_generation) {
    rows_generation_ = rows_generation;
    wal_generation_ = wal_generation;
    next_reference_.store(0, std::memory_order_relaxed);
  }

  uint64_t rows_written() const { return rows_written_.load(std::memory_order_relaxed); }
  uint64_t samples_written() const { return samples_written_.load(std::memory_order_relaxed); }
  uint64_t rows_refused() const { return rows_refused_.load(std::memory_order_relaxed); }

 private:
  struct Scratch;

  // Fills scratch->groups (null: refused) and the refusals in *result.
  void Resolve(const model::RowBatch& batch, Scratch* scratch, WriteResult* result);
  StatusOr<Group*> MakeGroup(const model::RowBatch& batch, const model::FieldList& fields,
                             const index::KeyTable::Query& query);
  // Encodes the batch's record.
  std::string MakeRecord(const model::RowBatch& batch, Scratch* scratch, uint64_t row_count);
  // Gives the group a number in the WAL's generation where it has none, and decides whether the
  // record has to define it.
  void PrepareForLog(Group* group, uint64_t batch_number, std::vector<Group*>* definitions);
  void MarkDefined(const std::vector<Group*>& definitions) const;
  void AppendToHead(const model::RowBatch& batch, const Scratch& scratch, uint64_t first_sequence);

  Head* const head_;
  wal::Log* const log_;
  const uint32_t max_labels_;

  // Guarded by the database's generation lock.
  uint64_t rows_generation_ = 0;
  uint64_t wal_generation_ = 0;

  std::atomic<uint32_t> next_reference_ = 0;
  std::atomic<uint64_t> next_batch_ = 1;
  std::atomic<uint64_t> next_sequence_;
  std::atomic<uint64_t> rows_written_ = 0;
  std::atomic<uint64_t> samples_written_ = 0;
  std::atomic<uint64_t> rows_refused_ = 0;
};

}  // namespace tsdbd::tsdb
