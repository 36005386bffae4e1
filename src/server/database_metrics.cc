// The figures of head, index, WAL, blocks and recovery (metrics.h).

#include "common/clock.h"
#include "server/metrics.h"
#include "storage/block_manager.h"

namespace tsdbd::server {
namespace {

// Shortens the lists below: every figure is an integer without labels.
class Figures {
 public:
  explicit Figures(MetricWriter* writer) : writer_(writer) {}
  void Counter(const char* name, const char* help, uint64_t value) {
    writer_->Counter(name, help, static_cast<double>(value));
  }
  void Gauge(const char* name, const char* help, uint64_t value) {
    writer_->Gauge(name, help, static_cast<double>(value));
  }

 private:
  MetricWriter* const writer_;
};

void CollectHead(const tsdb::DatabaseStats& stats, MetricWriter* writer) {
  Figures figures(writer);
  figures.Counter("tsdbd_rows_written_total", "Rows stored since start.", stats.rows_written);
  figures.Counter("tsdbd_samples_written_total", "Samples stored since start.",
                  stats.samples_written);
  figures.Counter("tsdbd_rows_refused_total", "Rows that the database refused.",
                  stats.rows_refused);
  figures.Counter("tsdbd_series_refused_total",
                  "Series refused by head.max_series or head.max_series_per_metric, counted again "
                  "with each batch that has them; /api/v1/status/tsdb names them.",
                  stats.series_refused);
  figures.Counter("tsdbd_groups_created_total", "Series groups made.", stats.groups_created);
  figures.Counter("tsdbd_groups_dropped_total", "Series groups that left memory.",
                  stats.groups_dropped);
  figures.Counter("tsdbd_flushes_total", "Generations written to blocks.", stats.flushes);
  figures.Counter("tsdbd_flush_failures_total", "Flushes that failed.", stats.flush_failures);
  figures.Gauge("tsdbd_head_groups", "Series groups in memory.", stats.groups);
  figures.Gauge("tsdbd_head_series", "Series in memory.", stats.series);
  figures.Gauge("tsdbd_head_bytes", "Memory of the head and its index.", stats.head_bytes);
  figures.Gauge("tsdbd_head_generation", "Number of the head's generation.", stats.generation);
  figures.Gauge("tsdbd_index_label_pairs", "Different label pairs in the index.",
                stats.label_pairs);
  writer->Gauge("tsdbd_head_oldest_row_age_seconds",
                "Time since the head's oldest row was written.",
                static_cast<double>(stats.oldest_row_age_ms) / 1000);
}

void CollectCompaction(const tsdb::DatabaseStats& stats, MetricWriter* writer) {
  Figures figures(writer);
  const tsdb::CompactionStats& compaction = stats.compaction;
  figures.Counter("tsdbd_compactions_total", "Merges of blocks.", compaction.compactions);
  figures.Counter("tsdbd_compaction_failures_total", "Merges that failed.", compaction.failures);
  figures.Counter("tsdbd_compaction_read_bytes_total", "Bytes of the blocks merged.",
                  compaction.read_bytes);
  figures.Counter("tsdbd_compaction_written_bytes_total", "Bytes of the blocks made of them.",
                  compaction.written_bytes);
  writer->Counter("tsdbd_compaction_seconds_total", "Time that merges took, waits included.",
                  static_cast<double>(compaction.elapsed_ns) / kNanosPerSecond);
  figures.Gauge("tsdbd_compaction_running", "1 while blocks are merged.", compaction.running);
  figures.Gauge("tsdbd_tombstones", "Deletions whose samples blocks still hold.", stats.tombstones);
}

void CollectLog(const wal::LogStats& stats, MetricWriter* writer) {
  Figures figures(writer);
  figures.Counter("tsdbd_wal_records_total", "Records written.", stats.records);
  figures.Counter("tsdbd_wal_record_bytes_total", "Their bytes.", stats.record_bytes);
  figures.Counter("tsdbd_wal_written_bytes_total", "Bytes written, with headers and padding.",
                  stats.written_bytes);
  figures.Counter("tsdbd_wal_commits_total", "Group commits.", stats.commits);
  figures.Counter("tsdbd_wal_failed_records_total", "Records that failed to be written.",
                  stats.failed_records);
  figures.Counter("tsdbd_wal_rejected_records_total",
                  "Records refused: full queue, broken or poisoned log.", stats.rejected_records);
  figures.Counter("tsdbd_wal_syncs_total", "Calls of fdatasync.", stats.syncs);
  writer->Counter("tsdbd_wal_sync_seconds_total", "Time spent in fdatasync.",
                  static_cast<double>(stats.sync_ns) / kNanosPerSecond);
  writer->Gauge("tsdbd_wal_max_sync_seconds", "Longest fdatasync since start.",
                static_cast<double>(stats.max_sync_ns) / kNanosPerSecond);
  figures.Gauge("tsdbd_wal_queued_records", "Records that wait for the disk.",
                stats.queued_records);
  figures.Gauge("tsdbd_wal_queued_bytes", "Their bytes.", stats.queued_bytes);
  figures.Gauge("tsdbd_wal_segments", "Segments in use.", stats.segments);
  figures.Gauge("tsdbd_wal_segment_bytes", "Their size on disk.", stats.segment_bytes);
  figures.Gauge("tsdbd_wal_spare_segments", "Segments kept for reuse.", stats.spare_segments);
  figures.Counter("tsdbd_wal_segments_created_total", "Segments made by writing zeros.",
                  stats.segments_created);
  figures.Counter("tsdbd_wal_segments_recycled_total", "Segments made from old ones.",
                  stats.segments_recycled);
  figures.Counter("tsdbd_wal_segment_waits_total", "Times that no segment was ready.",
                  stats.segment_waits);
}

void CollectBlocks(const storage::BlockStats& stats, MetricWriter* writer) {
  Figures figures(writer);
  figures.Gauge("tsdbd_blocks", "Live blocks.", stats.blocks);
  figures.Gauge("tsdbd_block_bytes", "Their size on disk.", stats.size_bytes);
  figures.Gauge("tsdbd_block_groups", "Their series groups, each block's counted.", stats.groups);
  figures.Gauge("tsdbd_block_series", "Their series, each block's counted.", stats.series);
  figures.Gauge("tsdbd_block_chunks", "Their chunks.", stats.chunks);
  figures.Gauge("tsdbd_block_samples", "Their samples.", stats.samples);
  figures.Gauge("tsdbd_block_damaged_chunks", "Chunks that failed their checks when read.",
                stats.damaged_chunks);
  figures.Gauge("tsdbd_blocks_quarantined", "Block files in quarantine.", stats.quarantined);
}

void CollectRecovery(const wal::RecoveryReport& report, uint64_t rows, MetricWriter* writer) {
  Figures figures(writer);
  figures.Gauge("tsdbd_recovery_records", "Log records replayed at start.", report.records);
  figures.Gauge("tsdbd_recovery_rows", "Rows replayed at start.", rows);
  figures.Gauge("tsdbd_recovery_damaged_places", "Places of the log that failed their checks.",
                report.damage_count);
  writer->Gauge("tsdbd_recovery_duration_seconds", "Time the log's replay took.",
                static_cast<double>(report.elapsed_ns) / kNanosPerSecond);
}

}  // namespace

void CollectDatabase(const tsdb::Database& database, MetricWriter* writer) {
  const tsdb::DatabaseStats stats = database.Stats();
  CollectHead(stats, writer);
  CollectCompaction(stats, writer);
  CollectLog(database.log().stats(), writer);
  CollectBlocks(database.blocks().Stats(), writer);
  CollectRecovery(database.recovery(), stats.rows_recovered, writer);
  const wal::HealthState health = database.log().health().state;
  for (const auto& [state, name] :
       {std::pair(wal::HealthState::kOk, "ok"), std::pair(wal::HealthState::kBroken, "broken"),
        std::pair(wal::HealthState::kPoisoned, "poisoned")}) {
    writer->Gauge("tsdbd_wal_health", "1 for the log's state: ok, broken (resumes), poisoned.",
                  health == state ? 1 : 0, {{"state", name}});
  }
}

}  // namespace tsdbd::server
