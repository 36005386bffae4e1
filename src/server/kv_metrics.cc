// The figures of the keyspaces (metrics.h).

#include "server/metrics.h"

namespace tsdbd::server {
namespace {

struct Figure {
  const char* name;
  const char* help;
  uint64_t kv::StoreStats::*value;
  bool is_counter;
};

constexpr Figure kFigures[] = {
    {"tsdbd_kv_keys", "Keys; of a keyspace on RocksDB an estimate.", &kv::StoreStats::keys, false},
    {"tsdbd_kv_live_bytes", "Bytes of entries that are not replaced or deleted.",
     &kv::StoreStats::live_bytes, false},
    {"tsdbd_kv_disk_bytes", "Size on disk.", &kv::StoreStats::disk_bytes, false},
    {"tsdbd_kv_memory_bytes", "Memory of index and caches of the keyspace's own.",
     &kv::StoreStats::memory_bytes, false},
    {"tsdbd_kv_segments", "Files with entries.", &kv::StoreStats::segments, false},
    {"tsdbd_kv_writes_total", "Puts and deletes since start.", &kv::StoreStats::writes, true},
    {"tsdbd_kv_syncs_total", "Group commits that reached the disk.", &kv::StoreStats::syncs, true},
    {"tsdbd_kv_compactions_total", "Compactions.", &kv::StoreStats::compactions, true},
    {"tsdbd_kv_damaged_records_total", "Records or blocks that failed their checks when read.",
     &kv::StoreStats::damaged_records, true},
    {"tsdbd_kv_cache_hits_total", "Reads of hot values, which RocksDB was not asked for.",
     &kv::StoreStats::cache_hits, true},
    {"tsdbd_kv_cache_misses_total", "Reads that RocksDB was asked for.",
     &kv::StoreStats::cache_misses, true},
};

}  // namespace

void CollectKeyspaces(const kv::Keyspaces& keyspaces, MetricWriter* writer) {
  writer->Gauge("tsdbd_kv_rocksdb_cache_bytes", "Blocks and memtables of all keyspaces on RocksDB.",
                static_cast<double>(keyspaces.shared_cache_bytes()));
  for (const kv::KeyspaceInfo& info : keyspaces.List()) {
    writer->Gauge("tsdbd_kv_available", "0 for a keyspace that could not be opened.",
                  info.keyspace != nullptr ? 1 : 0, {{"keyspace", info.name}});
    if (info.keyspace == nullptr) {
      continue;
    }
    const kv::StoreStats stats = info.keyspace->store().stats();
    const MetricWriter::Labels labels = {{"keyspace", info.name},
                                         {"backend", std::string(NameOf(info.definition.backend))}};
    for (const Figure& figure : kFigures) {
      const auto value = static_cast<double>(stats.*figure.value);
      if (figure.is_counter) {
        writer->Counter(figure.name, figure.help, value, labels);
      } else {
        writer->Gauge(figure.name, figure.help, value, labels);
      }
    }
  }
}

}  // namespace tsdbd::server
